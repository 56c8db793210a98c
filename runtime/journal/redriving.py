"""Redrives: one action on many incidents, previewed, paced, and taken on each of them once.

A redrive is durable from its start: which incidents it takes, and how many actions had been taken
on each, is written down with it. Acting on one is a single transaction that counts the action on
the incident, records the signal to its process, and marks the item; so a crash repeats nothing,
and of several redrives over the same incidents each incident is acted on by the first only.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from runtime.journal import no_effect
from runtime.journal.auditing import AuditRecord
from runtime.journal.codec import decode_object, encode
from runtime.journal.faults import RedriveEnded, UnknownRedrive
from runtime.journal.incidents import Action
from runtime.journal.selecting import Preview, Selection, preview, taken
from runtime.journal.times import from_micros, maybe_time, to_micros
from runtime.store.schema import redrive, redrive_item
from runtime.store.statements import inserting
from runtime.store.writer import Alone

if TYPE_CHECKING:
    from runtime.journal.journal import Journal

FASTEST = 1000.0
"""Most processes a second that a redrive may be asked to take."""


class RedriveState(StrEnum):
    """Where a redrive stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


class ItemOutcome(StrEnum):
    """What became of one incident of a redrive."""

    APPLIED = "applied"
    SKIPPED = "skipped"
    """It was closed, or acted on by somebody else, since it was selected."""
    FAILED = "failed"
    """The action is not allowed on it any more, or changed nothing; `reason` says why."""


class Redrive(Struct, frozen=True, kw_only=True, rename="camel"):
    """A redrive and how far it has come. `rate` is in processes a second."""

    id: str
    selection: Selection
    action: Action
    amendment: dict[str, Any]
    rate: float
    actor: str
    note: str
    state: RedriveState
    total: int
    applied: int
    skipped: int
    failed: int
    created_at: datetime
    ended_at: datetime | None = None

    @property
    def waiting(self) -> int:
        """How many incidents are still to be acted on."""
        return self.total - self.applied - self.skipped - self.failed


class RedriveItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """One incident of a redrive; `outcome` is None while it waits."""

    position: int
    incident_id: str
    process_id: str
    outcome: ItemOutcome | None
    reason: str | None
    at: datetime | None


_SHOWN_AS: Mapping[str, ItemOutcome] = {
    **{each.value: each for each in ItemOutcome},
    no_effect.IGNORED: ItemOutcome.FAILED,
}
_decode_selection = msgspec.json.Decoder(Selection).decode
_ONE = select(redrive).where(redrive.c.id == bindparam("redrive_id"))
_SWITCH = update(redrive).where(redrive.c.id == bindparam("redrive_id"))
_TO: Mapping[str, tuple[RedriveState, frozenset[RedriveState]]] = {
    "paused": (RedriveState.PAUSED, frozenset({RedriveState.RUNNING})),
    "resumed": (RedriveState.RUNNING, frozenset({RedriveState.PAUSED})),
    "cancelled": (
        RedriveState.CANCELLED,
        frozenset({RedriveState.RUNNING, RedriveState.PAUSED}),
    ),
}


