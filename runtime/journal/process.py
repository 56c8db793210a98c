"""What the author of a process writes, and what the journal hands to it.

A process is a state machine: a `Lifecycle` table, one `Step` for each state in which something is
done, and one pure function for each signal it listens to. Everything here is a value; nothing
here does I/O.

More than 400 lines: it is the vocabulary of every process, read as one page.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from runtime.clock import Clock
from runtime.journal.incidents import REMEDIES, Action, Category, Incident, OpenedIncident, Remedy
from runtime.journal.retries import retry_at

D = TypeVar("D")

REFERENCE_LIMIT = 35
"""Longest external reference, in characters: the shortest limit of the systems that carry it."""

TIMER = "timer"
"""Name of the signal a waiting state gets when its timer fires."""

REMEDY = "remedy"
"""Name of the signal that carries an operator's action on an incident. Its data is
`{"incident", "action", "actor", "amendment"}`."""


class UndefinedMove(Exception):  # noqa: N818  # named for what happened, as the lifecycle speaks of it
    """The lifecycle has no such move: a bug in the process, never a thing to guess at."""

    def __init__(self, lifecycle: str, state: str, event: str) -> None:
        super().__init__(f"{lifecycle}: no move from {state!r} on {event!r}")
        self.lifecycle = lifecycle
        self.state = state
        self.event = event


class Lane(IntEnum):
    """Criticality. Each lane has its own concurrency, so that a flood in one delays no other."""

    CAPTURE = 0
    STATUS = 1
    SYNC = 2
    BULK = 3


class Lifecycle(Struct, frozen=True, kw_only=True):
    """A state machine written as a table: (state, event) -> state."""

    name: str
    initial: str
    moves: Mapping[tuple[str, str], str]
    terminal: frozenset[str]

    @property
    def states(self) -> frozenset[str]:
        """Every state the table names."""
        named = {state for state, _ in self.moves} | set(self.moves.values())
        return frozenset(named | self.terminal | {self.initial})

    def after(self, state: str, event: str) -> str:
        """The state that `event` leads to. Raises `UndefinedMove` when there is no such row."""
        try:
            return self.moves[state, event]
        except KeyError:
            raise UndefinedMove(self.name, state, event) from None

    def allows(self, state: str, event: str) -> bool:
        """Whether the table has a row for `event` in `state`."""
        return (state, event) in self.moves

    def faults(self) -> tuple[str, ...]:
        """Everything wrong with the table: dead ends, exits from terminal states, orphans."""
        leaving = {state for state, _ in self.moves}
        found = [f"{s}: terminal, but has a move out" for s in sorted(leaving & self.terminal)]
        found += [
            f"{s}: no move out, and not terminal"
            for s in sorted(self.states - leaving - self.terminal)
        ]
        reached = {self.initial}
        frontier = [self.initial]
        while frontier:
            here = frontier.pop()
            for (state, _), target in self.moves.items():
                if state == here and target not in reached:
                    reached.add(target)
                    frontier.append(target)
        found += [
            f"{s}: cannot be reached from {self.initial}" for s in sorted(self.states - reached)
        ]
        return tuple(found)

    def mermaid(self) -> str:
        """The table drawn as a Mermaid state diagram, for the docs."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        lines += [
            f"    {state} --> {target}: {event}" for (state, event), target in self.moves.items()
        ]
        lines += [f"    {state} --> [*]" for state in sorted(self.terminal)]
        return "\n".join(lines) + "\n"


class Says(Struct, frozen=True, kw_only=True):
    """One line of the timeline, in words a sales rep understands, with figures for machines."""

    text: str
    data: Mapping[str, Any] = {}


class Event(Struct, frozen=True, kw_only=True):
    """A canonical event. It becomes one delivery for each subscriber of its topic.

    `entity` is the ordering key: deliveries of one entity reach a subscriber in order. Left out,
    it is the reference of the process. `data` is anything msgspec encodes.
    """

    topic: str
    data: Any
    entity: str | None = None


class Term(Struct, frozen=True, kw_only=True):
    """A business id under which people will look for the process, such as kind `po`."""

    kind: str
    value: str


class Effect(Struct, frozen=True, kw_only=True):
    """Something done in another system, under a key by which it can be found and undone.

    `name` says what was done (`erp.order`), `key` is the other system's id or our reference.
    """

    name: str
    key: str
    done_at: datetime | None = None
    undone_at: datetime | None = None


