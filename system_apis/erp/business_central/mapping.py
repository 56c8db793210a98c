"""Between Business Central's records and the canonical model; pure, held by golden files."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final, Literal

from contracts.canonical.credit import CreditPosition
from contracts.canonical.documents import (
    CreditMemo,
    CreditMemoRequest,
    Invoice,
    InvoiceLine,
    Shipment,
    ShippedLine,
)
from contracts.canonical.ids import (
    CustomerId,
    OrderId,
    SystemId,
    customer_id,
    item_id,
    number_of,
)
from contracts.canonical.item import Item
from contracts.canonical.money import Money, money, rounded
from contracts.canonical.party import Address, Block, Customer
from contracts.canonical.pricing import PriceLadder, PriceStep
from contracts.ports.erp import ErpOrder, ErpOrderLine, ExchangeRate, PlaceErpOrder
from system_apis.erp.business_central import wire

__all__ = [
    "Records",
    "credit_memo",
    "credit_position",
    "customer",
    "documents",
    "exchange_rate",
    "item",
    "ladders",
    "ladders_of_quote",
    "listed_order",
    "new_credit_memo",
    "new_order",
    "order",
    "order_of_invoices",
    "order_of_shipments",
    "outstanding",
    "records_of",
    "reference_on_wire",
    "still_to_ship",
]

Records = Literal["customers", "items", "orders", "invoices"]
"""Kinds of records whose changes we are told of."""
SYSTEM: Final = "bc"
_UNIT_PRICE: Final = Decimal("0.00001")
"""The vendor's unit-amount rounding precision."""
_CENT: Final = Decimal("0.01")
_HUNDRED: Final = Decimal(100)
_NO_DAY: Final = "0001-01-01"
_BLOCKS: Final[dict[str, Block]] = {
    wire.NOTHING: "none",
    "": "none",
    " ": "none",
    "Ship": "shipping",
    "Invoice": "invoicing",
    "All": "all",
}
_STATES: Final = {wire.DRAFT: "draft", wire.IN_REVIEW: "in-review", "Open": "open"}
_INVOICE_STATES: Final = {"Paid": "paid", "Canceled": "cancelled", "Corrective": "cancelled"}

_TOLD: Final[dict[str, Records]] = {
    wire.CUSTOMERS: "customers",
    wire.ITEMS: "items",
    wire.ORDERS: "orders",
    wire.INVOICES: "invoices",
}


def records_of(entity_set: str) -> Records | None:
    """Answer what we call the records of a set; None for one that means nothing to us."""
    return _TOLD.get(entity_set)


def customer(found: wire.Customer, local: str) -> Customer:
    """Map a customer; `local` is the company's own currency."""
    return Customer(
        id=customer_id(found.number),
        number=found.number,
        name=found.display_name,
        address=Address(
            street=", ".join(part for part in (found.address_line1, found.address_line2) if part),
            city=found.city,
            country=found.country or "GB",
            postcode=found.postal_code,
            state=found.state,
            name=found.display_name,
        ),
        currency=found.currency_code or local,
        blocked=_BLOCKS.get(found.blocked, "all"),
        credit_limit=money(found.credit_limit, local) if found.credit_limit else None,
        vat_id=found.tax_registration_number or None,
        tax_area=found.tax_area_display_name or None,
        region=found.salesperson_code or None,
        email=found.email or None,
        phone=found.phone_number or None,
        known_as=(SystemId(system=SYSTEM, id=found.number),),
        changed_at=_instant(found.last_modified_date_time),
    )


def item(found: wire.Item, local: str) -> Item:
    """Map an item; list prices are in the company's own currency."""
    return Item(
        id=item_id(found.number),
        number=found.number,
        name=found.display_name,
        list_price=Money(amount=_unit(found.unit_price), currency=local),
        unit_of_measure=found.base_unit_of_measure_code,
        blocked=found.blocked,
        tax_group=found.tax_group_code or None,
        gtin=found.gtin or None,
        known_as=(SystemId(system=SYSTEM, id=found.number),),
        changed_at=_instant(found.last_modified_date_time),
    )


def ladders(
    rows: Iterable[wire.NetPrice], who: CustomerId, local: str, as_of: datetime
) -> tuple[PriceLadder, ...]:
    """Map rows of the price page, of any number of items in any order, to one ladder an item."""
    by_item: dict[str, list[wire.NetPrice]] = {}
    for row in rows:
        by_item.setdefault(row.item_number, []).append(row)
    return tuple(
        _ladder(number, sorted(breaks, key=_minimum), who, local, as_of)
        for number, breaks in by_item.items()
    )


