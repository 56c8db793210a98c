"""What every ERP connector must do, held against a real ERP or one that speaks its protocol."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.documents import CreditMemoRequest, InvoiceLine
from contracts.canonical.ids import customer_id, item_id
from contracts.canonical.money import line_amount, money
from contracts.canonical.party import Address
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.changes import Changes
from contracts.ports.erp import (
    CancelErpOrder,
    ErpOrderLine,
    PlaceCreditMemo,
    PlaceErpOrder,
    PriceEnquiry,
)
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)
FOREIGN = next(c for c in SMALL.customers.values() if c.currency == "EUR" and not c.blocked)
BLOCKED = next(c for c in SMALL.customers.values() if c.blocked == "All")
ITEMS = [i for i in SMALL.items.values() if not i.blocked][:20]


@pytest.fixture
async def vendors():
    async with connected() as vendors:
        yield vendors


@pytest.fixture
def erp(vendors):
    return vendors.erp


def an_order(reference="INV-1", *, buyer=BUYER, items=ITEMS, price=None, **more):
    agreed = None if price is None else money(price, buyer.currency)
    return PlaceErpOrder(
        reference=reference,
        customer=customer_id(buyer.number),
        currency=buyer.currency,
        lines=tuple(
            ErpOrderLine(
                item=item_id(item.number), quantity=Decimal(3), description=item.name,
                unit_price=agreed,
            )
            for item in items
        ),
        order_date=date(2026, 11, 22),
        ship_to=Address(street="1 Quay", city="Leeds", country="GB", name="Goods in"),
        **more,
    )  # fmt: skip


async def rejected(awaitable):
    with pytest.raises(CallFailedError) as caught:
        await awaitable
    assert isinstance(caught.value.failure, Rejected)
    return caught.value.failure.reason


async def test_a_customer_is_found_by_canonical_id_and_by_number(erp):
    by_id = await erp.get_customer(customer_id(BUYER.number))
    assert by_id == await erp.get_customer(f"bc:{BUYER.number}")
    assert (by_id.number, by_id.name, by_id.currency) == (BUYER.number, BUYER.name, BUYER.currency)
    assert by_id.address.country == BUYER.country
    assert by_id.tax_area == BUYER.tax_area


async def test_an_unknown_customer_or_item_is_refused_by_name(erp):
    assert await rejected(erp.get_customer("cust_NOBODY")) == "customer-unknown"
    assert await rejected(erp.get_item("bc:NOTHING")) == "item-unknown"
    assert await rejected(erp.get_customer("cust_O'BRIEN' or 1 eq 1")) == "customer-unknown"


async def test_a_block_is_told(erp):
    assert (await erp.get_customer(customer_id(BLOCKED.number))).blocked == "all"


async def test_every_customer_and_item_is_listed_once_over_all_pages():
    async with connected(page_size=7) as vendors:
        for listing, field, world in (
            (vendors.erp.list_customers, "customers", SMALL.customers),
            (vendors.erp.list_items, "items", SMALL.items),
        ):
            found, cursor = [], None
            while True:
                page = await listing(Changes(cursor=cursor))
                found += [record.number for record in getattr(page, field)]
                cursor = page.cursor
                if cursor is None:
                    break
            assert sorted(found) == sorted(world)


async def test_only_what_changed_since_is_listed(erp):
    assert (
        await erp.list_customers(Changes(since=datetime(2026, 6, 1, tzinfo=UTC)))
    ).customers == ()
    assert (await erp.list_customers(Changes(since=datetime(2025, 6, 1, tzinfo=UTC)))).customers


@pytest.mark.parametrize(
    "cursor", ["http://127.0.0.1:1/customers", "../../other/customers?x", "items?$top=1", ""]
)
async def test_a_cursor_leads_nowhere_but_into_its_own_list(erp, cursor):
    assert await rejected(erp.list_customers(Changes(cursor=cursor))) == "not-found"


async def test_ladders_are_the_prices_an_order_really_gets(erp):
    """Whatever the price lists say, the ladder and the order agree to the penny."""
    for buyer in (BUYER, FOREIGN):
        for quantity in (1, 12, 150):
            enquiry = PriceEnquiry(
                customer=customer_id(buyer.number), items=tuple(item_id(i.number) for i in ITEMS)
            )
            ladders = (await erp.price_ladders(enquiry)).ladders
            expected = sum(
                line_amount(
                    Decimal(quantity),
                    ladder.step_for(Decimal(quantity)).unit_price.amount,
                    buyer.currency,
                )
                for ladder in ladders
            )
            wanted = an_order(f"P-{buyer.number}-{quantity}", buyer=buyer)
            lines = tuple(
                msgspec.structs.replace(line, quantity=Decimal(quantity)) for line in wanted.lines
            )
            placed = await erp.place_order(msgspec.structs.replace(wanted, lines=lines))
            assert placed.net_amount == money(expected, buyer.currency)


async def test_an_item_the_erp_does_not_know_has_no_ladder(erp):
    enquiry = PriceEnquiry(
        customer=customer_id(BUYER.number), items=(item_id("NOPE"), item_id(ITEMS[0].number))
    )
    ladders = (await erp.price_ladders(enquiry)).ladders
    assert [ladder.item for ladder in ladders] == [item_id(ITEMS[0].number)]


async def test_what_is_on_order_counts_against_the_credit(erp):
    before = await erp.credit_position(customer_id(FOREIGN.number))
    placed = await erp.place_order(an_order(buyer=FOREIGN, price=100))
    after = await erp.credit_position(customer_id(FOREIGN.number))
    grown = after.open_orders.amount - before.open_orders.amount
    rate = SMALL.currencies["EUR"].gbp_per_unit
    assert grown == pytest.approx(placed.gross_amount.amount * rate, abs=Decimal("0.01"))
    assert after.balance == before.balance == money(FOREIGN.balance, "GBP")
    assert after.limit == (money(FOREIGN.credit_limit, "GBP") if FOREIGN.credit_limit else None)


async def test_every_foreign_currency_has_its_rate_and_an_unknown_one_has_none(erp):
    for currency in SMALL.currencies.values():
        if currency.code != "GBP":
            assert (await erp.exchange_rate(currency.code)).rate == currency.gbp_per_unit
    assert await rejected(erp.exchange_rate("XTS")) == "currency-mismatch"


def rates_of(vendors):
    return vendors.sandbox.vendors.mounted["business_central"]._vault.table("currencyExchangeRates")


async def test_a_rate_counts_from_its_day_on(vendors):
    """Finance enters next year's rate before it holds."""
    rates = rates_of(vendors)
    now = next(rate for rate in rates.values() if rate["currencyCode"] == "EUR")
    rates.put("next", {**now, "startingDate": "2999-01-01", "relationalExchangeRateAmount": 1.0})

    rate = await vendors.erp.exchange_rate("EUR")

    assert rate.rate == SMALL.currencies["EUR"].gbp_per_unit


