"""The ERP is away: quotes are answered from what is known, orders are taken and wait."""

import asyncio
import contextlib

import pytest

from tests.scenarios.stage import eventually, made, opened

pytestmark = pytest.mark.anyio

QUOTE = "/sales/v1/quote-validations"


@contextlib.asynccontextmanager
async def away(stage):
    """Take the ERP away, with every call refused, once what a story needs is warm."""
    await stage.call("POST", QUOTE, _quote(stage))
    await asyncio.sleep(1.2)  # longer than a copy counts as firm here
    await stage.fault(system="business_central", operation="*", kind="outage")
    try:
        yield stage
    finally:
        await stage.clear_faults()
        await _recovered(stage)


@pytest.fixture(scope="class")
async def erp_away(impatient):
    """The ERP stays away for several stories, none of which changes anything."""
    async with away(impatient) as stage:
        yield stage


@pytest.fixture
async def erp_down(impatient):
    """The ERP is away until the story brings it back."""
    async with away(impatient) as stage:
        yield stage


async def _recovered(stage):
    """The next story finds circuits closed."""

    async def firm():
        answer = await stage.call("POST", QUOTE, _quote(stage))
        return answer.json["verdict"] == "ready" or None

    await eventually(firm, "quotes are firm again")


def _quote(stage):
    order = stage.an_order()
    return {"customer": order["customer"], "lines": order["lines"]}


class TestQuotesWithoutTheErp:
    """What a rep is told while the ERP is away."""

    async def test_a_quote_is_answered_from_what_is_known_and_says_how_old_it_is(self, erp_away):
        """The rep on the phone gets a price, and sees that it is not this second's."""
        answer = await erp_away.call("POST", QUOTE, _quote(erp_away))

        assert answer.status == 200
        assert answer.seconds < 3.0
        quote = answer.json
        assert quote["verdict"] == "provisional"
        for part in ("price", "credit"):
            standing = quote[part]["standing"]
            assert standing["freshness"] == "stale", part
            assert standing["source"] == "erp"
            assert float(standing["ageSeconds"]) >= 1.0
            assert standing["asOf"]
        assert (
            quote["price"]["answer"]["lines"][0]["unitPrice"]["amount"]
            == (erp_away.item("good")["listPrice"])
        )
        assert quote["availability"]["standing"]["freshness"] == "firm"  # the warehouse is there
        assert quote.get("promise") is None

    async def test_a_quote_of_what_nobody_ever_asked_says_what_is_missing(self, erp_away):
        """No answer is made up: the part is unavailable, the whole is still an answer."""
        body = {"customer": "bc:20006", "lines": [{"item": "bc:10006", "quantity": "1"}]}

        answer = await erp_away.call("POST", QUOTE, body)

        assert answer.status == 200
        assert answer.seconds < 3.0
        assert answer.json["verdict"] == "provisional"
        assert answer.json["price"]["standing"]["freshness"] == "unavailable"
        assert answer.json["price"].get("answer") is None

    async def test_a_check_of_its_own_says_that_it_is_unavailable(self, erp_away):
        """A single check without its system is a 503 that says when to come back."""
        body = {"customer": "bc:20006", "lines": [{"item": "bc:10009", "quantity": "1"}]}

        answer = await erp_away.call("POST", "/sales/v1/price-checks", body)

        assert (answer.status, answer.slug) == (503, "upstream-unavailable")
        assert answer.json["retryable"] is True
        assert int(answer.headers["retry-after"]) >= 1


