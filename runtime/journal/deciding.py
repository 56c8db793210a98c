"""From what a step or signal decided to what is written: values in, values out, no I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec import Struct, field, structs

from runtime.journal.codec import NO_EFFECTS, Types, encode
from runtime.journal.ids import new_id
from runtime.journal.incidents import Category, Incident
from runtime.journal.moving import Change
from runtime.journal.no_effect import no_effect
from runtime.journal.process import (
    Again,
    Effect,
    Move,
    Process,
    Says,
    Signal,
    Wait,
)
from runtime.journal.propagation import Subscriber
from runtime.journal.rows import delivery_rows, entry_row, entry_rows, incident_row, term_rows
from runtime.journal.times import maybe_micros, to_micros


class Held(Struct, eq=False):
    """A process this worker holds the lease of, between two commits."""

    process: Process[Any]
    fence: int
    in_doubt: bool
    lease_until: int
    signals: tuple[Signal, ...] = ()
    offered: set[str] = field(default_factory=set)
    """Dedupe keys of the signals this state has said "not now" to."""
    unheard: bool = False
    """A signal no function listens to has come in since the step last ran."""
    upgraded: bool = False
    """The data was read from an older version and must be written with the next commit."""
    settled_at: datetime | None = None
    """Before this time a step in doubt is not run: its system may still be at work for the dead."""
    traceparent: str | None = None
    """The trace of the call that asked for the process, as far as it is known."""


class Ruling(Struct, frozen=True, kw_only=True):
    """A decision ready to be written, and the process as it will be after the commit."""

    change: Change
    process: Process[Any]
    in_doubt: bool
    consumed: frozenset[str]


class Deciding:
    """Turns outcomes into rulings for one worker (`holder`)."""

    def __init__(
        self,
        *,
        types: Types,
        subscribers: Sequence[Subscriber],
        holder: str,
        lease: timedelta,
        random: Random,
    ) -> None:
        self._types = types
        self._subscribers = subscribers
        self._holder = holder
        self._lease = lease // timedelta(microseconds=1)
        self._random = random

    def move(
        self,
        held: Held,
        move: Move[Any],
        now: datetime,
        *,
        draining: bool,
        by_signal: Signal | None = None,
        by_step: bool = True,
    ) -> Ruling:
        """The lifecycle decides where `move` leads. Raises `UndefinedMove`.

        A step's own move ends the doubt about it. A signal's or timer's keeps it: the step that
        it breaks off may have reached the vendor.
        """
        before = held.process
        kind = self._types[before.kind]
        state = kind.lifecycle.after(before.state, move.event)
        done = state in kind.lifecycle.terminal
        works = state in kind.steps
        step_at = None if done else move.due or (now if works else None)
        at = to_micros(now)
        in_doubt = held.in_doubt and not by_step and not done
        consumed = _consumed(held, move.consumes, by_signal)
        after = structs.replace(
            before,
            state=state,
            data=move.data,
            attempts=0,
            effects=_effects(before.effects, move, now),
            done=done,
            step_at=step_at,
            updated_at=now,
            revision=before.revision + 1,
        )
        after, opens, closes = self._incident(
            after,
            move.incident,
            now,
            closing=move.closes_incident or done or before.incident_passes,
        )
        is_due = works and step_at is not None and step_at <= now
        # The new state may have a use for signals that the old one had none for.
        has_news = not done and any(s.dedupe_key not in consumed for s in held.signals)
        keeps = (is_due or has_news) and not draining
        change = self._change(held, after, at, keeps=keeps, in_doubt=in_doubt)
        if has_news and draining:
            change.row["due_at"] = at
        if move.data is not before.data:
            change.data = encode(move.data)
        change.entries = entry_rows(
            before.id, at, move.event, state, move.says, revision=after.revision
        )
        if opens is not None and move.incident is not None:
            change.entries.append(_incident_entry(after, at, move.incident))
        change.terms = term_rows(before.id, move.terms)
        change.deliveries = delivery_rows(
            before.reference, after.revision, at, move.emits, self._subscribers
        )
        change.consumed, change.opens, change.closes = tuple(consumed), opens, closes
        change.closed_by = move.event
        return Ruling(change=change, process=after, in_doubt=in_doubt, consumed=consumed)

    def again(
        self, held: Held, again: Again[Any], now: datetime, *, says_event: str = "again"
    ) -> Ruling:
        """The same step later. The lease is given up until then."""
        before = held.process
        at = to_micros(now)
        after = structs.replace(
            before,
            data=before.data if again.data is None else again.data,
            attempts=before.attempts + 1,
            step_at=again.at,
            updated_at=now,
            revision=before.revision + 1,
        )
        after, opens, closes = self._incident(
            after, again.incident, now, closing=False, passes=True
        )
        change = self._change(held, after, at, keeps=False, in_doubt=again.in_doubt)
        if again.data is not None:
            change.data = encode(again.data)
        entries = []
        if again.says is not None:
            entries.append(
                entry_row(
                    before.id, at, says_event, before.state, again.says, revision=after.revision
                )
            )
        if opens is not None and again.incident is not None:
            entries.append(_incident_entry(after, at, again.incident))
        change.entries = entries
        consumed = _consumed(held, again.consumes, None)
        change.consumed, change.opens, change.closes = tuple(consumed), opens, closes
        change.closed_by = "another incident"
        return Ruling(
            change=change,
            process=after,
            in_doubt=again.in_doubt,
            consumed=consumed,
        )

    def retry(
        self, held: Held, by: Signal, now: datetime, *, draining: bool, data: Any = None
    ) -> Ruling:
        """An operator said to try again: at once, as if for the first time, incident closed.

        With `data` it is tried with that.
        """
        before = held.process
        at = to_micros(now)
        works = before.state in self._types[before.kind].steps
        after = structs.replace(
            before,
            data=before.data if data is None else data,
            attempts=0,
            step_at=now if works else before.step_at,
            updated_at=now,
            revision=before.revision + 1,
        )
        after, _, closes = self._incident(after, None, now, closing=True)
        change = self._change(held, after, at, keeps=not draining, in_doubt=held.in_doubt)
        actor = str(by.data.get("actor", "an operator"))
        how = "" if data is None else " with an amendment"
        says = Says(text=f"{actor} asked to try again{how}.")
        if data is not None:
            change.data = encode(data)
        change.entries = [
            entry_row(before.id, at, by.name, before.state, says, revision=after.revision)
        ]
        change.consumed, change.closes, change.closed_by = (by.dedupe_key,), closes, actor
        return Ruling(
            change=change,
            process=after,
            in_doubt=held.in_doubt,
            consumed=frozenset((by.dedupe_key,)),
        )

    def ignore(self, held: Held, by: Signal, says: Says | None, now: datetime) -> Ruling:
        """A signal is consumed and changes nothing; the lease is kept for what comes next."""
        at = to_micros(now)
        after = structs.replace(held.process, updated_at=now, revision=held.process.revision + 1)
        change = self._change(held, after, at, keeps=True, in_doubt=held.in_doubt)
        if says is not None:
            change.entries = [
                entry_row(after.id, at, by.name, after.state, says, revision=after.revision)
            ]
        change.consumed = (by.dedupe_key,)
        change.no_effect = no_effect(by, "It changed nothing." if says is None else says.text)
        return Ruling(
            change=change,
            process=after,
            in_doubt=held.in_doubt,
            consumed=frozenset((by.dedupe_key,)),
        )

    def complain(self, held: Held, incident: Incident, now: datetime) -> Ruling:
        """Open an incident beside what goes on; the lease is kept for what comes next."""
        at = to_micros(now)
        after = structs.replace(held.process, updated_at=now, revision=held.process.revision + 1)
        after, opens, closes = self._incident(after, incident, now, closing=False)
        change = self._change(held, after, at, keeps=True, in_doubt=held.in_doubt)
        change.entries = [_incident_entry(after, at, incident)]
        change.opens, change.closes, change.closed_by = opens, closes, "another incident"
        return Ruling(change=change, process=after, in_doubt=held.in_doubt, consumed=frozenset())

    def park(self, held: Held, wait: Wait, now: datetime) -> Ruling:
        """Give the lease up until `wait.until` or a signal."""
        after = structs.replace(
            held.process,
            step_at=wait.until,
            updated_at=now,
            revision=held.process.revision + 1,
        )
        change = self._change(held, after, to_micros(now), keeps=False, in_doubt=held.in_doubt)
        return Ruling(change=change, process=after, in_doubt=held.in_doubt, consumed=frozenset())

    def _change(
        self, held: Held, after: Process[Any], at: int, *, keeps: bool, in_doubt: bool
    ) -> Change:
        until = held.lease_until
        if until - at < self._lease // 2:
            until = at + self._lease
        step_at = maybe_micros(after.step_at)
        return Change(
            process_id=after.id,
            holder=self._holder,
            fence=held.fence,
            seen=len(held.signals),
            lease_until=until,
            data=encode(after.data) if held.upgraded else None,
            entity=after.entity,
            row={
                "process_id": after.id,
                "version": after.version,
                "state": after.state,
                "effects": encode(after.effects) if after.effects else NO_EFFECTS,
                "attempts": after.attempts,
                "in_doubt": in_doubt,
                "settled_at": maybe_micros(held.settled_at) if in_doubt else None,
                "step_at": step_at,
                "due_at": until if keeps else step_at,
                "lease_owner": self._holder if keeps else None,
                "unread": 0,  # the writer knows, under the row's lock
                "incident_id": after.incident_id,
                "incident_category": after.incident_category,
                "incident_passes": after.incident_passes,
                "done": after.done,
                "revision": after.revision,
                "updated_at": at,
            },
        )

    def _incident(
        self,
        process: Process[Any],
        incident: Incident | None,
        now: datetime,
        *,
        closing: bool,
        passes: bool = False,
    ) -> tuple[Process[Any], dict[str, Any] | None, str | None]:
        """At most one is open: one of the same category stays, another category replaces it."""
        is_open = process.incident_id is not None
        if incident is None:
            if not (is_open and closing):
                return process, None, None
            cleared = structs.replace(
                process, incident_id=None, incident_category=None, incident_passes=False
            )
            return cleared, None, process.incident_id
        if is_open and process.incident_category == incident.category:
            stays = structs.replace(process, incident_passes=process.incident_passes and passes)
            return stays, None, None
        incident_id = new_id(now, self._random)
        opens = incident_row(
            incident_id,
            process.id,
            to_micros(now),
            category=incident.category,
            says=incident.says,
            detail=encode(incident.detail),
        )
        opened = structs.replace(
            process,
            incident_id=incident_id,
            incident_category=incident.category,
            incident_passes=passes,
        )
        return opened, opens, process.incident_id


def _consumed(held: Held, keys: Sequence[str], by_signal: Signal | None) -> frozenset[str]:
    """Only what is recorded and unconsumed can be consumed."""
    asked = {*keys, by_signal.dedupe_key} if by_signal else set(keys)
    return frozenset(s.dedupe_key for s in held.signals if s.dedupe_key in asked)


def _effects(effects: tuple[Effect, ...], move: Move[Any], now: datetime) -> tuple[Effect, ...]:
    """Record what was done and what was undone. Undoing twice what was done once is a bug."""
    if move.undoes is not None:
        undone = move.undoes
        for place in range(len(effects) - 1, -1, -1):
            effect = effects[place]
            if (effect.name, effect.key) == (undone.name, undone.key) and effect.undone_at is None:
                marked = structs.replace(effect, undone_at=now)
                effects = (*effects[:place], marked, *effects[place + 1 :])
                break
        else:
            raise ValueError(f"{undone.name} {undone.key} is not there to be undone")
    if move.effect is not None:
        done_at = move.effect.done_at or now
        effects = (*effects, structs.replace(move.effect, done_at=done_at))
    return effects


def _incident_entry(process: Process[Any], at: int, incident: Incident) -> dict[str, Any]:
    says = Says(text=incident.says, data={"category": incident.category, **incident.detail})
    return entry_row(process.id, at, "incident", process.state, says, revision=process.revision)


def fault_of_our_own(
    held: Held,
    failure: BaseException,
    at: datetime,
    *,
    attempts_before_incident: int,
    what: str = "fails in a way nobody foresaw",
) -> Again[Any]:
    """A step raised, overran its budget or cannot be recorded: again, and in time an incident."""
    timed_out = isinstance(failure, TimeoutError)
    incident = None
    if held.process.attempts + 1 >= attempts_before_incident:
        category = Category.TIME_OUT if timed_out else Category.CONTRACT_VIOLATION
        incident = Incident(
            category=category,
            says=f"The step of state {held.process.state} "
            + ("keeps running out of time." if timed_out else f"{what}."),
            detail={"failure": type(failure).__name__},
        )
    return Again(at=at, in_doubt=True, incident=incident)