class Redrives:
    """Previews, starts, stops and shows redrives. Workers drain them: see `draining`."""

    def __init__(self, journal: "Journal", *, wake: Callable[[], None]) -> None:
        self._journal = journal
        self._wake = wake

    async def preview(self, selection: Selection, action: Action = Action.RETRY) -> Preview:
        """Count what acting on these incidents would do; changes nothing."""
        types = self._journal.types
        return await self._journal.store.read(lambda c: preview(c, selection, action, types))

    async def start(
        self,
        selection: Selection,
        action: Action,
        *,
        rate: float,
        actor: str,
        note: str = "",
        amendment: Mapping[str, Any] | None = None,
    ) -> Redrive:
        """Begin to act on every incident selected, `rate` processes a second, once each.

        Incidents whose category does not allow the action are left out. `amendment` goes to each
        process as that of a remedy does. Raises ValueError for a rate that is not within 0
        (excluded) and `FASTEST`.
        """
        if not 0 < rate <= FASTEST:
            raise ValueError(f"a rate is above 0 and at most {FASTEST:.0f} a second")
        now = to_micros(self._journal.clock.now())
        row = {
            "id": self._journal.mint(),
            "selection": encode(selection),
            "action": action.value,
            "amendment": encode(dict(amendment or {})),
            "pause": round(1e6 / rate),
            "actor": actor,
            "note": note,
            "created_at": now,
        }
        started = await self._journal.store.submit(Alone(lambda c: self._begin(c, row)), None)
        self._wake()
        return started

    async def get(self, redrive_id: str) -> Redrive:
        """One redrive. Raises `UnknownRedrive`."""
        return await self._journal.store.read(lambda c: _found(c, redrive_id))

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> tuple[Redrive, ...]:
        """Redrives, newest first; continue with the last one's id as `cursor`."""
        query = select(redrive).order_by(redrive.c.id.desc()).limit(limit)
        if cursor is not None:
            query = query.where(redrive.c.id < cursor)
        return await self._journal.store.read(lambda c: tuple(_redrives(c, c.execute(query).all())))

    async def items(
        self,
        redrive_id: str,
        *,
        outcome: ItemOutcome | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> tuple[RedriveItem, ...]:
        """The incidents of a redrive in order; continue `after` the last one's position."""
        query = (
            select(redrive_item)
            .where(redrive_item.c.redrive_id == redrive_id, redrive_item.c.position > after)
            .order_by(redrive_item.c.position)
            .limit(limit)
        )
        if outcome is not None:
            stored = [name for name, shown in _SHOWN_AS.items() if shown is outcome]
            query = query.where(redrive_item.c.outcome.in_(stored))
        return await self._journal.store.read(
            lambda c: tuple(_item(row) for row in c.execute(query))
        )

    async def cancel(self, redrive_id: str, actor: str) -> Redrive:
        """End it before its end; what it has acted on stays. Raises `RedriveEnded`."""
        return await self._switch(redrive_id, "cancelled", actor)

    async def pause(self, redrive_id: str, actor: str) -> Redrive:
        """Act on no more until it is resumed. Raises `RedriveEnded`, also for a paused one."""
        return await self._switch(redrive_id, "paused", actor)

    async def resume(self, redrive_id: str, actor: str) -> Redrive:
        """Go on with a paused one. Raises `RedriveEnded` when it is not paused."""
        resumed = await self._switch(redrive_id, "resumed", actor)
        self._wake()
        return resumed

    async def _switch(self, redrive_id: str, event: str, actor: str) -> Redrive:
        now = to_micros(self._journal.clock.now())

        def switch(connection: Connection) -> Redrive:
            locked = connection.execute(_ONE.with_for_update(), {"redrive_id": redrive_id}).first()
            if locked is None:
                raise UnknownRedrive(redrive_id)
            state, before = _TO[event]
            if locked.state not in before:
                raise RedriveEnded(f"it is {locked.state}")
            runs = state is RedriveState.RUNNING
            values = {
                "state": state.value,
                "due_at": now if runs else None,
                "ended_at": now if state is RedriveState.CANCELLED else None,
            }
            connection.execute(_SWITCH.values(values), {"redrive_id": redrive_id})
            self._audit(connection, now, f"redrive_{event}", redrive_id, {"actor": actor})
            return _found(connection, redrive_id)

        return await self._journal.store.submit(Alone(switch), None)

    def _begin(self, connection: Connection, row: dict[str, Any]) -> Redrive:
        asked = _decode_selection(row["selection"])
        action = Action(row["action"])
        rows, _, _ = taken(connection, asked, action, self._journal.types)
        now = row["created_at"]
        standing = {
            "state": (RedriveState.RUNNING if rows else RedriveState.DONE).value,
            "total": len(rows),
            "applied": 0,
            "skipped": 0,
            "failed": 0,
            "due_at": now if rows else None,
            "ended_at": None if rows else now,
        }
        connection.execute(insert(redrive).values(row | standing))
        inserting(redrive_item, connection.dialect).run(
            connection,
            [
                {
                    "redrive_id": row["id"],
                    "position": position,
                    "incident_id": one.id,
                    "process_id": one.process_id,
                    "remedied": one.remedied,
                    "outcome": None,
                    "reason": None,
                    "at": None,
                }
                for position, one in enumerate(rows, 1)
            ],
        )
        told = {"action": action, "actor": row["actor"], "note": row["note"], "total": len(rows)}
        told |= {"selection": decode_object(row["selection"]), "pauseMicros": row["pause"]}
        self._audit(connection, now, "redrive_started", row["id"], told)
        return _found(connection, row["id"])

    def _audit(
        self, connection: Connection, at: int, act: str, redrive_id: str, told: Mapping[str, Any]
    ) -> None:
        record = encode({"act": act, "redrive": redrive_id, **told})
        audited = AuditRecord(chain=self._journal.node, at=at, record=record)
        self._journal.auditing(connection, [audited])


def _found(connection: Connection, redrive_id: str) -> Redrive:
    row = connection.execute(_ONE, {"redrive_id": redrive_id}).first()
    if row is None:
        raise UnknownRedrive(redrive_id)
    return _redrives(connection, [row])[0]


def _redrives(connection: Connection, rows: Sequence[Any]) -> list[Redrive]:
    """What came to nothing after it was applied is counted among the failed."""
    ignored = no_effect.ignored(connection, [row.id for row in rows])
    return [_redrive(row, ignored.get(row.id, 0)) for row in rows]


def _redrive(row: Any, ignored: int) -> Redrive:
    return Redrive(
        id=row.id,
        selection=_decode_selection(row.selection),
        action=Action(row.action),
        amendment=decode_object(row.amendment),
        rate=1e6 / row.pause,
        actor=row.actor,
        note=row.note,
        state=RedriveState(row.state),
        total=row.total,
        applied=row.applied - ignored,
        skipped=row.skipped,
        failed=row.failed + ignored,
        created_at=from_micros(row.created_at),
        ended_at=maybe_time(row.ended_at),
    )


def _item(row: Any) -> RedriveItem:
    return RedriveItem(
        position=row.position,
        incident_id=row.incident_id,
        process_id=row.process_id,
        outcome=None if row.outcome is None else _SHOWN_AS[row.outcome],
        reason=row.reason,
        at=maybe_time(row.at),
    )
