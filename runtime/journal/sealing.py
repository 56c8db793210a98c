"""Seals: every line of every timeline is on record once, and cannot be changed unseen.

Each commit that writes lines also writes one seal: the numbers of its lines and a digest of them,
hashed together with the seal before it. Each node has its own chain of seals, so that no node
waits for another; the numbers say which chain a line belongs to. The cost is one row a commit,
whatever the commit holds.
"""

import hashlib
from collections.abc import Sequence
from operator import itemgetter
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
_AT = _COLUMNS.index("at")
_told = itemgetter(*_COLUMNS[1:])
"""Everything of a line but its number, which comes first."""


def link(before: bytes, seq: int, at: int, record: bytes) -> bytes:
    """The hash of a record: SHA-256 over the hash before it, its number, its time and its text."""
    return hashlib.sha256(b"%b%d:%d:%b" % (before, seq, at, record)).digest()


def line_of(row: Any) -> tuple[Any, ...]:
    """A stored line as it is digested."""
    return tuple([getattr(row, name) for name in _COLUMNS])


def digest_of(lines: Sequence[tuple[Any, ...]]) -> str:
    """SHA-256 over lines in the order of their numbers, as one JSON document."""
    return hashlib.sha256(encode(lines)).hexdigest()


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
    """Gathers the lines of a transaction; they are inserted and sealed last before its commit."""

    def __init__(self, dialect: Dialect, chain: str) -> None:
        self.insert = inserting(entry, dialect, numbering=True)
        self.add_seals = inserting(seal, dialect)
        self.chain = chain

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Add the rows to the transaction."""
        if not rows:
            return
        pending: dict[str, _Chain] = connection.info.setdefault(BEFORE_COMMIT, {})
        if self.chain not in pending:
            pending[self.chain] = _Chain(self)
        pending[self.chain].gathered += rows

    def flush(self, connection: Connection) -> None:
        """Insert what is gathered now, for who must see it before the commit."""
        chain: _Chain | None = connection.info.get(BEFORE_COMMIT, {}).get(self.chain)
        if chain is not None:
            chain.insert(connection)


class _Chain:
    """The end of one chain as one connection knows it, and what its transaction has added.

    It lasts as long as the connection, and is forgotten with whatever was rolled back: then the
    end is read anew.
    """

    def __init__(self, to: SealedLines) -> None:
        self._to = to
        self._end: tuple[int, bytes] | None = None
        self.gathered: list[dict[str, Any]] = []
        self._numbers: list[int] = []
        self._lines: list[tuple[Any, ...]] = []

    def insert(self, connection: Connection) -> None:
        """Insert the lines gathered, and remember them for the seal."""
        if not self.gathered:
            return
        numbers = self._to.insert.run_numbered(connection, self.gathered)
        self._lines += [(n, *_told(row)) for n, row in zip(numbers, self.gathered, strict=True)]
        self._numbers += numbers
        self.gathered = []

    def __call__(self, connection: Connection) -> None:
        """Write the lines and their seal: the last thing before the commit."""
        self.insert(connection)
        if not self._numbers:
            return
        if self._end is None:
            last = connection.execute(_LAST, {"chain": self._to.chain}).first()
            self._end = (last.seq, last.hash) if last else (0, START)
        seq, before = self._end
        at = max(line[_AT] for line in self._lines)
        record = encode(Sealed(runs=runs_of(self._numbers), digest=digest_of(self._lines)))
        linked = link(before, seq + 1, at, record)
        row = {"chain": self._to.chain, "seq": seq + 1, "at": at, "record": record, "hash": linked}
        self._to.add_seals.run(connection, [row])
        self._end = (seq + 1, linked)
        self._numbers, self._lines = [], []