async def test_a_rate_may_be_given_in_a_third_currency(vendors):
    """Then it is worth what that one is worth: ten of it to a euro."""
    rates = rates_of(vendors)
    euro = next(rate for rate in rates.values() if rate["currencyCode"] == "EUR")
    told = {"exchangeRateAmount": 10.0, "relationalExchangeRateAmount": 1.0}
    rates.put("dkk", {**euro, "currencyCode": "DKK", "relationalCurrencyCode": "EUR", **told})

    rate = await vendors.erp.exchange_rate("DKK")

    assert rate.rate == SMALL.currencies["EUR"].gbp_per_unit / 10


async def test_a_healthy_order_is_exactly_one_call_and_one_order(vendors):
    await vendors.erp.get_customer(customer_id(BUYER.number))  # token and company are known
    vendors.forget_calls()
    placed = await vendors.erp.place_order(an_order(price="2.55"))
    assert vendors.calls("business_central") == ["salesOrders.create"]
    assert not placed.found
    assert placed.net_amount == money("153.00", BUYER.currency)
    (row,) = vendors.ledger("business_central")
    assert (row.external_reference, row.amount) == ("INV-1", Decimal("153.00"))


async def test_agreed_prices_are_kept_whatever_the_price_lists_say(erp):
    placed = await erp.place_order(an_order(buyer=FOREIGN, price="1.23"))
    assert placed.net_amount == money(Decimal("3.69") * len(ITEMS), "EUR")


async def test_in_doubt_an_order_is_found_and_not_created_again(vendors):
    first = await vendors.erp.place_order(an_order())
    again = await vendors.erp.place_order(an_order(in_doubt=True))
    assert again == msgspec.structs.replace(first, found=True)
    assert len(vendors.ledger("business_central")) == 1


async def test_in_doubt_without_an_order_there_it_is_created(vendors):
    placed = await vendors.erp.place_order(an_order(in_doubt=True))
    assert not placed.found


async def test_another_customers_order_of_the_same_reference_is_not_ours(vendors):
    await vendors.erp.place_order(an_order(buyer=FOREIGN))
    placed = await vendors.erp.place_order(an_order(in_doubt=True))
    assert placed.customer == customer_id(BUYER.number)
    assert not placed.found


