"""Verifying the audit: what is wrong with the record of what happened, in words.

It reads everything: both kinds of chains link by link, every sealed line against its seal, every
line there is against the seals, and every process against its last line. Checkpoints kept
elsewhere show whether an end was cut off.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Table, bindparam, func, select, text

from runtime.journal.sealing import START, Sealed, decode_sealed, digest_of, line_of, link
from runtime.store.schema import audit, entry, process, seal

PAGE = 500
"""How many records are checked at a time."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Where a chain stood: of the audit's records, or of the seals of the timelines' lines."""

    chain: str
    seq: int
    hash: bytes
    of: Literal["audit", "lines"] = "audit"


_TABLES: dict[Literal["audit", "lines"], Table] = {"audit": audit, "lines": seal}
_TOLD_BESIDE = ("incident", "too_late", "again")
"""Lines that may stand beside the line of a change."""


def checkpoints(connection: Connection) -> tuple[Checkpoint, ...]:
    """Where every chain stands now. To be kept where nobody who can write the store can write."""
    found = []
    for of, table in _TABLES.items():
        ends = select(table.c.chain, func.max(table.c.seq).label("seq")).group_by(table.c.chain)
        for chain, seq in connection.execute(ends.order_by(table.c.chain)).all():
            hashed = select(table.c.hash).where(table.c.chain == chain, table.c.seq == seq)
            end = connection.execute(hashed).scalar_one()
            found.append(Checkpoint(chain=chain, seq=seq, hash=end, of=of))
    return tuple(found)


