"""Leases: who works on what, until when, and what becomes of a dead worker's processes."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import DecodeError, Struct
from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    bindparam,
    select,
    update,
)

from runtime.journal.beginning import ACCEPTED, trace_of
from runtime.journal.codec import decode_object
from runtime.journal.moving import stored_signals
from runtime.journal.process import Signal
from runtime.store.schema import entry, process
from runtime.store.statements import updating


class LeaseRequest(Struct, frozen=True, kw_only=True):
    """Who asks, for how many of each lane, at what time, until when.

    `holding` are the processes this worker is at work on: should a lease of theirs have lapsed, it
    is not to be taken from itself. `traced` asks for the traces of the calls that asked for them.
    """

    holder: str
    room: Mapping[int, int]
    now: int
    until: int
    holding: frozenset[str]
    traced: bool = False


class Lease(Struct, frozen=True, kw_only=True):
    """One process leased: its row as found, the fence it now has, and its unread signals."""

    row: Any
    fence: int
    in_doubt: bool
    attempts: int
    taken_over: bool
    signals: tuple[Signal, ...]
    traceparent: str | None = None
    fault: Exception | None = None
    """Why its signals cannot be read, if they cannot."""


class Leased(Struct, frozen=True, kw_only=True):
    """What a request got.

    `full` names the lanes whose room was used up, so that more may be due in them; `next_due` says
    when something falls due in each of the others, in microseconds.
    """

    leases: tuple[Lease, ...]
    full: frozenset[int]
    next_due: Mapping[int, int]


_DUE = (
    select(process)
    .where(
        process.c.lane == bindparam("lane"),
        process.c.due_at <= bindparam("now", type_=BigInteger()),
        process.c.due_at.is_not(None),
    )
    .order_by(process.c.due_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_NEXT_DUE = (
    select(process.c.due_at)
    .where(
        process.c.lane == bindparam("lane"),
        process.c.due_at.is_not(None),
        process.c.due_at > bindparam("now", type_=BigInteger()),
    )
    .order_by(process.c.due_at)
    .limit(1)
)
_ASKED = select(entry.c.process_id, entry.c.data).where(
    entry.c.process_id.in_(bindparam("ids", expanding=True)), entry.c.event == ACCEPTED
)
_RENEW = (
    update(process)
    .where(
        process.c.id.in_(bindparam("ids", expanding=True)),
        process.c.lease_owner == bindparam("holder"),
    )
    .values(due_at=bindparam("until"))
)
_RELEASE = (
    update(process)
    .where(
        process.c.id.in_(bindparam("ids", expanding=True)),
        process.c.lease_owner == bindparam("holder"),
    )
    .values(due_at=bindparam("now"), lease_owner=None)
)
_ORPHANED = (
    update(process)
    .where(process.c.lease_owner.is_not(None), process.c.due_at.is_not(None))
    .values(due_at=bindparam("now"))
)


class Leasing:
    """The group write behind a worker's look for work."""

    def __init__(self, dialect: Dialect) -> None:
        self._lease = updating(
            process,
            dialect,
            where={"id": "process_id"},
            sets={
                "lease_owner": "holder",
                "fence": "new_fence",
                "due_at": "until",
                "in_doubt": "doubt",
                "attempts": "tries",
            },
        )

    def __call__(
        self, connection: Connection, batch: Sequence[LeaseRequest]
    ) -> Sequence[Leased | Exception]:
        """Lease what is due, the most overdue first, each lane on its own."""
        return [self._one(connection, request) for request in batch]

    def _one(self, connection: Connection, request: LeaseRequest) -> Leased:
        rows: list[Any] = []
        full: set[int] = set()
        next_due: dict[int, int] = {}
        for lane, room in request.room.items():
            asked = {"lane": lane, "room": room, "now": request.now}
            found = connection.execute(_DUE, asked).all()
            rows += [row for row in found if row.id not in request.holding]
            if len(found) >= room:
                full.add(lane)
            elif (due := connection.execute(_NEXT_DUE, asked).scalar()) is not None:
                next_due[lane] = due
        waking = [row.id for row in rows if row.unread]
        signals = stored_signals(connection, waking) if waking else {}
        traces = _traces(connection, [row.id for row in rows]) if request.traced and rows else {}
        leases = tuple(_lease(row, signals.get(row.id, ()), traces.get(row.id)) for row in rows)
        self._lease.run(
            connection,
            [
                {
                    "process_id": lease.row.id,
                    "holder": request.holder,
                    "new_fence": lease.fence,
                    "until": request.until,
                    "doubt": lease.in_doubt,
                    "tries": lease.attempts,
                }
                for lease in leases
            ],
        )
        return Leased(leases=leases, full=frozenset(full), next_due=next_due)


def _traces(connection: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    """Answer the traces of the calls that asked for some processes, from their first lines."""
    found = connection.execute(_ASKED, {"ids": ids})
    return {row.process_id: _trace(row.data) for row in found if row.data}


def _trace(asked: bytes) -> str | None:
    try:
        return trace_of(decode_object(asked))
    except DecodeError:
        return None


def _lease(row: Any, signals: tuple[Signal, ...] | Exception, trace: str | None) -> Lease:
    """A lease that lapsed was held by a worker that may have died in mid-step: hence the doubt."""
    taken_over = row.lease_owner is not None
    fault = signals if isinstance(signals, Exception) else None
    return Lease(
        row=row,
        fence=row.fence + 1,
        in_doubt=bool(row.in_doubt) or taken_over,
        attempts=row.attempts + int(taken_over),
        taken_over=taken_over,
        signals=() if isinstance(signals, Exception) else signals,
        traceparent=trace,
        fault=fault,
    )


def renew(holder: str, ids: Sequence[str], until: int, connection: Connection) -> int:
    """Extend leases still held; answers how many were."""
    asked = {"ids": list(ids), "holder": holder, "until": until}
    return connection.execute(_RENEW, asked).rowcount


def release(holder: str, ids: Sequence[str], now: int, connection: Connection) -> None:
    """Give leases back without doubt: their steps did not begin, or ended and were journaled."""
    connection.execute(_RELEASE, {"ids": list(ids), "holder": holder, "now": now})


def orphan(connection: Connection, now: int) -> int:
    """Let every lease lapse now. Only for a store of which this process is the sole user."""
    return connection.execute(_ORPHANED, {"now": now}).rowcount