def _minimum(row: wire.NetPrice) -> Decimal:
    return row.minimum_quantity


def _ladder(
    number: str, rows: list[wire.NetPrice], who: CustomerId, local: str, as_of: datetime
) -> PriceLadder:
    currency = rows[0].currency_code or local
    return PriceLadder(
        customer=who,
        item=item_id(number),
        unit_of_measure=rows[0].unit_of_measure_code,
        list_price=Money(amount=_unit(rows[0].list_unit_price), currency=currency),
        steps=tuple(
            PriceStep(
                minimum_quantity=_quantity(row.minimum_quantity),
                unit_price=Money(
                    amount=_net(row.unit_price, row.line_discount_percent), currency=currency
                ),
                basis="customer" if row.price_list_code else "list",
                price_list=row.price_list_code or None,
            )
            for row in rows
        ),
        as_of=as_of,
    )


def ladders_of_quote(
    lines: Iterable[wire.QuoteLine], who: CustomerId, currency: str, as_of: datetime
) -> tuple[PriceLadder, ...]:
    """Map the lines of a drafted quote, one for each item and quantity probed.

    The first line of an item is its smallest quantity; its price stands for the list price, which
    a quote does not tell.
    """
    by_item: dict[str, list[wire.QuoteLine]] = {}
    for line in lines:
        by_item.setdefault(line.line_object_number, []).append(line)
    found = []
    for number, probes in by_item.items():
        probes.sort(key=lambda line: line.quantity)
        steps: list[PriceStep] = []
        for probe in probes:
            price = Money(amount=_net(probe.unit_price, probe.discount_percent), currency=currency)
            if not steps or steps[-1].unit_price != price:
                lowest = Decimal(0) if not steps else _quantity(probe.quantity)
                steps.append(PriceStep(minimum_quantity=lowest, unit_price=price, basis="customer"))
        found.append(
            PriceLadder(
                customer=who,
                item=item_id(number),
                unit_of_measure=probes[0].unit_of_measure_code,
                list_price=Money(amount=_unit(probes[0].unit_price), currency=currency),
                steps=tuple(steps),
                as_of=as_of,
            )
        )
    return tuple(found)


def credit_position(
    found: wire.Customer, amounts: wire.OpenOrderAmounts, local: str, as_of: datetime
) -> CreditPosition:
    """Map a customer's credit; all amounts are in the company's own currency."""
    detail = found.customer_financial_detail
    return CreditPosition(
        customer=customer_id(found.number),
        limit=money(found.credit_limit, local) if found.credit_limit else None,
        balance=money(detail.balance if detail else 0, local),
        overdue=money(detail.overdue_amount if detail else 0, local),
        open_orders=money(amounts.outstanding_orders, local),
        shipped_not_invoiced=money(amounts.shipped_not_invoiced, local),
        blocked=_BLOCKS.get(found.blocked, "all"),
        as_of=as_of,
    )


def outstanding(order: wire.Order) -> tuple[Decimal, Decimal]:
    """Answer what of an order is not shipped, and what is shipped but not invoiced.

    In the order's currency with tax, each line in proportion to its quantities: how the vendor's
    own credit figures are made, for tenants that lack the page serving them.
    """
    waiting = shipped = Decimal(0)
    for line in order.sales_order_lines:
        if line.quantity:
            piece = line.net_amount_including_tax / line.quantity
            waiting += piece * (line.quantity - line.shipped_quantity)
            shipped += piece * (line.shipped_quantity - line.invoiced_quantity)
    return waiting, shipped


def exchange_rate(row: wire.ExchangeRate, currency: str) -> ExchangeRate:
    """Map a rate: units of the company's own currency for one of `currency`."""
    return ExchangeRate(
        currency=currency,
        rate=row.relational_exchange_rate_amount / row.exchange_rate_amount,
        as_of=_midnight(row.starting_date),
    )


def reference_on_wire(reference: str) -> str:
    """Write a reference: at most 35 characters. The vendor stores it in upper case."""
    return reference.strip()[: wire.LONGEST_REFERENCE]


