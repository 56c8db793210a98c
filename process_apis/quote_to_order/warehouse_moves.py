"""What the steps about goods come to: moves, from values alone."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from contracts.canonical.money import Money, line_amount
from contracts.ports.erp import PostedShipment
from contracts.ports.inventory import ReleaseReservation, Reservation, ReservedStock
from contracts.ports.wms import ReleaseOrder, WarehouseLine, WarehouseOrder
from process_apis.quote_to_order import goods, news, outcomes
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.outcomes import RESERVATION, WMS_ORDER
from process_apis.quote_to_order.records import OrderRecord, ReleaseRecord, changed
from runtime.journal.incidents import Category
from runtime.journal.process import Effect, Event, Move, Process, Says, StepContext, Term

_AFTER_POSTING: Final[Mapping[str, str]] = {
    "released": "posted_in_part",
    "backordered": "waits_for_stock",
    "confirmed": "rest_to_allocate",
    "not_released": "still_refused",
    "suspending": "still_held",
    "suspended": "still_held",
    "resuming": "still_held",
    "overshipped": "shipped_too_much",
    "shipped": "shipped",
    "closed": "settled",
}
_AFTER_RESUMING: Final[Mapping[str, str]] = {
    "released": "resumed",
    "backordered": "waits_for_stock",
    "confirmed": "rest_to_allocate",
    "posting": "goods_to_post",
    "shipped": "shipped",
    "closed": "settled",
}


def holder_of(process: Process[OrderRecord]) -> str:
    """Name the reservation of this round; each has its own, so that an old one answers nobody."""
    return goods.child(process.reference, process.data.rounds + 1)


def release_order(
    process: Process[OrderRecord], release: ReleaseRecord, *, in_doubt: bool
) -> ReleaseOrder | None:
    """Say a fulfilment order in the words of the warehouse port; None without an address."""
    record = process.data
    if record.ship_to is None:
        return None
    currency = record.currency
    lines = [(number, record.lines[number - 1], quantity) for number, quantity in release.lines]
    total = sum(line_amount(quantity, line.unit_price, currency) for _, line, quantity in lines)
    whole = not record.releases and release.warehouse is None
    return ReleaseOrder(
        reference=release.reference,
        lines=tuple(
            WarehouseLine(
                number=number,
                item=line.item,
                quantity=quantity,
                unit_price=Money(amount=line.unit_price, currency=currency),
                description=line.description or line.item.removeprefix("item_"),
            )
            for number, line, quantity in lines
        ),
        ship_to=record.ship_to,
        total=Money(amount=record.net if whole else total, currency=currency),  # type: ignore[arg-type]  # a sum of no lines would be 0
        warehouse=release.warehouse or record.warehouse,
        po_number=record.po_number,
        ship_by=record.requested_delivery_date,
        in_doubt=in_doubt,
    )


def given_back(process: Process[OrderRecord], release: ReleaseRecord) -> ReleaseReservation:
    """Say which part of the reservation the warehouse counts itself from now on."""
    lines = goods.by_item(process.data, release.lines)
    return ReleaseReservation(
        holder=holder_of(process),
        lines=tuple(
            ReservedStock(item=item, warehouse=release.warehouse or "", quantity=quantity)
            for item, quantity in lines.items()
        ),
    )


def refused(process: Process[OrderRecord], context: StepContext, said: str) -> Move[OrderRecord]:
    """Stop before the warehouse is asked: somebody completes what is missing."""
    return outcomes.stopped(
        process,
        context,
        ORDER,
        event="warehouse_refused",
        category=Category.MASTER_DATA_MISMATCH,
        says=said,
    )


def _waiting_words(record: OrderRecord) -> str:
    waits = goods.by_item(record, record.backorder)
    named = [f"{n.normalize():f} of {i.removeprefix('item_')}" for i, n in waits.items()]
    return ", ".join(named)


def _waiting_terms(record: OrderRecord) -> tuple[Term, ...]:
    return tuple(
        Term(kind="awaits", value=item) for item in goods.by_item(record, record.backorder)
    )


def nobody_has_it(
    process: Process[OrderRecord], context: StepContext, poll: timedelta, stock: Sequence[str]
) -> Move[OrderRecord]:
    """Nothing can be reserved: the order waits, and what is with the warehouse goes on."""
    record = process.data
    after = msgspec.structs.replace(
        record,
        releases=goods.made(record.releases),
        backorder=tuple(goods.unallocated(record).items()),
        rounds=record.rounds + 1,
        refused=False,
        trouble=None,
    )
    after = changed(after, context.now, fulfilment=goods.fulfilment_of(after))
    is_news = after.backorder != record.backorder
    said = Says(text=f"Waits for stock: {_waiting_words(after)}.")
    return Move(
        event="waits_for_stock",
        data=after,
        says=(said,) if is_news else (),
        emits=(outcomes.told("order.backordered", process, after, context.now,
                             state="backordered"),) if is_news else (),
        terms=_waiting_terms(after) if is_news else (),
        due=context.now if is_news else context.now + poll,
        consumes=tuple(stock),
        closes_incident=True,
    )  # fmt: skip


def allocated(
    process: Process[OrderRecord], context: StepContext, kept: Reservation, stock: Sequence[str]
) -> Move[OrderRecord]:
    """Stock is kept: one fulfilment order a warehouse follows."""
    record = process.data
    before = goods.made(record.releases)
    plan = goods.plan(record, process.reference, kept.lines, len(before))
    after = changed(
        record,
        context.now,
        releases=(*before, *plan.releases),
        backorder=plan.backorder,
        refused=False,
        trouble=None,
    )
    places = [
        f"{outcomes.pieces(sum((n for _, n in each.lines), goods.NOTHING))} in {each.warehouse}"
        for each in plan.releases
    ]
    said = f"Kept in stock: {' and '.join(places)}."
    if plan.backorder:
        said += f" Waits for stock: {_waiting_words(after)}."
    holder = holder_of(process)
    known = any(
        (e.name, e.key) == (RESERVATION, holder) and e.undone_at is None for e in process.effects
    )
    return Move(
        event="allocated",
        data=after,
        says=(Says(text=said, data={"until": kept.expires_at.isoformat()}),),
        effect=None if known else Effect(name=RESERVATION, key=holder),
        consumes=tuple(stock),
        closes_incident=True,
    )


def released(
    process: Process[OrderRecord],
    context: StepContext,
    release: ReleaseRecord,
    answer: WarehouseOrder,
) -> Move[OrderRecord]:
    """The warehouse may pick a fulfilment order; the last one ends the round of allocation."""
    record = process.data
    known = any(
        (e.name, e.key) == (WMS_ORDER, release.reference) and e.undone_at is None
        for e in process.effects
    )
    opened = msgspec.structs.replace(release, state="open", number=answer.number)
    releases = record.releases
    if release.warehouse is not None:
        releases = goods.with_release(releases, opened)
    elif releases:
        releases = (*releases, opened)
    after = msgspec.structs.replace(
        record,
        releases=releases,
        wms_number=record.wms_number or answer.number,
        maybe_released=False,
        refused=False,
        trouble=None,
    )
    event, topics = "released_to_warehouse", ("order.released",)
    undoes = None
    if goods.next_planned(after) is not None:
        event = "released_in_part"
    else:
        holder = holder_of(process)
        undoes = next((e for e in process.effects
                       if (e.name, e.key) == (RESERVATION, holder) and e.undone_at is None),
                      None)  # fmt: skip
        if release.warehouse is not None:
            after = msgspec.structs.replace(after, rounds=record.rounds + 1)
        if after.backorder:
            event, topics = "waits_for_stock", ("order.backordered",)
    after = changed(after, context.now, fulfilment=goods.fulfilment_of(after))
    where = "" if release.warehouse is None else f" {release.warehouse}"
    said = f"Released to the warehouse{where} as {answer.number}."
    state = ORDER.after(process.state, event)
    return Move(
        event=event,
        data=after,
        says=(Says(text=said, data={"warehouseOrder": answer.number, "found": answer.found}),),
        emits=_told(process, after, context, topics[0], state),
        terms=_release_terms(process, release, answer.number, after),
        effect=None if known else Effect(name=WMS_ORDER, key=release.reference),
        undoes=undoes,
        closes_incident=True,
    )


def _told(
    process: Process[OrderRecord], after: OrderRecord, context: StepContext, topic: str, state: str
) -> tuple[Event, ...]:
    if topic == "order.backordered":
        return (outcomes.told("order.backordered", process, after, context.now, state=state),)
    return (outcomes.told("order.released", process, after, context.now, state=state),)


def _release_terms(
    process: Process[OrderRecord], release: ReleaseRecord, number: str, after: OrderRecord
) -> tuple[Term, ...]:
    terms = (Term(kind="wms-order", value=number), *_waiting_terms(after))
    if release.reference == process.reference:
        return terms
    return (*terms, goods.release_term(release.reference))


def suspended(process: Process[OrderRecord], context: StepContext) -> Move[OrderRecord]:
    """Every open fulfilment order is stopped, or has proved to be past stopping."""
    record = process.data
    if goods.following(record) == "posting":
        return Move(event="goods_to_post", data=changed(record, context.now))
    stopped = any(each.state == "suspended" for each in record.releases)
    after = changed(record, context.now, fulfilment=goods.fulfilment_of(record))
    return Move(
        event="suspended",
        data=after,
        says=(Says(text="The order waits until finance releases it."),) if stopped else (),
        emits=(outcomes.told("order.suspended", process, after, context.now,
                             state="suspended"),),
    )  # fmt: skip


def stopped_picking(
    process: Process[OrderRecord],
    context: StepContext,
    release: ReleaseRecord,
    because: str | None = None,
) -> Move[OrderRecord]:
    """One fulfilment order is stopped, or cannot be stopped any more (`because`)."""
    record = process.data
    state = "suspended" if because is None else "leaving"
    releases = goods.with_release(
        goods.releases_of(record, process.reference),
        msgspec.structs.replace(release, state=state),
    )
    after = msgspec.structs.replace(record, releases=releases)
    after = changed(after, context.now, fulfilment=goods.fulfilment_of(after))
    name = release.number or release.reference
    said = (
        f"The warehouse stopped {name}."
        if because is None
        else f"The warehouse could not stop {name} any more; it may leave in spite of the hold."
    )
    data: dict[str, Any] = {} if because is None else {"because": because}
    return Move(event="stopped_picking", data=after, says=(Says(text=said, data=data),))


def resumed(
    process: Process[OrderRecord], context: StepContext, releases: tuple[ReleaseRecord, ...]
) -> Move[OrderRecord]:
    """Nothing is stopped any more: the order goes on where it was."""
    opened = tuple(
        msgspec.structs.replace(each, state="open") if each.state == "leaving" else each
        for each in goods.made(releases)
    )
    after = msgspec.structs.replace(process.data, releases=opened)
    after = changed(after, context.now, fulfilment=goods.fulfilment_of(after))
    event = _AFTER_RESUMING[goods.following(after)]
    state = ORDER.after(process.state, event)
    going = any(each.state == "open" for each in opened)
    said = "The warehouse goes on." if going else "The goods are released to the warehouse next."
    return Move(
        event=event,
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told("order.resumed", process, after, context.now, state=state),),
        closes_incident=True,
    )


def posted(
    process: Process[OrderRecord], context: StepContext, answer: PostedShipment
) -> Move[OrderRecord]:
    """The ERP knows all that has left; what follows depends on what is open."""
    record = process.data
    shipments = tuple(
        each
        if each.posted
        else msgspec.structs.replace(each, posted=True, erp_number=answer.number)
        for each in record.shipments
    )
    after = changed(record, context.now, shipments=shipments, trouble=None, stopped_in=None)
    target = goods.following(after)
    event = _AFTER_POSTING[target]
    said = Says(text="The ERP had posted the shipment already.")
    if answer.number is not None:
        said = Says(text=f"Posted in the ERP as shipment {answer.number}.")
    if target == "overshipped":
        return news.overshipped(process, after, context.now, said)
    if target in {"shipped", "closed"}:
        after = msgspec.structs.replace(after, hold=None)
    state = ORDER.after(process.state, event)
    emits: tuple[Event, ...] = (
        outcomes.told("order.shipped", process, after, context.now, state=state),
    )
    says: tuple[Says, ...] = (said,)
    if target == "closed":
        emits = (*emits, outcomes.told("order.closed", process, after, context.now, state=state))
        says = (said, Says(text=news.COMPLETE))
    return Move(
        event=event,
        data=after,
        says=says,
        emits=emits,
        closes_incident=target not in {"not_released", "suspending", "suspended", "resuming"},
    )
