"""What has left the warehouse: packages, each read once."""

from typing import Final

from contracts.canonical.documents import Shipment
from contracts.ports.changes import Changes
from contracts.ports.wms import ShipmentPage
from system_apis.wms.shiphero import mapping, wire
from system_apis.wms.shiphero.account import Account, answered
from system_apis.wms.shiphero.cursors import asked_since, onward

__all__ = ["Shipments"]

LIST_COST: Final = 26.0
"""A first guess of the credits a list costs; every answer says what it really cost."""
MOST_REMEMBERED: Final = 20_000
"""Packages remembered at most; the oldest goes first."""


class Shipments:
    """The packages of one account; those it knows of need no second look."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._left: dict[str, Shipment] = {}

    async def since(self, query: Changes) -> ShipmentPage:
        """List packages by when they left, a page of shipments at a time.

        Lines are read of those shipments only that are not remembered: what has left never
        changes, and every line has its price.
        """
        reply = await self._account.ask(
            wire.SHIPMENTS_SINCE,
            asked_since(query),
            wire.shipments_decoder,
            guess=LIST_COST,
            safe=True,
        )
        page = answered(reply)
        packages: list[Shipment] = []
        for edge in page.edges:
            packages += await self._packages(edge.node)
        return ShipmentPage(shipments=tuple(packages), cursor=onward(query, page.after))

    def heard(self, package: Shipment) -> None:
        """Remember a package that the vendor told of in a signed message: it need not be read."""
        self._left[package.id] = package
        while len(self._left) > MOST_REMEMBERED:
            del self._left[next(iter(self._left))]

    async def _packages(self, shipment: wire.Shipment) -> list[Shipment]:
        known = [self._left.get(key) for key in mapping.package_ids(shipment)]
        if all(known):
            return [package for package in known if package is not None]
        lines: list[wire.ShipmentLine] = []
        after: str | None = None
        while True:
            reply = await self._account.ask(
                wire.SHIPMENT_LINES,
                wire.OfShipment(id=shipment.id, after=after),
                wire.shipment_lines_decoder,
                guess=LIST_COST,
                safe=True,
            )
            packed = answered(reply).line_items
            lines += [edge.node for edge in packed.edges]
            after = packed.after
            if after is None:
                break
        made = mapping.packages(shipment, lines)
        for package in made:
            self.heard(package)
        return list(made)
