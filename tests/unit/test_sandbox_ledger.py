"""The ledger of side effects only grows."""

from decimal import Decimal

import pytest

from deploy.sandbox.ledger import Ledger
from tests.sandbox_callers import TurnedClock, a_sandbox, an_http_client

pytestmark = pytest.mark.anyio


def test_rows_outlive_the_process_and_keep_counting(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, TurnedClock())
    ledger.append(
        system="wms",
        operation="order_create",
        external_reference="536365",
        amount=Decimal("139.12"),
        currency="GBP",
        entity="T3JkZXI6MQ==",
    )
    before = path.read_bytes()
    with path.open("ab") as log:
        log.write(b'{"sequence":2,"time":"2026-11')  # the process was killed in the middle

    again = Ledger(path, TurnedClock())
    assert again.append(system="salesforce", operation="upsert", external_reference=None) == 2

    rows = list(Ledger(path, TurnedClock()).rows())
    assert [(row.sequence, row.system) for row in rows] == [(1, "wms"), (2, "salesforce")]
    assert rows[0].amount == Decimal("139.12")
    assert path.read_bytes().startswith(before)


async def test_it_is_read_over_http_as_json_lines_by_system_and_from_a_sequence():
    sandbox = a_sandbox()
    for number in range(5):
        sandbox.context.ledger.append(
            system="wms" if number % 2 else "business_central",
            operation="order_create",
            external_reference=f"R{number}",
            amount=Decimal("1.10"),
            currency="GBP",
        )
    async with an_http_client(sandbox) as http:
        everything = await http.get("/_sandbox/ledger")
        warehouse = await http.get("/_sandbox/ledger?system=wms&since=2")
        unknown = await http.get("/_sandbox/ledger?system=wsm")

    assert everything.headers["content-type"] == "application/x-ndjson"
    assert [line.split(",")[0] for line in everything.text.splitlines()] == [
        f'{{"sequence":{number}' for number in range(1, 6)
    ]
    assert '"externalReference":"R3"' in warehouse.text
    assert warehouse.text.count("\n") == 1
    assert '"amount":"1.10"' in warehouse.text
    assert unknown.status_code == 400
    assert "business_central" in unknown.json()["error"]


async def test_a_reset_empties_it_and_the_vaults(tmp_path):
    sandbox = a_sandbox(tmp_path)
    sandbox.context.ledger.append(system="wms", operation="x", external_reference=None)
    async with an_http_client(sandbox) as http:
        await http.post(
            "/shiphero/auth/token",
            json={"username": "crossdock", "password": "crossdock-sandbox-secret"},
        )
        assert (tmp_path / "wms" / "vault.jsonl").stat().st_size > 0
        assert (await http.post("/_sandbox/reset")).status_code == 200
        assert (await http.get("/_sandbox/ledger")).text == ""
    assert (tmp_path / "wms" / "vault.jsonl").stat().st_size == 0
    assert (tmp_path / "ledger.jsonl").stat().st_size == 0
