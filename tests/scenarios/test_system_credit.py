"""Credit is decided here, because the ERP never refuses for it: holds, releases, cancellations."""

import asyncio
from decimal import Decimal

import pytest

from tests.scenarios.stage import made

pytestmark = pytest.mark.anyio


async def held(house, customer="overCreditLimit"):
    """An order that waits for credit; answers key and order."""
    key = house.a_key("held")
    placed = await house.place(house.an_order(customer), key, wait=5)
    assert placed.status == 202, placed.body
    return key, placed.json


async def test_an_order_over_the_limit_is_accepted_and_waits(house):
    """It is taken, nothing of it reaches ERP or warehouse, and everybody sees why."""
    key, order = await held(house)
    shown = await house.crm_reached(key, Credit_Status__c="held")
    story = await house.call("GET", f"/sales/v1/orders/{order['id']}/timeline")

    assert order["credit"] == "held"
    assert order["hold"]["kind"] == "credit"
    assert "10000" in order["hold"]["reason"] or "10,000" in order["hold"]["reason"]
    assert shown["Fulfilment_Status__c"] == "not-released"
    record = await house.crm_record(key)
    assert record["Hold_Reason__c"] == order["hold"]["reason"]
    assert "credit" in story.json["summary"].lower()
    assert "Finance" in story.json["next"]
    await asyncio.sleep(0.3)
    assert await house.erp(key) == []
    assert await house.wms(key) == []


async def test_finance_releases_a_held_order_and_it_goes_through_once(house):
    """The remedy is in the queue with who may apply it; applied twice it acts once."""
    key, order = await held(house)
    await house.crm_reached(key, Credit_Status__c="held")
    queue = (await house.operates("/exceptions?category=credit-hold")).json["exceptions"]
    (entry,) = [each for each in queue if each["reference"] == key]
    path = f"/exceptions/{entry['exception']['id']}/remedies"
    remedy = {"action": "release", "note": "paid by phone"}

    released = await house.operates(path, remedy, key=house.a_key("release"))
    again = await house.operates(path, remedy, key=house.a_key("release"))
    done = await house.reached(key, commercial="confirmed", fulfilment="released")
    await house.crm_reached(key, Fulfilment_Status__c="released")

    assert entry["exception"]["actor"] == "credit control"
    assert set(entry["exception"]["remedies"]) == {"cancel", "release", "retry"}
    assert released.status in {200, 202}
    assert again.status in {200, 202, 404, 409}
    assert done["credit"] == "released"
    assert done["hold"] is None
    assert made(await house.erp(key)) == {"salesOrders.create": 1}
    assert made(await house.wms(key)) == {"order_create": 1}
    states = [row["detail"]["Credit_Status__c"] for row in await house.crm(key)]
    assert states[0] == "held"
    assert states[-1] == "released"
    story = await house.call("GET", f"/sales/v1/orders/{order['id']}/timeline")
    assert any("operator" in entry["says"] for entry in story.json["entries"])


async def test_a_held_order_that_is_cancelled_leaves_nothing(house):
    """Nothing was done for it, so there is nothing to undo."""
    key, _ = await held(house)
    order = await house.order(key)
    path = f"/exceptions/{order['exception']['id']}/remedies"

    cancelled = await house.operates(
        path, {"action": "cancel", "note": "customer is insolvent"}, key=house.a_key("cancel")
    )
    await house.reached(key, commercial="cancelled")
    await house.crm_reached(key, Status__c="cancelled")

    assert cancelled.status in {200, 202}
    assert await house.erp(key) == []
    assert await house.wms(key) == []
    queue = (await house.operates("/exceptions?category=credit-hold")).json["exceptions"]
    assert key not in {each["reference"] for each in queue}


