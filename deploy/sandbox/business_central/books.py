"""What the company keeps: tables of every set, number series, and the sums by customer.

Sums by customer are kept up with each posting, so that neither an order nor a credit check ever
adds up documents.
"""

from collections.abc import Callable
from datetime import UTC, date
from decimal import Decimal
from typing import Any

import msgspec

from deploy.sandbox.business_central.amounts import cents, exact, money
from deploy.sandbox.business_central.errors import not_found
from deploy.sandbox.business_central.guids import document_part, is_guid
from deploy.sandbox.business_central.prices import LCY, PriceList
from deploy.sandbox.business_central.seeds import seed_tables
from deploy.sandbox.business_central.transaction import Transactions
from deploy.sandbox.clock import Clock
from deploy.sandbox.vault import Index, Record, Table, Vault
from deploy.sandbox.world import World

__all__ = ["DOCUMENTS", "NO_DAY", "Books", "Sums"]

DOCUMENTS = (
    "salesQuotes",
    "salesOrders",
    "salesInvoices",
    "salesCreditMemos",
    "salesShipments",
)
NO_DAY = "0001-01-01"
_CODED = (
    "locations",
    "currencies",
    "paymentTerms",
    "taxAreas",
    "taxGroups",
    "itemCategories",
    "unitsOfMeasure",
    "shipmentMethods",
    "paymentMethods",
    "customerPaymentJournals",
    "customerReturnReasons",
)
_KEYS = ("number", "externalDocumentNumber", "customerNumber", "orderNumber")
_HUNDREDTH = Decimal("0.01")


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer owes and has on order, in cents of LCY, tax included but for the sales."""

    balance: int = 0
    sales: int = 0
    outstanding: int = 0
    not_invoiced: int = 0


class Books:
    """Every table of one company, its clock and its transactions."""

    def __init__(
        self, *, world: World, vault: Vault, clock: Clock, transactions: Transactions
    ) -> None:
        self.world = world
        self.clock = clock
        self.transactions = transactions
        self.prices = PriceList(world.price_rules, world.currencies)
        self._vault = vault
        self._numbers = vault.table("numbers")
        self._sums = vault.table("sums")
        self._finders: dict[tuple[str, str], Index] = {}
        for name, seeds in seed_tables(world).items():
            vault.table(name).load(seeds)
        for name in ("customers", "items"):
            self._finders[name, "number"] = vault.table(name).index("number")
        for name in _CODED:
            self._finders[name, "code"] = vault.table(name).index("code")
        for name in DOCUMENTS:
            self._index_documents(name)
        status = vault.table("salesOrders").index("status", _header_field("status"))
        self._finders["salesOrders", "status"] = status
        vault.table("salesInvoices").index("owed", _owed_by)

    def table(self, name: str) -> Table:
        """The table of a set."""
        return self._vault.table(name)

    def finder(self, entity_set: str, field: str) -> Index | None:
        """The index over a field of a set, if there is one."""
        return self._finders.get((entity_set, field))

    def find(self, entity_set: str, field: str, value: str) -> Record | None:
        """The first record of an indexed set whose field has this value."""
        found = self._finders[entity_set, field].get(value)
        return found[0] if found else None

    def document(self, entity_set: str, key: str) -> Record:
        """The document under this id.

        Raises:
            BusinessCentralError: 404, there is none (a fully posted order is gone).
        """
        found = self.table(entity_set).get(key)
        if found is None:
            raise not_found()
        return found

    def document_of_line(self, entity_set: str, line: str) -> Record | None:
        """The document of the line with this id."""
        part = document_part(line)
        found = self._finders[entity_set, "part"].get(part) if is_guid(line) else []
        return found[0] if found else None

    def next_number(self, series: str, prefix: str, first: int) -> str:
        """The next number of a series; a number is never given twice."""
        last = self._numbers.get(series)
        value = first if last is None else int(last["last"]) + 1
        self._numbers.put(series, {"last": value})
        return f"{prefix}{value}"

    def now(self) -> str:
        """The time as the vendor writes it."""
        return self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def today(self) -> date:
        """The work date."""
        return self.clock.now().astimezone(UTC).date()

    def sums(self, customer: str) -> Sums:
        """The sums of a customer; before anything happened, what the world says."""
        found = self._sums.get(customer)
        if found is not None:
            return Sums(**found)
        seed = self.world.customers.get(customer)
        return Sums() if seed is None else Sums(balance=cents(money(seed.balance)))

    def add(self, customer: str, **more: int) -> None:
        """Add to a customer's sums; amounts in cents of LCY."""
        if any(more.values()):
            found = msgspec.structs.asdict(self.sums(customer))
            self._sums.put(customer, {**found, **{n: found[n] + v for n, v in more.items()}})

    def lcy_cents(self, amount: Decimal, currency: str) -> int:
        """An amount in cents of LCY at the company's exchange rate."""
        if currency != LCY:
            amount *= self.prices.rate(currency)
        return cents(money(amount))

    def overdue(self, customer: str) -> Decimal:
        """What a customer owes beyond its due date, in LCY."""
        seed = self.world.customers.get(customer)
        total = Decimal(0) if seed is None else seed.overdue
        day = self.today().isoformat()
        for invoice in self._vault.table("salesInvoices").index("owed").get(customer):
            header = invoice["header"]
            if header["dueDate"] < day:
                owed = exact(header["remainingAmount"])
                total += self.lcy_cents(owed, header["currencyCode"]) * _HUNDREDTH
        return total

    def owes_anything(self, customer: str) -> bool:
        """Whether any posted invoice of the customer is open."""
        return self._vault.table("salesInvoices").index("owed").count(customer) > 0

    def has_documents(self, customer: str) -> bool:
        """Whether the customer has documents, open or posted."""
        return any(self._finders[name, "customerNumber"].count(customer) > 0 for name in DOCUMENTS)

    def _index_documents(self, name: str) -> None:
        table = self._vault.table(name)
        for field in _KEYS:
            self._finders[name, field] = table.index(field, _header_field(field))
        self._finders[name, "part"] = table.index(
            "part", lambda record: document_part(record["header"]["id"])
        )


def _header_field(field: str) -> Callable[[Record], Any]:
    return lambda record: record["header"].get(field)


def _owed_by(record: Record) -> str | None:
    header = record["header"]
    if header["status"] == "Open" and header["remainingAmount"]:
        return str(header["customerNumber"])
    return None
