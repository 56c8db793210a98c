"""An operator's day, from outside: find it, look before acting, act once, and leave evidence.

Everything is done through operations/v1; what came of it is read in the vendors' own ledgers.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter

import pytest

from tests.scenarios.stage import eventually, made, opened

pytestmark = pytest.mark.anyio

IMPATIENT = """
[orders]
give_up_after = "PT4S"

[pricing]
refresh_every = 1.0
refresh_overlap = 5.0
items = { firm_for = 1.0, size = 10000 }
prices = { firm_for = 1.0, size = 10000 }
credit = { firm_for = 1.0, size = 10000 }
"""
OUTAGE = {"system": "business_central", "operation": "*", "kind": "outage"}
WHY = {"note": "The ERP answers again"}


@pytest.fixture(scope="module")
async def shift(tmp_path_factory):
    """A system that asks a person to look after four seconds."""
    async with opened(tmp_path_factory.mktemp("shift"), config=IMPATIENT) as house:
        yield house


async def asked(house, path, body=None):
    """What operations/v1 answers, which must be a success."""
    key = house.a_key("op") if body is not None else ""
    answer = await house.operates(path, body, key=key)
    assert answer.status in {200, 202}, answer.body
    return answer.json


async def found(house, number):
    """The references of the processes that a number belongs to."""
    page = await asked(house, f"/processes?id={number}")
    return [each["reference"] for each in page["processes"]]


async def excepted(house, keys, category="time-out"):
    """Wait until all these orders are stopped by that; answer their exceptions by reference."""

    async def stopped():
        page = await asked(house, f"/exceptions?category={category}&limit=200")
        ours = {e["reference"]: e for e in page["exceptions"] if e["reference"] in keys}
        return ours if len(ours) == len(keys) else None

    return await eventually(stopped, f"{len(keys)} exceptions of {category}")


async def ended(house, redrive):
    async def over():
        told = await asked(house, f"/redrives/{redrive['id']}")
        return told if told["endedAt"] else None

    return await eventually(over, "the redrive ends")


@contextlib.asynccontextmanager
async def without_erp(house):
    """The ERP refuses every call until the block ends; then the operator closes its breakers."""
    await asyncio.sleep(1.2)  # longer than a copy counts as firm here
    await house.fault(**OUTAGE)
    try:
        yield
    finally:
        await house.clear_faults()
        for kind in ("read", "write", "token"):
            await asked(house, f"/breakers/erp.{kind}/changes", {"action": "reset", **WHY})


async def test_an_order_is_found_by_every_number_there_is_for_it(shift):
    """A caller names whatever is on the paper before him; the operator finds the one order."""
    key = shift.a_key("found")
    await shift.place(shift.an_order(poNumber="PO 4711/A"), key)
    order = await shift.reached(key, commercial="confirmed", fulfilment="released")
    numbers = {each["system"]: each["id"] for each in order["knownAs"]}

    assert await found(shift, "PO%204711/A") == [key]
    assert await found(shift, numbers["bc"]) == [key]
    assert await found(shift, f"bc:{numbers['bc']}") == [key]
    assert await found(shift, numbers["wms"]) == [key]
    assert await found(shift, key) == await found(shift, key.lower()) == [key]
    assert await found(shift, order["id"]) == [key]
    assert key in await found(shift, order["customer"])
    assert await found(shift, "PO%204711") == []

    story = await asked(shift, f"/processes/{order['id']}")
    assert story["ids"]["erp-order"] == [numbers["bc"]]
    assert {each["name"] for each in story["effects"]} >= {"erp.order", "wms.order"}
    assert [each["sequence"] for each in story["entries"]] == sorted(
        each["sequence"] for each in story["entries"]
    )


async def test_an_outage_is_worked_off_once_by_three_who_do_not_know_of_each_other(shift):
    """Previewed, then redriven three times at once: in the ERP there is one order each."""
    keys = {shift.a_key("outage") for _ in range(6)}
    async with without_erp(shift):
        for key in keys:
            await shift.place(shift.an_order(), key)
        exceptions = await excepted(shift, keys)
        one = next(iter(exceptions.values()))["exception"]["id"]
        assert await found(shift, one) == [
            reference for reference, e in exceptions.items() if e["exception"]["id"] == one
        ]

        lanes = {each["lane"]: each for each in (await asked(shift, "/lanes"))["lanes"]}
        assert lanes["capture"]["excepted"] == 6
        circuits = (await asked(shift, "/breakers"))["circuits"]
        assert {c["system"] for c in circuits if c["state"] != "closed"} == {"erp"}

        body = {"selection": {"category": "time-out"}, "action": "retry", "rate": 2.0, **WHY}
        preview = await asked(shift, "/redrive-previews", body)
        assert preview["exceptions"] == 6
        assert preview["byCategory"] == {"time-out": 6}
        assert preview["stalePrices"] == 6, "taken while the ERP was away: checked again"
        assert preview["vendorCalls"].keys() == {"business_central", "shiphero", "salesforce"}
        assert preview["vendorCalls"]["business_central"] >= 6
        assert (preview["seconds"], preview["slowest"]) == (3.0, "rate")
        assert (await asked(shift, "/redrives"))["redrives"] == [], "a preview begins nothing"

    told = await asyncio.gather(
        *(asked(shift, "/redrives", {**body, "rate": 500.0}) for _ in range(3))
    )
    done = [await ended(shift, each) for each in told]
    for key in keys:
        await shift.reached(key, commercial="confirmed", fulfilment="released")

    assert {each["actor"] for each in done} == {"operator"}
    assert all(e["applied"] + e["skipped"] + e["failed"] == e["selected"] for e in done)
    for key in keys:
        assert made(await shift.erp(key)) == {"salesOrders.create": 1}
        assert made(await shift.wms(key)) == {"order_create": 1}
    await is_accounted_for(shift, done)


async def is_accounted_for(house, redrives):
    """Every item has its outcome, and every act on one its record, with who did it and why."""
    outcomes = Counter()
    for redrive in redrives:
        items = (await asked(house, f"/redrives/{redrive['id']}/items"))["items"]
        outcomes.update(item["outcome"] for item in items)
    page = await asked(house, "/audit?actor=operator&limit=200")
    acts = [e["record"] for e in page["entries"] if "act" in e["record"]]
    ids = {redrive["id"] for redrive in redrives}
    remedies = [a for a in acts if a["act"] == "remedy" and a.get("redrive") in ids]
    starts = [a for a in acts if a["act"] == "redrive_started" and a["redrive"] in ids]
    assert len(remedies) == outcomes["applied"]
    assert [a["note"] for a in starts] == [WHY["note"]] * len(redrives)


async def test_a_poison_order_blocks_nobody_and_is_mended_by_a_patch(shift):
    """A price that is not ours stops its own order and nobody else's; a patch mends it."""
    poisoned, healthy = shift.a_key("poison"), shift.a_key("healthy")
    wrong = shift.an_order("good", ("reducedRate", 2))
    wrong["lines"][0]["unitPrice"] = {"amount": "4.20", "currency": "GBP"}
    async with without_erp(shift):
        await shift.place(wrong, poisoned)
        await shift.place(shift.an_order(), healthy)
    stopped = await shift.reached(poisoned, commercial="on-exception")
    await shift.reached(healthy, commercial="confirmed")
    assert stopped["exception"]["category"] == "pricing-mismatch"

    body = {"selection": {"exceptions": [stopped["exception"]["id"]]}, "action": "amend", **WHY}
    refused = await shift.operates(
        "/redrives", {**body, "amendment": {"pONumber": "PO-1"}}, key=shift.a_key("op")
    )
    assert (refused.status, refused.slug) == (409, "remedy-not-allowed")
    assert refused.pointers == {"/amendment/pONumber"}
    lines = [{"item": wrong["lines"][0]["item"], "quantity": "2"}]
    patch = {"lines": lines, "poNumber": "PO-MENDED"}
    await ended(shift, await asked(shift, "/redrives", {**body, "amendment": patch}))
    order = await shift.reached(poisoned, commercial="confirmed", fulfilment="released")

    assert (
        order["netAmount"]["amount"] == f"{2 * float(shift.item('reducedRate')['listPrice']):.2f}"
    )
    assert await found(shift, "PO-MENDED") == [poisoned]
    assert made(await shift.erp(poisoned)) == {"salesOrders.create": 1}


