"""Signals and inbound messages: recorded once, whatever the sender repeats."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from runtime.journal.accepting import Accepting, NewProcess
from runtime.journal.codec import encode
from runtime.journal.crash_points import BEFORE_SIGNAL_COMMIT, CrashPoints
from runtime.journal.faults import UnknownProcess
from runtime.journal.process import Accepted, Term
from runtime.journal.rows import entry_row
from runtime.journal.tables import Tables
from runtime.store.schema import process, signal, term


class SignalResult(StrEnum):
    """What became of a signal."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    TOO_LATE = "too_late"
    """The process has ended; the timeline says that the signal came."""


class NewSignal(Struct, frozen=True, kw_only=True):
    """The row of one signal."""

    process_id: str
    name: str
    dedupe_key: str
    data: bytes
    at: int


class Unresolved(Struct, frozen=True, kw_only=True):
    """A message's signal, addressed by a business id."""

    term: Term
    name: str
    dedupe_key: str
    data: bytes
    at: int


class SignalTo(Struct, frozen=True, kw_only=True):
    """A signal within a message: to a process by its id, or by a business id (`term`)."""

    name: str
    dedupe_key: str
    data: Mapping[str, Any] = {}
    process_id: str | None = None
    term: Term | None = None


def addressed(signal: SignalTo, at: int) -> NewSignal | Unresolved:
    """The row of a signal, or what it takes to find out whose it is."""
    data = encode(signal.data)
    if signal.process_id is not None:
        return NewSignal(
            process_id=signal.process_id,
            name=signal.name,
            dedupe_key=signal.dedupe_key,
            data=data,
            at=at,
        )
    if signal.term is None:
        raise ValueError("a signal needs a process id or a term to go to")
    return Unresolved(
        term=signal.term,
        name=signal.name,
        dedupe_key=signal.dedupe_key,
        data=data,
        at=at,
    )


class Message(Struct, kw_only=True):
    """One inbound message with all that it sets in motion."""

    source: str
    message_id: str
    at: int
    signals: Sequence[NewSignal | Unresolved]
    starts: Sequence[NewProcess]


class Published(Struct, frozen=True, kw_only=True):
    """What became of a message.

    `unresolved` lists business ids that no process is known by. If there are any, nothing at all
    was recorded and the same message may be published again later.
    """

    new: bool
    unresolved: tuple[Term, ...] = ()
    signals: tuple[SignalResult, ...] = ()
    accepted: tuple[Accepted, ...] = ()


