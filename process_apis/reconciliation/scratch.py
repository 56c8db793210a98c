"""What the systems listed, put down on disk for as long as a sweep lasts.

Lists come by time of change and are compared by reference; a span may hold millions of records.
They go into a database of SQLite's own that has no name and is gone with its connection, so that
memory stays bounded however many there are.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from contracts.canonical.documents import Invoice, Shipment
from contracts.canonical.order import Order
from contracts.canonical.shapes import Canonical
from contracts.ports.crm import OrderReport
from contracts.ports.erp import ErpOrder
from contracts.ports.reconciliation import SystemName
from contracts.ports.wms import WarehouseOrder
from process_apis.reconciliation.sides import Sides, key_of, release_names

_SCHEMA: Final = """
CREATE TABLE listed (of TEXT, name TEXT, id TEXT, value BLOB, PRIMARY KEY (of, name, id))
  WITHOUT ROWID;
CREATE TABLE seen (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE suspect (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_CACHE_KIB: Final = 8_192

_SYSTEM_OF: Final[dict[str, SystemName]] = {
    "erp": "erp",
    "invoice": "erp",
    "wms": "wms",
    "crm": "crm",
}

_encode = msgspec.json.Encoder().encode
_erp = msgspec.json.Decoder(ErpOrder).decode
_shipment = msgspec.json.Decoder(Shipment).decode
_invoice = msgspec.json.Decoder(Invoice).decode
_warehouse = msgspec.json.Decoder(WarehouseOrder).decode
_crm = msgspec.json.Decoder(OrderReport).decode


class Scratch:
    """Listed records by system and reference. The last word on a record's id stands."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def put(self, of: str, records: Iterable[tuple[str | None, str, Canonical]]) -> None:
        """Put down records: reference, id, value. One without a reference is none of ours."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)",
            [(of, key_of(name), i, _encode(value)) for name, i, value in records if name],
        )
        self._db.execute("COMMIT")

    def counted(self) -> dict[str, int]:
        """How many orders each system listed."""
        query = (
            "SELECT CASE WHEN of IN ('shipment', 'invoice') THEN 'erp'"
            " WHEN of = 'package' THEN 'wms' ELSE of END, count(DISTINCT name)"
            " FROM listed GROUP BY 1"
        )
        counts = dict(self._db.execute(query).fetchall())
        return {system: counts.get(system, 0) for system in ("crm", "erp", "wms")}

    def sides_of(self, order: Order) -> Sides:
        """Answer what was listed of an order."""
        name = key_of(order.reference)
        releases = {key_of(each): self._wms(key_of(each)) for each in release_names(order)}
        return Sides(
            erp=tuple(_erp(value) for value in self._values("erp", name)),
            shipments=tuple(_shipment(value) for value in self._values("shipment", name)),
            invoices=self.invoices(name),
            releases={each: found for each, found in releases.items() if found},
            packages=self.packages_of(order),
            crm=self.report(name),
        )

    def packages_of(self, order: Order) -> tuple[Shipment, ...]:
        """Answer the packages that left of an order."""
        return tuple(
            _shipment(value)
            for each in release_names(order)
            for value in self._values("package", key_of(each))
        )

    def erp_orders(self, name: str) -> tuple[ErpOrder, ...]:
        """Answer what the ERP listed under a reference."""
        return tuple(_erp(value) for value in self._values("erp", name))

    def live_releases(self, name: str) -> tuple[WarehouseOrder, ...]:
        """Answer what the warehouse listed under a reference and has not cancelled."""
        return tuple(each for each in self._wms(name) if each.state != "cancelled")

    def invoices(self, name: str) -> tuple[Invoice, ...]:
        """Answer what the ERP billed under a reference."""
        return tuple(_invoice(value) for value in self._values("invoice", name))

    def report(self, name: str) -> OrderReport | None:
        """Answer what the CRM listed under a reference."""
        reports = self._values("crm", name)
        return _crm(reports[0]) if reports else None

    def saw(self, names: Iterable[str]) -> None:
        """These references are the journal's."""
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(each,) for each in names])

    def is_new(self, name: str) -> bool:
        """Tell whether a reference was not seen yet; from now on it is."""
        added = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount
        return bool(added)

    def unseen(self, after: str, limit: int) -> Sequence[str]:
        """Answer listed references that the journal has not come up with, in their order."""
        query = (
            "SELECT DISTINCT name FROM listed WHERE name > ? AND name NOT IN seen"
            " ORDER BY name LIMIT ?"
        )
        return [name for (name,) in self._db.execute(query, (after, limit))]

    def systems_of(self, name: str) -> frozenset[SystemName]:
        """Answer which systems listed something under a reference."""
        rows = self._db.execute(
            "SELECT of FROM listed WHERE of IN ('erp', 'invoice', 'wms', 'crm') AND name = ?",
            (name,),
        )
        return frozenset(_SYSTEM_OF[of] for (of,) in rows)

    def suspect(self, name: str) -> None:
        """Something is to be looked at once more."""
        self._db.execute("INSERT OR IGNORE INTO suspect VALUES (?)", (name,))

    def suspects(self, after: str, limit: int) -> Sequence[str]:
        """Answer what is to be looked at once more, in order."""
        query = "SELECT name FROM suspect WHERE name > ? ORDER BY name LIMIT ?"
        return [name for (name,) in self._db.execute(query, (after, limit))]

    def _wms(self, name: str) -> tuple[WarehouseOrder, ...]:
        return tuple(_warehouse(value) for value in self._values("wms", name))

    def _values(self, of: str, name: str) -> Sequence[bytes]:
        query = "SELECT value FROM listed WHERE of = ? AND name = ?"
        return [value for (value,) in self._db.execute(query, (of, name))]
