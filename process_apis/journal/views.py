"""What the journal keeps, in the words of its port."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, get_args

from contracts.outcomes import Category as ContractCategory
from contracts.ports.audit import AuditEntry
from contracts.ports.processes import (
    EffectView,
    JournalEntry,
    LaneName,
    LaneView,
    ProcessView,
    SignalView,
    SubscriberView,
)
from contracts.ports.redrives import Redrive, RedriveAction, RedriveItem
from runtime.journal import redriving
from runtime.journal.audited import AuditedAct
from runtime.journal.incidents import Action, Category
from runtime.journal.process import Effect, Entry, Lane, Snapshot
from runtime.journal.standing import LaneStanding, RecordedSignal, SubscriberStanding

ACTIONS: Final[Mapping[RedriveAction, Action]] = {
    "retry": Action.RETRY,
    "amend": Action.AMEND_AND_RETRY,
    "cancel": Action.CANCEL,
}
_NAMES: Final = {action: name for name, action in ACTIONS.items()}
_LANES: Final[Mapping[Lane, LaneName]] = {
    Lane[name.upper()]: name for name in get_args(LaneName)
}  # fmt: skip
LANES: Final[Mapping[LaneName, Lane]] = {name: lane for lane, name in _LANES.items()}


def category_name(category: Category) -> str:
    """How the contract spells a category."""
    return category.value.replace("_", "-")


def category_of(name: ContractCategory) -> Category:
    """The journal's category of a name of the contract."""
    return Category(name.replace("-", "_"))


def process_view(snapshot: Snapshot) -> ProcessView:
    """Show a process without its data."""
    return ProcessView(
        id=snapshot.id,
        kind=snapshot.kind,
        reference=snapshot.reference,
        consumer=snapshot.consumer,
        lane=_LANES[snapshot.lane],
        state=snapshot.state,
        attempts=snapshot.attempts,
        done=snapshot.done,
        revision=snapshot.revision,
        created_at=snapshot.created_at,
        updated_at=snapshot.updated_at,
        due_at=None if snapshot.done else snapshot.step_at,
        exception=snapshot.incident_id,
    )


def effect_view(effect: Effect) -> EffectView:
    """Show something done in another system."""
    return EffectView(
        name=effect.name, key=effect.key, done_at=effect.done_at, undone_at=effect.undone_at
    )


def entry_view(entry: Entry) -> JournalEntry:
    """Show a line of the timeline, with its figures."""
    return JournalEntry(
        sequence=entry.seq,
        at=entry.at,
        event=entry.event,
        state=entry.state,
        says=entry.says,
        data=entry.data,
    )


def signal_view(signal: RecordedSignal) -> SignalView:
    """Show a signal and whether it was used."""
    return SignalView(
        name=signal.name, key=signal.dedupe_key, at=signal.at, consumed_at=signal.consumed_at
    )


def lane_view(standing: LaneStanding, now: datetime) -> LaneView:
    """Show a lane's queue."""
    oldest = standing.oldest_due_at
    return LaneView(
        lane=_LANES[standing.lane],
        due=standing.due,
        at_work=standing.at_work,
        timed=standing.timed,
        parked=standing.parked,
        excepted=standing.excepted,
        oldest_due_seconds=None if oldest is None else _seconds(now, oldest),
    )


def subscriber_view(standing: SubscriberStanding, now: datetime) -> SubscriberView:
    """Show a subscriber's queue."""
    oldest = standing.oldest_at
    return SubscriberView(
        subscriber=standing.subscriber,
        waiting=standing.waiting,
        set_aside=standing.set_aside,
        oldest_seconds=None if oldest is None else _seconds(now, oldest),
        last_reason=standing.last_reason,
    )


def redrive_view(redrive: redriving.Redrive) -> Redrive:
    """Show how far a redrive is."""
    return Redrive(
        id=redrive.id,
        action=_NAMES[redrive.action],
        state=redrive.state.value,
        actor=redrive.actor,
        note=redrive.note,
        rate=round(redrive.rate, 3),
        selected=redrive.total,
        applied=redrive.applied,
        skipped=redrive.skipped,
        failed=redrive.failed,
        started_at=redrive.created_at,
        ended_at=redrive.ended_at,
    )


def item_view(item: redriving.RedriveItem) -> RedriveItem:
    """Show one exception of a redrive."""
    return RedriveItem(
        exception=item.incident_id,
        process=item.process_id,
        outcome=None if item.outcome is None else item.outcome.value,
        reason=item.reason,
        at=item.at,
    )


def audit_view(act: AuditedAct) -> AuditEntry:
    """Show one record of the audit."""
    return AuditEntry(
        chain=act.chain, sequence=act.seq, at=act.at, hash=act.hash.hex(), record=act.record
    )


def _seconds(now: datetime, then: datetime) -> float:
    return round(max(0.0, (now - then).total_seconds()), 3)
