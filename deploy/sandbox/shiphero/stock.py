"""What lies in the warehouses: on hand, allocated to orders, available, owed.

``available`` is on hand minus allocated and never negative through an allocation; pieces that an
open order wants beyond it are backordered and take the stock when it comes.
"""

from collections.abc import Iterable, Sequence

from deploy.sandbox.clock import Clock
from deploy.sandbox.geography import EU
from deploy.sandbox.shiphero.moments import write_moment
from deploy.sandbox.shiphero.records import ACCOUNT, Line, opaque
from deploy.sandbox.shiphero.refusals import invalid, not_found
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.world import World

__all__ = ["Stock"]

FIRST_WAREHOUSE = 80_011
FIRST_PRODUCT = 5_000_001


class Stock:
    """Stock by warehouse and item, the warehouses and the products."""

    def __init__(self, vault: Vault, world: World, clock: Clock) -> None:
        self._clock = clock
        self._world = world
        self._opened = write_moment(clock.now())
        self._levels = vault.table("stock")
        self.numbers = {code: FIRST_WAREHOUSE + at for at, code in enumerate(world.warehouses)}
        self.ids = {code: opaque("Warehouse", number) for code, number in self.numbers.items()}
        self.codes = {warehouse_id: code for code, warehouse_id in self.ids.items()}
        self.product_numbers = {sku: FIRST_PRODUCT + at for at, sku in enumerate(world.items)}
        self._skus = {number: sku for sku, number in self.product_numbers.items()}
        self._levels.load(
            (f"{code}|{sku}", {"on_hand": item.stock.get(code, 0), "allocated": 0, "moved": None})
            for sku, item in world.items.items()
            for code in world.warehouses
        )

    def warehouse(self, warehouse_id: str) -> str:
        """The code of a warehouse.

        Raises:
            Refusal: there is none with this id.
        """
        code = self.codes.get(warehouse_id)
        if code is None:
            raise not_found("Warehouse", warehouse_id)
        return code

    def sku(self, written: str) -> str:
        """The SKU as the warehouse keeps it.

        Raises:
            Refusal: there is no such product.
        """
        if written in self.product_numbers:
            return written
        raise not_found("Product", written)

    def sku_of(self, product_number: int | None) -> str | None:
        """The SKU of a product's number."""
        return None if product_number is None else self._skus.get(product_number)

    def preferred(self, country_code: str) -> Sequence[str]:
        """Warehouses in the order in which an order to this country is served from them."""
        codes = list(self.ids)
        near = [code for code in codes if self._serves(code, country_code)]
        return near + [code for code in codes if code not in near]

    def allocate(self, lines: Iterable[Line], preferred: Sequence[str]) -> list[Line]:
        """Allocate what is there: all from one warehouse if one has it all, else line by line."""
        wanted = list(lines)
        whole = next((code for code in preferred if self._has_all(code, wanted)), None)
        return [self._allocate_line(line, whole, preferred) for line in wanted]

    def release(self, lines: Iterable[Line]) -> list[Line]:
        """Take the allocations back."""
        released = []
        for line in lines:
            if line.allocated and line.warehouse:
                self._move(line.warehouse, line.sku, allocated=-line.allocated)
            released.append(line._replace(allocated=0, warehouse=None))
        return released

    def ship(self, line: Line, code: str, quantity: int) -> Line:
        """Let pieces of a line leave a warehouse.

        Raises:
            Refusal: more than is still to be shipped, or than lies there free or for this line.
        """
        if not 0 < quantity <= line.pending:
            raise invalid(f"{line.sku}: {quantity} to ship, {line.pending} are pending")
        own = min(quantity, line.allocated) if line.warehouse == code else 0
        if quantity - own > max(0, self.available(code, line.sku)):
            raise invalid(f"{line.sku}: {quantity} to ship, not so many are in {code}")
        self._move(code, line.sku, on_hand=-quantity, allocated=-own)
        left = line._replace(shipped=line.shipped + quantity, allocated=line.allocated - own)
        if (
            left.allocated > left.pending and left.warehouse
        ):  # shipped from elsewhere: free the rest
            self._move(left.warehouse, left.sku, allocated=left.pending - left.allocated)
            left = left._replace(allocated=left.pending)
        return left

    def adjust(self, code: str, sku: str, *, by: int | None = None, to: int | None = None) -> None:
        """Count stock in or out, or set it to a count.

        Raises:
            Refusal: less than nothing would be left.
        """
        on_hand = self._levels.records[f"{code}|{sku}"]["on_hand"]
        change = by if by is not None else (to or 0) - on_hand
        if on_hand + change < 0:
            raise invalid(f"{sku}: only {on_hand} on hand in {code}")
        self._move(code, sku, on_hand=change)

    def available(self, code: str, sku: str) -> int:
        """On hand minus allocated."""
        level = self._levels.records[f"{code}|{sku}"]
        available: int = level["on_hand"] - level["allocated"]
        return available

    def levels(
        self, sku: str | None, code: str | None, updated_from: str | None, updated_to: str | None
    ) -> list[tuple[str, Record]]:
        """``WarehouseProduct`` records with their positions, by product and warehouse."""
        skus = (sku,) if sku is not None else tuple(self.product_numbers)
        codes = (code,) if code is not None else tuple(self.ids)
        found = []
        for each in skus:
            for place in codes:
                moved = self._levels.records[f"{place}|{each}"]["moved"] or self._opened
                if (updated_from and moved < updated_from) or (updated_to and moved > updated_to):
                    continue
                position = f"{self.product_numbers[each]:010d}.{self.numbers[place]}"
                found.append((position, self.show(place, each)))
        return found

    def show(self, code: str, sku: str) -> Record:
        """One ``WarehouseProduct``."""
        level = self._levels.records[f"{code}|{sku}"]
        item = self._world.items[sku]
        number = self.product_numbers[sku] * 10 + self.numbers[code] - FIRST_WAREHOUSE
        return {
            "id": opaque("WarehouseProduct", number),
            "legacy_id": number,
            "account_id": ACCOUNT,
            "sku": sku,
            "warehouse_id": self.ids[code],
            "warehouse_identifier": code,
            "active": not item.blocked,
            "on_hand": level["on_hand"],
            "allocated": level["allocated"],
            "available": level["on_hand"] - level["allocated"],
            "reserve_inventory": 0,
            "non_sellable_quantity": 0,
            "inventory_bin": f"{code[0]}-{number % 90 + 10}-{number % 7 + 1}",
            "price": str(item.unit_price),
            "value": str(item.unit_cost),
            "updated_at": level["moved"] or self._opened,
            "created_at": self._opened,
        }

    def _serves(self, code: str, country_code: str) -> bool:
        return (self._world.warehouses[code].country in EU) == (country_code.upper() in EU)

    def _has_all(self, code: str, lines: list[Line]) -> bool:
        wanted: dict[str, int] = {}
        for line in lines:
            if line.locked not in {None, code}:
                return False
            wanted[line.sku] = wanted.get(line.sku, 0) + line.backordered
        return all(self.available(code, sku) >= pieces for sku, pieces in wanted.items())

    def _allocate_line(self, line: Line, whole: str | None, preferred: Sequence[str]) -> Line:
        if line.backordered <= 0:
            return line
        if line.allocated:
            code = line.warehouse or preferred[0]  # one line is never split over two warehouses
        elif line.locked:
            code = line.locked
        elif whole is not None:
            code = whole
        else:
            enough = (c for c in preferred if self.available(c, line.sku) >= line.backordered)
            most = max(preferred, key=lambda c: self.available(c, line.sku))
            code = next(enough, most)
        pieces = min(line.backordered, max(0, self.available(code, line.sku)))
        if not pieces:
            return line
        self._move(code, line.sku, allocated=pieces)
        return line._replace(allocated=line.allocated + pieces, warehouse=code)

    def _move(self, code: str, sku: str, *, on_hand: int = 0, allocated: int = 0) -> None:
        key = f"{code}|{sku}"
        level = self._levels.records[key]
        self._levels.put(
            key,
            {
                "on_hand": level["on_hand"] + on_hand,
                "allocated": level["allocated"] + allocated,
                "moved": write_moment(self._clock.now()),
            },
        )
