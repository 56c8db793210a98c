"""An order's timeline, told so that a sales rep understands where it is and why."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from contracts.canonical.ids import OrderId, SystemId
from contracts.canonical.order import (
    Billing,
    Commercial,
    Fulfilment,
    Hold,
    Order,
    OrderException,
    OrderInvoice,
    Release,
    Timeline,
    TimelineEntry,
)
from process_apis.quote_to_order.views import view_of
from runtime.journal.process import Entry, Process

_NEXT = {
    "accepted": "It is placed in the ERP.",
    "provisional": "It is checked again and placed in the ERP as soon as the systems answer.",
    "fetching": "The deal is read from the CRM.",
    "held": "{hold}",
    "stopped": "Somebody acts on the exception: {remedies}.",
    "mispriced": "Sales accepts the ERP's amount, or the order is cancelled.",
    "confirmed": "The goods are released to the warehouse.",
    "allocated": "The goods are released to the warehouse.",
    "backordered": "What is missing is released when stock arrives: {missing}.",
    "not_released": "The warehouse's objection is dealt with: {remedies}.",
    "released": "The warehouse picks and ships the goods.",
    "posting": "The shipment is posted in the ERP.",
    "not_posted": "The shipment is posted in the ERP once its objection is dealt with: {remedies}.",
    "overshipped": "Somebody sees to what was shipped and not ordered: {remedies}.",
    "suspending": "The warehouse is stopped.",
    "suspended": "Finance releases it, or it is cancelled.",
    "resuming": "The warehouse goes on.",
    "shipped": "The invoice is posted and paid.",
    "withdrawing": "What was done for it is undone.",
    "rollback_incomplete": "Operations completes the cancellation: {remedies}.",
    "cancelled": "Nothing; the order is cancelled.",
    "closed": "Nothing; the order is complete.",
    "matched": "The credit memo is posted in the ERP.",
    "credited": "Nothing; the credit is posted.",
}

_SYSTEMS = {
    "placed": "erp",
    "answered_another_amount": "erp",
    "released_to_warehouse": "wms",
    "released_in_part": "wms",
    "warehouse_refused": "wms",
    "goods_left": "wms",
    "left_already": "wms",
    "shipped_too_much": "wms",
    "stopped_picking": "wms",
    "resumed": "wms",
    "hold_set": "erp",
    "hold_lifted": "erp",
    "posted_in_part": "erp",
    "shipped": "erp",
    "not_posted": "erp",
    "billed": "erp",
    "settled": "erp",
    "credited": "erp",
}

_UNTOLD = frozenset({"noted", "let_go", "stopped_picking", "stock_arrived", "goods_to_post"})
"""Moves of which only what they say is told; one that says nothing is for operators alone."""

_ECHOES = ("wms.order.cancelled", "erp.hold.changed", "erp.shipment.posted", "wms.record.changed")
"""News that comes after the end and means nothing: our own doings told back to us."""


class _Where(Protocol):
    """What of an order its one sentence rests on."""

    @property
    def commercial(self) -> Commercial: ...
    @property
    def fulfilment(self) -> Fulfilment: ...
    @property
    def hold(self) -> Hold | None: ...
    @property
    def exception(self) -> OrderException | None: ...
    @property
    def known_as(self) -> tuple[SystemId, ...]: ...
    @property
    def billing(self) -> Billing: ...
    @property
    def invoices(self) -> tuple[OrderInvoice, ...]: ...
    @property
    def releases(self) -> tuple[Release, ...]: ...


def message_of(order: _Where) -> str:  # noqa: C901, PLR0911  # one sentence a row, as in a table
    """Say in one sentence where an order is and what it waits for."""
    if order.commercial == "cancelled":
        return "Cancelled; everything done for it was undone."
    if order.commercial == "cancelling":
        return "Being cancelled."
    if order.exception is not None:
        return f"Stopped: {order.exception.detail}"
    if order.hold is not None:
        return _hold_words(order.hold)
    erp = next((known.id for known in order.known_as if known.system == "bc"), None)
    match order.commercial, order.fulfilment:
        case "accepted", _:
            return "Accepted; pending ERP confirmation."
        case "provisional", _:
            return "Accepted on last known data; pending ERP confirmation."
        case _, "backordered":
            return f"Confirmed as ERP order {erp}; waits for stock.{_billed_words(order)}"
        case _, "released" if len(order.releases) > 1:
            places = " and ".join(dict.fromkeys(r.warehouse or "" for r in order.releases))
            return f"Confirmed as ERP order {erp}; released to the warehouses {places}."
        case _, "released":
            return f"Confirmed as ERP order {erp}; released to the warehouse.{_billed_words(order)}"
        case _, "partially-shipped":
            return (
                f"Confirmed as ERP order {erp}; part of it has left the warehouse."
                f"{_billed_words(order)}"
            )
        case _, "shipped":
            return f"ERP order {erp} has left the warehouse.{_billed_words(order)}"
        case _:
            return f"Confirmed as ERP order {erp}."


def _hold_words(hold: Hold) -> str:
    day = hold.since.strftime("%d %B %H:%M")
    if hold.kind == "price-approval":
        return f"Waits for price approval since {day} UTC: {hold.reason}."
    return f"On credit hold since {day} UTC: {hold.reason}."


def _billed_words(order: _Where) -> str:
    """Say what is billed and what of it is still to be paid; nothing while nothing is."""
    if not order.invoices:
        return ""
    numbers = ", ".join(invoice.number for invoice in order.invoices)
    left = [invoice.remaining for invoice in order.invoices]
    remaining = sum(left[1:], left[0])
    if not remaining.amount:
        return f" Invoice {numbers} is paid."
    return f" Invoice {numbers}: {remaining} to be paid."


def told(process: Process[Any], entries: Sequence[Entry]) -> Timeline:
    """Tell an order's story, oldest entry first."""
    order = view_of(process)
    following = _NEXT[process.state].format(
        remedies="" if order.exception is None else ", ".join(order.exception.remedies),
        hold=_decides(order.hold),
        missing=_missing(order),
    )
    if process.state in _TRIED and process.attempts and process.step_at:
        at = process.step_at.strftime("%H:%M:%S")
        following = f"{following} Tried {process.attempts} times; next at {at} UTC."
    return Timeline(
        order=OrderId(process.id),
        summary=_summary(process, order),
        next=following,
        entries=tuple(
            TimelineEntry(
                at=entry.at,
                what=entry.event,
                says=entry.says or entry.event.replace("_", " ").capitalize() + ".",
                system=_SYSTEMS.get(entry.event),
                actor=entry.data.get("actor"),
            )
            for entry in _worth_telling(entries)
        ),
    )


