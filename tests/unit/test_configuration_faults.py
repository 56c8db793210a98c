"""Whatever is wrong with a configuration file is told with its place; none of it is a crash."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from deploy.checking import faults_of
from deploy.profile import Settings, configuration, sandbox
from deploy.schema import document, schema
from gateway.faults import Checker
from tests.policies.parcels import contract_file

ROOT = Path(__file__).resolve().parents[2]
BROKEN = sorted((ROOT / "tests" / "policies" / "broken_configs").glob("*.toml"))
SYSTEMS = """
[systems.business_central]
tenant = "t"
environment = "Production"
company = "Crossdock Trading"
client_id = "c"
client_secret = "env:ERP_SECRET"
[systems.salesforce]
base_url = "https://example.my.salesforce.com"
client_id = "c"
client_secret = "env:ERP_SECRET"
[systems.shiphero]
username = "u"
password = "env:ERP_SECRET"
"""


@pytest.fixture
def faults_in(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "s")

    def check(text):
        file = tmp_path / "crossdock.toml"
        file.write_text(text)
        return {fault.place: fault for fault in faults_of(Settings(config=file, data=tmp_path))}

    return check


def test_a_whole_file_has_none(faults_in):
    assert faults_in(SYSTEMS) == {}


def test_a_broken_line_is_named(faults_in):
    [fault] = faults_in("[gateway\n").values()

    assert "line 1" in fault.value


def test_a_section_that_is_none_is_named(faults_in):
    """One value where a table belongs is easily written in TOML."""
    assert set(faults_in("systems = 5")) == {"systems"}
    assert "5" in faults_in("systems.shiphero = 5")["systems.shiphero"].value


def test_a_secret_that_is_not_there_is_named(faults_in):
    assert set(faults_in(SYSTEMS.replace('password = "env:ERP_SECRET', 'password = "env:NO'))) == {
        "systems.shiphero.password"
    }


def test_an_address_that_is_not_there_is_named(faults_in):
    """Found by the check, not by the start."""
    assert set(faults_in(SYSTEMS + '[gateway]\nredis = "env:NO_REDIS"\n')) == {"gateway.redis"}


def test_the_address_of_the_store_may_be_a_reference(faults_in, tmp_path, monkeypatch):
    """A password belongs in the environment or in a file of its own, and is followed there."""
    address = "postgresql+psycopg://u:pw@db:5432/x"
    monkeypatch.setenv("A_STORE", address)
    (tmp_path / "store").write_text(f"{address}\n")
    for reference in ("env:A_STORE", f"file:{tmp_path / 'store'}"):
        assert faults_in(SYSTEMS + f'[store]\nurl = "{reference}"\n') == {}

        told = configuration(Settings(config=tmp_path / "crossdock.toml"))
        assert told.store.url == address


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://u:topsecret@db/x",
        "postgresql+psycopg://db/x?user=u&password=topsecret",
        "postgresql+psycopg://u:top@secret@[::1/x",
    ],
)
def test_a_password_in_an_address_of_the_file_is_refused_and_kept(faults_in, address):
    [fault] = faults_in(SYSTEMS + f'[store]\nurl = "{address}"\n').values()

    assert "env:NAME, file:/path" in str(fault)
    assert "secret" not in str(fault)


def test_a_password_in_the_environment_is_fine(tmp_path, monkeypatch):
    """So is the socket of this machine, which has no host."""
    monkeypatch.setenv("ERP_SECRET", "s")
    file = tmp_path / "crossdock.toml"
    file.write_text(SYSTEMS)
    told = {"store_url": "postgresql+psycopg://u:pw@/x?host=/run", "redis_url": "redis://:pw@h:1/0"}

    assert faults_of(Settings(config=file, **told), thorough=True) == []
    said = faults_of(Settings(config=file, store_url="mysql://h", redis_url="redis://["))
    assert [each.place for each in said] == ["CROSSDOCK_REDIS_URL", "CROSSDOCK_STORE_URL"]


def test_the_example_of_the_documentation_has_no_fault(tmp_path, monkeypatch):
    """It is what people copy."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name in re.findall(r'"env:([A-Z_]+)"', text):
        monkeypatch.setenv(name, "redis://h:6379/0")
    file = tmp_path / "crossdock.toml"
    [example, *_] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    file.write_text(example.replace("parcels.openapi.json", contract_file(tmp_path)))

    assert [str(each) for each in faults_of(Settings(config=file), thorough=True)] == []
    assert faults_of(Settings(), thorough=True) == []


def test_a_channel_of_ones_own_takes_none_away(faults_in, tmp_path):
    """Deals of the CRM still have theirs when the file speaks of a shop alone."""
    shop = '[orders.channels.shop]\npricing = "ignore"\n[sales.channels]\nfrontend = "shop"\n'
    assert faults_in(SYSTEMS + shop) == {}

    told = configuration(Settings(config=tmp_path / "crossdock.toml"))
    assert set(told.orders.channels) == {"sales", "crm", "order-file", "shop"}
    assert told.sales.channels == {"frontend": "shop"}


def test_a_channel_without_a_policy_is_named(faults_in):
    """Its orders would be refused one by one, each as if the caller had been wrong."""
    [fault] = faults_in(SYSTEMS + '[sales.channels]\nfrontend = "sale"\n').values()

    assert (fault.place, fault.nearest) == ("sales.channels.frontend", "sales")


def test_a_fault_of_form_hides_no_other(faults_in):
    """A misspelt line and a client whose plan there is none of are told together."""
    text = (
        SYSTEMS + '[gateway]\nissuer = 7\n[clients.shop]\nplan = "none"\nscopes = ["orders:raed"]\n'
    )

    assert set(faults_in(text)) == {
        "gateway.issuer", "clients.shop", "clients.shop.plan", "clients.shop.scopes",
    }  # fmt: skip


def test_no_secret_is_repeated(faults_in):
    text = SYSTEMS.replace('"env:ERP_SECRET"', "12345678") + '[clients.crm]\nsecrets = "hunter2"\n'
    said = "".join(map(str, faults_in(text).values()))

    assert "12345678" not in said
    assert "hunter2" not in said


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_what_is_said_of_a_broken_file_is_what_was_reviewed(file, monkeypatch):
    """Place, value, what is allowed and what to do, as a person reads it."""
    monkeypatch.chdir(ROOT)
    found = faults_of(Settings(config=file.relative_to(ROOT)), thorough=True)

    assert [str(fault) for fault in found] == file.with_suffix(".txt").read_text().splitlines()
    for fault in found:
        assert fault.place
        assert fault.value
        assert fault.allowed
        assert fault.remedy


def test_there_are_thirty_broken_files():
    assert len(BROKEN) >= 30


def test_the_published_schema_is_current(tmp_path):
    """`crossdock check --schema > docs/crossdock.schema.json` makes it."""
    published = (ROOT / "docs" / "crossdock.schema.json").read_bytes()

    # 1 and 1.0 are one number: which of them is written depends on who asked for the type first
    assert json.loads(published) == json.loads(document())
    printed = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "check", "--schema"],
        cwd=ROOT, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(printed.stdout) == json.loads(published)
    assert not Checker(msgspec.json.decode(published)).faults(
        msgspec.json.decode(msgspec.json.encode(sandbox(Settings(data=tmp_path))))
    )
    assert not Checker(schema()).faults(
        {"systems": msgspec.json.decode(msgspec.json.encode(sandbox(Settings())["systems"]))}
    )
