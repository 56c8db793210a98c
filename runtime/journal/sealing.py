"""Seals: every line of every timeline is on record once, and cannot be changed unseen.

Each commit that writes lines also writes one seal: the numbers of its lines and a digest of them,
hashed together with the seal before it. Each node has its own chain of seals, so that no node
waits for another; the numbers say which chain a line belongs to. The cost is one row a commit,
whatever the commit holds.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Dialect, bindparam, select

from runtime.journal.codec import encode
from runtime.store.schema import entry, seal
from runtime.store.statements import inserting
from runtime.store.writer import BEFORE_COMMIT

START = bytes(32)


class Sealed(Struct, frozen=True, kw_only=True, array_like=True):
    """What a seal says: the numbers of its lines, as runs from first to last, and their digest."""

    runs: tuple[tuple[int, int], ...]
    digest: str


decode_sealed = msgspec.json.Decoder(Sealed).decode

_LAST = (
    select(seal.c.seq, seal.c.hash)
    .where(seal.c.chain == bindparam("chain"))
    .order_by(seal.c.seq.desc())
    .limit(1)
)
_COLUMNS = [c.name for c in entry.columns]


def link(before: bytes, seq: int, at: int, record: bytes) -> bytes:
    """The hash of a record: SHA-256 over the hash before it, its number, its time and its text."""
    return hashlib.sha256(b"%b%d:%d:%b" % (before, seq, at, record)).digest()


def line_of(row: Any) -> bytes:
    """A stored line as the bytes that are digested."""
    return encode([getattr(row, name) for name in _COLUMNS])


def digest_of(lines: Iterable[bytes]) -> str:
    """SHA-256 over lines in the order of their numbers."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
        digest.update(b"\n")
    return digest.hexdigest()


def runs_of(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as runs: 3, 4, 5, 9 are (3, 5) and (9, 9)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return tuple(runs)


class SealedLines:
    """Inserts lines, and has them sealed with the commit they are part of."""

    def __init__(self, dialect: Dialect, chain: str) -> None:
        self._insert = inserting(entry, dialect, numbering=True)
        self._add_seals = inserting(seal, dialect)
        self._chain = chain

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Insert the rows; answer how many."""
        if not rows:
            return 0
        numbers = self._insert.run_numbered(connection, rows)
        pending: dict[str, _Chain] = connection.info.setdefault(BEFORE_COMMIT, {})
        if self._chain not in pending:
            pending[self._chain] = _Chain(self._chain, self._add_seals)
        pending[self._chain].add(numbers, rows)
        return len(rows)


class _Chain:
    """The end of one chain as one connection knows it, and what its transaction has added.

    It lasts as long as the connection, and is forgotten with whatever was rolled back: then the
    end is read anew.
    """

    def __init__(self, chain: str, add_seals: Any) -> None:
        self._chain = chain
        self._add_seals = add_seals
        self._end: tuple[int, bytes] | None = None
        self._numbers: list[int] = []
        self._lines: list[bytes] = []
        self._at = 0

    def add(self, numbers: Sequence[int], rows: Sequence[dict[str, Any]]) -> None:
        self._numbers += numbers
        for number, row in zip(numbers, rows, strict=True):
            line = row | {"seq": number}
            self._lines.append(encode([line[name] for name in _COLUMNS]))
            self._at = max(self._at, row["at"])

    def __call__(self, connection: Connection) -> None:
        """Write the seal: the last thing before the commit."""
        if not self._numbers:
            return
        if self._end is None:
            last = connection.execute(_LAST, {"chain": self._chain}).first()
            self._end = (last.seq, last.hash) if last else (0, START)
        seq, before = self._end
        record = encode(Sealed(runs=runs_of(self._numbers), digest=digest_of(self._lines)))
        linked = link(before, seq + 1, self._at, record)
        row = {
            "chain": self._chain,
            "seq": seq + 1,
            "at": self._at,
            "record": record,
            "hash": linked,
        }
        self._add_seals.run(connection, [row])
        self._end = (seq + 1, linked)
        self._numbers, self._lines, self._at = [], [], 0
