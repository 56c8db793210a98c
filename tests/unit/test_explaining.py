"""`crossdock explain`: refused where the gateway refuses, whoever is asked as."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from deploy.callers import caller_of
from deploy.commands.explain import command
from deploy.commands.revoke import command as revoke
from gateway.apikeys import mint
from gateway.config import Client, GatewayConfig, from_document
from gateway.identity import introduce_from
from gateway.tokens import Claims
from tests.unit.test_configuration_diff import STOCK, SYSTEMS

KEY, NARROW = mint(), mint()
FILE = (
    SYSTEMS
    + f"""
[gateway]
public_url = "https://api.example.com"
trusted_hops = ["10.1.0.0/24"]
[issuers.corp]
url = "https://login.example.com"
audience = "stock"
algorithms = ["RS256"]
plan = "bronze"
[plans.standard]
[plans.bronze]
services = [{{ quota = 60, seconds = 60 }}]
[clients.web]
issuer = "corp"
scopes = ["stock:use"]
[clients.free]
issuer = "corp"
[clients.off]
issuer = "corp"
scopes = ["stock:use"]
disabled = true
[clients.old]
scopes = ["stock:use"]
[[clients.old.keys]]
id = "{KEY.id}"
secret = "{KEY.secret}"
expires = 2020-01-01T00:00:00Z
[clients.machine]
scopes = ["stock:use"]
certificates = ["sha256:{"0" * 64}"]
[clients.batch]
scopes = ["stock:use", "orders:read"]
[[clients.batch.keys]]
id = "{NARROW.id}"
secret = "{NARROW.secret}"
scopes = ["orders:read"]
[services.stock]
contract = "stock.json"
url = "http://stock.internal:8080"
scopes = ["stock:use"]
public = ["readStatus"]
"""
)
ITEM = "/stock/items/abc"


@pytest.fixture
def explain(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "s")
    monkeypatch.setenv("CROSSDOCK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CROSSDOCK_CONFIG", str(tmp_path / "crossdock.toml"))
    (tmp_path / "stock.json").write_text(json.dumps(STOCK))
    (tmp_path / "crossdock.toml").write_text(FILE)

    def run(url, client="web", method="GET"):
        return CliRunner().invoke(command, [method, url, "--as", client])

    return run


def lines(asked):
    """The findings, by policy; of two the later."""
    return {line.split()[0]: line.split(None, 1)[1] for line in asked.output.splitlines()}


def test_what_passes_leaves_no_trace(explain, tmp_path):
    """Not even a data directory."""
    asked = explain(f"https://api.example.com{ITEM}?depth=3#top")

    assert asked.exit_code == 0
    assert lines(asked)["authenticate"].endswith("the caller is web, by a token of corp")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "wide"), [("free", True), ("web", False), ("corp:somebody", True)]
)
def test_a_client_may_do_what_the_gateway_lets_its_token_do(explain, tmp_path, name, wide):
    """A foreign issuer's client without `scopes` is bounded by nothing, and that is said."""
    asked = explain("/sales/v1/orders", name)
    document = {
        "issuers": {"corp": {"url": "https://c", "audience": "a", "algorithms": ["RS256"]}},
        "clients": {"web": {"issuer": "corp", "scopes": ["stock:use"]}, "free": {"issuer": "corp"}},
    }
    held = introduce_from(from_document(document))(
        Claims(
            issuer="https://c", consumer=name.rpartition(":")[2], subject="s",
            scopes=frozenset({"orders:read"}), expires=9e12,
        )
    ).scopes  # fmt: skip

    assert ("judged with every scope there is" in asked.output) == wide
    assert lines(asked)["authorize"].startswith("pass" if wide else "refuse")
    assert ("orders:read" in held) == wide


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("off", "the client off is disabled"),
        ("corp:off", "the client off is disabled"),
        ("old", f"the key {KEY.id} expired at 2020-01-01T00:00:00Z"),
    ],
    ids=["disabled", "disabled, named by its issuer", "expired key"],
)
def test_who_cannot_be_authenticated_is_refused(explain, name, because):
    asked = explain(ITEM, name)

    assert asked.exit_code == 1
    assert lines(asked)["authenticate"] == f"refuse  {because}"
    assert "authorize" not in lines(asked)


def test_a_client_that_nothing_proves_is_refused():
    """Its issuer is not served, and it has neither key nor certificate."""
    config = GatewayConfig(clients={"ghost": Client(scopes=("stock:use",))})
    caller = caller_of(config, "ghost", every=frozenset({"stock:use"}), stopped=(), now=0.0)

    assert caller.proofs == ()
    assert caller.unproven == (
        "no credential proves ghost: no issuer serves it, it has no key and no certificate"
    )


@pytest.mark.parametrize(
    ("subject", "name", "because"),
    [
        (("client", "web"), "web", "client web is withdrawn"),
        (("key", NARROW.id), "batch", f"key {NARROW.id} is withdrawn"),
        (("certificate", "A" * 43), "machine", f"certificate {'A' * 43} is withdrawn"),
        (("client", "web"), "corp:web", "client web is withdrawn"),
        (("client", "corp:somebody"), "corp:somebody", "client corp:somebody is withdrawn"),
    ],
    ids=["client", "key", "certificate", "client, named by its issuer", "issuer's consumer"],
)
def test_what_is_withdrawn_in_the_data_directory_proves_nobody(explain, subject, name, because):
    assert CliRunner().invoke(revoke, subject).exit_code == 0
    asked = explain(ITEM, name)

    assert asked.exit_code == 1
    assert lines(asked)["authenticate"] == f"refuse  {because}"

    assert CliRunner().invoke(revoke, [*subject, "--lift"]).exit_code == 0
    assert lines(explain(ITEM, name))["authenticate"].startswith("pass")