class Signal(Struct, frozen=True, kw_only=True):
    """Something that happened outside, recorded durably and offered to the process once."""

    name: str
    dedupe_key: str
    data: dict[str, Any] = {}
    at: datetime


class Process(Struct, Generic[D], frozen=True, kw_only=True):
    """A process as its steps and its readers see it. `revision` grows by one with each commit."""

    id: str
    kind: str
    version: int
    reference: str
    consumer: str
    operation: str
    key: str
    lane: Lane
    entity: str | None
    state: str
    data: D
    attempts: int
    effects: tuple[Effect, ...]
    revision: int
    created_at: datetime
    updated_at: datetime
    done: bool = False
    step_at: datetime | None = None
    """When the step or the timer of this state is due; None while only a signal can move it."""
    incident_id: str | None = None
    """The open incident, if any."""
    incident_category: Category | None = None
    incident_passes: bool = False
    """Whether it was opened by an `Again`, and so closes when the step at last moves."""

    def next_undo(self) -> Effect | None:
        """The effect to undo next: the last one done that is not yet undone. None when all are."""
        return next((e for e in reversed(self.effects) if e.undone_at is None), None)


class StepContext(Struct, frozen=True, kw_only=True):
    """What a step may know besides its process."""

    now: datetime
    clock: Clock
    random: Random
    in_doubt: bool
    """An earlier run of this step, or of the step a signal broke off, may have reached the vendor:
    look up before creating, and before concluding that there is nothing to undo."""
    attempt: int
    """1 for the first run in this state."""
    deadline: datetime
    """The step is cancelled at this time, and its next run is then in doubt."""
    signals: tuple[Signal, ...] = ()
    """Signals recorded and not consumed yet."""
    traceparent: str | None = None
    """The trace the step's calls belong to; None when nothing is known of one."""

    @property
    def call_seconds(self) -> float:
        """How long the step's calls may take: a tenth of its budget is kept to decide afterwards.

        A step that is cut off knows nothing of how its call ended, and could not say so.
        """
        return 0.9 * (self.deadline - self.now).total_seconds()

    def retry_at(self, retry_after: timedelta | None = None) -> datetime:
        """When to try again: backoff with jitter, never before `retry_after` from now."""
        return retry_at(self.now, self.attempt, self.random, retry_after=retry_after)


class Move(Struct, Generic[D], frozen=True, kw_only=True):
    """A step or signal has decided. All of it commits in one transaction, or none of it.

    An incident given here stays open until a later move says `closes_incident` or the process
    ends; one that an `Again` opened is over with the next move anyway.

    `event` must be a move of the lifecycle. `due` is when the step of the new state runs (now, if
    left out) or, when the new state has no step, when its timer fires (never, if left out).
    `effect` records something just done; `undoes` names the effect (by key) just undone.
    `consumes` lists the dedupe keys of `context.signals` that this move has taken into account.
    """

    event: str
    data: D
    says: tuple[Says, ...] = ()
    emits: tuple[Event, ...] = ()
    due: datetime | None = None
    terms: tuple[Term, ...] = ()
    effect: Effect | None = None
    undoes: Effect | None = None
    consumes: tuple[str, ...] = ()
    incident: Incident | None = None
    closes_incident: bool = False


class Again(Struct, Generic[D], frozen=True, kw_only=True):
    """Nothing decided: run the same step again at `at`.

    `in_doubt` must be True whenever the effect may have happened, and also when a look-up that
    should have settled an earlier doubt gave no answer.
    """

    at: datetime
    in_doubt: bool
    says: Says | None = None
    data: D | None = None
    consumes: tuple[str, ...] = ()
    incident: Incident | None = None


class Wait(Struct, frozen=True, kw_only=True):
    """Park in the same state until a signal arrives or `until` passes, whichever is first."""

    until: datetime | None = None


class Ignore(Struct, frozen=True, kw_only=True):
    """A signal changes nothing and is consumed; `says` may tell why on the timeline."""

    says: Says | None = None


class Step(Protocol[D]):
    """The one thing done in a state: at most one effect on another system, then a decision.

    It may be run again after a crash or a time-out; `context.in_doubt` says when an earlier run
    may have done its effect. An exception is a bug: the step is tried again, in doubt, and after
    some attempts becomes an incident.
    """

    def __call__(
        self, process: Process[D], context: StepContext
    ) -> Awaitable[Move[D] | Again[D] | Wait]:
        """Run the step."""
        ...


