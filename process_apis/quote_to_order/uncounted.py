"""Orders on their way to the ERP, for what they add to what their customers will owe.

One whose record cannot be read must not vanish from that: its customer would be given credit that
is taken. Its business ids still tell whose it is, and what it comes to is taken from the best that
is left: its claim on a shared store; else the figure in the record, if that much of it is JSON,
whatever its version; else the total of the first event that told of it. More than it comes to
may so be counted, which holds an order for a person to look at, and never nothing without a word.
"""

import logging
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from contracts.canonical.ids import CustomerId
from contracts.canonical.money import Money
from contracts.canonical.order import CreditState
from process_apis.quote_to_order.records import ORDER_KIND
from runtime.journal.codec import Types, left_out
from runtime.journal.faults import UnreadableProcess
from runtime.journal.process import Lane
from runtime.store.schema import delivery, process, term

log = logging.getLogger("crossdock.orders")

_NOT_IN_ERP: Final = select(
    process.c.id,
    process.c.kind,
    process.c.version,
    process.c.consumer,
    process.c.key,
    process.c.reference,
    process.c.data,
).where(
    process.c.lane.in_([lane.value for lane in Lane]),  # leads the index
    process.c.kind == ORDER_KIND,
    process.c.state.in_(("accepted", "provisional", "stopped")),
    ~process.c.done,
)
_CUSTOMERS: Final = select(term.c.process_id, term.c.value).where(
    term.c.kind == "customer", term.c.process_id.in_(bindparam("ids", expanding=True))
)
_TOLD: Final = (
    select(delivery.c.entity, delivery.c.payload)
    .where(
        delivery.c.entity.in_(bindparam("references", expanding=True)),
        delivery.c.topic.in_(("order.accepted", "order.provisional")),
    )
    .order_by(delivery.c.id)
)


class Uncounted(Struct, frozen=True, kw_only=True):
    """What an order that is not in the ERP yet adds to what its customer will owe.

    `exposure` None: nothing, as far as is known. `unread` is the reference of one whose record
    cannot be read: then it is a guess, on the safe side.
    """

    consumer: str
    key: str
    customer: CustomerId
    exposure: Decimal | None
    unread: str | None = None


class _Exposed(Struct, frozen=True, kw_only=True):
    customer: CustomerId
    exposure: Decimal | None = None
    credit: CreditState = "unchecked"


class _Told(Struct, frozen=True, kw_only=True, rename="camel"):
    net_amount: Money
    gross_amount: Money | None = None


_exposed = msgspec.json.Decoder(_Exposed).decode
_told = msgspec.json.Decoder(_Told).decode


def not_in_erp(connection: Connection, types: Types) -> list[Uncounted]:
    """Answer every order on its way to the ERP; a stopped one may be retried."""
    found: list[Uncounted] = []
    unread: list[Any] = []
    for row in connection.execute(_NOT_IN_ERP):
        try:
            found.append(_uncounted(row, types.part(row, _exposed)))
        except UnreadableProcess as unreadable:
            left_out(row.id, unreadable.__cause__)
            unread.append(row)
    return [*found, *_unread(connection, unread)] if unread else found


def _uncounted(row: Any, exposed: Any) -> Uncounted:
    return Uncounted(
        consumer=row.consumer,
        key=row.key,
        customer=exposed.customer,
        exposure=None if exposed.credit == "held" else exposed.exposure,
    )


def _unread(connection: Connection, rows: Sequence[Any]) -> Iterator[Uncounted]:
    customers: dict[str, list[str]] = {}
    for one in connection.execute(_CUSTOMERS, {"ids": [row.id for row in rows]}):
        customers.setdefault(one.process_id, []).append(one.value)
    for row in rows:
        # Amended to another customer it has two: both count, as nobody knows which it is.
        for customer in customers.get(row.id, ()):
            yield Uncounted(
                consumer=row.consumer,
                key=row.key,
                customer=CustomerId(customer),
                exposure=_legible(row.data),
                unread=row.reference,
            )


def _legible(data: bytes) -> Decimal | None:
    """Answer the figure in a record that is not to be read otherwise."""
    try:
        return _exposed(data).exposure
    except msgspec.DecodeError:
        return None


def estimated(connection: Connection, waiting: Sequence[Uncounted]) -> list[Uncounted]:
    """Put a figure on unread orders that have none: what the first event about each said.

    Deliveries have no index for this; so it is for a start, and only where there is such an order.
    """
    wanted = [one.unread for one in waiting if one.unread is not None and one.exposure is None]
    totals: dict[str, Decimal] = {}
    if wanted:
        for row in connection.execute(_TOLD, {"references": wanted}):
            said = _told(row.payload)
            amount = said.net_amount if said.gross_amount is None else said.gross_amount
            totals.setdefault(row.entity, amount.amount)
    return [_with_figure(one, totals) for one in waiting]


def _with_figure(one: Uncounted, totals: dict[str, Decimal]) -> Uncounted:
    if one.unread is None or one.exposure is not None:
        return one
    amount = totals.get(one.unread)
    told = {"reference": one.unread, "customer": one.customer, "counted": str(amount)}
    log.error("credit_of_unreadable_order_guessed", extra=told)
    return msgspec.structs.replace(one, exposure=amount)