_TRIED = frozenset({"accepted", "confirmed", "allocated", "posting", "suspending", "resuming"})


def _worth_telling(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Leave out what a sales rep need not know: silent moves, echoes, and repetitions.

    An exception is told by the move that opened it; its own line would say the same once more.
    """
    before = ""
    for entry in entries:
        silent = not entry.says and entry.event in _UNTOLD
        echo = entry.event == "too_late" and any(name in entry.says for name in _ECHOES)
        if silent or echo or (entry.event == "incident" and entry.says == before):
            continue
        before = entry.says
        yield entry


def _decides(hold: Hold | None) -> str:
    if hold is not None and hold.kind == "price-approval":
        return "The price is approved or refused."
    return "Finance releases it, or it is cancelled."


def _missing(order: Order) -> str:
    return ", ".join(
        f"{line.backordered.normalize():f} of {line.item.removeprefix('item_')}"
        for line in order.lines
        if line.backordered
    )


def _summary(process: Process[Any], order: Order) -> str:
    what = f"Order {process.reference} for {order.customer_name or order.customer}"
    if process.kind == "credit":
        what = f"Credit {process.reference} for {order.customer_name or order.customer}"
        if process.state == "credited":
            return f"{what}, {order.net_amount}: credited as {order.known_as[0].id}."
        if order.exception is not None:
            return f"{what}: stopped: {order.exception.detail}"
        return f"{what}: being worked on."
    return f"{what}, {order.net_amount}: {message_of(order)}"
