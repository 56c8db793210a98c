"""journal: implements the port over the journal's own questions and redrives.

Who may see one order may not for that see all of them: a consumer that acts for some accounts
only is refused, as with every sum over all customers.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from contracts.context import current
from contracts.outcomes import CallFailedError
from contracts.ports.accounts import Accounts, Budgets, Circuit, CircuitChange, Circuits
from contracts.ports.audit import AuditPage, AuditQuery, AuditVerdict, Checkpoint, Verification
from contracts.ports.binding import Reply
from contracts.ports.processes import (
    Lanes,
    ProcessPage,
    ProcessQuery,
    ProcessStory,
    Redelivery,
    RedeliveryDone,
    Subscribers,
)
from contracts.ports.redrives import (
    ItemQuery,
    Redrive,
    RedriveChange,
    RedriveItems,
    RedrivePreview,
    Redrives,
    RedriveSelection,
    StartRedrive,
)
from contracts.problems import refuse
from process_apis.journal import amendments, previewing, views
from runtime.journal import verifying
from runtime.journal.faults import (
    RedriveEnded,
    UnknownProcess,
    UnknownRedrive,
    UnreadableProcess,
)
from runtime.journal.journal import Journal
from runtime.journal.process import Effect, Snapshot
from runtime.journal.reading import Query
from runtime.journal.redriving import ItemOutcome
from runtime.journal.selecting import Selection
from runtime.store.faults import StoreUnavailable

__all__ = ["JournalApi"]

log = logging.getLogger("crossdock.operations")

_REDRIVES_SHOWN: Final = 100
_FAULTS_SHOWN: Final = 1000
_SYSTEM_PREFIX: Final = re.compile(r"^(?:bc|wms|sf):", re.IGNORECASE)


class JournalApi:
    """Implements `contracts.ports.processes.Processes`."""

    def __init__(self, *, journal: Journal, accounts: Accounts) -> None:
        self._journal = journal
        self._accounts = accounts

    # -- processes -------------------------------------------------------------------------------

    async def find(self, query: ProcessQuery) -> ProcessPage:
        """Find processes by any business id, or list them."""
        _for_everybody()
        asked = Query(
            kind=query.kind,
            consumer=query.consumer,
            state=query.state,
            lane=None if query.lane is None else views.LANES[query.lane],
            open_only=query.open,
            in_exception=query.excepted,
        )
        with _durably():
            if query.id is None:
                page = await self._journal.list(asked, cursor=query.cursor, limit=query.limit)
            else:
                text = _SYSTEM_PREFIX.sub("", query.id.strip())
                page = await self._journal.standing.search(
                    text, asked, cursor=query.cursor, limit=query.limit
                )
        return ProcessPage(
            processes=tuple(views.process_view(each) for each in page.snapshots),
            cursor=page.cursor,
        )

    async def story(self, process: str) -> ProcessStory:
        """Tell everything there is; of a record that cannot be read, everything but its effects."""
        _for_everybody()
        with _durably():
            snapshot = await self._snapshot(process)
            entries = await self._journal.timeline(snapshot.id)
            signals = await self._journal.standing.signals(snapshot.id)
            ids = await self._journal.standing.terms(snapshot.id)
            effects = await self._effects(snapshot.id)
        return ProcessStory(
            process=views.process_view(snapshot),
            effects=tuple(views.effect_view(each) for each in effects),
            signals=tuple(views.signal_view(each) for each in signals),
            ids=ids,
            entries=tuple(views.entry_view(each) for each in entries),
        )

    async def _snapshot(self, process: str) -> Snapshot:
        page = await self._journal.standing.search(process, limit=200)
        for snapshot in page.snapshots:
            if snapshot.id == process:
                return snapshot
        raise refuse("not-found")

    async def _effects(self, process: str) -> tuple[Effect, ...]:
        try:
            return (await self._journal.get(process)).effects
        except (UnreadableProcess, UnknownProcess):
            return ()

    # -- redrives --------------------------------------------------------------------------------

    async def preview(self, body: StartRedrive) -> RedrivePreview:
        """Count what a redrive would do, and how long it would take; change nothing."""
        _for_everybody()
        amendments.check(body.amendment, is_for_amending=body.action == "amend")
        selection, action = _selection(body.selection), views.ACTIONS[body.action]
        types = self._journal.types
        with _durably():
            counted = await self._journal.store.read(
                lambda connection: previewing.count(connection, selection, action, types)
            )
        _some_allowed(body, counted.total, counted.not_allowed)
        told = previewing.estimate(
            counted.total, body.rate, counted.calls, await self._budgets_if_known()
        )
        return RedrivePreview(
            exceptions=counted.total,
            by_category={views.category_name(c): n for c, n in counted.by_category.items()},
            looked_up_first=counted.looked_up_first,
            standing_effects=counted.standing,
            stale_prices=counted.checked_again,
            vendor_calls=told.calls,
            seconds=told.seconds,
            slowest=told.slowest,
            not_allowed=counted.not_allowed,
            more=counted.more,
            without_effect=counted.without_effect,
            oldest=counted.oldest,
        )

    async def _budgets_if_known(self) -> Budgets | None:
        """The budgets, unless the system tier does not answer: then the rate alone counts."""
        try:
            return await self._accounts.budgets()
        except CallFailedError:
            log.warning("budgets_not_known")
            return None

    async def redrive(self, body: StartRedrive) -> Reply[Redrive]:
        """Begin; who does is the running call's consumer, and is audited with the note."""
        _for_everybody()
        amendments.check(body.amendment, is_for_amending=body.action == "amend")
        selection, action = _selection(body.selection), views.ACTIONS[body.action]
        amendment: dict[str, Any] = {"note": body.note}
        if body.amendment is not None:
            amendment["patch"] = body.amendment
        with _durably():
            if body.selection.exceptions:
                preview = await self._journal.redrives.preview(selection, action)
                _some_allowed(body, preview.total, preview.not_allowed)
            started = await self._journal.redrives.start(
                selection, action, rate=body.rate, actor=_actor(), note=body.note,
                amendment=amendment,
            )  # fmt: skip
        location = f"/process/journal/v1/redrives/{started.id}"
        return Reply(body=views.redrive_view(started), status=202, location=location)

    async def redrives(self) -> Redrives:
        """List the latest redrives, newest first."""
        _for_everybody()
        with _durably():
            found = await self._journal.redrives.list(limit=_REDRIVES_SHOWN)
        return Redrives(redrives=tuple(views.redrive_view(each) for each in found))

    async def redrive_of(self, redrive: str) -> Redrive:
        """Show how far a redrive is."""
        _for_everybody()
        try:
            with _durably():
                return views.redrive_view(await self._journal.redrives.get(redrive))
        except UnknownRedrive:
            raise refuse("not-found") from None

    async def redrive_items(self, redrive: str, query: ItemQuery) -> RedriveItems:
        """List the exceptions of a redrive in the order they are taken."""
        await self.redrive_of(redrive)
        outcome = None if query.outcome is None else ItemOutcome(query.outcome)
        with _durably():
            found = await self._journal.redrives.items(
                redrive, outcome=outcome, after=int(query.cursor or "0"), limit=query.limit + 1
            )
        shown = found[: query.limit]
        return RedriveItems(
            items=tuple(views.item_view(each) for each in shown),
            cursor=str(shown[-1].position) if len(found) > query.limit else None,
        )

    async def change_redrive(self, redrive: str, body: RedriveChange) -> Redrive:
        """Pause, resume or end it; audited with the note."""
        _for_everybody()
        redrives, actor = self._journal.redrives, _actor()
        change = {"pause": redrives.pause, "resume": redrives.resume, "cancel": redrives.cancel}
        try:
            with _durably():
                changed = await change[body.action](redrive, actor)
                await self._audited(f"redrive_{body.action}", redrive=redrive, note=body.note)
        except UnknownRedrive:
            raise refuse("not-found") from None
        except RedriveEnded as ended:
            raise refuse("conflict", detail=f"The redrive cannot be changed so: {ended}.") from None
        return views.redrive_view(changed)

    # -- queues ----------------------------------------------------------------------------------

    async def lanes(self) -> Lanes:
        """Show each lane's queue, the most critical first."""
        _for_everybody()
        with _durably():
            found = await self._journal.standing.lanes()
        now = self._journal.clock.now()
        return Lanes(lanes=tuple(views.lane_view(each, now) for each in found))

    async def subscribers(self) -> Subscribers:
        """Show each subscriber's queue."""
        _for_everybody()
        with _durably():
            found = await self._journal.standing.subscribers()
        now = self._journal.clock.now()
        return Subscribers(subscribers=tuple(views.subscriber_view(each, now) for each in found))

    async def redeliver(self, subscriber: str, body: Redelivery) -> RedeliveryDone:
        """Try again what a subscriber refused for good; audited with the note."""
        _for_everybody()
        with _durably():
            known = [each.subscriber for each in await self._journal.standing.subscribers()]
            if subscriber not in known:
                detail = f"No subscriber has this name; there are {', '.join(known)}."
                raise refuse("not-found", detail=detail)
            deliveries = await self._journal.standing.redeliver(
                subscriber, actor=_actor(), note=body.note
            )
        return RedeliveryDone(deliveries=deliveries)

    # -- the vendors -----------------------------------------------------------------------------

    async def budgets(self) -> Budgets:
        """Show what each vendor account allows."""
        _for_everybody()
        return await self._accounts.budgets()

    async def circuits(self) -> Circuits:
        """Show every circuit breaker."""
        _for_everybody()
        return await self._accounts.circuits()

    async def change_circuit(self, circuit: str, body: CircuitChange) -> Circuit:
        """Trip a breaker or reset it. It is in the audit before it is done."""
        _for_everybody()
        known = [each.name for each in (await self._accounts.circuits()).circuits]
        if circuit not in known:
            detail = f"No breaker has this name; there are {', '.join(known)}."
            raise refuse("not-found", detail=detail)
        with _durably():
            await self._audited(f"circuit_{body.action}", circuit=circuit, note=body.note)
        return await self._accounts.change_circuit(circuit, body)

    # -- evidence --------------------------------------------------------------------------------

    async def audit(self, query: AuditQuery) -> AuditPage:
        """Show the audit record, newest first."""
        _for_everybody()
        with _durably():
            page = await self._journal.standing.audit(
                actor=query.actor, cursor=query.cursor, limit=query.limit
            )
        return AuditPage(
            entries=tuple(views.audit_view(each) for each in page.acts), cursor=page.cursor
        )

    async def verify_audit(self, body: Verification) -> AuditVerdict:
        """Verify everything, as of one moment, and compare it with the checkpoints given."""
        _for_everybody()
        known = [_known(each) for each in body.checkpoints]
        with _durably():
            faults = await self._journal.verify_audit(known)
            ends = await self._journal.checkpoints()
        if faults:
            log.error("audit_not_whole", extra={"faults": len(faults)})
        return AuditVerdict(
            whole=not faults,
            faults=faults[:_FAULTS_SHOWN],
            records=sum(end.seq for end in ends),
            ends=tuple(
                Checkpoint(chain=end.chain, of=end.of, sequence=end.seq, hash=end.hash.hex())
                for end in ends
            ),
        )

    async def _audited(self, act: str, **told: str) -> None:
        await self._journal.append_audit({"act": act, "actor": _actor(), **told})


