"""What customers' accepted orders come to that the ERP does not count yet.

Between a check and the acceptance another order may be let in on the same credit. So an order is
counted under the position it was approved on (`asking`, `take`): one that does not fit any more is
checked again, and the check then sees the order that came first.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, Protocol

from msgspec import Struct

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import CustomerId
from process_apis.quote_to_order.records import OrderRecord
from process_apis.quote_to_order.uncounted import Uncounted
from runtime.journal.process import Process

Counted = Literal["new", "known", "over"]
"""An order is counted by this call, was counted before, or would go over the limit."""


NotInErp = Callable[[], Awaitable[Sequence[Uncounted]]]


class Asked(Struct):
    """A check of credit: which order it is of, and what it rests on.

    `order`: counted already; its own amount does not stand against it. `position`: the ERP's,
    once credit was asked for; `unseen`: what it did not include then.
    """

    order: str | None = None
    position: CreditPosition | None = None
    unseen: Decimal = Decimal(0)


_ASKED: Final[ContextVar[Asked | None]] = ContextVar("crossdock_credit_asked", default=None)


class Exposure(Protocol):
    """What accepted orders come to; `OpenExposure` in one process, `SharedExposure` in many."""

    async def __call__(self, position: CreditPosition) -> Decimal:
        """Answer what the ERP's position does not include, without the order being checked."""
        ...

    async def take(self, order: str, record: OrderRecord, on: CreditPosition | None) -> Counted:
        """Count an order, at most up to the limit of the position it was approved on.

        Without `on` it counts whatever the limit is. One without an amount belongs to a customer
        without a limit, a held one waits: neither counts. An order is named by `order_token`, so
        that it can be counted before the journal has given it an id.
        """
        ...

    async def decided(self, process: Process[OrderRecord], record: OrderRecord, on: Asked) -> bool:
        """Count an order at what it comes to now that it was checked; a held one not at all.

        False: another order was let in meanwhile and it would go over the limit. Nothing has
        changed then, and it must be checked again.
        """
        ...

    async def resumes(self, process: Process[OrderRecord]) -> None:
        """Count an order that goes on after it was held or stopped."""
        ...

    async def counted(self, process: Process[OrderRecord], at: datetime) -> None:
        """The ERP has the order since `at`: its later positions include it."""
        ...

    async def forget(self, customer: CustomerId, order: str) -> None:
        """The order came to nothing."""
        ...

    async def fill(self, waiting: Iterable[Uncounted]) -> None:
        """Count the orders that are not in the ERP yet, as the journal has them."""
        ...

    async def mend(self, not_in_erp: NotInErp, /) -> int:
        """Let what is counted be what the journal says; answers how much was not."""
        ...


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

    async def __call__(self, position: CreditPosition) -> Decimal:
        """Answer what the ERP's position does not include."""
        asked = _ASKED.get()
        if asked is not None:
            asked.position = position
        return self._total(
            position.customer, position.as_of, None if asked is None else asked.order
        )

    async def take(self, order: str, record: OrderRecord, on: CreditPosition | None) -> Counted:
        """Count an order within the limit of a position; nothing is awaited in between."""
        amount = countable(record)
        if amount is None:
            return "known"
        known = self._open.get(record.customer)
        if known is not None and order in known.orders:
            return "known"
        if on is not None and is_over(on, self._total(on.customer, on.as_of, None), amount):
            return "over"
        self._open.setdefault(record.customer, _Customer({})).put(order, amount)
        return "new"

    async def decided(self, process: Process[OrderRecord], record: OrderRecord, on: Asked) -> bool:
        """Count an order anew at what it comes to."""
        token = token_of(process)
        amount = countable(record)
        if record.credit == "held":
            self._forget(record.customer, token)
        elif amount is not None:
            position = approved_on(record, on)
            if position is not None:
                unseen = self._total(position.customer, position.as_of, token)
                if is_over(position, unseen, amount):
                    return False
            self._open.setdefault(record.customer, _Customer({})).put(token, amount)
        return True

    async def resumes(self, process: Process[OrderRecord]) -> None:
        """Count an order that goes on."""
        await self.decided(process, process.data, Asked())

    async def counted(self, process: Process[OrderRecord], at: datetime) -> None:
        """The ERP has the order since `at`."""
        known = self._open.get(process.data.customer)
        entry = None if known is None else known.orders.get(token_of(process))
        if known is not None and entry is not None:
            entry.in_erp_since = at
            if known.as_of is not None and at < known.as_of:
                known.as_of = None  # the clock was put back: look through them once more

    async def forget(self, customer: CustomerId, order: str) -> None:
        """The order came to nothing."""
        self._forget(customer, order)

    async def fill(self, waiting: Iterable[Uncounted]) -> None:
        """Count what is not in the ERP; an order counted already stays as it is."""
        for order in waiting:
            if order.exposure is None:
                continue
            known = self._open.setdefault(order.customer, _Customer({}))
            token = order_token(order.consumer, order.key)
            if token not in known.orders:
                known.put(token, order.exposure)

    async def mend(self, _not_in_erp: NotInErp) -> int:
        """Nothing: what is in memory dies with what it counts."""
        return 0

    def _forget(self, customer: CustomerId, order: str) -> None:
        known = self._open.get(customer)
        if known is not None:
            known.drop(order)

    def _total(self, customer: CustomerId, as_of: datetime, without: str | None) -> Decimal:
        known = self._open.get(customer)
        if known is None:
            return Decimal(0)
        known.drop_known(as_of)
        if not known.orders:
            del self._open[customer]
        own = known.orders.get(without or "")
        return known.total if own is None else known.total - own.amount


@contextmanager
def asking(order: str | None = None) -> Iterator[Asked]:
    """Learn on what position the checks in here rest; leave the amount of `order` out of them."""
    asked = Asked(order=order)
    before = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(before)


def asked_now() -> Asked:
    """The check that is going on, if there is one whose author wants to know."""
    return _ASKED.get() or Asked()


def approved_on(record: OrderRecord, asked: Asked) -> CreditPosition | None:
    """The position whose limit an order must keep.

    None when it was not approved by its limit: there is none, nobody knew it, or we had promised.
    """
    position, amount = asked.position, record.exposure
    if record.credit != "approved" or position is None or amount is None:
        return None
    return None if is_over(position, asked.unseen, amount) else position


def countable(record: OrderRecord) -> Decimal | None:
    """What an order adds; None for one that waits for credit or has a customer without a limit."""
    return None if record.credit == "held" else record.exposure


def is_over(position: CreditPosition, unseen: Decimal, amount: Decimal) -> bool:
    """Tell whether so much more would take a customer over the limit."""
    limit = position.limit
    return limit is not None and position.exposure.amount + unseen + amount > limit.amount


def order_token(consumer: str, key: str) -> str:
    """Name an order as its consumer does."""
    return f"{consumer}\n{key}"


def token_of(process: Process[OrderRecord]) -> str:
    """Name an order that has a process."""
    return order_token(process.consumer, process.key)