async def test_an_order_is_taken_and_confirmed_once_the_erp_is_back(erp_down):
    """202 whoever waits, pending in the CRM, one order in each system afterwards."""
    key = erp_down.a_key("down")

    taken = await erp_down.place(erp_down.an_order(), key, wait=10)
    shown = await erp_down.crm_reached(key, Status__c="provisional")
    story = await erp_down.call("GET", f"/sales/v1/orders/{taken.json['id']}/timeline")
    none_yet = await erp_down.erp(key)
    await erp_down.clear_faults()
    order = await erp_down.reached(key, commercial="confirmed", fulfilment="released")
    await erp_down.crm_reached(key, Fulfilment_Status__c="released")

    assert taken.status == 202
    assert taken.seconds < 5.0, "nobody waits for what cannot come in time"
    assert taken.json["commercial"] == "provisional"
    assert shown["Fulfilment_Status__c"] == "not-released"
    assert "pending ERP confirmation" in story.json["summary"]
    assert none_yet == []
    assert order["id"] == taken.json["id"]
    assert order["credit"] == "approved"
    assert made(await erp_down.erp(key)) == {"salesOrders.create": 1}
    assert made(await erp_down.wms(key)) == {"order_create": 1}
    states = await erp_down.crm_states(key)
    assert states[0] == ("provisional", "not-released")
    assert states[-1] == ("confirmed", "released")
    assert ("provisional", "not-released") not in states[1:]


async def test_a_price_nobody_could_check_is_a_question_not_a_surprise(erp_down):
    """Taken at the caller's price, found to be another: somebody decides before it is ordered."""
    key = erp_down.a_key("moved")
    order = erp_down.an_order("good", ("reducedRate", 2))
    order["lines"][0]["unitPrice"] = {"amount": "4.20", "currency": "GBP"}

    taken = await erp_down.place(order, key)
    await erp_down.clear_faults()
    stopped = await erp_down.reached(key, commercial="on-exception")
    ordered = await erp_down.erp(key)
    queue = (await erp_down.operates("/exceptions")).json["exceptions"]
    accepted = await erp_down.operates(
        f"/exceptions/{stopped['exception']['id']}/remedies",
        {"action": "accept", "note": "agreed on the phone"}, key=erp_down.a_key("remedy"),
    )  # fmt: skip
    done = await erp_down.reached(key, commercial="confirmed", fulfilment="released")

    assert taken.json["commercial"] == "provisional"
    assert stopped["exception"]["category"] == "pricing-mismatch"
    assert "4.20" in stopped["exception"]["detail"]
    assert "4.80" in stopped["exception"]["detail"]
    assert ordered == []
    assert key in {each["reference"] for each in queue}
    assert accepted.status in {200, 202}
    assert done["netAmount"]["amount"] == "8.40"
    assert [row["amount"] for row in await erp_down.erp(key)] == ["8.40"]


async def test_the_erp_is_down_from_the_start(tmp_path):
    """Nothing was ever known: an order is taken all the same, and checked when it can be."""

    async def gone(stage):
        await stage.fault(system="business_central", operation="*", kind="outage")

    async with opened(tmp_path, before=gone) as house:
        quote = await house.call("POST", QUOTE, _quote(house))
        order = house.an_order()
        key, blocked = house.a_key("cold"), house.a_key("cold")
        taken = await house.place(order, key)
        hopeless = await house.place(house.an_order("blockedAll"), blocked)
        shown = await house.crm_reached(key, Status__c="provisional")
        await house.clear_faults()
        done = await house.reached(key, commercial="confirmed", fulfilment="released")
        stopped = await house.reached(blocked, commercial="on-exception")

        assert quote.status == 200
        assert quote.json["price"]["standing"]["freshness"] == "unavailable"
        assert taken.status == hopeless.status == 202
        assert shown["Credit_Status__c"] == "unchecked"
        assert done["netAmount"]["amount"] == f"{2 * float(house.item('good')['listPrice']):.2f}"
        assert made(await house.erp(key)) == {"salesOrders.create": 1}
        (row,) = await house.erp(key)
        assert row["amount"] == done["netAmount"]["amount"]
        assert made(await house.wms(key)) == {"order_create": 1}
        assert "blocked" in stopped["exception"]["detail"]
        assert await house.erp(blocked) == []
        assert await house.wms(blocked) == []