async def test_a_breaker_tripped_by_hand_stops_a_vendor_until_it_is_reset(shift):
    """The warehouse asks us to stop: orders are confirmed and wait, and go on afterwards."""
    key = shift.a_key("tripped")
    tripped = await asked(
        shift, "/breakers/wms.write/changes", {"action": "trip", "note": "They count stock"}
    )
    await shift.place(shift.an_order(), key)
    await shift.reached(key, commercial="confirmed")
    shown = {c["name"]: c for c in (await asked(shift, "/breakers"))["circuits"]}["wms.write"]
    waiting = await shift.wms(key)
    await asked(shift, "/breakers/wms.write/changes", {"action": "reset", "note": "Done"})
    await shift.reached(key, fulfilment="released")

    assert tripped["state"] == shown["state"] == "forced-open"
    assert shown["reason"] == "operator: They count stock"
    assert waiting == []
    unknown = await shift.operates(
        "/breakers/moon.write/changes", {"action": "trip", "note": "?"}, key=shift.a_key("op")
    )
    assert (unknown.status, unknown.slug) == (404, "not-found")
    page = await asked(shift, "/audit?actor=operator&limit=50")
    told = [e["record"] for e in page["entries"] if e["record"].get("act") == "circuit_trip"]
    assert [(a["circuit"], a["note"]) for a in told] == [("wms.write", "They count stock")]


