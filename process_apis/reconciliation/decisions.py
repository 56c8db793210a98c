"""Where journal and systems disagree on an order: values in, findings out.

One cause is one finding: an order that is not there is not compared any further, one in another
currency has no amount to compare, goods that nobody posted are not also a wrong quantity.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct

from contracts.canonical.documents import Shipment
from contracts.canonical.order import Order, Release
from contracts.ports.erp import ErpOrder
from contracts.ports.reconciliation import DifferenceKind, SystemName
from contracts.ports.wms import WarehouseOrder
from process_apis.reconciliation.sides import Sides, key_of

_NOTHING: Final = Decimal(0)
_TAKEN_BACK: Final = frozenset({"cancelled", "cancelling"})


class Finding(Struct, frozen=True, kw_only=True):
    """One disagreement: what the journal says and what the system says."""

    kind: DifferenceKind
    system: SystemName
    ours: str | None
    theirs: str | None


def waits(order: Order) -> bool:
    """Tell whether somebody or something is waited for, and everybody can see it."""
    return (
        order.exception is not None
        or order.hold is not None
        or order.commercial in {"provisional", "on-exception", "cancelling"}
    )


def compare(order: Order, sides: Sides) -> list[Finding]:
    """Answer every disagreement on an order of the journal."""
    found: list[Finding] = []
    if "erp" not in sides.unread:
        found += _with_erp(order, sides)
    if "wms" not in sides.unread:
        found += _with_warehouse(order, sides)
    if not sides.unread & {"erp", "wms"}:
        found += _goods(order, sides)
    if "crm" not in sides.unread:
        found += _with_crm(order, sides)
    return found


def erp_number(order: Order) -> str | None:
    """Answer the number of an order in the ERP."""
    return next((known.id for known in order.known_as if known.system == "bc"), None)


def _with_erp(order: Order, sides: Sides) -> Iterator[Finding]:
    numbers = sorted({each.number for each in sides.erp})
    number = erp_number(order)
    if order.commercial in _TAKEN_BACK:
        live = [each for each in sides.erp if each.state != "completed"]
        if live and order.commercial == "cancelled":
            yield _status("erp", "cancelled", live[0].state)
        return
    if not sides.erp:
        if number is not None:
            yield Finding(kind="cancelled-in-erp", system="erp", ours=number, theirs=None)
        elif not waits(order):
            yield Finding(kind="missing-in-erp", system="erp", ours="accepted", theirs=None)
        return
    if len(numbers) > 1:
        yield Finding(
            kind="doubled-in-erp", system="erp", ours=number, theirs=" and ".join(numbers)
        )
        return
    yield from _money_in_erp(order, sides.erp[0])
    yield from _holds(order, sides.erp[0])
    yield from _invoices(order, sides)


def _money_in_erp(order: Order, theirs: ErpOrder) -> Iterator[Finding]:
    ours = order.net_amount
    if theirs.net_amount.currency != order.currency:
        yield Finding(
            kind="currency", system="erp", ours=order.currency, theirs=theirs.net_amount.currency
        )
    elif theirs.net_amount != ours and not waits(order):
        yield Finding(kind="amount", system="erp", ours=str(ours), theirs=str(theirs.net_amount))


def _holds(order: Order, theirs: ErpOrder) -> Iterator[Finding]:
    """A hold in the ERP stops the warehouse, and the end of one lets it go on."""
    if theirs.state == "completed" or order.exception is not None:
        return
    is_picked = any(each.state == "open" for each in order.releases)
    is_suspended = order.fulfilment == "suspended"
    if is_picked if theirs.state == "in-review" else is_suspended and theirs.state == "open":
        yield _status("erp", order.fulfilment, theirs.state)


def _invoices(order: Order, sides: Sides) -> Iterator[Finding]:
    known = {each.number: each for each in order.invoices}
    for theirs in sides.invoices:
        ours = known.get(theirs.number)
        if ours is None and theirs.state != "cancelled":
            yield Finding(
                kind="invoiced-not-told", system="erp", ours=order.billing, theirs=theirs.number
            )
            return
        if ours is None:
            continue
        left = _NOTHING if theirs.state == "paid" else theirs.remaining.amount
        if theirs.state == "cancelled":
            yield _status("erp", f"invoice {ours.number}", "cancelled")
        elif ours.remaining.amount != left:
            yield _status("erp", f"{ours.remaining} to be paid", f"{theirs.remaining} to be paid")


def _with_warehouse(order: Order, sides: Sides) -> Iterator[Finding]:
    expected = {key_of(each.reference): each for each in order.releases}
    for name, found in sides.releases.items():
        live = [each for each in found if each.state != "cancelled"]
        ours = expected.get(name)
        if len({each.id for each in live}) > 1:
            yield Finding(
                kind="doubled-in-wms",
                system="wms",
                ours=None if ours is None else ours.number,
                theirs=" and ".join(sorted({each.number for each in live})),
            )
        elif ours is not None:
            yield from _release(order, ours, found, live)
        elif live and not waits(order):
            yield _status("wms", "not released", live[0].state)
    for name, ours in expected.items():
        if name not in sides.releases and ours.number is not None and ours.state != "cancelled":
            yield Finding(kind="missing-in-wms", system="wms", ours=ours.number, theirs=None)


def _release(
    order: Order, ours: Release, found: Iterable[WarehouseOrder], live: list[WarehouseOrder]
) -> Iterator[Finding]:
    gone = [each for each in found if each.state == "cancelled"]
    if ours.state == "cancelled":
        unshipped = [each for each in live if not each.shipped]
        if unshipped and not waits(order):
            yield _status("wms", "cancelled", unshipped[0].state)
    elif not live and gone:
        if order.exception is None and ours.state != "shipped":
            yield Finding(
                kind="cancelled-in-wms", system="wms", ours=ours.state, theirs="cancelled"
            )
    elif live and order.exception is None and ours.state in {"open", "suspended"}:
        theirs = live[0]
        if theirs.state != "fulfilled" and theirs.held != (ours.state == "suspended"):
            yield _status("wms", ours.state, "held" if theirs.held else theirs.state)


def _goods(order: Order, sides: Sides) -> Iterator[Finding]:
    """What left, what we know of it, and what the ERP posted."""
    if order.exception is not None or not sides.erp or order.commercial in _TAKEN_BACK:
        return
    known = {each.id: each.pieces for each in order.shipments}
    left = {each.id: _pieces(each) for each in sides.packages}
    wrong = next((i for i, pieces in left.items() if i in known and known[i] != pieces), None)
    if wrong is not None:
        yield _quantity("wms", known[wrong], left[wrong])
        return
    ours = sum(known.values(), _NOTHING)
    gone = sum({**known, **left}.values(), _NOTHING)
    posted = sum((_pieces(each) for each in sides.shipments), _NOTHING)
    if posted < gone:
        yield Finding(
            kind="shipped-not-posted", system="erp", ours=f"{gone:f} shipped",
            theirs=f"{posted:f} posted",
        )  # fmt: skip
    elif posted > gone:
        yield _quantity("erp", gone, posted)
    elif ours < gone:
        yield _quantity("wms", ours, gone)


def _with_crm(order: Order, sides: Sides) -> Iterator[Finding]:
    theirs = sides.crm
    if theirs is None:
        yield Finding(kind="missing-in-crm", system="crm", ours=order.commercial, theirs=None)
        return
    if theirs.net_amount.currency != order.currency:
        yield Finding(
            kind="currency", system="crm", ours=order.currency, theirs=theirs.net_amount.currency
        )
    elif theirs.net_amount != order.net_amount:
        yield Finding(
            kind="amount", system="crm", ours=str(order.net_amount), theirs=str(theirs.net_amount)
        )
    ours = {axis: str(getattr(order, axis)) for axis in _AXES}
    differing = [axis for axis in _AXES if ours[axis] != getattr(theirs, axis)]
    if differing:
        yield _status(
            "crm",
            ", ".join(f"{axis} {ours[axis]}" for axis in differing),
            ", ".join(f"{axis} {getattr(theirs, axis)}" for axis in differing),
        )


_AXES: Final = ("commercial", "credit", "fulfilment", "billing")


def _pieces(document: Shipment) -> Decimal:
    return sum((line.quantity for line in document.lines), _NOTHING)


def _status(system: SystemName, ours: str, theirs: str) -> Finding:
    return Finding(kind="status", system=system, ours=ours, theirs=theirs)


def _quantity(system: SystemName, ours: Decimal, theirs: Decimal) -> Finding:
    return Finding(kind="quantity", system=system, ours=f"{ours:f}", theirs=f"{theirs:f}")