def test_a_consumer_that_is_a_client_is_held_to_the_clients_bound(explain):
    """`corp:web` is nobody else: the gateway calls the bearer of such a token `web`."""
    asked = explain("/sales/v1/orders", "corp:web")

    assert "the caller is web, by a token of corp" in lines(asked)["authenticate"]
    assert lines(asked)["authorize"].startswith("refuse  needs orders:read")


def test_a_key_is_held_to_its_own_scopes(explain):
    """It narrows what its client may do, and the client has nothing else."""
    asked = explain(ITEM, "batch")

    assert lines(asked)["authenticate"].endswith(f"by the key {NARROW.id}")
    assert lines(asked)["authorize"] == "refuse  needs stock:use; the caller holds orders:read"


@pytest.mark.parametrize(
    ("url", "policy", "because"),
    [
        (f"{ITEM}?depth=9", "validate", "query:depth is too large (allowed: 3 or less)"),
        (f"{ITEM}?bogus=1", "validate", "query:bogus is not a parameter of this operation"),
        ("/stock/items/ABC", "validate", "path:id does not have the right form"),
        ("/stock/items/a%2Fb", "guard", "encoded separators"),
        ("//stock/items/abc", "route", "no contract names this path"),
    ],
)
def test_path_and_query_are_held_to_the_contract(explain, url, policy, because):
    asked = explain(url)

    assert asked.exit_code == 1
    assert lines(asked)[policy].startswith("refuse")
    assert because in lines(asked)[policy]


def test_a_method_that_is_not_allowed_is_told_from_an_unknown_path(explain):
    asked = explain(ITEM, method="DELETE")

    assert asked.exit_code == 1
    assert lines(asked)["route"].endswith("DELETE is not; allowed: GET, HEAD")


def test_a_public_operation_is_nobodys_in_particular(explain):
    """The gateway looks at no credential there, not even at one that is no good."""
    asked = explain("/stock/status", "off")

    assert asked.exit_code == 0
    assert "anonymous" in lines(asked)["route"]
    assert "authenticate" not in lines(asked)


def test_a_consumer_that_only_an_issuer_names_has_its_plan(explain):
    asked = explain(ITEM, "corp:somebody")

    assert asked.exit_code == 0
    assert "the caller is corp:somebody" in lines(asked)["authenticate"]
    assert lines(asked)["quota"].endswith("services: 60 in 60 s")

    inner = explain("/operations/v1/exceptions", "corp:somebody")
    assert "for clients who may act for all accounts" in lines(inner)["authorize"]


@pytest.mark.parametrize(
    "url",
    ["http://[/stock", "/stock/\udc80", "/stock/a b", "/stock/\n", "ftp://h/x", "http:///x", "x"],
    ids=ascii,
)
def test_what_is_no_url_is_wrong_usage(explain, url):
    asked = explain(url)

    assert asked.exit_code == 2
    assert isinstance(asked.exception, SystemExit)
    assert f"{url!r} " in asked.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cor:somebody", "No issuer 'cor'. Did you mean corp?"),
        ("corp:", "'' is no name"),
        ("corp:a b", "'a b' is no name"),
        ("wev", "No client 'wev'. Did you mean web?"),
        ("\udc80", r"No client '\udc80'."),
    ],
    ids=ascii,
)
def test_who_is_nobody_is_wrong_usage(explain, name, said):
    asked = explain(ITEM, name)

    assert asked.exit_code == 2
    assert said in asked.output


def test_a_key_that_is_good_today_proves_its_client(explain, tmp_path):
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = tmp_path / "crossdock.toml"
    file.write_text(FILE.replace("2020-01-01T00:00:00Z", later))

    assert explain(ITEM, "old").exit_code == 0


def test_withdrawals_that_cannot_be_read_are_warned_of(explain, tmp_path):
    """Who is withdrawn would seem to be let in."""
    (tmp_path / "data" / "issuer" / "revocations.jsonl").mkdir(parents=True)
    asked = explain(ITEM)

    assert "Warning: what is withdrawn cannot all be read." in asked.output


def test_an_encoded_path_is_read_as_the_gateway_reads_it(explain):
    assert explain("/stock/items/%61bc").exit_code == 0
    assert "path:id" in lines(explain("/stock/items/%41bc"))["validate"]


def test_faults_that_only_the_policies_find_are_told_and_no_surprise(explain, tmp_path):
    """No gateway of a hundred could grant its share of sixty calls."""
    file = tmp_path / "crossdock.toml"
    file.write_text(FILE.replace("[gateway]", "[gateway]\ninstances = 100"))
    asked = explain(ITEM)

    assert asked.exit_code == 1
    assert "plans.bronze.services: quota 60 among 100 gateways" in asked.output
    assert "cannot be used; there is nothing to explain" in asked.output
