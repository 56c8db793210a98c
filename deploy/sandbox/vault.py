"""A vendor's durable memory: tables of records in one append-only log.

A real vendor does not forget a committed order when its process dies, so neither does a simulator.
Every mutation is handed to the kernel with ``write(2)`` before the caller goes on: a killed process
loses nothing that it answered (a machine that loses power may; there is no ``fsync``). One line of
the log is one batch of mutations, so a line torn by a crash is a batch that never happened.

Records are plain dicts of what JSON holds (``Decimal`` and ``datetime`` come back from the log as
strings: store them as strings). They are treated as immutable: put a new record, never change one
in place.
"""

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Index", "Recent", "Record", "Table", "Vault", "VaultDamagedError"]

Record = dict[str, Any]
_TIDY_ABOVE = 10_000


class VaultDamagedError(Exception):
    """A line before the last one cannot be read: something else changed the file."""

    def __init__(self, path: Path, line: int) -> None:
        super().__init__(f"{path}: line {line} is not a batch of mutations")
        self.path = path
        self.line = line


class Index:
    """A secondary index of a table, kept up to date by it.

    Records without the field are not in it.
    """

    def __init__(self, table: "Table", key_of: Callable[[Record], Any]) -> None:
        self._table = table
        self._key_of = key_of
        self._keys: dict[Any, dict[str, None]] = {}
        for key, record in table.items():
            self.enter(key, record)

    def get(self, value: Any) -> list[Record]:
        """Every record whose field has this value, in the order in which they took it on."""
        keys = self._keys.get(value)
        if not keys:
            return []
        records = self._table.records
        return [records[key] for key in keys]

    def count(self, value: Any) -> int:
        """How many records have this value."""
        return len(self._keys.get(value, ()))

    def enter(self, key: str, record: Record) -> None:
        """Called by the table when a record is put."""
        value = self._key_of(record)
        if value is not None:
            self._keys.setdefault(value, {})[key] = None

    def move(self, key: str, old: Record, new: Record) -> None:
        """Called by the table when a record replaces another; an unmoved one keeps its place."""
        was, now = self._key_of(old), self._key_of(new)
        if was != now:
            self.leave(key, old)
            self.enter(key, new)

    def leave(self, key: str, record: Record) -> None:
        """Called by the table when a record is deleted."""
        value = self._key_of(record)
        keys = self._keys.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._keys[value]


class Recent:
    """The records of a table by when they last changed: what changed since is found at once.

    Kept up to date by the table like an index. ``stamp_of`` must give texts that compare as times
    do. Entries of records that changed again stay in place and are passed over, until they are
    more than the records.
    """

    def __init__(self, table: "Table", stamp_of: Callable[[Record], str]) -> None:
        self._table = table
        self._stamp_of = stamp_of
        self._entries: list[tuple[str, int, str]] = []  # stamp, number of the entry, key
        self._number = 0
        self._tidy()

    def since(self, stamp: str) -> list[Record]:
        """Every record stamped then or later, oldest first."""
        records, stamp_of = self._table.records, self._stamp_of
        found = []
        for then, _, key in self._entries[bisect_left(self._entries, (stamp, -1, "")) :]:
            record = records.get(key)
            if record is not None and stamp_of(record) == then:
                found.append(record)
        return found

    def enter(self, key: str, record: Record) -> None:
        """Called by the table when a record is put."""
        self._number += 1
        insort(self._entries, (self._stamp_of(record), self._number, key))
        if len(self._entries) > 2 * len(self._table.records) + _TIDY_ABOVE:
            self._tidy()

    def move(self, key: str, old: Record, new: Record) -> None:
        """Called by the table when a record replaces another."""
        if self._stamp_of(old) != self._stamp_of(new):
            self.enter(key, new)

    def leave(self, key: str, record: Record) -> None:
        """Called by the table when a record is deleted; its entry is passed over."""

    def _tidy(self) -> None:
        stamp_of = self._stamp_of
        kept = [(stamp_of(one), at, key) for at, (key, one) in enumerate(self._table.items(), 1)]
        self._number = len(kept)
        self._entries = sorted(kept)


