"""Everything a check rests on, read at once: the firm as it is, the rest awaited."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from contracts.canonical.credit import CreditPosition
from contracts.canonical.ids import CustomerId, ItemId
from contracts.canonical.item import Item
from contracts.canonical.party import Customer
from contracts.canonical.pricing import PriceLadder
from contracts.canonical.stock import StockPosition
from contracts.problems import refuse
from process_apis.pricing_credit import references
from process_apis.pricing_credit.copies import Copies, Found
from process_apis.pricing_credit.records import PriceKey, Records


class Facts(Struct, frozen=True, kw_only=True):
    """What is known for one check.

    `customer_id` None: the reference is the CRM's and could not be looked up; then `customer`
    says whether it is unknown or only not known now. Parts not asked for are None.
    """

    customer_id: CustomerId | None
    customer: Found[CustomerId, Customer]
    item_ids: tuple[ItemId, ...]
    items: Found[ItemId, Item]
    on: date | None = None
    ladders: Found[PriceKey, PriceLadder] | None = None
    position: Found[CustomerId, CreditPosition] | None = None
    stock: Found[ItemId, StockPosition] | None = None

    def ladder(self, item: ItemId) -> PriceLadder | None:
        """Answer the prices of an item for the customer; None where there are none."""
        if self.ladders is None or self.customer_id is None:
            return None
        return self.ladders.values.get(PriceKey(self.customer_id, item, self.on))


_NOTHING: Found[Any, Any] = Found(values={})


async def customer_found(
    records: Records, reference: str, deadline: float
) -> tuple[CustomerId | None, Found[CustomerId, Customer]]:
    """Answer a customer by any of the names it goes by."""
    known = references.customer_of(reference)
    if known is None:
        link = await records.accounts.get((reference,), deadline)
        known = link.values.get(reference)
        if known is None:
            unknown: CustomerId = CustomerId(reference)
            return None, Found(
                values={},
                absent=(unknown,) if link.absent else (),
                lacking=() if link.absent else (unknown,),
                firm=link.firm,
                reason=link.reason,
            )
    return known, await records.customers.get((known,), deadline)


async def read(
    records: Records,
    *,
    customer: str,
    items: Iterable[str],
    parts: Collection[str],
    on: date | None,
    deadline: float,
) -> Facts:
    """Read what the parts of a check need, all at once, by the monotonic instant `deadline`."""
    known = references.customer_of(customer)
    if known is None:
        known, found = await customer_found(records, customer, deadline)
        if known is None:
            item_ids, answers = await _items(records, items, parts, deadline)
            return Facts(customer_id=None, customer=found, item_ids=item_ids, on=None, **answers)
    item_ids = await _named(records, items, deadline)
    questions: dict[str, tuple[Copies[Any, Any], Sequence[Any]]] = {
        "customer": (records.customers, (known,)),
        "items": (records.items, item_ids),
    }
    if "price" in parts:
        questions["ladders"] = (
            records.ladders,
            [PriceKey(known, item, on) for item in item_ids],
        )
    if "credit" in parts:
        questions["position"] = (records.positions, (known,))
    if "availability" in parts:
        questions["stock"] = (records.stock, item_ids)
    return Facts(customer_id=known, item_ids=item_ids, on=on, **await _ask(questions, deadline))


async def items_found(
    records: Records, items: Iterable[str], parts: Collection[str], deadline: float
) -> Facts:
    """Read what is known of items alone, without a customer."""
    item_ids, answers = await _items(records, items, parts, deadline)
    return Facts(customer_id=None, customer=_NOTHING, item_ids=item_ids, on=None, **answers)


async def _items(
    records: Records, items: Iterable[str], parts: Collection[str], deadline: float
) -> tuple[tuple[ItemId, ...], dict[str, Found[Any, Any]]]:
    item_ids = await _named(records, items, deadline)
    questions: dict[str, tuple[Copies[Any, Any], Sequence[Any]]] = {
        "items": (records.items, item_ids)
    }
    if "availability" in parts:
        questions["stock"] = (records.stock, item_ids)
    return item_ids, await _ask(questions, deadline)


async def _named(records: Records, items: Iterable[str], deadline: float) -> tuple[ItemId, ...]:
    """Answer the ids of items by any of the names they go by.

    What the CRM does not know keeps its name, and is then an unknown item. Refuses
    upstream-unavailable when the CRM cannot say.
    """
    wanted = tuple(items)
    products = tuple({name for name in wanted if references.is_of_crm(name)})
    if not products:
        return tuple(references.item_of(name) for name in wanted)
    links = await records.products.get(products, deadline)
    if links.lacking:
        raise refuse("upstream-unavailable", retry_after=2, system="crm")
    return tuple(links.values.get(name) or references.item_of(name) for name in wanted)


async def _ask(
    questions: dict[str, tuple[Copies[Any, Any], Sequence[Any]]], deadline: float
) -> dict[str, Found[Any, Any]]:
    found = {name: copies.firm(keys) for name, (copies, keys) in questions.items()}
    late = [name for name, answer in found.items() if answer is None]
    if late:
        asked = (questions[name] for name in late)
        answers = await asyncio.gather(*(copies.get(keys, deadline) for copies, keys in asked))
        found.update(zip(late, answers, strict=True))
    return {name: answer for name, answer in found.items() if answer is not None}
