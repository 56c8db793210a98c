"""The org: its records, their indexes, and what a transaction leaves behind.

A record is a dict of stored values by field name; fields that are null are not in it. Deleted
records stay, marked ``IsDeleted``, as in the recycle bin.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from typing import Any

import msgspec

from deploy.sandbox.clock import Clock
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.salesforce.fields import Field, instant
from deploy.sandbox.salesforce.ids import Minter
from deploy.sandbox.salesforce.objects import Schema, SObject
from deploy.sandbox.salesforce.outbox import Outbox
from deploy.sandbox.salesforce.policy import OrgPolicy
from deploy.sandbox.vault import Index, Record, Table, Vault

__all__ = ["Caller", "Org", "StampOrder"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a record is written, and the call's options.

    ``client`` is what ``Sforce-Call-Options`` names; the ``duplicate`` options are those of
    ``Sforce-Duplicate-Rule-Header``.
    """

    user_id: str
    client: str | None = None
    allow_duplicates: bool = False
    include_record_details: bool = False


class StampOrder:
    """Records of one object by SystemModstamp, which has whole seconds.

    Every second that any record was ever stamped with is kept in order; the index knows who carries
    it now. A second that nobody carries any more costs one look-up, a rolled-back write nothing.
    """

    def __init__(self, index: Index, seconds: Iterable[str]) -> None:
        self._index = index
        self._seconds = sorted(set(seconds))

    def note(self, second: str) -> None:
        """A record is about to be stamped with this second."""
        seconds = self._seconds
        if not seconds or second > seconds[-1]:
            seconds.append(second)
        elif seconds[-1] != second:  # the clock went back
            at = bisect_left(seconds, second)
            if seconds[at] != second:
                insort(seconds, second)

    def span(self, low: str | None, high: str | None) -> list[str]:
        """The seconds from ``low`` to ``high``, both included."""
        start = 0 if low is None else bisect_left(self._seconds, low)
        end = len(self._seconds) if high is None else bisect_right(self._seconds, high)
        return self._seconds[start:end]

    def count(self, seconds: Iterable[str], enough: int) -> int:
        """How many records carry one of these seconds; stops counting at ``enough``."""
        found = 0
        for second in seconds:
            found += self._index.count(second)
            if found >= enough:
                break
        return found

    def records(self, seconds: Iterable[str]) -> Iterator[Record]:
        """The records that carry one of these seconds, in order of the stamp."""
        for second in seconds:
            yield from self._index.get(second)


class Org:
    """Everything the simulated org holds. Build it, load the seed, then serve."""

    def __init__(
        self,
        *,
        schema: Schema,
        vault: Vault,
        ledger: Ledger,
        clock: Clock,
        chance: Random,
        policy: OrgPolicy,
        organization_id: str,
    ) -> None:
        self.schema = schema
        self.vault = vault
        self.ledger = ledger
        self.clock = clock
        self.chance = chance
        self.policy = policy
        self.organization_id = organization_id
        self.tables: dict[str, Table] = {name: vault.table(name) for name in schema.objects}
        self.outbox = Outbox(vault)
        self.stamp = ""
        self._indexes: dict[str, dict[str, Index]] = {}
        self._stamps: dict[str, StampOrder] = {}
        self._minters: dict[str, Minter] = {}
        self.owing: Callable[[str], None] = _nobody_sends  # told each notification that is owed
        self._effects: list[Callable[[], object]] = []
        self._nested = False
        self._doomed = False

    def load(self, name: str, records: Iterable[Record]) -> None:
        """Take in seed records of one object; what was changed since the seed stays so."""
        self.tables[name].load((record["Id"], record) for record in records)

    def open(self) -> None:
        """Build the indexes once the seed is in."""
        for sobject in self.schema.objects.values():
            table = self.tables[sobject.name]
            indexes = {
                field.name: table.index(field.name, _key_of(field))
                for field in sobject.fields.values()
                if field.indexed and field.kind != "id"
            }
            self._indexes[sobject.name] = indexes
            stamps = {record["SystemModstamp"] for record in table.values()}
            self._stamps[sobject.name] = StampOrder(indexes["SystemModstamp"], stamps)
            self._minters[sobject.name] = Minter(sobject.prefix, max(table.records, default=None))

    def now(self) -> datetime:
        """The clock's time."""
        return self.clock.now()

    def stamp_now(self) -> str:
        """The clock's time in whole seconds, as it is stored."""
        return instant(self.clock.now().replace(microsecond=0))

    def index(self, sobject: SObject, field: Field) -> Index | None:
        """The index over a field, if it has one."""
        return self._indexes[sobject.name].get(field.name)

    def by_value(self, sobject: SObject, field: Field, value: Any) -> list[Record]:
        """The living records whose indexed field has this value."""
        index = self._indexes[sobject.name][field.name]
        return [record for record in index.get(field.fold(value)) if not record["IsDeleted"]]

    def children(self, child: str, field: str, parent_id: str) -> list[Record]:
        """The living records of ``child`` whose reference ``field`` points at the parent."""
        records = self._indexes[child][field].get(parent_id)
        return [record for record in records if not record["IsDeleted"]]

    def stamps(self, sobject: SObject) -> StampOrder:
        """The object's records by modification time."""
        return self._stamps[sobject.name]

    def living(self, name: str, record_id: str | None) -> Record | None:
        """The record of this id unless there is none or it is deleted."""
        if record_id is None:
            return None
        record = self.tables[name].get(record_id)
        return None if record is None or record["IsDeleted"] else record

    def mint(self, sobject: SObject) -> str:
        """A new id of this object."""
        return self._minters[sobject.name].mint()

    def put(self, sobject: SObject, record: Record, caller: Caller) -> None:
        """Stamp and store a record; only inside a transaction."""
        stamp = self.stamp
        record["LastModifiedDate"] = record["SystemModstamp"] = stamp
        record["LastModifiedById"] = caller.user_id
        self._stamps[sobject.name].note(stamp)
        self.tables[sobject.name].put(record["Id"], record)

    def after_commit(self, effect: Callable[[], object]) -> None:
        """Do this when the surrounding transaction is durable; forget it when it is rolled back."""
        self._effects.append(effect)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nests. A nested one that fails fails the outermost too.

        Never ``await`` inside.
        """
        if self._nested:
            try:
                yield
            except BaseException:
                self._doomed = True
                raise
            return
        self.stamp = self.stamp_now()
        self._nested, self._doomed = True, False
        try:
            with self.vault.batch():
                yield
                self._check_doom()
        except BaseException:
            self._effects.clear()
            raise
        finally:
            self._nested = False
        effects, self._effects = self._effects, []
        for effect in effects:
            effect()

    def _check_doom(self) -> None:
        if self._doomed:
            raise RuntimeError("a nested transaction failed and nobody rolled back")


def _key_of(field: Field) -> Callable[[Record], Any] | None:
    if not field.textual or field.case_sensitive:
        return None
    name = field.name

    def folded(record: Record) -> Any:
        value = record.get(name)
        return None if value is None else value.lower()

    return folded


def _nobody_sends(_notification: str) -> None:
    """Until an outbound message is set up, what is owed stays in the outbox."""