class Table:
    """Records by key, in the order in which they came."""

    def __init__(self, vault: "Vault", name: str) -> None:
        self.name = name
        self.records: dict[str, Record] = {}
        self._vault = vault
        self._indexes: dict[str, Index] = {}
        self._recent: Recent | None = None
        self._deleted: set[str] = set()

    def get(self, key: str) -> Record | None:
        """The record under this key, if there is one."""
        return self.records.get(key)

    def put(self, key: str, record: Record) -> None:
        """Put or replace a record; durable on return (or when the surrounding batch ends)."""
        old = self.records.get(key)
        self._place(key, record)
        self._vault.log(self, key, record, old)

    def delete(self, key: str) -> None:
        """Delete the record under this key.

        Raises:
            KeyError: there is none.
        """
        old = self.records[key]
        self._place(key, None)
        self._vault.log(self, key, None, old)

    def values(self) -> Iterable[Record]:
        """Every record, in the order in which they came."""
        return self.records.values()

    def items(self) -> Iterable[tuple[str, Record]]:
        """Every key and record, in the order in which they came."""
        return self.records.items()

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def index(self, field: str, key_of: Callable[[Record], Any] | None = None) -> Index:
        """The index over ``field``, made on first asking and kept from then on.

        With ``key_of`` the index is over what that function says of a record (None: not in the
        index) and ``field`` is only its name.
        """
        index = self._indexes.get(field)
        if index is None:
            index = Index(self, key_of or (lambda record: record.get(field)))
            self._indexes[field] = index
        return index

    def recent(self, stamp_of: Callable[[Record], str]) -> Recent:
        """The records by when they last changed, made on first asking and kept from then on."""
        if self._recent is None:
            self._recent = Recent(self, stamp_of)
        return self._recent

    def load(self, records: Iterable[tuple[str, Record]]) -> None:
        """Take in seed data, which is derived anew at each start and so is not written to the log.

        What the log says wins: a seed record that was changed or deleted since stays so.
        """
        for key, record in records:
            if key not in self.records and key not in self._deleted:
                self._place(key, record)

    def restore(self, key: str, record: Record | None) -> None:
        """Put (or with None delete) without logging: for replay and for undoing a failed batch."""
        self._place(key, record)

    def _place(self, key: str, record: Record | None) -> None:
        old = self.records.get(key)
        if record is None:
            self._deleted.add(key)
            if old is not None:
                del self.records[key]
                for index in self._kept():
                    index.leave(key, old)
            return
        if self._deleted:
            self._deleted.discard(key)
        self.records[key] = record
        if old is None:
            for index in self._kept():
                index.enter(key, record)
        else:
            for index in self._kept():
                index.move(key, old, record)

    def _kept(self) -> Iterable[Index | Recent]:
        yield from self._indexes.values()
        if self._recent is not None:
            yield self._recent


class Vault:
    """The tables of one vendor and the log they live in.

    ``directory`` is made when it is not there and holds ``vault.jsonl``; None keeps everything in
    memory. A torn last line is cut off on construction.

    Raises:
        VaultDamagedError: an earlier line cannot be read.
    """

    def __init__(self, directory: Path | None) -> None:
        self._tables: dict[str, Table] = {}
        self._encode = msgspec.json.Encoder(decimal_format="string").encode
        self._depth = 0
        self._pending: list[tuple[str, str, Record | None]] = []
        self._undo: list[tuple[Table, str, Record | None]] = []
        self._descriptor: int | None = None
        self.path = directory / "vault.jsonl" if directory is not None else None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._replay(self.path) if self.path.exists() else 0
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._descriptor, whole)

    def table(self, name: str) -> Table:
        """The table of this name, made on first asking."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(self, name)
        return table

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make everything put and deleted inside one write, all of it or nothing.

        An exception inside undoes the batch in memory too and nothing reaches the log. Batches
        nest; the outermost writes. Never ``await`` inside: another request's mutations would join
        this batch and that request would be answered before they are written.
        """
        self._depth += 1
        try:
            yield
        except BaseException:
            if self._depth == 1:
                for table, key, old in reversed(self._undo):
                    table.restore(key, old)
                self._pending.clear()
                self._undo.clear()
            raise
        else:
            if self._depth == 1 and self._pending:
                self._write(self._pending)
                self._pending.clear()
                self._undo.clear()
        finally:
            self._depth -= 1

    def log(self, table: Table, key: str, record: Record | None, old: Record | None) -> None:
        """Called by a table after each mutation in memory."""
        if self._depth:
            self._pending.append((table.name, key, record))
            self._undo.append((table, key, old))
        elif self._descriptor is not None:
            self._write([(table.name, key, record)])

    def close(self) -> None:
        """Close the log; the tables stay readable."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, mutations: list[tuple[str, str, Record | None]]) -> None:
        if self._descriptor is None:
            return
        line = memoryview(self._encode(mutations) + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def _replay(self, path: Path) -> int:
        """Apply every whole line; answer how many bytes they are."""
        decode = msgspec.json.Decoder(list[tuple[str, str, Record | None]]).decode
        whole = 0
        with path.open("rb") as log:
            for number, line in enumerate(log, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    mutations = decode(line)
                except msgspec.MsgspecError as damage:
                    raise VaultDamagedError(path, number) from damage
                for name, key, record in mutations:
                    self.table(name).restore(key, record)
                whole += len(line)
        return whole
