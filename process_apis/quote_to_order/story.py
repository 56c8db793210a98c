"""An order's timeline, told so that a sales rep understands where it is and why."""

from collections.abc import Sequence
from typing import Any, Protocol

from contracts.canonical.ids import OrderId, SystemId
from contracts.canonical.order import (
    Commercial,
    Fulfilment,
    Hold,
    Order,
    OrderException,
    Timeline,
    TimelineEntry,
)
from process_apis.quote_to_order.records import view_of
from runtime.journal.process import Entry, Process

_NEXT = {
    "accepted": "It is placed in the ERP.",
    "provisional": "It is checked again and placed in the ERP as soon as the systems answer.",
    "fetching": "The deal is read from the CRM.",
    "held": "Finance releases it, or it is cancelled.",
    "stopped": "Somebody acts on the exception: {remedies}.",
    "mispriced": "Sales accepts the ERP's amount, or the order is cancelled.",
    "confirmed": "The goods are released to the warehouse.",
    "not_released": "The warehouse's objection is dealt with: {remedies}.",
    "released": "The warehouse picks and ships the goods.",
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
    "warehouse_refused": "wms",
    "shipped": "wms",
    "shipped_in_part": "wms",
    "billed": "erp",
    "settled": "erp",
    "credited": "erp",
}


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


def message_of(order: _Where) -> str:  # noqa: PLR0911  # one sentence a row, as in a table
    """Say in one sentence where an order is and what it waits for."""
    if order.commercial == "cancelled":
        return "Cancelled; everything done for it was undone."
    if order.commercial == "cancelling":
        return "Being cancelled."
    if order.exception is not None:
        return f"Stopped: {order.exception.detail}"
    if order.hold is not None:
        day = order.hold.since.strftime("%d %B %H:%M")
        return f"On credit hold since {day} UTC: {order.hold.reason}."
    erp = next((known.id for known in order.known_as if known.system == "bc"), None)
    match order.commercial, order.fulfilment:
        case "accepted", _:
            return "Accepted; pending ERP confirmation."
        case "provisional", _:
            return "Accepted on last known data; pending ERP confirmation."
        case _, "released":
            return f"Confirmed as ERP order {erp}; released to the warehouse."
        case _, "partially-shipped":
            return f"Confirmed as ERP order {erp}; part of it has left the warehouse."
        case _, "shipped":
            return f"ERP order {erp} has left the warehouse."
        case _:
            return f"Confirmed as ERP order {erp}."


def told(process: Process[Any], entries: Sequence[Entry]) -> Timeline:
    """Tell an order's story, oldest entry first."""
    order = view_of(process)
    remedies = "" if order.exception is None else ", ".join(order.exception.remedies)
    following = _NEXT[process.state].format(remedies=remedies)
    if process.state in {"accepted", "confirmed"} and process.attempts and process.step_at:
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
            for entry in entries
        ),
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
