"""Submitting documents: many customers at once, each customer's documents strictly in file order.

The invoice number is the idempotency key, so everything here may be repeated: a lost connection, a
gateway killed and started again, a whole second run. A pause that the gateway asks for holds every
sender, not only the one that was told.
"""

import asyncio
import heapq
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.money import Money
from contracts.canonical.order import OrderLineRequest, OrderRequest
from deploy.gateway_client import Answer, GatewayClient, NoAnswerError, RefusedError
from deploy.order_files.documents import CURRENCY, Document
from deploy.order_files.outcomes import Accepted, Outcome, Refused, Undelivered
from runtime.clock import Clock

__all__ = ["GatewayLostError", "Submission", "encoded"]

PATHS: Final = {"order": "/sales/v1/orders", "credit": "/sales/v1/credits"}
CUSTOMER_SYSTEM: Final = "bc"
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_THE_DOCUMENT: Final = frozenset({401, 403, 404, 405, 406, 410, 415})
_ASKED_TO_WAIT: Final = frozenset({429, 503})

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class GatewayLostError(Exception):
    """Nothing has answered for as long as patience goes."""


class _Net(msgspec.Struct):
    amount: Decimal
    currency: str


class _Placed(msgspec.Struct, rename="camel"):
    """What is read of an order in an answer; the rest is skipped, not parsed into objects."""

    net_amount: _Net | None = None


_placed: Final = msgspec.json.Decoder(_Placed)


def encoded(document: Document) -> bytes:
    """Write a document as the body of `POST orders` or `POST credits`, prices as agreed."""
    return _encode(
        OrderRequest(
            customer=f"{CUSTOMER_SYSTEM}:{document.customer}",
            currency=CURRENCY,
            po_number=document.number,
            order_date=document.ordered_on,
            lines=tuple(
                OrderLineRequest(
                    item=line.item,
                    quantity=Decimal(line.quantity),
                    unit_price=Money(amount=line.unit_price, currency=CURRENCY),
                    description=line.description,
                )
                for line in document.lines
            ),
        )
    )


class Submission:
    """One run over a file's documents.

    `patience` is in seconds: how long nothing at all may answer before the run is given up, and how
    long one document may be answered "later" without being asked to wait before it is left behind.
    """

    def __init__(
        self,
        gateway: GatewayClient,
        *,
        concurrency: int,
        patience: float,
        clock: Clock,
        chance: random.Random,
        on_outcome: Callable[[Document, Outcome], None],
    ) -> None:
        self.pauses_asked = 0
        self._gateway = gateway
        self._concurrency = concurrency
        self._patience = patience
        self._clock = clock
        self._chance = chance
        self._on_outcome = on_outcome
        self._last_answer = clock.monotonic()
        self._pause_until = 0.0

    async def run(self, documents: Iterable[Document]) -> None:
        """Submit every document; each outcome is told once, as soon as it is known.

        Raises:
            GatewayLostError: the gateway has stayed silent for as long as patience goes.
            RefusedError: the client may not call the gateway at all.
        """
        line = _Queue(documents)
        self._last_answer = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(self._concurrency):
                    senders.create_task(self._send_from(line))
        except ExceptionGroup as stopped:
            raise stopped.exceptions[0] from None

    async def _send_from(self, line: "_Queue") -> None:
        while (document := await line.take()) is not None:
            outcome = await self._delivered(document)
            self._on_outcome(document, outcome)
            if isinstance(outcome, Undelivered):
                for later in line.abandon(document):
                    self._on_outcome(later, Undelivered(because="earlier-document"))
            line.done(document)

    async def _delivered(self, document: Document) -> Outcome:
        path, body = PATHS[document.kind], encoded(document)
        first_later: float | None = None
        pause = _FIRST_PAUSE
        while True:
            await self._hold()
            answer = await self._answered(path, body, document.number)
            outcome = None if answer is None else _judged(answer)
            if outcome is not None:
                return outcome
            if answer is not None and not self._asked_to_wait(answer):
                now = self._clock.monotonic()
                first_later = first_later or now
                if now - first_later > self._patience:
                    return Undelivered(because=answer.slug or f"status-{answer.status}")
            await asyncio.sleep(pause * self._chance.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _answered(self, path: str, body: bytes, key: str) -> Answer | None:
        """Answer what came back, None when nothing did and patience has not run out."""
        try:
            answer = await self._gateway.send("POST", path, body=body, key=key)
        except NoAnswerError as error:
            silent = self._clock.monotonic() - self._last_answer
            if silent > self._patience:
                raise GatewayLostError(
                    f"{self._gateway.url} has not answered for {silent:.0f} s"
                ) from error
            return None
        except RefusedError as error:
            if error.answer.status not in _LATER:
                raise
            answer = error.answer
        self._last_answer = self._clock.monotonic()
        return answer

    def _asked_to_wait(self, answer: Answer) -> bool:
        """Honour `Retry-After` for every sender; a queue that moves never runs out of patience."""
        if answer.status not in _ASKED_TO_WAIT or answer.retry_after is None:
            return False
        self.pauses_asked += 1
        until = self._clock.monotonic() + min(answer.retry_after, self._patience)
        self._pause_until = max(self._pause_until, until)
        return True

    async def _hold(self) -> None:
        while (left := self._pause_until - self._clock.monotonic()) > 0:  # noqa: ASYNC110  # it moves
            await asyncio.sleep(left + self._chance.uniform(0.0, 0.1))


def _judged(answer: Answer) -> Outcome | None:
    """Answer the outcome, None when the same request may succeed later.

    Raises:
        RefusedError: it is the client that is refused, not the document.
    """
    if answer.ok:
        return Accepted(replayed=answer.replayed, net_amount=_net_amount(answer.body))
    if answer.status in _NOT_THE_DOCUMENT:
        raise answer.refused("Submitting orders")
    problem = answer.problem
    if problem.retryable or answer.status in _LATER:
        return None
    return Refused(
        slug=answer.slug or f"status-{answer.status}", detail=problem.detail or problem.title
    )


def _net_amount(body: bytes) -> Decimal | None:
    try:
        net = _placed.decode(body).net_amount
    except msgspec.MsgspecError:
        return None
    return None if net is None or net.currency != CURRENCY else net.amount


class _Queue:
    """Documents in file order, but never two of one customer under way at a time."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._waiting: dict[str, deque[tuple[int, Document]]] = defaultdict(deque)
        for place, document in enumerate(documents):
            self._waiting[document.customer].append((place, document))
        self._ready = [(place, customer) for customer, ((place, _), *_) in self._waiting.items()]
        heapq.heapify(self._ready)
        self._left = sum(map(len, self._waiting.values()))
        self._freed = asyncio.Event()

    async def take(self) -> Document | None:
        """Answer the earliest document whose customer is free; None when none will come."""
        while not self._ready:
            if not self._left:
                return None
            self._freed.clear()
            await self._freed.wait()
        _, customer = heapq.heappop(self._ready)
        self._left -= 1
        return self._waiting[customer].popleft()[1]

    def done(self, document: Document) -> None:
        """Free the customer of a document that was taken."""
        waiting = self._waiting[document.customer]
        if waiting:
            heapq.heappush(self._ready, (waiting[0][0], document.customer))
        self._freed.set()

    def abandon(self, document: Document) -> list[Document]:
        """Take out and answer what still waits behind a document."""
        waiting = self._waiting[document.customer]
        abandoned = [later for _, later in waiting]
        self._left -= len(abandoned)
        waiting.clear()
        return abandoned
