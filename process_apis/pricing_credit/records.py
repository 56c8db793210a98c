"""Which records are copied, where each comes from, and when a copy stops being trusted."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from datetime import date, datetime, timedelta
from typing import Final, TypeVar

from msgspec import Struct

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import CustomerId, ItemId, customer_id, item_id
from contracts.canonical.item import Item
from contracts.canonical.party import Customer
from contracts.canonical.pricing import PriceLadder
from contracts.canonical.stock import StockPosition
from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.changes import Changes
from contracts.ports.crm import Crm, ProductEnquiry
from contracts.ports.erp import Erp, ExchangeRate, PriceEnquiry
from contracts.ports.wms import StockEnquiry, Wms
from process_apis.pricing_credit.copies import Copies
from process_apis.pricing_credit.pulse import Pulse
from process_apis.pricing_credit.settings import PricingSettings
from runtime.clock import Clock
from runtime.tasks import seen

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

UNKNOWN: Final = frozenset({"customer-unknown", "item-unknown", "currency-mismatch", "not-found"})
"""The reasons by which a system says that it has no such record."""

_FEW: Final = 2
"""So many items are looked up one by one; more are found by listing what changed, in one call."""


class PriceKey(Struct, frozen=True):
    """One ladder: for a customer, an item and a day (None is today)."""

    customer: CustomerId
    item: ItemId
    on: date | None = None


class _Listing(Struct):
    """Items being listed, and those listed so far."""

    listed: dict[ItemId, Item]
    task: asyncio.Task[None]


class Records:
    """Every copy that pricing and credit rest on, with the calls that fill them."""

    def __init__(
        self, *, erp: Erp, wms: Wms, crm: Crm, settings: PricingSettings, clock: Clock
    ) -> None:
        self._erp = erp
        self._wms = wms
        self._crm = crm
        self._settings = settings
        self._clock = clock
        self._refreshed_from: datetime | None = None
        self._listing_all: _Listing | None = None
        erp_pulse = Pulse(every=settings.pulse_every, patience=settings.pulse_patience, clock=clock)
        wms_pulse = Pulse(every=settings.pulse_every, patience=settings.pulse_patience, clock=clock)
        self.customers: Copies[CustomerId, Customer] = Copies(
            "customers",
            self._load_customers,
            settings=settings.customers,
            clock=clock,
            pulse=erp_pulse,
        )
        self.items: Copies[ItemId, Item] = Copies(
            "items",
            self._load_items,
            settings=settings.items,
            clock=clock,
            pulse=erp_pulse,
        )
        self.accounts: Copies[str, CustomerId] = Copies(
            "accounts", self._load_accounts, settings=settings.accounts, clock=clock
        )
        self.products: Copies[str, ItemId] = Copies(
            "products", self._load_products, settings=settings.accounts, clock=clock
        )
        self.ladders: Copies[PriceKey, PriceLadder] = Copies(
            "prices",
            self._load_ladders,
            settings=settings.prices,
            clock=clock,
            pulse=erp_pulse,
        )
        self.positions: Copies[CustomerId, CreditPosition] = Copies(
            "credit",
            self._load_positions,
            settings=settings.credit,
            clock=clock,
            pulse=erp_pulse,
        )
        self.rates: Copies[str, ExchangeRate] = Copies(
            "rates", self._load_rates, settings=settings.rates, clock=clock
        )
        self.stock: Copies[ItemId, StockPosition] = Copies(
            "stock",
            self._load_stock,
            settings=settings.stock,
            clock=clock,
            pulse=wms_pulse,
        )

    async def refresh(self) -> None:
        """Read what changed among customers and items since the last time; all, the first time.

        Raises `CallFailedError`; what was read until then is kept.
        """
        started, mono = self._clock.now(), self._clock.monotonic()
        since = self._refreshed_from
        items = self._begin_listing(since)
        await asyncio.gather(self._refresh_customers(since), asyncio.shield(items.task))
        self._refreshed_from = started - timedelta(seconds=self._settings.refresh_overlap)
        self.customers.confirm(started, mono)
        self.items.confirm(started, mono)

    def doubt(self, changes: Iterable[RecordChanged]) -> None:
        """Stop trusting the copies of records that an authority says have changed."""
        items: set[ItemId] = set()
        for change in changes:
            entity = change.entity.lower()
            if entity.startswith("customer"):
                self._doubt_customer(change.id)
            elif entity.startswith("item") and change.id is not None:
                items.add(_item(change.id))
            elif entity.startswith(("item", "price")):
                self.items.doubt_all()
                self.ladders.doubt_all()
            elif entity.startswith(("salesorder", "salesinvoice", "order", "invoice", "payment")):
                self.positions.doubt_all()
            elif entity.startswith(("stock", "inventory")):
                _doubt(self.stock, None if change.id is None else _item(change.id))
        if items:
            self.items.doubt(items)
            self.ladders.doubt_all(lambda key: key.item in items)

    def _doubt_customer(self, changed: str | None) -> None:
        known = None if changed is None else customer_id(changed.removeprefix("cust_"))
        _doubt(self.customers, known)
        _doubt(self.positions, known)
        self.ladders.doubt_all(lambda key: known is None or key.customer == known)

    async def _refresh_customers(self, since: datetime | None) -> None:
        cursor = None
        while True:
            page = await self._erp.list_customers(Changes(since=since, cursor=cursor))
            for customer in page.customers:
                self.customers.put(customer.id, customer)
            cursor = page.cursor
            if cursor is None:
                return

    def _begin_listing(self, since: datetime | None) -> _Listing:
        listed: dict[ItemId, Item] = {}
        task = asyncio.create_task(self._list_items(since, listed), name="items-listing")
        task.add_done_callback(seen)
        listing = _Listing(listed=listed, task=task)
        if since is None:
            self._listing_all = listing
            task.add_done_callback(lambda _: self._forget(listing))
        return listing

    def _forget(self, listing: _Listing) -> None:
        if self._listing_all is listing:
            self._listing_all = None

    async def _list_items(self, since: datetime | None, listed: dict[ItemId, Item]) -> None:
        cursor = None
        while True:
            page = await self._erp.list_items(Changes(since=since, cursor=cursor))
            for item in page.items:
                self.items.put(item.id, item)
                listed[item.id] = item
            cursor = page.cursor
            if cursor is None:
                return

    async def _load_customers(self, keys: Collection[CustomerId]) -> dict[CustomerId, Customer]:
        found = await asyncio.gather(*(_unless_unknown(self._erp.get_customer, k) for k in keys))
        return {k: record for k, record in zip(keys, found, strict=True) if record is not None}

    async def _load_items(self, keys: Collection[ItemId]) -> dict[ItemId, Item]:
        """Answer items in a few calls, however many are asked for.

        Every change since the last refresh is in the listing. So what it does not name is as it
        is held, and what is not held is not there; a few such are looked up all the same.
        """
        if len(keys) <= _FEW:
            return await self._look_up_items(keys)
        listing = self._listing_all or self._begin_listing(self._refreshed_from)
        try:
            async with asyncio.timeout(self._settings.items.patience):
                await asyncio.shield(listing.task)
            is_complete = len(self.items) < self._settings.items.size  # nothing was evicted
        except TimeoutError:
            is_complete = False
        found = {key: listing.listed[key] for key in keys if key in listing.listed}
        left = [key for key in keys if key not in found]
        if not is_complete or len(left) <= _FEW:
            return found | await self._look_up_items(left)
        return found | {key: held for key in left if (held := self.items.held(key)) is not None}

    async def _look_up_items(self, keys: Collection[ItemId]) -> dict[ItemId, Item]:
        found = await asyncio.gather(*(_unless_unknown(self._erp.get_item, k) for k in keys))
        return {k: record for k, record in zip(keys, found, strict=True) if record is not None}

    async def _load_accounts(self, keys: Collection[str]) -> dict[str, CustomerId]:
        found = await asyncio.gather(*(_unless_unknown(self._crm.customer_of, k) for k in keys))
        return {k: link.customer for k, link in zip(keys, found, strict=True) if link is not None}

    async def _load_products(self, keys: Collection[str]) -> dict[str, ItemId]:
        answer = await self._crm.items_of(ProductEnquiry(products=tuple(keys)))
        return {link.product: link.item for link in answer.links}

    async def _load_positions(
        self, keys: Collection[CustomerId]
    ) -> dict[CustomerId, CreditPosition]:
        found = await asyncio.gather(*(_unless_unknown(self._erp.credit_position, k) for k in keys))
        return {k: record for k, record in zip(keys, found, strict=True) if record is not None}

    async def _load_rates(self, keys: Collection[str]) -> dict[str, ExchangeRate]:
        found = await asyncio.gather(*(_unless_unknown(self._erp.exchange_rate, k) for k in keys))
        return {k: record for k, record in zip(keys, found, strict=True) if record is not None}

    async def _load_ladders(self, keys: Collection[PriceKey]) -> dict[PriceKey, PriceLadder]:
        questions: dict[tuple[CustomerId, date | None], list[ItemId]] = {}
        for key in keys:
            questions.setdefault((key.customer, key.on), []).append(key.item)
        answers = await asyncio.gather(
            *(
                self._erp.price_ladders(PriceEnquiry(customer=customer, items=tuple(items), on=on))
                for (customer, on), items in questions.items()
            )
        )
        return {
            PriceKey(customer, ladder.item, on): ladder
            for (customer, on), answer in zip(questions, answers, strict=True)
            for ladder in answer.ladders
        }

    async def _load_stock(self, keys: Collection[ItemId]) -> dict[ItemId, StockPosition]:
        answer = await self._wms.stock(StockEnquiry(items=tuple(keys)))
        return {position.item: position for position in answer.positions}


def _item(changed: str) -> ItemId:
    """Answer the id of an item that an authority named by its number or by ours."""
    return item_id(changed.removeprefix("item_"))


def _doubt(copies: Copies[K, V], key: K | None) -> None:
    if key is None:
        copies.doubt_all()
    else:
        copies.doubt((key,))


async def _unless_unknown(read: Callable[[str], Awaitable[V]], key: str) -> V | None:
    """Answer None where the authority says that there is no such record."""
    try:
        return await read(key)
    except CallFailedError as failed:
        if isinstance(failed.failure, Rejected) and failed.failure.reason in UNKNOWN:
            return None
        raise