_TARGETS = (
    select(process.c.id, process.c.done, process.c.state, process.c.revision)
    .where(process.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(process.c.id)
    .with_for_update()
)
_KNOWN = select(signal.c.process_id, signal.c.dedupe_key).where(
    signal.c.process_id.in_(bindparam("ids", expanding=True)),
    signal.c.dedupe_key.in_(bindparam("keys", expanding=True)),
)
_BY_TERM = (
    select(term.c.process_id)
    .where(term.c.kind == bindparam("kind"), term.c.value == bindparam("value"))
    .order_by(term.c.process_id.desc())
    .limit(1)
)
_BY_REFERENCE = select(process.c.id).where(
    func.upper(process.c.reference) == func.upper(bindparam("value"))
)
# A leased process learns of the signal from its holder's next commit; one that waits behind
# another of its entity gets it when its turn comes.
_WAKE = (
    update(process)
    .where(process.c.id == bindparam("process_id"))
    .values(
        unread=process.c.unread + bindparam("count"),
        due_at=case(
            (
                and_(
                    process.c.lease_owner.is_(None),
                    ~process.c.behind,
                    or_(process.c.due_at.is_(None), process.c.due_at > bindparam("at")),
                ),
                bindparam("at"),
            ),
            else_=process.c.due_at,
        ),
    )
)


class Signalling:
    """The group write behind `Journal.signal`."""

    def __init__(self, tables: Tables, crash_points: CrashPoints) -> None:
        self._tables = tables
        self._crash_points = crash_points

    def __call__(
        self, connection: Connection, batch: Sequence[NewSignal]
    ) -> Sequence[SignalResult | Exception]:
        """Record each signal once and let its process be looked at."""
        ids = sorted({new.process_id for new in batch})
        keys = sorted({new.dedupe_key for new in batch})
        targets = {row.id: row for row in connection.execute(_TARGETS, {"ids": ids})}
        known = {
            (row.process_id, row.dedupe_key)
            for row in connection.execute(_KNOWN, {"ids": ids, "keys": keys})
        }
        results: list[SignalResult | Exception] = []
        fresh: list[NewSignal] = []
        late: list[dict[str, Any]] = []
        for new in batch:
            target = targets.get(new.process_id)
            if target is None:
                results.append(UnknownProcess(new.process_id))
            elif (new.process_id, new.dedupe_key) in known:
                results.append(SignalResult.DUPLICATE)
            else:
                known.add((new.process_id, new.dedupe_key))
                fresh.append(new)
                if target.done:
                    late.append(_late(new, target))
                results.append(SignalResult.TOO_LATE if target.done else SignalResult.RECORDED)
        self._record(connection, fresh, {row["process_id"] for row in late})
        self._tables.add_entries.run(connection, late)
        self._crash_points.passing(BEFORE_SIGNAL_COMMIT)
        return results

    def _record(self, connection: Connection, fresh: Sequence[NewSignal], ended: set[str]) -> None:
        self._tables.add_signals.run(
            connection,
            [
                {
                    "process_id": new.process_id,
                    "dedupe_key": new.dedupe_key,
                    "name": new.name,
                    "data": new.data,
                    "at": new.at,
                    "consumed_at": new.at if new.process_id in ended else None,
                }
                for new in fresh
            ],
        )
        counts: dict[str, tuple[int, int]] = {}
        for new in fresh:
            if new.process_id not in ended:
                count, _ = counts.get(new.process_id, (0, 0))
                counts[new.process_id] = (count + 1, new.at)
        for process_id, (count, at) in sorted(counts.items()):
            connection.execute(_WAKE, {"process_id": process_id, "count": count, "at": at})


def _late(new: NewSignal, target: Any) -> dict[str, Any]:
    row = entry_row(
        new.process_id, new.at, "too_late", target.state, None, revision=target.revision
    )
    row["says"] = f"The signal {new.name} came after the end and changed nothing."
    return row


class Publishing:
    """The group write behind `Journal.publish`: inbox, signals and starts in one transaction."""

    def __init__(self, tables: Tables, signalling: Signalling, accepting: Accepting) -> None:
        self._tables = tables
        self._signalling = signalling
        self._accepting = accepting

    def __call__(
        self, connection: Connection, batch: Sequence[Message]
    ) -> Sequence[Published | Exception]:
        """One answer for each message."""
        return [self._one(connection, message) for message in batch]

    def _one(self, connection: Connection, message: Message) -> Published:
        signals: list[NewSignal] = []
        missing: list[Term] = []
        for asked in message.signals:
            found = asked if isinstance(asked, NewSignal) else _resolve(connection, asked)
            if found is None:
                missing.append(asked.term)  # type: ignore[union-attr]  # only those by term can miss
            else:
                signals.append(found)
        if missing:
            return Published(new=False, unresolved=tuple(missing))
        row = {"source": message.source, "message_id": message.message_id, "at": message.at}
        if not self._tables.add_messages.run(connection, [row]):
            return Published(new=False)
        told = self._signalling(connection, signals) if signals else ()
        begun = self._accepting(connection, message.starts) if message.starts else ()
        for answer in (*told, *begun):
            if isinstance(answer, Exception):
                raise answer  # the whole message is refused: rolled back with its inbox row
        return Published(
            new=True,
            signals=tuple(r for r in told if isinstance(r, SignalResult)),
            accepted=tuple(a for a in begun if isinstance(a, Accepted)),
        )


def _resolve(connection: Connection, asked: Unresolved) -> NewSignal | None:
    query = _BY_REFERENCE if asked.term.kind == "reference" else _BY_TERM
    values = {"kind": asked.term.kind, "value": asked.term.value}
    process_id = connection.execute(query, values).scalar()
    if process_id is None:
        return None
    return NewSignal(
        process_id=process_id,
        name=asked.name,
        dedupe_key=asked.dedupe_key,
        data=asked.data,
        at=asked.at,
    )