def new_order(wanted: PlaceErpOrder) -> wire.NewOrder:
    """Map an order to be created, lines and all."""
    to = wanted.ship_to
    return wire.NewOrder(
        external_document_number=reference_on_wire(wanted.reference),
        customer_number=number_of(wanted.customer),
        currency_code=wanted.currency,
        order_date=_day(wanted.order_date),
        requested_delivery_date=_day(wanted.requested_delivery_date),
        ship_to_name=to.name[: wire.LONGEST_TEXT] or None if to else None,
        ship_to_contact=to.contact[: wire.LONGEST_TEXT] or None if to else None,
        ship_to_address_line1=to.street[: wire.LONGEST_TEXT] if to else None,
        ship_to_city=to.city[: wire.LONGEST_CITY] if to else None,
        ship_to_country=to.country if to else None,
        ship_to_state=to.state[: wire.LONGEST_STATE] or None if to else None,
        ship_to_post_code=to.postcode[: wire.LONGEST_POSTCODE] or None if to else None,
        sales_order_lines=[_new_line(line) for line in wanted.lines],
    )


def _new_line(line: ErpOrderLine) -> wire.NewLine:
    number = number_of(line.item)
    says = line.description[: wire.LONGEST_TEXT] if line.description else None
    if line.unit_price is None:
        return wire.item_line(number, line.quantity, says)
    return wire.priced_line(number, line.quantity, line.unit_price.amount, says)


def order(found: wire.Order, reference: str, local: str, *, was_there: bool) -> ErpOrder:
    """Map an order of the order book."""
    currency = found.currency_code or local
    return ErpOrder(
        id=found.id,
        number=found.number,
        reference=reference,
        customer=customer_id(found.customer_number),
        net_amount=money(found.total_amount_excluding_tax, currency),
        gross_amount=money(found.total_amount_including_tax, currency),
        found=was_there,
        state=_STATES.get(found.status, "open"),
        changed_at=_instant(found.last_modified_date_time),
    )


def listed_order(found: wire.Order, local: str) -> ErpOrder:
    """Map an order that was not asked for by reference; the vendor stores that in upper case."""
    return order(found, found.external_document_number, local, was_there=True)


def still_to_ship(
    lines: Iterable[wire.OrderLine], wanted: Iterable[ShippedLine]
) -> dict[str, Decimal]:
    """Share what has left, an item at a time, over the order's lines: what of each to ship now.

    By line id. Lines of one item are filled in their order; of what goes beyond the order, and of
    what the vendor has shipped already, nothing is left to ship.
    """
    left: dict[str, Decimal] = {}
    for one in wanted:
        number = number_of(one.item)
        left[number] = left.get(number, Decimal(0)) + one.quantity
    shares: dict[str, Decimal] = {}
    for line in sorted(lines, key=_sequence):
        share = min(left.get(line.line_object_number, Decimal(0)), line.quantity)
        left[line.line_object_number] = left.get(line.line_object_number, Decimal(0)) - share
        shares[line.id] = share - line.shipped_quantity
    return shares


def _sequence(line: wire.OrderLine) -> int:
    return line.sequence


def order_of_invoices(found: Sequence[wire.Invoice], reference: str, local: str) -> ErpOrder:
    """Map an order that is posted in full, from its invoices."""
    first = found[0]
    currency = first.currency_code or local
    net = sum((one.total_amount_excluding_tax for one in found), Decimal(0))
    gross = sum((one.total_amount_including_tax for one in found), Decimal(0))
    return ErpOrder(
        id=first.order_id or first.id,
        number=first.order_number or first.number,
        reference=reference,
        customer=customer_id(first.customer_number),
        net_amount=money(net, currency),
        gross_amount=money(gross, currency),
        found=True,
        state="completed",
    )


def order_of_shipments(found: Sequence[wire.Shipment], reference: str, local: str) -> ErpOrder:
    """Map an order of which only shipments are left: invoiced together with others.

    Shipments carry no amounts: they are worked out as the vendor does, each line rounded before
    and after its discount, tax on what is taxed at one rate.
    """
    first = found[0]
    currency = first.currency_code or local
    taxed: dict[Decimal, Decimal] = {}
    for shipment in found:
        for line in shipment.sales_shipment_lines:
            full = rounded(line.quantity * line.unit_price, currency)
            amount = full - rounded(full * line.discount_percent / _HUNDRED, currency)
            taxed[line.tax_percent] = taxed.get(line.tax_percent, Decimal(0)) + amount
    net = sum(taxed.values(), Decimal(0))
    tax = sum(
        (rounded(amount * rate / _HUNDRED, currency) for rate, amount in taxed.items()), Decimal(0)
    )
    return ErpOrder(
        id=first.id,
        number=first.order_number or first.number,
        reference=reference,
        customer=customer_id(first.customer_number),
        net_amount=money(net, currency),
        gross_amount=money(net + tax, currency),
        found=True,
        state="completed",
    )


