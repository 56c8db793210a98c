"""`crossdock diff`: who would be told something else, found before it is told."""

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
    (tmp_path / "old.toml").write_text(OLD)

    def run(new, *lines):
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
