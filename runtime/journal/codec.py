"""Process types by name, and their documents to and from JSON."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from runtime.journal.faults import UnknownKind, UnknownVersion, UnreadableProcess
from runtime.journal.incidents import REMEDIES, Action, Category, Remedy
from runtime.journal.process import Effect, Lane, Process, ProcessType
from runtime.journal.times import from_micros, maybe_time

encode = msgspec.json.Encoder().encode
"""Any value msgspec knows, as JSON bytes."""

decode_object = msgspec.json.Decoder(dict[str, Any]).decode
"""JSON bytes as a plain dict."""

decode_effects = msgspec.json.Decoder(tuple[Effect, ...]).decode
"""The effects of a process, from their JSON."""

NO_EFFECTS = b"[]"

UNREADABLE = "What is stored of it can no longer be read; put that right, then retry."
"""Why nothing else can be done about a process that cannot be read."""

log = logging.getLogger("crossdock.journal")


class Types:
    """The process types this program knows."""

    def __init__(self, types: Sequence[ProcessType[Any]]) -> None:
        self._types = {kind.name: kind for kind in types}
        if len(self._types) != len(types):
            raise ValueError("two process types share a name")
        found = [f"{t.name}: {fault}" for t in types for fault in _faults(t)]
        if found:
            raise ValueError("; ".join(found))
        self._decoders = {t.name: msgspec.json.Decoder(t.data_type).decode for t in types}

    def __getitem__(self, kind: str) -> ProcessType[Any]:
        try:
            return self._types[kind]
        except KeyError:
            raise UnknownKind(kind, tuple(self._types)) from None

    def remedy(self, kind: str, category: Category) -> Remedy:
        """The remedy of a category; a kind this release does not have keeps the usual ones."""
        known = self._types.get(kind)
        return (known.remedies if known is not None else REMEDIES)[category]

    def why_not(self, row: Any, action: Action) -> str | None:
        """Why an action would change nothing about the process of a row; None where it would.

        One that cannot be read can only be retried, once its record has been put right.
        """
        known = self._types.get(row.kind)
        if known is None or known.why_not is None:
            return None
        try:
            return known.why_not(self.read(row), action)
        except UnreadableProcess:
            return None if action is Action.RETRY else UNREADABLE

    def may_have_ended_in(self, state: str) -> bool:
        """Whether a process that ended may be in this state, also one of a kind not known here."""
        known = [kind.lifecycle for kind in self._types.values() if state in kind.lifecycle.states]
        return not known or any(state in lifecycle.terminal for lifecycle in known)

    def understands(self, kind: str, version: int, state: str) -> bool:
        """Whether a stored process of this kind, version and state can be continued."""
        known = self._types.get(kind)
        return (
            known is not None
            and (version == known.version or version in known.upgrades)
            and state in known.lifecycle.states
        )

    def data(self, kind: str, version: int, stored: bytes) -> Any:
        """Decode stored data, upgrading it from an older version.

        Raises `UnknownVersion` when there is no way up, rather than misread it.
        """
        known = self[kind]
        if version == known.version:
            return self._decoders[kind](stored)
        if version not in known.upgrades:
            raise UnknownVersion(kind, version)
        return known.upgrades[version](decode_object(stored))

    def process(self, row: Any) -> Process[Any]:
        """A row of the process table as a `Process`."""
        return Process(
            id=row.id,
            kind=row.kind,
            version=self[row.kind].version,
            reference=row.reference,
            consumer=row.consumer,
            operation=row.operation,
            key=row.key,
            lane=Lane(row.lane),
            entity=row.entity,
            state=row.state,
            data=self.data(row.kind, row.version, row.data),
            attempts=row.attempts,
            effects=decode_effects(row.effects) if row.effects != NO_EFFECTS else (),
            revision=row.revision,
            created_at=from_micros(row.created_at),
            updated_at=from_micros(row.updated_at),
            done=bool(row.done),
            step_at=maybe_time(row.step_at),
            incident_id=row.incident_id,
            incident_category=_category(row.incident_category),
            incident_passes=bool(row.incident_passes),
        )

    def read(self, row: Any) -> Process[Any]:
        """A row of the process table as a `Process`.

        Raises `UnreadableProcess`, whatever is wrong with it: no JSON, another shape, a version or
        a kind this release does not know, an upgrade that stumbles.
        """
        try:
            return self.process(row)
        except Exception as failure:
            raise UnreadableProcess(row.id) from failure

    def part(self, row: Any, decode: Callable[[bytes], Any]) -> Any:
        """What `decode` makes of a row's data: for a few fields, without the cost of the others.

        Data of an older version is upgraded first, and answered whole. Raises `UnreadableProcess`.
        """
        try:
            if row.version == self[row.kind].version:
                return decode(row.data)
            return self.data(row.kind, row.version, row.data)
        except Exception as failure:
            raise UnreadableProcess(row.id) from failure

    def readable(self, rows: Iterable[Any]) -> list[Process[Any]]:
        """Those of some rows that can be read, in their order.

        The others are named in the log; that they have an incident is the worker's part.
        """
        found = []
        for row in rows:
            try:
                found.append(self.read(row))
            except UnreadableProcess as unreadable:
                left_out(row.id, unreadable.__cause__)
        return found


def left_out(process_id: str, failure: BaseException | None) -> None:
    """Say that an answer about many processes does without one that cannot be read."""
    told = {"process_id": process_id, "failure": type(failure).__name__}
    log.warning("unreadable_process_left_out", extra=told)


def _category(stored: str | None) -> Category | None:
    return None if stored is None else Category(stored)


def _faults(kind: ProcessType[Any]) -> list[str]:
    states = kind.lifecycle.states
    found = list(kind.lifecycle.faults())
    for what, named in (
        ("steps", kind.steps),
        ("step_budget", kind.step_budget),
        ("settle_after_takeover", kind.settle_after_takeover),
        ("vendor_calls", kind.vendor_calls),
    ):
        found += [f"{what} names {s!r}, no state of the lifecycle" for s in set(named) - states]
    found += [f"{s}: terminal, but has a step" for s in set(kind.steps) & kind.lifecycle.terminal]
    return found


def optional(data: Mapping[str, Any]) -> bytes | None:
    """Bytes for a document, None for an empty one."""
    return encode(data) if data else None