async def test_a_remedy_that_does_not_fit_changes_nothing(house):
    """Accepting is no answer to a credit hold; the refusal names what is."""
    key, _ = await held(house)
    order = await house.order(key)
    path = f"/exceptions/{order['exception']['id']}/remedies"

    wrong = await house.operates(path, {"action": "accept", "note": "x"}, key=house.a_key("wrong"))
    foreign = await house.call(
        "POST", f"/operations/v1{path}", {"action": "release", "note": "x"}, key="mischief"
    )
    unknown = await house.operates(
        "/exceptions/01M80ZTGFY5K9GVEJV4H3XKF1J/remedies",
        {"action": "cancel", "note": "x"}, key=house.a_key("wrong"),
    )  # fmt: skip

    assert (wrong.status, wrong.slug) == (409, "remedy-not-allowed")
    assert set(wrong.json["allowed"]) == {"cancel", "release", "retry"}
    assert (foreign.status, foreign.slug) == (403, "insufficient-scope")
    assert (unknown.status, unknown.slug) == (404, "not-found")
    assert (await house.order(key))["credit"] == "held"


async def available(house, customer, amount="0.01"):
    """What a customer may still owe, and what an amount is worth in the company's own currency."""
    who = house.customer(customer)
    answer = await house.call(
        "POST", "/sales/v1/credit-checks",
        {"customer": f"bc:{who['number']}",
         "amount": {"amount": amount, "currency": who["currency"]}},
    )  # fmt: skip
    decision = answer.json["decision"]
    return Decimal(decision["available"]["amount"]), Decimal(decision["requested"]["amount"])


async def an_order_for(house, customer, share):
    """An order that takes about such a share of what the customer may still owe."""
    free, _ = await available(house, customer)
    order = house.an_order(customer, ("good", 100))
    priced = await house.call(
        "POST", "/sales/v1/quote-validations",
        {"customer": order["customer"], "lines": order["lines"]},
    )  # fmt: skip
    _, worth = await available(house, customer, priced.json["grossAmount"]["amount"])
    order["lines"][0]["quantity"] = str(int(100 * free * share / worth))
    return order


async def test_two_orders_that_exceed_the_limit_together_are_not_both_let_through(house):
    """The second counts the first although the ERP has not done so yet."""
    order = await an_order_for(house, "goodEuro", Decimal("0.6"))

    keys = [house.a_key("pair"), house.a_key("pair")]
    placed = await asyncio.gather(*(house.place(order, key) for key in keys))

    by_credit = {each.json["credit"]: key for key, each in zip(keys, placed, strict=True)}
    assert set(by_credit) == {"approved", "held"}
    await house.reached(by_credit["approved"], commercial="confirmed", fulfilment="released")
    assert await house.erp(by_credit["held"]) == []


async def test_many_orders_at_once_use_up_the_limit_and_no_more(house):
    """A burst against one customer: what is approved stays within what was available."""
    order = await an_order_for(house, "unitedStates", Decimal("0.23"))
    keys = [house.a_key("burst") for _ in range(12)]

    placed = await asyncio.gather(*(house.place(order, key) for key in keys))
    approved = [
        key for key, one in zip(keys, placed, strict=True) if one.json["credit"] == "approved"
    ]
    for key in approved:
        await house.reached(key, commercial="confirmed", fulfilment="released")
    left, _ = await available(house, "unitedStates")

    assert len(approved) == 4
    assert left >= 0


@pytest.mark.parametrize("why", ["good", "overCreditLimit", "blockedAll", "nearCreditLimit"])
async def test_a_credit_check_says_the_same_as_the_catalogue(house, why):
    """Balance, limit and block are the ERP's."""
    customer = house.customer(why)
    body = {
        "customer": f"bc:{customer['number']}",
        "amount": {"amount": "2000.00", "currency": customer["currency"]},
    }

    answer = await house.call("POST", "/sales/v1/credit-checks", body)

    assert answer.status == 200, answer.body
    decision = answer.json["decision"]
    expected = {"good": "approved", "blockedAll": "blocked"}.get(why, "over-limit")
    assert decision["verdict"] == expected
    assert decision["limit"]["currency"] == "GBP"
    assert Decimal(decision["limit"]["amount"]) == Decimal(customer["creditLimit"])
    assert answer.json["standing"]["freshness"] == "firm"
