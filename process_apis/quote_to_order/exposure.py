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


class OpenExposure:
    """Kept in memory, in company currency; filled again at the start.

    An order stops counting here once the ERP has given a position that includes it, so that it
    is counted in one place and never in none.
    """

    def __init__(self) -> None:
        self._open: dict[CustomerId, dict[str, _Open]] = {}

    def __call__(self, customer: CustomerId, as_of: datetime) -> Decimal:
        """Answer what the ERP's position of `as_of` does not include.

        An order that is being checked again (`checking`) is left out.
        """
        orders = self._open.get(customer)
        if not orders:
            return Decimal(0)
        for order, entry in list(orders.items()):
            if entry.in_erp_since is not None and entry.in_erp_since < as_of:
                del orders[order]
        if not orders:
            del self._open[customer]
        checked = _CHECKED.get()
        return sum((one.amount for order, one in orders.items() if order != checked), Decimal(0))

    def add(self, customer: CustomerId, order: str, amount: Decimal | None) -> bool:
        """Count an order unless it is counted already; answer whether it was news.

        One without an amount belongs to a customer without a limit. An order is named by
        `order_token`, so that it can be counted before the journal has given it an id.
        """
        orders = self._open.setdefault(customer, {}) if amount is not None else {}
        if amount is None or order in orders:
            return False
        orders[order] = _Open(amount)
        return True

    def counted(self, process: Process[OrderRecord], at: datetime) -> None:
        """The ERP has the order since `at`: its later positions include it."""
        entry = self._open.get(process.data.customer, {}).get(_token(process))
        if entry is not None:
            entry.in_erp_since = at

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
            self._open[record.customer][token].amount = record.exposure

    def forget(self, customer: CustomerId, order: str) -> None:
        """The order came to nothing."""
        self._open.get(customer, {}).pop(order, None)

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
