"""What is done about an order's goods: allocated, released, looked for, stopped, let go, posted."""

from collections.abc import Mapping
from typing import Final

import msgspec

from contracts.canonical.documents import ShippedLine
from contracts.outcomes import CallFailedError, Rejected, from_problem
from contracts.ports.erp import Erp, PostShipment
from contracts.ports.inventory import (
    Inventory,
    PromiseEnquiry,
    ReserveStock,
    WantedStock,
)
from contracts.ports.wms import HoldRelease, Wms
from contracts.problems import ProblemError
from process_apis.quote_to_order import goods, outcomes, warehouse_moves
from process_apis.quote_to_order.outcomes import WMS_ORDER
from process_apis.quote_to_order.records import OrderRecord, ReleaseRecord, changed
from process_apis.quote_to_order.settings import ChannelPolicy, OrderSettings
from process_apis.quote_to_order.signals import STOCK_ARRIVED
from process_apis.quote_to_order.working import Outcome, failed, working
from runtime.journal.process import (
    Again,
    Effect,
    Move,
    Process,
    Says,
    Step,
    StepContext,
    Wait,
)

_LONGEST_ID: Final = 64


class WarehouseSteps:
    """The steps between an order that the ERP confirmed and goods that have left.

    Without an `inventory` every warehouse allocates by itself, whatever a channel asks for.
    """

    def __init__(
        self, *, erp: Erp, wms: Wms, inventory: Inventory | None, settings: OrderSettings
    ) -> None:
        self._erp = erp
        self._wms = wms
        self._inventory = inventory
        self._settings = settings

    def by_state(self) -> Mapping[str, Step[OrderRecord]]:
        """Answer the step of each state in which something is done about the goods."""
        return {
            "confirmed": self.allocate,
            "allocated": self.release_next,
            "backordered": self.look_for_stock,
            "posting": self.post,
            "suspending": self.suspend,
            "resuming": self.resume,
        }

    # Allocating and releasing.

    async def allocate(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Reserve stock for what is open; or release it whole, if the warehouse allocates."""
        record = process.data
        if record.ship_to is None:
            return warehouse_moves.refused(process, context, "The order has no address to ship to.")
        if self._inventory is None:
            return await self._release_whole(process, context)
        policy = self._settings.channels.get(record.channel)
        if policy is None:
            said = f"There is no channel {record.channel} in the configuration any more."
            return warehouse_moves.refused(process, context, said)
        if policy.allocation == "warehouse":
            return await self._release_whole(process, context)
        return await self._reserve(process, context, policy, self._inventory)

    async def _release_whole(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        record = process.data
        number = len(record.releases) + 1
        lines = tuple(goods.unallocated(record).items())
        release = ReleaseRecord(goods.child(process.reference, number), None, lines)
        return await self._release(process, context, release, context.in_doubt)

    async def _reserve(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        policy: ChannelPolicy,
        inventory: Inventory,
    ) -> Outcome:
        record = process.data
        wanted = goods.by_item(record, goods.unallocated(record).items())
        body = ReserveStock(
            holder=warehouse_moves.holder_of(process),
            lines=tuple(WantedStock(item=item, quantity=n) for item, n in wanted.items()),
            seconds=int(self._settings.reserve_for.total_seconds()),
            all_or_nothing=not policy.partial_delivery,
        )
        try:
            with working(process, context):
                kept = await inventory.reserve(body)
        except (CallFailedError, ProblemError) as fault:
            return self._failed(process, context, fault, "warehouse_refused", "stock is reserved")
        stock = [s.dedupe_key for s in context.signals if s.name == STOCK_ARRIVED]
        if not kept.lines:
            return warehouse_moves.nobody_has_it(
                process, context, self._settings.stock_poll_every, stock
            )
        return warehouse_moves.allocated(process, context, kept, stock)

    async def release_next(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Create the next fulfilment order of those that were planned."""
        release = goods.next_planned(process.data)
        if release is None:
            raise ValueError(f"{process.reference} has nothing planned to release")
        return await self._release(process, context, release, context.in_doubt)

    async def _release(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        release: ReleaseRecord,
        in_doubt: bool,  # noqa: FBT001  # one fact of four
    ) -> Outcome:
        body = warehouse_moves.release_order(
            process, release, in_doubt=in_doubt or process.data.maybe_released
        )
        if body is None:
            return warehouse_moves.refused(process, context, "The order has no address to ship to.")
        try:
            with working(process, context):
                answer = await self._wms.release(body)
                if release.warehouse is not None and self._inventory is not None:
                    # The warehouse counts it itself from now on. Giving back twice changes
                    # nothing, so it may be done beside the effect it belongs to.
                    await self._inventory.release(warehouse_moves.given_back(process, release))
        except (CallFailedError, ProblemError) as fault:
            return self._failed(
                process, context, fault, "warehouse_refused", "the goods are released"
            )
        return warehouse_moves.released(process, context, release, answer)

    async def look_for_stock(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """See whether what the order waits for has come; nothing is changed by looking."""
        record = process.data
        inventory, policy = self._inventory, self._settings.channels.get(record.channel)
        if inventory is None or policy is None:
            return Move(event="stock_arrived", data=changed(record, context.now))
        waits = goods.by_item(record, record.backorder)
        try:
            with working(process, context):
                promises = await inventory.promisable(PromiseEnquiry(items=tuple(waits)))
        except (CallFailedError, ProblemError):
            return self._not_yet(context)
        there = {
            promise.item: sum(place.promisable for place in promise.places)
            for promise in promises.items
        }
        unknown = [item for item in waits if item not in there]
        if unknown:
            names = ", ".join(item.removeprefix("item_") for item in unknown)
            return warehouse_moves.refused(process, context, f"No warehouse stocks {names}.")
        enough = [there[item] >= quantity for item, quantity in waits.items()]
        some = any(there[item] > 0 for item in waits)
        if all(enough) or (some and policy.partial_delivery):
            return Move(event="stock_arrived", data=changed(record, context.now))
        return self._not_yet(context)

    def _not_yet(self, context: StepContext) -> Outcome:
        at = context.now + self._settings.stock_poll_every
        news_of_stock = tuple(s.dedupe_key for s in context.signals if s.name == STOCK_ARRIVED)
        if news_of_stock:
            return Again(at=at, in_doubt=False, consumes=news_of_stock)
        return Wait(until=at)

    # Holding and letting go.

    async def suspend(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Stop the picking of the next open fulfilment order; wait when all are stopped."""
        record = process.data
        if not goods.is_held(record):
            return Move(event="hold_lifted", data=changed(record, context.now))
        releases = goods.releases_of(record, process.reference)
        if record.maybe_released:
            return await self._stop_doubtful(process, context, releases)
        release = next((each for each in releases if each.state == "open"), None)
        if release is None:
            return warehouse_moves.suspended(process, context)
        try:
            with working(process, context):
                await self._wms.hold_release(HoldRelease(reference=release.reference, held=True))
        except CallFailedError as fault:
            if not isinstance(fault.failure, Rejected):
                return outcomes.again(context, fault.failure, doing="the picking is stopped")
            return warehouse_moves.stopped_picking(
                process, context, release, because=fault.failure.detail
            )
        return warehouse_moves.stopped_picking(process, context, release)

    async def _stop_doubtful(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        releases: tuple[ReleaseRecord, ...],
    ) -> Outcome:
        """A release whose end is unknown is stopped if it is there, and forgotten if not."""
        record = process.data
        doubtful = goods.next_planned(record) or ReleaseRecord(
            goods.child(process.reference, len(releases) + 1),
            None,
            tuple(goods.unallocated(record).items()),
        )
        try:
            with working(process, context):
                answer = await self._wms.hold_release(
                    HoldRelease(reference=doubtful.reference, held=True)
                )
        except CallFailedError as fault:
            if not isinstance(fault.failure, Rejected):
                return outcomes.again(context, fault.failure, doing="the picking is stopped")
            after = changed(record, context.now, maybe_released=False)
            return Move(event="stopped_picking", data=after)
        found = msgspec.structs.replace(doubtful, state="suspended", number=answer.number)
        after = msgspec.structs.replace(
            record, releases=(*goods.made(releases), found), maybe_released=False
        )
        if after.wms_number is None:
            after = msgspec.structs.replace(after, wms_number=answer.number)
        said = f"{answer.number} had reached the warehouse; it is stopped there."
        return Move(
            event="stopped_picking",
            data=changed(after, context.now),
            says=(Says(text=said),),
            effect=Effect(name=WMS_ORDER, key=doubtful.reference),
        )

    async def resume(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Let the next stopped fulfilment order go; then go on where the order was."""
        record = process.data
        releases = goods.releases_of(record, process.reference)
        release = next((each for each in releases if each.state == "suspended"), None)
        if release is None:
            return warehouse_moves.resumed(process, context, releases)
        try:
            with working(process, context):
                await self._wms.hold_release(HoldRelease(reference=release.reference, held=False))
        except CallFailedError as fault:
            if not isinstance(fault.failure, Rejected):
                return outcomes.again(context, fault.failure, doing="the picking goes on")
        opened = msgspec.structs.replace(release, state="open")
        after = msgspec.structs.replace(record, releases=goods.with_release(releases, opened))
        return Move(event="let_go", data=changed(after, context.now))

    # Posting.

    async def post(self, process: Process[OrderRecord], context: StepContext) -> Outcome:
        """Have the ERP ship what has left: everything so far, so that twice changes nothing."""
        record = process.data
        last = next(each for each in reversed(record.shipments) if not each.posted)
        gone = goods.by_item(record, ((n, x.shipped) for n, x in enumerate(record.lines, 1)))
        body = PostShipment(
            reference=process.reference,
            customer=record.customer,
            shipment=last.id[:_LONGEST_ID],
            lines=tuple(ShippedLine(item=i, quantity=n) for i, n in gone.items() if n),
            shipped_at=last.shipped_at,
            tracking_number=last.tracking[0] if last.tracking else None,
            in_doubt=context.in_doubt or process.attempts > 0,
        )
        try:
            with working(process, context):
                posted = await self._erp.post_shipment(body)
        except CallFailedError as fault:
            return self._failed(process, context, fault, "not_posted", "the shipment is posted")
        return warehouse_moves.posted(process, context, posted)

    def _failed(
        self,
        process: Process[OrderRecord],
        context: StepContext,
        fault: CallFailedError | ProblemError,
        event: str,
        doing: str,
    ) -> Outcome:
        if isinstance(fault, ProblemError):
            failure = from_problem(fault.problem, system="wms", retry_after=fault.retry_after)
            fault = CallFailedError(failure)
        return failed(
            process,
            context,
            fault,
            event=event,
            doing=doing,
            give_up_after=self._settings.give_up_after,
        )
