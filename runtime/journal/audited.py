"""The audit of calls and operators' acts, a page at a time."""

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, or_, select

from runtime.journal.codec import decode_object
from runtime.journal.times import from_micros
from runtime.store.schema import audit

LOOKED_AT = 500
"""How many records are looked at in one go when they are narrowed."""

MOST_LOOKS = 20
"""How many times one question may look; what it has not reached then is on the next page."""


class AuditedAct(Struct, frozen=True, kw_only=True):
    """One record of the audit."""

    chain: str
    seq: int
    at: datetime
    hash: bytes
    record: dict[str, Any]


class AuditedPage(Struct, frozen=True, kw_only=True):
    """Newest first; `cursor` continues, None when there is no more."""

    acts: tuple[AuditedAct, ...]
    cursor: str | None


def audited_page(
    connection: Connection, actor: str | None, cursor: str | None, limit: int
) -> AuditedPage:
    """Newest first, over all chains; `actor` is a record's `actor`, `subject` or `consumer`.

    Raises ValueError for a cursor that is none.
    """
    place = _place(cursor)
    found: list[AuditedAct] = []
    for _ in range(MOST_LOOKS):
        query = select(audit).order_by(audit.c.at.desc(), audit.c.chain.desc(), audit.c.seq.desc())
        if place is not None:
            at, chain, seq = place
            query = query.where(
                audit.c.at <= at,
                or_(
                    audit.c.at < at,
                    audit.c.chain < chain,
                    (audit.c.chain == chain) & (audit.c.seq < seq),
                ),
            )
        rows = connection.execute(query.limit(LOOKED_AT if actor else limit)).all()
        for row in rows:
            place = (row.at, row.chain, row.seq)
            act = _act(row)
            if actor is None or actor in {act.record.get(name) for name in _ACTORS}:
                found.append(act)
            if len(found) == limit:
                return AuditedPage(acts=tuple(found), cursor=_cursor(place))
        if not rows or len(rows) < limit:
            return AuditedPage(acts=tuple(found), cursor=None)
    return AuditedPage(acts=tuple(found), cursor=None if place is None else _cursor(place))


_ACTORS = ("actor", "subject", "consumer")


def _cursor(place: tuple[int, str, int]) -> str:
    at, chain, seq = place
    return f"{at}.{seq}.{chain}"


def _place(cursor: str | None) -> tuple[int, str, int] | None:
    """Raises ValueError for what is no cursor of ours."""
    if cursor is None:
        return None
    at, seq, chain = cursor.split(".", 2)
    return int(at), chain, int(seq)


def _act(row: Any) -> AuditedAct:
    return AuditedAct(
        chain=row.chain,
        seq=row.seq,
        at=from_micros(row.at),
        hash=row.hash,
        record=decode_object(row.record),
    )
