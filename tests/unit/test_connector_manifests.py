"""Every connector is one directory with the same files, and says the same things about itself."""

import importlib
import tomllib
from pathlib import Path

import pytest

from contracts.ports.binding import operations

ROOT = Path(__file__).parents[2] / "system_apis"
CONNECTORS = sorted(path.parent for path in ROOT.glob("*/*/manifest.toml"))
SECTIONS = {"authority", "authentication", "limits", "paging", "idempotency", "timeouts", "events"}
NAMES = [str(path.relative_to(ROOT)) for path in CONNECTORS]


def named(dotted):
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)


def test_every_directory_of_a_vendor_is_a_connector():
    packages = {path.parent for path in ROOT.glob("*/*/__init__.py")}
    assert packages == set(CONNECTORS)


@pytest.fixture(params=CONNECTORS, ids=NAMES)
def connector(request):
    return request.param


@pytest.fixture
def manifest(connector):
    return tomllib.loads((connector / "manifest.toml").read_text())


def test_its_files_are_where_everybody_looks_for_them(connector):
    assert (connector / "connector.py").is_file()
    assert len((connector / "quirks.md").read_text()) > 500
    if connector.parent.name != "tax":  # a table has no wire
        assert (connector / "wire.py").is_file()
        assert (connector / "mapping.py").is_file()


def test_its_manifest_says_everything(manifest):
    assert set(manifest) >= SECTIONS
    assert all(manifest[section] for section in SECTIONS)
    assert manifest["owner"].endswith("-integration")


def test_it_implements_its_port_to_the_last_operation(manifest):
    made = named(manifest["connector"])
    for operation in operations(named(manifest["port"])):
        assert callable(getattr(made, operation.name)), operation.name


def test_the_limits_it_states_are_those_the_system_keeps(manifest):
    from deploy import profile

    kept = {"business_central": profile.BUSINESS_CENTRAL, "shiphero": profile.SHIPHERO,
            "salesforce": profile.SALESFORCE}.get(manifest["account"])  # fmt: skip
    if kept is None:
        return
    stated = [(one["requests"], one["seconds"]) for one in manifest["limits"]["windows"]]
    assert stated == [(window.limit, window.seconds) for window in kept.windows]
    assert manifest["limits"].get("concurrency") == kept.concurrency
    stated_credits = manifest["limits"].get("credits")
    assert (stated_credits is None) == (kept.bucket is None)
    if stated_credits is not None:
        assert (stated_credits["capacity"], stated_credits["restore_per_second"]) == (
            kept.bucket.capacity, kept.bucket.restore,
        )  # fmt: skip


VENDOR_WORDS = {
    "erp/business_central": "salesOrderLines externalDocumentNumber lineObjectNumber maxpagesize",
    "crm/salesforce": "ERP_Order__c OpportunityLineItems composite/sobjects",
    "wms/shiphero": "order_create warehouse_products CreateOrderInput",
}


@pytest.mark.parametrize(("where", "words"), VENDOR_WORDS.items())
def test_a_vendors_words_stay_in_its_own_directory(where, words):
    """A wire name appears in one place: nothing above the connector knows it."""
    project = ROOT.parent
    above = ("contracts", "runtime", "process_apis", "experience_apis", "gateway")
    for folder in above:
        for path in (project / folder).rglob("*.py"):
            text = path.read_text()
            for word in words.split():
                assert word not in text, f"{word} in {path}"
    others = [path for path in CONNECTORS if str(path.relative_to(ROOT)) != where]
    for path in (file for other in others for file in other.glob("*.py")):
        assert not any(word in path.read_text() for word in words.split())
