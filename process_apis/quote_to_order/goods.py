"""Where an order's goods are: allocated, with a warehouse, gone, or waited for. Pure facts.

What is done next follows from them (`following`), so that no signal and no step has to know what
the others left behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import ItemId
from contracts.canonical.order import Fulfilment
from contracts.ports.inventory import ReservedStock
from process_apis.quote_to_order.records import (
    LineShare,
    OrderRecord,
    ReleaseRecord,
    ShipmentRecord,
)
from runtime.journal.process import REFERENCE_LIMIT, Term

NOTHING: Final = Decimal(0)
_JOINT: Final = "+"
"""Between an order's reference and the number of its release. No order's own reference has it, so
the second release of one order is never taken for another order."""
_WITH_THE_WAREHOUSE: Final = frozenset({"open", "leaving", "suspended"})
_MADE: Final = frozenset({"open", "leaving", "suspended", "shipped", "cancelled"})


def child(reference: str, number: int) -> str:
    """Name the n-th release of an order, within the 35 characters that every system takes."""
    if number == 1:
        return reference
    tail = f"{_JOINT}{number}"
    return reference[: REFERENCE_LIMIT - len(tail)] + tail


def release_term(reference: str) -> Term:
    """Answer how the order of a fulfilment order's reference is addressed."""
    return Term(kind="release" if _JOINT in reference else "reference", value=reference)


def releases_of(record: OrderRecord, reference: str) -> tuple[ReleaseRecord, ...]:
    """Answer the fulfilment orders; the one of an undivided order is not kept, but made here."""
    if record.releases or record.wms_number is None:
        return record.releases
    shown = {"shipped": "shipped", "cancelled": "cancelled", "suspended": "suspended"}
    whole = tuple((number, line.quantity) for number, line in enumerate(record.lines, 1))
    state = shown.get(record.fulfilment, "open")
    return (ReleaseRecord(reference, None, whole, state, record.wms_number),)  # type: ignore[arg-type]  # a value of the table above


def made(releases: Iterable[ReleaseRecord]) -> tuple[ReleaseRecord, ...]:
    """Leave out what was only planned."""
    return tuple(each for each in releases if each.state in _MADE)


def next_planned(record: OrderRecord) -> ReleaseRecord | None:
    """Answer the release that is made next."""
    return next((each for each in record.releases if each.state == "planned"), None)


def is_held(record: OrderRecord) -> bool:
    """Tell whether the ERP holds the order, in one way or another."""
    return any(hold.held for hold in record.erp_holds)


def is_whole(record: OrderRecord) -> bool:
    """Tell whether all that was ordered has left."""
    return all(line.shipped >= line.quantity for line in record.lines)


def unallocated(record: OrderRecord) -> dict[int, Decimal]:
    """Answer, by line number, how much is in no fulfilment order."""
    if not record.releases and record.wms_number is not None:
        return {}
    left = {number: line.quantity for number, line in enumerate(record.lines, 1)}
    for release in made(record.releases):
        for number, quantity in _still_counts(record, release):
            left[number] -= quantity
    return {number: quantity for number, quantity in left.items() if quantity > 0}


def _still_counts(record: OrderRecord, release: ReleaseRecord) -> Iterable[LineShare]:
    """A fulfilment order that was taken back counts with what had left of it by then."""
    if release.state != "cancelled":
        return release.lines
    return [
        share
        for shipment in record.shipments
        if shipment.release == release.reference
        for share in shipment.lines
    ]


def by_item(record: OrderRecord, shares: Iterable[LineShare]) -> dict[ItemId, Decimal]:
    """Add shares of lines up by item."""
    sums: dict[ItemId, Decimal] = {}
    for number, quantity in shares:
        item = record.lines[number - 1].item
        sums[item] = sums.get(item, NOTHING) + quantity
    return sums


class Plan(Struct, frozen=True, kw_only=True):
    """What is released from where, and what waits."""

    releases: tuple[ReleaseRecord, ...]
    backorder: tuple[LineShare, ...]


def plan(record: OrderRecord, reference: str, kept: Sequence[ReservedStock], existing: int) -> Plan:
    """Put what is reserved into fulfilment orders, one a warehouse, behind `existing` ones."""
    open_ = unallocated(record)
    shares: dict[str, list[LineShare]] = {}
    for stock in sorted(kept, key=lambda each: each.warehouse):
        left = stock.quantity
        for number in list(open_):
            if record.lines[number - 1].item != stock.item or left <= 0:
                continue
            taken = min(left, open_[number])
            if taken > 0:
                shares.setdefault(stock.warehouse, []).append((number, taken))
                open_[number] -= taken
                left -= taken
    releases = tuple(
        ReleaseRecord(child(reference, existing + nth), warehouse, tuple(sorted(lines)))
        for nth, (warehouse, lines) in enumerate(shares.items(), 1)
    )
    waiting = tuple((number, quantity) for number, quantity in open_.items() if quantity > 0)
    return Plan(releases=releases, backorder=waiting)