class Outlook(Struct, frozen=True, kw_only=True):
    """What going on with a stopped process takes, for the preview of a redrive.

    `looks_up_first`: something of it may have reached another system already. `checks_again`: what
    it was accepted on is checked again, and may have moved. `calls` are about how many each of our
    systems is asked, by its name (`erp`).
    """

    looks_up_first: bool = False
    checks_again: bool = False
    calls: Mapping[str, int] = {}


class ProcessType(Struct, Generic[D], frozen=True, kw_only=True):
    """One kind of process.

    A state with a step is worked on; a state without one waits for a signal or its timer.
    A signal function is pure. It answers a `Move`, `Ignore`, or None for "not in this state": then
    the signal is kept and offered again after the next move. `upgrades` maps an older version to
    a function that turns that version's stored data (plain dict) into this version's data.
    """

    name: str
    version: int
    data_type: type[D]
    lifecycle: Lifecycle
    steps: Mapping[str, Step[D]]
    on_signal: Mapping[str, Callable[[Process[D], Signal], "Move[D] | Ignore | None"]] = {}
    step_budget: Mapping[str, timedelta] = {}
    """How long a step may run, by state; 30 s where nothing is said."""
    settle_after_takeover: Mapping[str, timedelta] = {}
    """How long, by state, a step in doubt waits before it runs in a dead worker's place.

    What the dead one asked may still be under way, and a look-up too soon finds nothing. Counted
    from when the lease lapsed (on a store of our own: the restart), it adds to the recovery.
    """
    vendor_calls: Mapping[str, Mapping[str, int]] = {}
    """Calls that going on from a state takes, by vendor account: for the preview of a redrive."""
    outlook: Callable[[Process[D]], Outlook] | None = None
    """The same and more, of one process: for kinds whose state does not tell it all."""
    remedies: Mapping[Category, Remedy] = REMEDIES
    why_not: Callable[[Process[D], Action], str | None] | None = None
    """Why an action that its category offers would change nothing about a process as it stands,
    for a person to read; None where it would change something."""
    upgrades: Mapping[int, Callable[[dict[str, Any]], D]] = {}


class Start(Struct, Generic[D], frozen=True, kw_only=True):
    """A process to begin.

    (consumer, operation, key) makes it unique; `fingerprint` tells whether the same key came with
    another body. `reference` is taken as asked for if it is free.
    """

    kind: str
    consumer: str
    operation: str
    key: str
    fingerprint: str
    reference: str
    data: D
    id: str | None = None
    """From `Journal.mint`, where the first event must carry it; minted by `accept` otherwise."""
    lane: Lane = Lane.CAPTURE
    entity: str | None = None
    """Ordering key: of the processes of one entity, one at a time is worked on, oldest first."""
    due: datetime | None = None
    """When the first step runs; at once if left out."""
    terms: tuple[Term, ...] = ()
    says: tuple[Says, ...] = ()
    emits: tuple[Event, ...] = ()


class Accepted(Struct, frozen=True, kw_only=True):
    """The durable answer to a start. `created` is False when the key was already known."""

    process_id: str
    reference: str
    created: bool


class Entry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of a process's timeline. `state` is the state after it."""

    seq: int
    at: datetime
    event: str
    state: str
    says: str
    data: dict[str, Any]


class Snapshot(Struct, frozen=True, kw_only=True):
    """What `list` and `find` answer: a process without its data."""

    id: str
    kind: str
    reference: str
    consumer: str
    lane: Lane
    state: str
    attempts: int
    done: bool
    incident_id: str | None
    created_at: datetime
    updated_at: datetime
    step_at: datetime | None
    revision: int


__all__ = [
    "REFERENCE_LIMIT",
    "REMEDY",
    "TIMER",
    "Accepted",
    "Again",
    "Effect",
    "Entry",
    "Event",
    "Ignore",
    "Incident",
    "Lane",
    "Lifecycle",
    "Move",
    "OpenedIncident",
    "Process",
    "ProcessType",
    "Says",
    "Signal",
    "Snapshot",
    "Start",
    "Step",
    "StepContext",
    "Term",
    "UndefinedMove",
    "Wait",
]
