"""What systems say, as canonical events with an address; pure.

A happening has one id however often, by whom and in which words it is told: a package its number, a
payment what remains afterwards. That is what makes pushes and polls one feed.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Invoice, Payment, Shipment
from contracts.canonical.money import Money
from contracts.canonical.party import Customer
from contracts.canonical.shapes import Instant
from contracts.events.taxonomy import TAXONOMY, HoldChanged, RecordChanged
from runtime.journal.process import Term

__all__ = [
    "AWAITS",
    "RELEASE",
    "Happening",
    "customer_held",
    "invoice_posted",
    "order_in_review",
    "package_left",
    "payment_received",
    "release_cancelled",
    "shipment_posted",
    "stock_moved",
]

REFERENCE: Final = "reference"
RELEASE: Final = "release"
"""The kind of term by which an order is known under the references of its split releases."""
CUSTOMER: Final = "customer"
AWAITS: Final = "awaits"
"""The kind of term by which an order is known that waits for an item."""
_HOLDS: Final = frozenset({"shipping", "all"})


class Happening(Struct, frozen=True, kw_only=True):
    """One event on its way in.

    `to` are business ids, tried in turn: the first order known by one is told, and until there is
    one the event is kept. `to_all` addresses every open order known by a term, of which there may
    be none.
    """

    name: str
    source: str
    id: str
    data: dict[str, Any]
    to: tuple[Term, ...] = ()
    to_all: Term | None = None


def package_left(package: Shipment) -> Happening:
    """Goods left the warehouse: one package, under the reference of its release."""
    return _happening("wms.goods.shipped", "wms", package.id, package, _release(package.order))


def release_cancelled(reference: str, number: str) -> Happening:
    """The warehouse holds a fulfilment order as cancelled; whoever did it knows that already.

    `number` is the warehouse's, which tells it from a later release of the same reference.
    """
    changed = RecordChanged(system="wms", entity="release", id=reference)
    return _happening(
        "wms.order.cancelled",
        "wms",
        f"cancelled/{reference}/{number}",
        changed,
        _release(reference),
    )


def stock_moved(item: str, told: str) -> Happening:
    """Stock of an item is not what it was; `told` tells one telling from another."""
    changed = RecordChanged(system="wms", entity="stock", id=item)
    return Happening(
        name="wms.record.changed",
        source="wms",
        id=f"stock/{item}/{told}",
        data=msgspec.to_builtins(changed),
        to_all=Term(kind=AWAITS, value=item),
    )


def shipment_posted(shipment: Shipment) -> Happening | None:
    """The ERP posted a shipment; None for one that names no reference."""
    if not shipment.reference:
        return None
    return _happening(
        "erp.shipment.posted",
        "erp",
        f"shipment/{shipment.id}",
        shipment,
        (Term(kind=REFERENCE, value=shipment.reference),),
    )


def invoice_posted(invoice: Invoice) -> Happening:
    """The ERP posted an invoice."""
    return _happening(
        "erp.invoice.posted", "erp", f"invoice/{invoice.number}", invoice, _of(invoice)
    )


def payment_received(invoice: Invoice, before: Money) -> Happening:
    """Less of an invoice remains than `before`: what was received since.

    A payment that was taken back shows as a negative amount.
    """
    as_of = invoice.changed_at
    payment = Payment(
        invoice=invoice.number,
        amount=Money(amount=before.amount - invoice.remaining.amount, currency=before.currency),
        received_on=as_of.date() if as_of is not None else invoice.invoice_date,
        remaining=invoice.remaining,
        reference=invoice.reference,
        as_of=as_of,
    )
    told = f"paid/{invoice.number}/{invoice.remaining.amount.normalize():f}"
    told += f"/{as_of.isoformat()}" if as_of is not None else ""
    return _happening("erp.invoice.paid", "erp", told, payment, _of(invoice))


def customer_held(customer: Customer, as_of: Instant) -> Happening:
    """Finance blocks a customer for shipping, or lets go: every open order of it is told."""
    held = is_held(customer)
    change = HoldChanged(
        held=held,
        kind="customer-blocked",
        reason=f"Finance blocks the customer ({customer.blocked})."
        if held
        else "Finance lets the customer go on.",
        as_of=as_of,
        customer=customer.id,
    )
    return Happening(
        name="erp.hold.changed",
        source="erp",
        id=f"hold/{customer.id}/{as_of.isoformat()}",
        data=msgspec.to_builtins(change),
        to_all=Term(kind=CUSTOMER, value=customer.id),
    )


def is_held(customer: Customer) -> bool:
    """Whether nothing may be shipped to a customer."""
    return customer.blocked in _HOLDS


def order_in_review(reference: str, as_of: Instant, *, held: bool) -> Happening:
    """Finance has an order in review, or has not any more."""
    change = HoldChanged(
        held=held,
        kind="order-in-review",
        reason="Finance reviews the order." if held else "Finance has reviewed the order.",
        as_of=as_of,
        reference=reference,
    )
    return _happening(
        "erp.hold.changed",
        "erp",
        f"review/{reference}/{as_of.isoformat()}",
        change,
        (Term(kind=REFERENCE, value=reference),),
    )


def _of(invoice: Invoice) -> tuple[Term, ...]:
    return (Term(kind=REFERENCE, value=invoice.reference or ""),)


def _release(reference: str) -> tuple[Term, ...]:
    """Whose release it is: the order's own, or one of several that it was split into."""
    return (Term(kind=REFERENCE, value=reference), Term(kind=RELEASE, value=reference))


def _happening(name: str, source: str, told: str, data: Struct, to: Iterable[Term]) -> Happening:
    if not isinstance(data, TAXONOMY[name].data):
        raise TypeError(f"{name} carries {TAXONOMY[name].data.__name__}")
    return Happening(
        name=name, source=source, id=told, data=msgspec.to_builtins(data), to=tuple(to)
    )