def with_release(
    releases: Sequence[ReleaseRecord], changed: ReleaseRecord
) -> tuple[ReleaseRecord, ...]:
    """Put a changed fulfilment order in its place."""
    return tuple(changed if each.reference == changed.reference else each for each in releases)


class Left(Struct, frozen=True, kw_only=True):
    """What a shipment changes. `lines` is empty when none of it was ordered."""

    record: OrderRecord
    lines: tuple[LineShare, ...]
    excess: Mapping[ItemId, Decimal]


def leave(record: OrderRecord, reference: str, shipment: Shipment) -> Left:
    """Take a shipment off what is open, the lines of its own fulfilment order first."""
    releases = releases_of(record, reference)
    release = _release_of(releases, shipment)
    left: dict[ItemId, Decimal] = {}
    for shipped in shipment.lines:
        left[shipped.item] = left.get(shipped.item, NOTHING) + shipped.quantity
    own = () if release is None else tuple(number for number, _ in release.lines)
    others = (n for n in range(1, len(record.lines) + 1) if n not in own)
    lines, taken = list(record.lines), []
    for number in (*own, *others):
        line = lines[number - 1]
        part = min(left.get(line.item, NOTHING), line.quantity - line.shipped)
        if part > 0:
            left[line.item] -= part
            lines[number - 1] = msgspec.structs.replace(line, shipped=line.shipped + part)
            taken.append((number, part))
    name = reference if release is None else release.reference
    gone = ShipmentRecord(
        shipment.id,
        shipment.warehouse,
        name,
        tuple(taken),
        shipment.shipped_at,
        shipment.tracking_numbers,
        shipment.carrier,
        not taken,  # there is nothing of it to be posted
    )
    after = msgspec.structs.replace(
        record, lines=tuple(lines), shipments=(*record.shipments, gone), releases=releases
    )
    after = msgspec.structs.replace(after, releases=_emptied(after))
    return Left(
        record=after,
        lines=tuple(taken),
        excess={item: quantity for item, quantity in left.items() if quantity > 0},
    )


def _release_of(releases: Sequence[ReleaseRecord], shipment: Shipment) -> ReleaseRecord | None:
    named = shipment.order.upper()
    for each in releases:
        if each.reference.upper() == named:
            return each
    return next((each for each in releases if each.warehouse == shipment.warehouse), None)


def _emptied(record: OrderRecord) -> tuple[ReleaseRecord, ...]:
    """Close every fulfilment order all of which has left."""
    gone: dict[str, Decimal] = {}
    for shipment in record.shipments:
        pieces = sum((quantity for _, quantity in shipment.lines), NOTHING)
        gone[shipment.release] = gone.get(shipment.release, NOTHING) + pieces
    return tuple(
        msgspec.structs.replace(each, state="shipped")
        if each.state in _WITH_THE_WAREHOUSE
        and gone.get(each.reference, NOTHING) >= sum(quantity for _, quantity in each.lines)
        else each
        for each in record.releases
    )


def fulfilment_of(record: OrderRecord) -> Fulfilment:  # noqa: PLR0911  # one value a row
    """Answer where the goods are, as one word."""
    if is_whole(record):
        return "shipped"
    states = {release.state for release in record.releases}
    if "suspended" in states:
        return "suspended"
    if any(line.shipped for line in record.lines):
        return "partially-shipped"
    if record.refused:
        return "rejected"
    if states & _WITH_THE_WAREHOUSE or (not states and record.wms_number is not None):
        return "released"
    if record.backorder:
        return "backordered"
    return "not-released"


def following(record: OrderRecord) -> str:  # noqa: PLR0911  # one state a row, as in a table
    """Answer the state in which what comes next for a confirmed order is done or waited for."""
    if any(not shipment.posted for shipment in record.shipments):
        return "posting"
    if record.excess is not None:
        return "overshipped"
    if is_whole(record):
        return "closed" if record.billing == "paid" else "shipped"
    states = {release.state for release in record.releases}
    if is_held(record):
        return "suspending" if "open" in states or not states else "suspended"
    if "suspended" in states or "leaving" in states:
        return "resuming"
    if record.refused:
        return "not_released"
    if unallocated(record) != dict(record.backorder):
        return "confirmed"
    return "backordered" if record.backorder else "released"


def release_left(record: OrderRecord) -> ReleaseRecord | None:
    """Answer the fulfilment order from which goods left last."""
    if not record.shipments:
        return None
    name = record.shipments[-1].release
    return next((each for each in record.releases if each.reference == name), None)