def documents(
    shipments: Iterable[wire.Shipment], invoices: Iterable[wire.Invoice], local: str
) -> tuple[tuple[Shipment, ...], tuple[Invoice, ...]]:
    """Map what was posted for an order; a shipment names the order by its reference."""
    return (
        tuple(_shipment(found) for found in shipments),
        tuple(_invoice(found, local) for found in invoices if found.status != wire.DRAFT),
    )


def _shipment(found: wire.Shipment) -> Shipment:
    return Shipment(
        id=found.number,
        order=OrderId(found.external_document_number or found.order_number),
        warehouse="",
        lines=tuple(
            ShippedLine(item=item_id(line.line_object_number), quantity=_quantity(line.quantity))
            for line in found.sales_shipment_lines
            if line.line_type == wire.ITEM_LINE
        ),
        shipped_at=_midnight(found.posting_date),
        reference=found.external_document_number or None,
        order_number=found.order_number or None,
        changed_at=_instant(found.last_modified_date_time),
    )


def _invoice(found: wire.Invoice, local: str) -> Invoice:
    currency = found.currency_code or local
    state = _INVOICE_STATES.get(found.status, "open")
    return Invoice(
        number=found.number,
        order_number=found.order_number or None,
        customer=customer_id(found.customer_number),
        lines=tuple(
            InvoiceLine(
                item=item_id(line.line_object_number),
                quantity=_quantity(line.quantity),
                unit_price=Money(
                    amount=_net(line.unit_price, line.discount_percent), currency=currency
                ),
                net_amount=money(line.net_amount, currency),
            )
            for line in found.sales_invoice_lines
            if line.line_type == wire.ITEM_LINE
        ),
        net_amount=money(found.total_amount_excluding_tax, currency),
        gross_amount=money(found.total_amount_including_tax, currency),
        remaining=money(found.remaining_amount, currency),
        state="paid" if state == "paid" else "cancelled" if state == "cancelled" else "open",
        invoice_date=date.fromisoformat(found.invoice_date or _NO_DAY),
        due_date=_date(found.due_date),
        reference=found.external_document_number or None,
        changed_at=_instant(found.last_modified_date_time),
    )


def new_credit_memo(wanted: CreditMemoRequest) -> wire.NewCreditMemo:
    """Map a credit memo to be created, priced as the goods were sold."""
    return wire.NewCreditMemo(
        external_document_number=reference_on_wire(wanted.reference),
        customer_number=number_of(wanted.customer),
        currency_code=wanted.currency,
        credit_memo_date=_day(wanted.posting_date),
        posting_date=_day(wanted.posting_date),
        sales_credit_memo_lines=[
            wire.priced_line(number_of(line.item), line.quantity, line.unit_price.amount)
            for line in wanted.lines
        ],
    )


def credit_memo(found: wire.CreditMemo, wanted: CreditMemoRequest) -> CreditMemo:
    """Map a posted credit memo."""
    return CreditMemo(
        number=found.number,
        reference=wanted.reference,
        customer=wanted.customer,
        net_amount=money(found.total_amount_excluding_tax, wanted.currency),
        known_as=(SystemId(system=SYSTEM, id=found.id),),
    )


def _net(unit_price: Decimal, discount_percent: Decimal) -> Decimal:
    if not discount_percent:
        return _unit(unit_price)
    return (unit_price * (_HUNDRED - discount_percent) / _HUNDRED).quantize(_UNIT_PRICE)


def _unit(amount: Decimal) -> Decimal:
    """A unit price with at least the minor unit shown, and no more digits than it has."""
    shortest = amount.quantize(_CENT)
    return shortest if shortest == amount else amount


def _quantity(number: Decimal) -> Decimal:
    """A quantity without the zeros the vendor writes behind it."""
    whole = number.to_integral_value()
    return whole if whole == number else number


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text and not text.startswith(_NO_DAY) else None


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day or _NO_DAY), time(0), UTC)


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text and text != _NO_DAY else None


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
