"""The one way in for what systems say, whether they pushed it or were asked.

Everything is published once into the journal's inbox. What has states (a hold, an invoice) is
compared with what was last taken: an older state that comes late changes nothing. That memory is a
durable note for each entity, written after the event is: a crash between the two tells it again,
under the same id.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from contracts.canonical.documents import Invoice, Shipment
from contracts.canonical.money import Money
from contracts.canonical.party import Customer
from contracts.canonical.shapes import Instant
from process_apis.propagation import happenings, held
from process_apis.propagation.addressing import OpenOrders
from process_apis.propagation.happenings import Happening
from runtime.guard import Turns
from runtime.journal.process import Accepted, Start, Term
from runtime.journal.signalling import Published, SignalResult, SignalTo

__all__ = ["Inbox", "Intake", "Taken"]

log = logging.getLogger("crossdock.propagation")

T = TypeVar("T")

_NOTE: Final = "taken"
_MOST_RECENT: Final = 50_000
"""Ids remembered to spare the store a question; the inbox knows them all."""
_MOST_AT_ONCE: Final = 500
_MOST_AGAIN: Final = 5
"""How often a hold is told again: an order that was under way then is durable by that time."""


class Inbox(Protocol):
    """What of a journal is needed here."""

    async def publish(
        self, source: str, message_id: str, *, signals: Sequence[SignalTo] = ()
    ) -> Published:
        """Record a message and its signals in one transaction; a known message changes nothing."""
        ...

    async def signal(
        self, process_id: str, name: str, data: Mapping[str, Any], dedupe_key: str
    ) -> SignalResult:
        """Record for one process that something happened, once for the key."""
        ...

    async def accept(self, start: Start[Any]) -> Accepted:
        """Begin a process once for its key."""
        ...

    async def note(self, kind: str, key: str) -> bytes | None:
        """Answer a small durable value."""
        ...

    async def set_note(self, kind: str, key: str, value: bytes) -> None:
        """Set a small durable value."""
        ...

    def mint(self) -> str:
        """Answer an id no process has."""
        ...


class Taken(StrEnum):
    """What became of something a system said."""

    NEW = "new"
    KNOWN = "known"
    SUPERSEDED = "superseded"
    """Something newer of the same entity was taken before."""
    HELD = "held"
    """Its order is not known yet; it is kept, and offered again."""
    NOTHING = "nothing"
    """It says nothing that anybody has to be told."""


class _Billed(Struct, frozen=True, kw_only=True):
    """What was last taken of an invoice."""

    as_of: Instant | None
    remaining: Decimal


class _Held(Struct, frozen=True, kw_only=True):
    """What was last taken of a hold."""

    as_of: Instant
    held: bool


class Intake:
    """Takes what systems say into the journal, each thing once."""

    def __init__(self, orders: OpenOrders) -> None:
        self._orders = orders
        self._inbox: Inbox | None = None
        self._turns = Turns()
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._again: OrderedDict[str, int] = OrderedDict()
        self._free: OrderedDict[str, _Held] = OrderedDict()
        """What was seen lately not to be held, and never was: worth remembering, not storing."""

    def use(self, inbox: Inbox) -> None:
        """Publish into this journal from now on."""
        self._inbox = inbox

    # -- what needs no memory ------------------------------------------------------------------

    async def package(self, package: Shipment) -> Taken:
        """Take a package that left."""
        return await self.take(happenings.package_left(package))

    async def cancelled(self, reference: str, number: str) -> Taken:
        """Take a cancellation in the warehouse of the order it knows by this number."""
        return await self.take(happenings.release_cancelled(reference, number))

    async def stock(self, items: Collection[str], told: str) -> Taken:
        """Take that stock of items moved; `told` is the id of the message, or the position.

        Only orders that wait for one of them are told, and nothing is written when none does.
        """
        waiting = await self._orders.known_by_any(happenings.AWAITS, items)
        taken = Taken.NOTHING
        for item, process_ids in waiting.items():
            one = await self._tell_each(happenings.stock_moved(item, told), process_ids)
            taken = one if taken is not Taken.NEW else taken
        return taken

    async def posted(self, shipment: Shipment) -> Taken:
        """Take a shipment the ERP posted."""
        found = happenings.shipment_posted(shipment)
        return Taken.NOTHING if found is None else await self.take(found)

    # -- what has states -----------------------------------------------------------------------

    async def invoice(self, invoice: Invoice) -> Taken:
        """Take an invoice as it stands: that it was posted, and what was paid of it since.

        A cancelled invoice is told of in the log alone: no money came, and no event says that
        it went.
        """
        if not invoice.reference:
            return Taken.NOTHING
        key = f"invoice/{invoice.number}"
        async with self._turns.turn(key):
            known = await self._noted(key, _Billed)
            if known is not None and _is_older(invoice.changed_at, known.as_of):
                return Taken.SUPERSEDED
            now = _Billed(as_of=invoice.changed_at, remaining=invoice.remaining.amount)
            if now == known:
                return Taken.KNOWN
            taken = await self._billed(invoice, known)
            await self._note(key, now)
            return taken

    async def _billed(self, invoice: Invoice, known: _Billed | None) -> Taken:
        """Tell what is new of an invoice, the posting before the payment."""
        taken = Taken.KNOWN
        whole = msgspec.structs.replace(invoice, remaining=invoice.gross_amount, state="open")
        if known is None:
            taken = await self.take(happenings.invoice_posted(whole))
        if invoice.state == "cancelled":
            log.warning("invoice_cancelled_in_erp", extra={"invoice": invoice.number})
            return taken
        before = invoice.gross_amount.amount if known is None else known.remaining
        if before != invoice.remaining.amount:
            money = Money(amount=before, currency=invoice.remaining.currency)
            taken = await self.take(happenings.payment_received(invoice, money))
        return taken

    async def customer(self, customer: Customer) -> Taken:
        """Take whether finance blocks a customer for shipping."""
        as_of = customer.changed_at
        if as_of is None:
            return Taken.NOTHING
        held = happenings.is_held(customer)
        return await self._hold(
            f"hold/{customer.id}",
            _Held(as_of=as_of, held=held),
            lambda: happenings.customer_held(customer, as_of),
        )

    async def review(self, reference: str, as_of: Instant, *, held: bool) -> Taken:
        """Take whether finance has an order in review."""
        return await self._hold(
            f"review/{reference.upper()}",
            _Held(as_of=as_of, held=held),
            lambda: happenings.order_in_review(reference, as_of, held=held),
        )

    async def _hold(self, key: str, now: _Held, made: Callable[[], Happening]) -> Taken:
        async with self._turns.turn(key):
            free = self._free.pop(key, None)
            known = free or await self._noted(key, _Held)
            if known is not None and now.as_of <= known.as_of:
                if free is not None:
                    self._free[key] = free
                if now != known:
                    return Taken.SUPERSEDED
                return await self._tell_again(made()) if now.held else Taken.KNOWN
            was_held = known is not None and known.held
            taken = Taken.NOTHING if now.held == was_held else await self.take(made())
            if now.held or known is not free:
                await self._note(key, now)
            else:
                _keep(self._free, key, now)
            return taken

    # -- publishing ----------------------------------------------------------------------------

    async def take(self, happening: Happening) -> Taken:
        """Publish an event once; keep it when its order is not known yet.

        Raises `StoreUnavailable`: it may be told again.
        """
        if happening.id in self._recent:
            return Taken.KNOWN
        if happening.to_all is not None:
            taken = await self._tell_all(happening, happening.to_all)
        else:
            taken = await self._tell(happening) or await self._keep_back(happening)
        _keep(self._recent, happening.id, None)
        return taken

    async def _tell_again(self, happening: Happening) -> Taken:
        """Tell a hold to orders that came while it was told the first time."""
        again = self._again.get(happening.id, 0)
        if happening.to_all is None or again >= _MOST_AGAIN:
            return Taken.KNOWN
        _keep(self._again, happening.id, again + 1)
        taken = await self._tell_all(happening, happening.to_all)
        return Taken.KNOWN if taken is Taken.NOTHING else taken

    async def _keep_back(self, happening: Happening) -> Taken:
        begun = await self._journal.accept(held.start_for(happening, self._journal.mint))
        return Taken.HELD if begun.created else Taken.KNOWN

    async def offer(self, happening: Happening) -> bool:
        """Tell a held event to its order; False while there is none."""
        return await self._tell(happening) is not None

    async def _tell(self, happening: Happening) -> Taken | None:
        """Publish to the first order known by one of the addresses; None when none is."""
        for address in happening.to:
            signal = SignalTo(
                name=happening.name,
                dedupe_key=happening.id,
                data=happening.data,
                term=address,
            )
            told = await self._journal.publish(happening.source, happening.id, signals=(signal,))
            if not told.unresolved:
                return Taken.NEW if told.new else Taken.KNOWN
        return None

    async def _tell_all(self, happening: Happening, known: Term) -> Taken:
        """Tell every open order known by the term; each is told once, however often this runs."""
        return await self._tell_each(happening, await self._orders.known_by(known))

    async def _tell_each(self, happening: Happening, process_ids: Sequence[str]) -> Taken:
        taken = Taken.NOTHING
        for start in range(0, len(process_ids), _MOST_AT_ONCE):
            told = await asyncio.gather(
                *(
                    self._journal.signal(process_id, happening.name, happening.data, happening.id)
                    for process_id in process_ids[start : start + _MOST_AT_ONCE]
                )
            )
            if SignalResult.RECORDED in told:
                taken = Taken.NEW
            elif taken is Taken.NOTHING:
                taken = Taken.KNOWN
        return taken

    async def _noted(self, key: str, kind: type[Any]) -> Any:
        stored = await self._journal.note(_NOTE, key)
        return None if stored is None else msgspec.json.decode(stored, type=kind)

    async def _note(self, key: str, value: Struct) -> None:
        await self._journal.set_note(_NOTE, key, msgspec.json.encode(value))

    @property
    def _journal(self) -> Inbox:
        if self._inbox is None:
            raise RuntimeError("no journal was handed over")
        return self._inbox


def _keep(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _MOST_RECENT:
        memory.popitem(last=False)


def _is_older(one: Instant | None, other: Instant | None) -> bool:
    return one is not None and other is not None and one < other