async def test_the_same_order_fifty_times_at_once_is_created_once(vendors):
    placed = await asyncio.gather(*(vendors.erp.place_order(an_order()) for _ in range(50)))
    assert len({order.number for order in placed}) == 1
    assert len(vendors.ledger("business_central")) == 1


async def test_refusals_have_reasons_and_leave_nothing_behind(vendors):
    unknown = msgspec.structs.replace(ITEMS[0], number="NOPE")
    nobody = msgspec.structs.replace(BUYER, number="NOBODY")
    for order, reason in (
        (an_order(buyer=BLOCKED), "customer-blocked"),
        (an_order(items=[*ITEMS[:3], unknown]), "item-unknown"),
        (an_order(buyer=nobody), "customer-unknown"),
    ):
        assert await rejected(vendors.erp.place_order(order)) == reason
    assert vendors.ledger("business_central") == []


async def test_an_order_is_found_by_its_reference_or_is_not(erp):
    placed = await erp.place_order(an_order())
    found = await erp.find_order(customer_id(BUYER.number), "INV-1")
    assert found.number == placed.number
    assert await rejected(erp.find_order(customer_id(BUYER.number), "INV-2")) == "not-found"


async def test_an_order_is_taken_back_once(vendors):
    await vendors.erp.place_order(an_order())
    cancel = CancelErpOrder(reference="INV-1", customer=customer_id(BUYER.number))
    assert (await vendors.erp.cancel_order(cancel)).was_there
    assert not (await vendors.erp.cancel_order(cancel)).was_there
    assert await rejected(vendors.erp.find_order(customer_id(BUYER.number), "INV-1")) == "not-found"


async def posted(vendors, order):
    company = vendors.erp._company
    await company.write("POST", f"salesOrders({order.id})/Microsoft.NAV.shipAndInvoice")


async def test_a_posted_order_is_still_found_cannot_be_taken_back_and_shows_its_documents(vendors):
    placed = await vendors.erp.place_order(an_order(price="2.55"))
    await posted(vendors, placed)
    again = await vendors.erp.place_order(an_order(in_doubt=True))
    assert (again.number, again.found, again.state) == (placed.number, True, "completed")
    assert again.net_amount == placed.net_amount
    cancel = CancelErpOrder(reference="INV-1", customer=customer_id(BUYER.number))
    assert await rejected(vendors.erp.cancel_order(cancel)) == "order-not-cancellable"
    documents = await vendors.erp.order_documents(placed.number)
    (shipment,), (invoice,) = documents.shipments, documents.invoices
    assert {line.item for line in shipment.lines} == {item_id(item.number) for item in ITEMS}
    assert invoice.net_amount == placed.net_amount
    assert invoice.order_number == placed.number
    assert invoice.state == "open"
    assert sum(line.net_amount.amount for line in invoice.lines) == placed.net_amount.amount


def a_memo(reference="C-1", *, buyer=BUYER, **more):
    lines = tuple(
        InvoiceLine(
            item=item_id(item.number), quantity=Decimal(2),
            unit_price=money("1.25", buyer.currency), net_amount=money("2.50", buyer.currency),
        )
        for item in ITEMS[:4]
    )  # fmt: skip
    memo = CreditMemoRequest(
        reference=reference, customer=customer_id(buyer.number), currency=buyer.currency,
        lines=lines, against=("INV-1",), posting_date=date(2026, 11, 22),
    )  # fmt: skip
    return PlaceCreditMemo(memo=memo, **more)


async def test_a_credit_memo_is_created_and_posted_once(vendors):
    memo = await vendors.erp.create_credit_memo(a_memo())
    assert memo.net_amount == money("10.00", BUYER.currency)
    again = await vendors.erp.create_credit_memo(a_memo(in_doubt=True))
    assert again == memo
    posted_rows = [r for r in vendors.ledger("business_central") if "post" in r.operation]
    assert len(posted_rows) == 1


async def test_a_credit_memo_left_as_a_draft_is_posted_not_created_again(vendors):
    vendors.fault("business_central", "error_before", "salesCreditMemos.post", status=503)
    with pytest.raises(CallFailedError):
        await vendors.erp.create_credit_memo(a_memo())
    await vendors.erp.create_credit_memo(a_memo(in_doubt=True))
    created = vendors.ledger("business_central", "salesCreditMemos.create")
    assert len(created) <= 1
    assert vendors.calls("business_central").count("salesCreditMemos.create") == 1