def verify(connection: Connection, known: Sequence[Checkpoint] = ()) -> tuple[str, ...]:
    """Everything that is wrong, in words; empty when the record holds.

    Other programs may go on writing meanwhile. Nothing must have been read on the connection yet:
    all of it is read as of one moment.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    found = _broken_links(connection, "audit")
    covered: list[tuple[int, int]] = []
    for chain in _chains(connection, seal):
        for rows in _pages(connection, seal, chain):
            found += _links(rows, f"{chain} (lines)")
            sealed = [_sealed(row) for row in rows.records]
            found += _altered(connection, chain, sealed)
            covered += [run for one in sealed if one is not None for run in one.runs]
    found += _unsealed(connection, covered)
    found += _out_of_step(connection)
    found += _missed(connection, known)
    return tuple(found)


class _Page(Struct, frozen=True, kw_only=True):
    """Records of a chain, and the number and hash of the one before them."""

    seq: int
    hash: bytes
    records: Sequence[Any]


def _chains(connection: Connection, table: Table) -> list[str]:
    return list(connection.execute(select(table.c.chain).distinct().order_by("chain")).scalars())


def _pages(connection: Connection, table: Table, chain: str) -> Iterator[_Page]:
    query = (
        select(table)
        .where(table.c.chain == chain, table.c.seq > bindparam("after"))
        .order_by(table.c.seq)
        .limit(PAGE)
    )
    seq, before = 0, START
    while rows := connection.execute(query, {"after": seq}).all():
        yield _Page(seq=seq, hash=before, records=rows)
        seq, before = rows[-1].seq, rows[-1].hash


def _broken_links(connection: Connection, of: Literal["audit", "lines"]) -> list[str]:
    return [
        fault
        for chain in _chains(connection, _TABLES[of])
        for page in _pages(connection, _TABLES[of], chain)
        for fault in _links(page, chain)
    ]


def _links(page: _Page, chain: str) -> list[str]:
    found = []
    seq, before = page.seq, page.hash
    for row in page.records:
        if row.seq != seq + 1:
            found.append(f"{chain}: {seq + 1} to {row.seq - 1} missing")
        elif not _follows(before, row):
            found.append(f"{chain}: {row.seq} does not follow from the record before it")
        seq, before = row.seq, row.hash
    return found


def _follows(before: bytes, row: Any) -> bool:
    """Whether a record is linked to the one before it; SQLite lets anything be written into it."""
    try:
        return bool(link(before, row.seq, row.at, row.record) == row.hash)
    except TypeError:
        return False


def _sealed(row: Any) -> Sealed | None:
    try:
        return decode_sealed(row.record)
    except msgspec.DecodeError:
        return None  # its link is broken too, and told of


def _altered(connection: Connection, chain: str, sealed: Sequence[Sealed | None]) -> list[str]:
    """Compare seals with the lines there are."""
    runs = [run for one in sealed if one is not None for run in one.runs]
    if not runs:
        return []
    between = entry.c.seq.between(min(r[0] for r in runs), max(r[1] for r in runs))
    lines = {row.seq: row for row in connection.execute(select(entry).where(between))}
    found = []
    for one in sealed:
        if one is None:
            continue
        numbers = [n for first, last in one.runs for n in range(first, last + 1)]
        missing = [n for n in numbers if n not in lines]
        if missing:
            found.append(f"{chain} (lines): {_named(missing)} missing")
        elif digest_of([line_of(lines[n]) for n in numbers]) != one.digest:
            found.append(f"{chain} (lines): {_named(numbers)} altered")
    return found


def _named(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    return f"line {first}" if first == last else f"among lines {first} to {last}"


def _unsealed(connection: Connection, covered: list[tuple[int, int]]) -> list[str]:
    """Lines that no seal knows of, and numbers that two seals claim."""
    found = []
    reached = 0
    query = select(entry.c.seq).where(entry.c.seq > bindparam("a"), entry.c.seq < bindparam("b"))
    for first, last in sorted(covered):
        if first <= reached:
            found.append(f"line {first} is sealed twice")
        elif first > reached + 1:
            gap = {"a": reached, "b": first}
            found += [f"line {n} is not sealed" for n in connection.execute(query, gap).scalars()]
        reached = max(reached, last)
    rest = select(entry.c.seq).where(entry.c.seq > reached).order_by(entry.c.seq)
    found += [f"line {n} is not sealed" for n in connection.execute(rest).scalars()]
    return found


_LAST_STATE = (
    select(entry.c.state)
    .where(entry.c.process_id == process.c.id)
    .order_by(entry.c.seq.desc())
    .limit(1)
    .scalar_subquery()
)
_ASTRAY = select(process.c.id, process.c.state, _LAST_STATE.label("told")).where(
    func.coalesce(_LAST_STATE, "") != process.c.state
)
_BACKWARDS = select(
    select(
        entry.c.process_id,
        entry.c.revision,
        func.lag(entry.c.revision)
        .over(partition_by=entry.c.process_id, order_by=entry.c.seq)
        .label("before"),
    ).subquery("lines")
)
_TWICE = (
    select(entry.c.process_id, entry.c.revision)
    .where(entry.c.event.not_in(_TOLD_BESIDE))
    .group_by(entry.c.process_id, entry.c.revision)
    .having(func.count(func.distinct(entry.c.event)) > 1)
)


def _out_of_step(connection: Connection) -> list[str]:
    """Each process is where its last line says, by one change after another."""
    found = [
        f"process {row.id} is {row.state}, its timeline says {row.told or 'nothing'}"
        for row in connection.execute(_ASTRAY)
    ]
    lines = _BACKWARDS.selected_columns
    backwards = _BACKWARDS.where(lines.before > lines.revision)
    found += [
        f"process {row.process_id}: revision {row.revision} is told after {row.before}"
        for row in connection.execute(backwards)
    ]
    found += [
        f"process {row.process_id}: revision {row.revision} tells of two changes"
        for row in connection.execute(_TWICE)
    ]
    return found


def _missed(connection: Connection, known: Sequence[Checkpoint]) -> list[str]:
    found = []
    for point in known:
        table = _TABLES[point.of]
        name = point.chain if point.of == "audit" else f"{point.chain} (lines)"
        query = select(table.c.hash).where(table.c.chain == point.chain, table.c.seq == point.seq)
        there = connection.execute(query).scalar()
        if there is None:
            found.append(f"{name}: cut off before {point.seq}, which a checkpoint knows")
        elif there != point.hash:
            found.append(f"{name}: {point.seq} is not what a checkpoint knows")
    return found
