"""Remedies: an action on an incident, checked, counted, audited and given to its process at once.

Every way to act on an incident comes through here, so that who acts second finds out, and that
whoever asks for what would change nothing is told so, under the lock of the process it is about.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, update

from runtime.journal.auditing import Auditing, AuditRecord
from runtime.journal.codec import Types, encode
from runtime.journal.faults import ActedOnMeanwhile, ActionNotAllowed, UnknownIncident
from runtime.journal.incidents import Action, Category
from runtime.journal.process import REMEDY
from runtime.journal.signalling import NewSignal, Signalling
from runtime.store.schema import incident, process


class AskedRemedy(Struct, frozen=True, kw_only=True):
    """One action on one incident. `chain` is the audit chain of the program that writes it.

    `remedied`, if given, is how many actions on the incident the asker knew of: one more, and
    this one is not taken. `redrive` names what it is part of.
    """

    incident_id: str
    action: Action
    actor: str
    amendment: Mapping[str, Any]
    at: int
    chain: str
    remedied: int | None = None
    redrive: str | None = None


_PROCESSES_OF = select(incident.c.process_id).where(
    incident.c.id.in_(bindparam("ids", expanding=True))
)
_LOCK = (
    select(process.c.id)
    .where(process.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(process.c.id)
    .with_for_update()
)
_STORED = select(process).where(process.c.id.in_(bindparam("ids", expanding=True)))
_INCIDENTS = (
    select(
        incident.c.id,
        incident.c.process_id,
        incident.c.category,
        incident.c.closed_at,
        incident.c.remedied,
        process.c.kind,
    )
    .join(process, process.c.id == incident.c.process_id)
    .where(incident.c.id.in_(bindparam("ids", expanding=True)))
)
_COUNT = (
    update(incident)
    .where(incident.c.id == bindparam("incident_id"))
    .values(remedied=incident.c.remedied + 1)
)


class Remedying:
    """The group write behind `Journal.remedy` and behind every redrive."""

    def __init__(self, types: Types, auditing: Auditing, signalling: Signalling) -> None:
        self._types = types
        self._auditing = auditing
        self._signalling = signalling

    def __call__(
        self, connection: Connection, batch: Sequence[AskedRemedy]
    ) -> Sequence[Exception | None]:
        """None for an action taken; `UnknownIncident`, `ActionNotAllowed`, `ActedOnMeanwhile`."""
        if not batch:
            return []
        ids = sorted({asked.incident_id for asked in batch})
        owners = sorted(set(connection.execute(_PROCESSES_OF, {"ids": ids}).scalars()))
        connection.execute(_LOCK, {"ids": owners}).all()
        rows = {row.id: row for row in connection.execute(_INCIDENTS, {"ids": ids})}
        stored = {row.id: row for row in connection.execute(_STORED, {"ids": owners})}
        taken: dict[str, int] = {}
        results: list[Exception | None] = []
        audits: list[AuditRecord] = []
        signals: list[NewSignal] = []
        for asked in batch:
            row = rows.get(asked.incident_id)
            before = taken.get(asked.incident_id, 0)
            refused = self._refused(asked, row, stored, before)
            results.append(refused)
            if refused is None and row is not None:
                taken[asked.incident_id] = before + 1
                audit, signal = _written(asked, row, row.remedied + before)
                audits.append(audit)
                signals.append(signal)
        for incident_id, times in taken.items():
            for _ in range(times):
                connection.execute(_COUNT, {"incident_id": incident_id})
        if signals:
            self._auditing(connection, audits)
            self._signalling(connection, signals)
        return results

    def _refused(
        self, asked: AskedRemedy, row: Any, stored: Mapping[str, Any], before: int
    ) -> Exception | None:
        if row is None:
            return UnknownIncident(asked.incident_id)
        if row.closed_at is not None:
            return ActedOnMeanwhile("the incident is closed")
        if asked.remedied is not None and asked.remedied != row.remedied + before:
            return ActedOnMeanwhile("another action came first")
        allowed = self.allowed(row.kind, row.category)
        if asked.action not in allowed:
            return ActionNotAllowed(
                f"{asked.action} on {row.category}: {', '.join(sorted(allowed))} only"
            )
        why_not = self._types.why_not(stored[row.process_id], asked.action)
        return None if why_not is None else ActionNotAllowed(why_not)

    def allowed(self, kind: str, category: str) -> frozenset[Action]:
        """What may be done about a category of incident of a kind of process."""
        return self._types.remedy(kind, Category(category)).actions


def _written(asked: AskedRemedy, row: Any, number: int) -> tuple[AuditRecord, NewSignal]:
    data: dict[str, Any] = {
        "incident": asked.incident_id,
        "action": asked.action,
        "actor": asked.actor,
        "amendment": dict(asked.amendment),
    }
    if asked.redrive is not None:
        data["redrive"] = asked.redrive
    record = encode({"act": "remedy", "process": row.process_id, **data})
    signal = NewSignal(
        process_id=row.process_id,
        name=REMEDY,
        dedupe_key=f"{REMEDY}:{asked.incident_id}:{number}",
        data=encode(data),
        at=asked.at,
    )
    return AuditRecord(chain=asked.chain, at=asked.at, record=record), signal
