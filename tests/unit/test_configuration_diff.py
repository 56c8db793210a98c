"""`crossdock diff`: who would be told something else, found before it is told."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from deploy.commands.diff import command
from gateway.records import AccessRecord

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
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
OLD = (
    SYSTEMS
    + """
[issuers.company]
url = "https://login.example.com"
audience = "crossdock"
algorithms = ["RS256"]
[plans.standard]
orders = [{ quota = 100, seconds = 60 }]
[clients.acme]
issuer = "company"
scopes = ["orders:write", "orders:read"]
[clients.globex]
issuer = "company"
scopes = ["orders:write", "orders:read"]
"""
)
STOCK = {
    "openapi": "3.0.3",
    "info": {"title": "Stock", "version": "1"},
    "paths": {
        "/status": {"get": {"operationId": "readStatus", "responses": {}}},
        "/items/{id}": {
            "get": {
                "operationId": "getItem",
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "pattern": "^[a-z0-9]{1,20}$"},
                    },
                    {"name": "depth", "in": "query", "schema": {"type": "integer", "maximum": 3}},
                ],
                "responses": {},
            },
        },
    },
}
SERVED = (
    OLD
    + """
[services.stock]
contract = "stock.json"
url = "http://stock.internal:8080"
scopes = ["orders:read"]
public = ["readStatus"]
"""
)


def a_record(second, consumer="acme", operation="sales/v1/place_order", **more):
    """A call that was answered, as the gateway writes it down."""
    told = {
        "at": BEGAN + timedelta(seconds=second),
        "level": "info",
        "logger": "crossdock.gateway",
        "event": "call_answered",
        "correlation_id": f"c-{second}",
        "trace_id": "0" * 32,
        "operation": operation,
        "method": "POST",
        "template": "/sales/v1/orders",
        "status": 201,
        "duration_ms": 20.0,
        "consumer": consumer,
    }
    return msgspec.json.encode(AccessRecord(**told | more))


@pytest.fixture
def diff(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "s")
    (tmp_path / "stock.json").write_text(json.dumps(STOCK))

    def run(new, *lines, old=OLD):
        (tmp_path / "old.toml").write_text(old)
        (tmp_path / "new.toml").write_text(new)
        (tmp_path / "access.log").write_bytes(b"\n".join(lines) + b"\n")
        arguments = [
            str(tmp_path / "new.toml"), "--old", str(tmp_path / "old.toml"),
            "--log", str(tmp_path / "access.log"),
        ]  # fmt: skip
        return CliRunner().invoke(command, arguments)

    return run


def test_the_same_configuration_changes_nothing(diff):
    asked = diff(OLD, *(a_record(second) for second in range(20)))

    assert asked.exit_code == 0
    assert asked.output == "0 of 20 recorded calls would be told something else.\n"


def test_a_smaller_quota_refuses_exactly_the_calls_beyond_it(diff):
    """Five a minute for ten calls in ten seconds, and for one a minute later."""
    new = OLD.replace("quota = 100", "quota = 5")
    asked = diff(new, *(a_record(second) for second in [*range(10), 75]))

    assert asked.exit_code == 1
    assert (
        "       5  acme  sales/v1/place_order  pass -> refuse (quota-exceeded orders-60s)"
        in asked.output
    )
    assert "5 of 11 recorded calls" in asked.output


def test_records_are_replayed_in_the_order_the_calls_came(diff):
    """One that took a minute and ended last came first, and has the first place."""
    new = OLD.replace("quota = 100", "quota = 1")
    late = a_record(61, "acme", duration_ms=61_000.0)
    asked = diff(new, a_record(59), late)

    assert "       1  acme" in asked.output


def test_a_disabled_client_and_a_lost_scope_are_told_by_consumer(diff):
    new = OLD.replace("[clients.acme]", "[clients.acme]\ndisabled = true")
    head, globex, rest = new.partition("[clients.globex]")
    new = head + globex + rest.replace('"orders:write", ', "")
    records = [a_record(1), a_record(2, "globex"), a_record(3, "globex")]
    read = a_record(
        4,
        "globex",
        operation="sales/v1/get_order",
        method="GET",
        template="/sales/v1/orders/{order}",
    )
    asked = diff(new, *records, read)

    assert "1  acme  sales/v1/place_order  pass -> refuse (authenticate: unauthenticated)" in (
        asked.output
    )
    assert "2  globex  sales/v1/place_order  pass -> refuse (insufficient-scope orders:write)" in (
        asked.output
    )
    assert "3 of 4 recorded calls" in asked.output


def test_who_is_let_in_is_told_as_well(diff):
    new = OLD.replace(
        '"orders:read"]\n[clients.globex]', '"orders:read", "stock:read"]\n[clients.globex]'
    )
    check = a_record(
        1, operation="sales/v1/check_availability", template="/sales/v1/availability-checks",
        status=403, policy="authorize", reason="insufficient-scope",
    )  # fmt: skip
    asked = diff(new, check)

    assert "refuse (insufficient-scope stock:read) -> pass" in asked.output


def test_what_cannot_be_replayed_is_counted_and_not_guessed(diff):
    anonymous = a_record(
        1, "anonymous", status=401, policy="authenticate", reason="unauthenticated"
    )
    asked = diff(OLD, anonymous, b"half a li", a_record(2))

    assert asked.exit_code == 0
    assert "0 of 1 recorded calls" in asked.output
    assert "1 could not be replayed: no access record." in asked.output
    assert "1 could not be replayed: refused by authenticate before anybody was" in asked.output


def test_differences_that_no_record_shows_are_named(diff):
    """Accounts decide about ids, and ids are not recorded."""
    new = OLD.replace("[clients.globex]", '[clients.globex]\naccounts = ["cust_1"]')
    asked = diff(
        new.replace("[plans.standard]", "[gateway.guard]\nbody_seconds = 3.0\n[plans.standard]"),
        a_record(1),
    )

    assert asked.exit_code == 0
    assert "no record shows what it changes: clients.globex.accounts" in asked.output
    assert "no record shows what it changes: gateway.guard" in asked.output


def test_a_faulty_file_is_not_compared(diff):
    asked = diff(OLD + '[clients.shop]\nplan = "none"\n', a_record(1))

    assert asked.exit_code == 1
    assert "clients.shop.plan" in asked.output
    assert "cannot be used" in asked.output


def an_item(second, **more):
    """A call of a service that is not ours."""
    told = {"method": "GET", "template": "/stock/items/{id}", "status": 200}
    return a_record(second, operation="services/stock/getItem", **told | more)


def a_status(second, **more):
    """A call of its operation that needs no credential."""
    told = {"consumer": "anonymous", "method": "GET", "template": "/stock/status", "status": 200}
    return a_record(second, operation="services/stock/readStatus", **told | more)


def named(asked):
    """What is said to differ, and not to be seen in any record."""
    said = "Differs too, and no record shows what it changes: "
    return [each.removeprefix(said) for each in asked.output.splitlines() if said in each]


def test_a_moved_prefix_refuses_every_call_of_the_service(diff):
    new = SERVED + 'prefix = "/warehouse"\n'
    asked = diff(new, an_item(1), a_status(2), old=SERVED)

    assert asked.exit_code == 1
    assert "acme  services/stock/getItem  pass -> refuse (route: operation-unknown)" in asked.output
    assert "2 of 2 recorded calls" in asked.output


def test_a_moved_path_is_noticed_under_the_same_name(diff, tmp_path):
    """And one whose method went, by another word; the changed contract is named as well."""
    moved = json.loads(json.dumps(STOCK).replace("/status", "/health").replace('"get"', '"put"'))
    (tmp_path / "moved.json").write_text(json.dumps(moved))
    new = SERVED.replace("stock.json", "moved.json")
    asked = diff(new, an_item(1), a_status(2), old=SERVED)

    assert "getItem  pass -> refuse (route: method-not-allowed)" in asked.output
    assert "readStatus  pass as anybody -> refuse (route: operation-unknown)" in asked.output
    assert named(asked) == ["services.stock.contract"]


def test_a_renamed_operation_answers_the_same_calls(diff, tmp_path):
    """What a call is told hangs on its path, and not on what we call it."""
    renamed = json.dumps(STOCK).replace("getItem", "readItem").replace("{id}", "{item}")
    (tmp_path / "renamed.json").write_text(renamed.replace('"id"', '"item"'))
    asked = diff(SERVED.replace("stock.json", "renamed.json"), an_item(1), old=SERVED)

    assert asked.exit_code == 0
    assert named(asked) == ["services.stock.contract"]


def test_calls_that_another_service_would_answer_are_told(diff):
    asked = diff(SERVED.replace("[services.stock]", '[services.depot]\nprefix = "/stock"'),
                 an_item(1), old=SERVED)  # fmt: skip

    assert asked.exit_code == 1
    assert "pass -> pass, answered by services/depot" in asked.output


def test_an_operation_that_becomes_public_is_told(diff):
    """Calls that were refused for want of a credential pass from then on."""
    new = SERVED.replace('"readStatus"', '"readStatus", "getItem"')
    stranger = {"consumer": "anonymous", "policy": "authenticate", "status": 401}
    asked = diff(new, an_item(1), an_item(2, **stranger), a_status(3), old=SERVED)

    assert asked.exit_code == 1
    assert "acme  services/stock/getItem  pass -> pass as anybody" in asked.output
    assert (
        "anonymous  services/stock/getItem  refuse (authenticate: unauthenticated) -> "
        "pass as anybody"
    ) in asked.output
    assert "2 of 3 recorded calls" in asked.output
    assert named(asked) == ["services.stock.public (getItem)"]


def test_an_operation_that_is_public_no_more_is_told(diff):
    asked = diff(SERVED.replace('public = ["readStatus"]', ""), a_status(1), old=SERVED)

    assert asked.exit_code == 1
    assert "pass as anybody -> refuse (authenticate: unauthenticated)" in asked.output


def test_what_a_service_is_sent_and_told_is_named(diff):
    new = SERVED.replace("stock.internal", "stock.elsewhere") + (
        'identity = ["consumer"]\nmax_body_bytes = 1\nbudget_ms = 1\npublish = true\n'
        'headers = { x-shop = "env:ERP_SECRET" }\n'
    )
    asked = diff(new, an_item(1), old=SERVED)

    assert asked.exit_code == 0
    assert sorted(named(asked)) == [
        f"services.stock.{each}"
        for each in ("budget_ms", "headers", "identity", "max_body_bytes", "publish", "url")
    ]


def test_what_records_would_show_is_named_where_there_are_none(diff):
    new = SERVED.replace('scopes = ["orders:read"]', 'scopes = ["orders:write"]')
    new = new.replace("[clients.globex]", "[clients.globex]\ndisabled = true")
    new += '[services.depot]\ncontract = "stock.json"\nurl = "http://depot.internal"\n'
    new += 'scopes = ["orders:read"]\n'

    assert named(diff(new, a_record(1), old=SERVED)) == [
        "clients.globex.disabled",
        "services.depot, which is new",
        "services.stock.scopes",
    ]


def test_addresses_of_tiers_are_named(diff):
    asked = diff(OLD + '[tiers]\nsystem = "http://127.0.0.1:8081"\n', a_record(1))

    assert "tiers.system" in named(asked)


def test_a_lost_bound_is_no_loss_of_what_a_client_may_do(diff):
    """Without `scopes` a foreign issuer alone says what its tokens hold."""
    unbounded = OLD.replace('[clients.acme]\nissuer = "company"\nscopes = '
                            '["orders:write", "orders:read"]',
                            '[clients.acme]\nissuer = "company"')  # fmt: skip
    assert unbounded != OLD
    lost = diff(unbounded, a_record(1))

    assert lost.exit_code == 0
    assert named(lost) == ["clients.acme.scopes, which bound no token any more"]

    narrow = OLD.replace('["orders:write", "orders:read"]', '["orders:read"]')
    gained = diff(narrow, a_record(1), old=unbounded)

    assert "pass -> refuse (insufficient-scope orders:write)" in gained.output
    assert "clients.acme.scopes, which bound its tokens now" in named(gained)


def test_a_client_that_is_not_named_any_more_is_known_by_its_issuer_alone(diff):
    """Its tokens are believed still, and have the issuer's plan from then on."""
    head, _, rest = OLD.partition("[clients.acme]")
    new = head + rest[rest.index("[clients.globex]") :]
    new = new.replace("[issuers.company]", '[issuers.company]\nplan = "few"')
    new = new.replace("[clients.globex]", "[plans.few]\norders = [{ quota = 2, seconds = 60 }]\n"
                      "[clients.globex]")  # fmt: skip
    asked = diff(new, *(a_record(second) for second in range(3)))

    assert "       1  acme  sales/v1/place_order  pass -> refuse (quota-exceeded" in asked.output
    assert "clients.acme, which is gone" in named(asked)


def test_a_key_counts_until_it_expires(diff, tmp_path):
    """On the clock of the records, not on today's."""
    key = (
        '[clients.shop]\nscopes = ["orders:write"]\n[[clients.shop.keys]]\nid = "abcdefghijkl"\n'
        f'secret = "sha256:{"0" * 64}"\nexpires = '
    )
    old = OLD + key + "2026-11-02T12:00:00Z\n"
    new = OLD + key + "2026-11-02T09:00:30Z\n"
    asked = diff(new, a_record(20, "shop"), a_record(40, "shop"), old=old)

    assert (
        "       1  shop  sales/v1/place_order  pass -> refuse (authenticate: unauthenticated)"
        in asked.output
    )
    assert named(asked) == ["clients.shop.keys"]


@pytest.mark.parametrize(
    "line",
    [b"half a li", b"\x80\xff", b"", a_record(1).replace(b"acme", b"\x80")],
    ids=["half", "binary", "empty", "not UTF-8"],
)
def test_a_file_without_any_access_record_is_no_log(diff, line):
    """That nothing would change is not known when nothing was looked at."""
    asked = diff(OLD, line)

    assert asked.exit_code == 1
    assert "access.log is an access record." in asked.output
    assert "recorded calls" not in asked.output