def _actor() -> str:
    """Who acts: the person behind the call where there is one, else the consumer."""
    call = current()
    return call.subject or call.consumer


def _for_everybody() -> None:
    if current().accounts is not None:
        raise refuse("insufficient-scope", detail="This is about every customer.")


def _selection(asked: RedriveSelection) -> Selection:
    return Selection(
        categories=() if asked.category is None else (views.category_of(asked.category),),
        kinds=() if asked.kind is None else (asked.kind,),
        consumer=asked.consumer,
        opened_after=asked.opened_after,
        opened_before=asked.opened_before,
        incidents=asked.exceptions,
    )


def _some_allowed(body: StartRedrive, total: int, not_allowed: int) -> None:
    """Refuse what would do nothing because no exception of the selection offers the action."""
    if not_allowed and not total:
        detail = f"None of the {not_allowed} exceptions selected offers {body.action!r}."
        raise refuse("remedy-not-allowed", detail=detail)


def _known(point: Checkpoint) -> verifying.Checkpoint:
    return verifying.Checkpoint(
        chain=point.chain, of=point.of, seq=point.sequence, hash=bytes.fromhex(point.hash)
    )


@contextmanager
def _durably() -> Iterator[None]:
    """Say that the store is away as the caller must hear it."""
    try:
        yield
    except StoreUnavailable:
        raise refuse("store-unavailable", retry_after=1) from None