async def test_budgets_tell_what_the_vendors_really_counted(shift):
    """What is shown as used is what the vendor received within its window."""
    before = {a["account"]: a for a in (await asked(shift, "/budgets"))["accounts"]}
    received = len(await shift.requests("business_central"))

    assert {a for account in before.values() for a in account["serves"]} == {"erp", "crm", "wms"}
    assert before["business_central"]["limit"] == 6000
    assert before["shiphero"]["creditsPerSecond"] == 60
    assert 0 < before["business_central"]["used"] <= received
    assert not any(account["degraded"] for account in before.values())


async def test_a_sweep_says_that_nothing_is_missing(shift):
    """After all that, the books of CRM, ERP and warehouse agree with the journal."""

    async def everybody_told():
        standing = await asked(shift, "/subscribers")
        return not any(each["waiting"] for each in standing["subscribers"])

    await eventually(everybody_told, "everybody is told of everything")
    began = await asked(shift, "/sweeps", {"since": "2020-01-01T00:00:00Z", "settleSeconds": 0})

    async def over():
        told = await asked(shift, f"/sweeps/{began['id']}")
        return told if told["state"] != "running" else None

    told = await eventually(over, "the sweep ends")
    page = await asked(shift, f"/sweeps/{began['id']}/differences")
    assert (told["state"], told["differences"], page["differences"]) == ("done", 0, [])
    assert told["complete"] is True


async def test_a_record_altered_behind_our_back_is_found(shift):
    """The audit holds; then one line is changed in the database, and the verdict names it."""
    whole = await asked(shift, "/audit-verdicts", {})
    with sqlite3.connect(shift.folder / "data" / "journal.db", timeout=20) as database:
        (entry,) = database.execute("SELECT max(seq) FROM entry").fetchone()
        database.execute("UPDATE entry SET says = 'Nothing happened.' WHERE seq = ?", (entry,))
        (chain, last) = database.execute(
            "SELECT chain, max(seq) FROM audit GROUP BY chain"
        ).fetchone()
        database.execute("DELETE FROM audit WHERE chain = ? AND seq = ?", (chain, last))
    database.close()
    broken = await asked(shift, "/audit-verdicts", {"checkpoints": whole["ends"]})

    assert whole["whole"], whole["faults"]
    assert whole["records"] > 20
    assert not broken["whole"]
    assert [f for f in broken["faults"] if f.endswith(" altered") and str(entry) in f]
    assert f"{chain}: cut off before {last}, which a checkpoint knows" in broken["faults"]
