"""Each part of a split system needs what it uses: no process at the edge holds the ERP's secret."""

import pytest
from click.testing import CliRunner

from deploy.assembly import surroundings
from deploy.checking import absent_here, faults_of
from deploy.commands import check
from deploy.needs import PARTS
from deploy.profile import Settings, configuration
from deploy.tiers import SystemTier
from gateway.config import ConfigError

APART = '[tiers]\nsystem = "http://127.0.0.1:8081"\nprocess = "http://127.0.0.1:8082"\n'
SYSTEMS = """
[systems.business_central]
tenant = "t"
environment = "Production"
company = "Crossdock Trading"
client_id = "c"
client_secret = "env:VENDOR_SECRET"
webhook_secrets = ["env:SIGNATURE"]
[systems.salesforce]
base_url = "https://example.my.salesforce.com"
client_id = "c"
client_secret = "env:VENDOR_SECRET"
[systems.shiphero]
username = "u"
password = "file:/nowhere/vendor-secret"
"""
CREDENTIALS = {
    "systems.business_central.client_secret",
    "systems.salesforce.client_secret",
    "systems.shiphero.password",
}
SIGNATURE = {"systems.business_central.webhook_secrets"}
PROMISES = {"promise_key"}
EVERYTHING = CREDENTIALS | SIGNATURE | PROMISES


@pytest.fixture
def written(tmp_path, monkeypatch):
    for name in ("VENDOR_SECRET", "SIGNATURE", "PROMISE_KEY"):
        monkeypatch.delenv(name, raising=False)

    def write(text, part=None):
        file = tmp_path / "crossdock.toml"
        file.write_text('promise_key = "env:PROMISE_KEY"\n' + text)
        return Settings(config=file, data=tmp_path, part=part)

    return write


def places(settings):
    return {fault.place for fault in faults_of(settings)}


@pytest.mark.parametrize(
    ("part", "apart", "together"),
    [
        ("gateway", set(), set()),
        ("experience", set(), set()),
        ("process", SIGNATURE | PROMISES, EVERYTHING),
        ("worker", PROMISES, EVERYTHING),
        ("system", CREDENTIALS | SIGNATURE, CREDENTIALS | SIGNATURE),
        ("up", SIGNATURE | PROMISES, EVERYTHING),
        (None, set(), EVERYTHING),
    ],
)
def test_a_part_needs_the_secrets_that_it_uses_and_no_others(written, part, apart, together):
    """With the connectors in a process of their own, and without."""
    assert places(written(APART + SYSTEMS, part)) == apart
    assert places(written(SYSTEMS, part)) == together


@pytest.mark.parametrize("part", [*PARTS, None])
def test_systems_may_be_missing_where_the_connectors_are_elsewhere(written, monkeypatch, part):
    """Who has the connectors cannot do without; the gateway and the channels never have them."""
    monkeypatch.setenv("PROMISE_KEY", "k")

    assert places(written(APART, part)) == ({"systems"} if part == "system" else set())
    never = part in {"gateway", "experience"}
    assert places(written("", part)) == (set() if never else {"systems"})


def test_a_connector_without_systems_is_refused_in_words(written, tmp_path):
    """Whoever builds it without having checked is told what the check says."""
    configured = configuration(written(APART))
    around = surroundings(Settings(data=tmp_path), configured)

    with pytest.raises(ConfigError, match=r"^systems: missing\. Allowed: a table\. Add it\.$"):
        SystemTier(around)


@pytest.mark.parametrize("part", [*PARTS, None])
def test_a_secret_in_the_clear_is_a_fault_for_every_part(written, part):
    """Where it is written does not depend on who reads it."""
    said = places(written(APART + SYSTEMS.replace('"env:VENDOR_SECRET"', '"hunter2"'), part))

    assert said >= {"systems.business_central.client_secret", "systems.salesforce.client_secret"}


def test_a_part_is_given_no_secret_that_it_does_not_use(written, monkeypatch):
    """Also where the secret is there: what a process does not hold it cannot tell."""
    for name in ("VENDOR_SECRET", "SIGNATURE", "PROMISE_KEY"):
        monkeypatch.setenv(name, name.lower())
    text = APART + SYSTEMS.replace("file:/nowhere/vendor-secret", "env:VENDOR_SECRET")

    process = configuration(written(text, "process"))
    assert process.promise_key == "promise_key"
    assert process.systems.business_central.webhook_secrets == ("signature",)
    assert process.systems.business_central.client_secret == ""
    assert process.systems.shiphero.password == ""
    gateway = configuration(written(text, "gateway"))
    assert gateway.promise_key is None
    assert gateway.systems.business_central.webhook_secrets == ()
    assert gateway.systems.salesforce.client_secret == ""
    worker = configuration(written(text, "worker"))
    assert worker.promise_key == "promise_key"
    assert worker.systems.business_central.webhook_secrets == ()
    system = configuration(written(text, "system"))
    assert system.systems.shiphero.password == "vendor_secret"
    assert system.promise_key is None


def test_a_secret_that_is_for_another_machine_is_told_and_is_no_fault(written):
    """Whoever checks the file at the edge sees what the other machines must have."""
    said = absent_here(written(APART + SYSTEMS))

    assert [line.partition(":")[0] for line in said] == sorted(
        EVERYTHING, key=[line.partition(":")[0] for line in said].index
    )
    assert (
        "systems.shiphero.password: file:/nowhere/vendor-secret does not exist here; "
        "only crossdock serve system must have it."
    ) in said
    assert (
        "systems.business_central.webhook_secrets: env:SIGNATURE is not set here; "
        "only crossdock serve process and crossdock serve system must have it."
    ) in said
    assert (
        "promise_key: env:PROMISE_KEY is not set here; "
        "only crossdock serve process and crossdock worker must have it."
    ) in said


def test_check_judges_for_one_part_when_asked(written):
    """The whole file passes at the edge, with notes; the machine of the connectors is not ready."""
    file = str(written(APART + SYSTEMS).config)
    whole = CliRunner().invoke(check.command, [file])
    edge = CliRunner().invoke(check.command, [file, "--part", "gateway"])
    connectors = CliRunner().invoke(check.command, [file, "--part", "system"])

    assert (whole.exit_code, whole.stdout) == (0, f"{file}: no fault found.\n")
    assert whole.stderr.count("Note: ") == len(EVERYTHING)
    assert (edge.exit_code, edge.stderr) == (0, "")
    assert connectors.exit_code == 1
    assert connectors.stdout.count("is not set. Allowed: env:NAME, file:/path.") == 3
