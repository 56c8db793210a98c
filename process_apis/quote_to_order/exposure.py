"""What customers' accepted orders come to that the ERP does not count yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from contracts.canonical.ids import CustomerId
from process_apis.quote_to_order.records import OrderRecord
from runtime.journal.process import Process

_CHECKED: Final[ContextVar[str | None]] = ContextVar("crossdock_order_checked", default=None)
"""The order that is being checked again: its own amount does not stand against it."""


class _Open(Struct):
    """One order. `in_erp_since` None: the ERP does not have it yet."""

    amount: Decimal
    in_erp_since: datetime | None = None


class _Customer(Struct):
    """The orders of one customer, their sum, and the position they were last held against.

    A customer may have many, and is asked for with every check.
    """

    orders: dict[str, _Open]
    total: Decimal = Decimal(0)
    as_of: datetime | None = None

    def put(self, order: str, amount: Decimal) -> None:
        entry = self.orders.setdefault(order, _Open(Decimal(0)))
        self.total += amount - entry.amount
        entry.amount = amount

    def drop(self, order: str) -> None:
        entry = self.orders.pop(order, None)
        if entry is not None:
            self.total -= entry.amount

    def drop_known(self, as_of: datetime) -> None:
        """Forget what the ERP's position of `as_of` includes."""
        if as_of != self.as_of:
            self.as_of = as_of
            for order, entry in list(self.orders.items()):
                if entry.in_erp_since is not None and entry.in_erp_since < as_of:
                    self.drop(order)


class OpenExposure:
    """Kept in memory, in company currency; filled again at the start.

    An order stops counting here once the ERP has given a position that includes it, so that it
    is counted in one place and never in none.
    """

    def __init__(self) -> None:
        self._open: dict[CustomerId, _Customer] = {}

    def __call__(self, customer: CustomerId, as_of: datetime) -> Decimal:
        """Answer what the ERP's position of `as_of` does not include.

        An order that is being checked again (`checking`) is left out.
        """
        known = self._open.get(customer)
        if known is None:
            return Decimal(0)
        known.drop_known(as_of)
        if not known.orders:
            del self._open[customer]
        checked = known.orders.get(_CHECKED.get() or "")
        return known.total if checked is None else known.total - checked.amount

    def add(self, customer: CustomerId, order: str, amount: Decimal | None) -> bool:
        """Count an order unless it is counted already; answer whether it was news.

        One without an amount belongs to a customer without a limit. An order is named by
        `order_token`, so that it can be counted before the journal has given it an id.
        """
        if amount is None:
            return False
        known = self._open.get(customer)
        if known is None:
            known = self._open[customer] = _Customer({})
        if order in known.orders:
            return False
        known.put(order, amount)
        return True

    def counted(self, process: Process[OrderRecord], at: datetime) -> None:
        """The ERP has the order since `at`: its later positions include it."""
        known = self._open.get(process.data.customer)
        entry = None if known is None else known.orders.get(_token(process))
        if known is not None and entry is not None:
            entry.in_erp_since = at
            if known.as_of is not None and at < known.as_of:
                known.as_of = None  # the clock was put back: look through them once more

    def resumes(self, process: Process[OrderRecord]) -> None:
        """Count an order that goes on after it was held or stopped."""
        self.decided(process, process.data)

    def decided(self, process: Process[OrderRecord], record: OrderRecord) -> None:
        """Count an order at what it comes to now that it was checked; a held one not at all.

        To be called before anything is awaited after the check, so that no other order is let in
        on the same credit.
        """
        token = _token(process)
        if record.credit == "held":
            self.forget(record.customer, token)
        elif not self.add(record.customer, token, record.exposure) and record.exposure is not None:
            self._open[record.customer].put(token, record.exposure)

    def forget(self, customer: CustomerId, order: str) -> None:
        """The order came to nothing."""
        known = self._open.get(customer)
        if known is not None:
            known.drop(order)

    def forget_process(self, process: Process[OrderRecord]) -> None:
        """The order is cancelled."""
        self.forget(process.data.customer, _token(process))


@contextmanager
def checking(process: Process[OrderRecord]) -> Iterator[None]:
    """Check an order that may be counted already: what is asked in here leaves its amount out."""
    before = _CHECKED.set(_token(process))
    try:
        yield
    finally:
        _CHECKED.reset(before)


def order_token(consumer: str, key: str) -> str:
    """Name an order as its consumer does."""
    return f"{consumer}\n{key}"


def _token(process: Process[OrderRecord]) -> str:
    return order_token(process.consumer, process.key)
