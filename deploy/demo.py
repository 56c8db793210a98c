"""The demonstration: a deal is closed in the CRM and becomes one order, carried to the money.

Everything about the order is learnt through the public gateway, as any caller would; only what
people do in the vendors' systems (close the deal, pack, bill, pay) and reading the vendors' own
ledgers happens at the vendors.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import msgspec
from pyreqwest.client import Client

from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError, read_json
from deploy.ledger_reading import LedgerEntry, ledger_entries
from runtime.clock import Clock

__all__ = ["CLIENT", "Demo", "DemoError", "Stage", "Told"]

CLIENT: Final = "crm"
SYSTEMS: Final = {
    "business_central": "Business Central",
    "salesforce": "Salesforce",
    "wms": "ShipHero",
}
_LOOK_EVERY: Final = 0.1
_PATIENCE: Final = 60.0


class DemoError(Exception):
    """The demonstration cannot go on; the message says why and what to do."""


class Stage(Protocol):
    """Where the demonstration is shown: steps that tick off, and lines below them."""

    def step(self, doing: str) -> AbstractAsyncContextManager["Told"]:
        """Show a step as under way until the block ends, then as done."""
        ...

    def say(self, line: str = "") -> None:
        """Show a line of text."""
        ...


class Told:
    """What a step found, shown when it is done."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found = ""


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the demonstration ends with. `seconds` count from the moment the deal was closed."""

    order: str
    reference: str
    deal: str
    customer: str
    net_amount: str
    currency: str
    states: dict[str, str]
    ids: dict[str, str]
    ledger: dict[str, int]
    seconds: dict[str, float]


class Demo:
    """One run of the demonstration."""

    def __init__(
        self, gateway: GatewayClient, http: Client, *, sandbox: str, clock: Clock, stage: Stage
    ) -> None:
        self._gateway = gateway
        self._http = http
        self._sandbox = sandbox
        self._clock = clock
        self._stage = stage

    async def play(self) -> Figures:
        """Play it through.

        Raises:
            DemoError: a step does not come to its end; the message says which, and what to do.
        """
        async with self._stage.step("Gateway and vendors answer") as told:
            catalog = await self._catalog()
            world = catalog["world"]
            told.found = f"{world['items']:,} items, {world['customers']:,} customers"
        deal, again = await self._open_deal(catalog["deals"])
        reference = f"SF-{deal['id']}"
        await self._check(deal)
        async with self._stage.step(f"Closing the deal {deal['name']!r} in Salesforce") as told:
            await read_json(
                self._http,
                f"{self._sandbox}/salesforce/_sandbox/close",
                body={"opportunityId": deal["id"]},
            )
            told.found = "closed before: it must stay one order" if again else "Closed Won"
        closed = self._clock.monotonic()
        order, seconds = await self._followed(reference, closed)
        order = await self._to_the_money(reference, closed, seconds)
        known_as = await self._ids(order)
        rows = await self._ledgers(reference)
        return Figures(
            order=order["id"],
            reference=reference,
            deal=deal["id"],
            customer=order["customer"],
            net_amount=order["netAmount"]["amount"],
            currency=order["netAmount"]["currency"],
            states={
                axis: order[axis] for axis in ("commercial", "credit", "fulfilment", "billing")
            },
            ids=known_as,
            ledger=rows,
            seconds=seconds,
        )

    async def _catalog(self) -> Any:
        async def ask() -> Any:
            await self._gateway.token()
            return await read_json(self._http, f"{self._sandbox}/_sandbox/catalog")

        catalog = await self._patiently(ask, "gateway and sandbox do not answer")
        if not catalog["deals"]:
            raise DemoError(
                f"The sandbox at {self._sandbox} has no deals (it runs on an order file). "
                "Start one with the seeded world: crossdock up."
            )
        return catalog

    async def _open_deal(self, deals: list[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
        """Answer the first deal that is no order yet; else the last one, to be closed again."""
        for deal in deals:
            if await self._order(f"SF-{deal['id']}") is None:
                return deal, False
        return deals[-1], True

    async def _check(self, deal: dict[str, Any]) -> None:
        """Show what a sales rep would ask while the customer is on the phone."""
        customer = f"bc:{deal['customer']}"
        lines = [
            {"item": f"bc:{line['item']}", "quantity": str(line["quantity"])}
            for line in deal["lines"]
        ]
        async with self._stage.step(f"Pricing {len(lines)} lines for customer {customer}") as told:
            priced = await self._gateway.post(
                "/sales/v1/price-checks", {"customer": customer, "lines": lines}
            )
            net = priced["netAmount"]
            told.found = f"{net['amount']} {net['currency']} net, {priced['standing']['freshness']}"
        async with self._stage.step("Checking credit for it") as told:
            credit = await self._gateway.post(
                "/sales/v1/credit-checks", {"customer": customer, "amount": net}
            )
            decision = credit["decision"]
            available = decision.get("available")
            left = f"{available['amount']} {available['currency']}" if available else "no limit"
            told.found = f"{decision['verdict']} ({left} available)"

    async def _followed(
        self, reference: str, closed: float
    ) -> tuple[dict[str, Any], dict[str, float]]:
        seconds: dict[str, float] = {}
        order: dict[str, Any] = {}
        for milestone, doing, reached in _MILESTONES:
            async with self._stage.step(doing) as told:
                order = await self._until(reference, reached, doing)
                seconds[milestone] = round(self._clock.monotonic() - closed, 3)
                told.found = f"{_where(order)} after {seconds[milestone]:.1f} s"
        return order, seconds

    async def _to_the_money(
        self, reference: str, closed: float, seconds: dict[str, float]
    ) -> dict[str, Any]:
        """Let people pack, bill and pay, and follow what becomes of the order by it."""
        order: dict[str, Any] = {}
        for milestone, act, path, body, doing, reached in _acts(reference):
            async with self._stage.step(act) as told:
                if (await self._must(reference))["commercial"] == "confirmed":
                    told.found = await self._acted(path, body)
            async with self._stage.step(doing) as told:
                order = await self._until(reference, reached, doing)
                seconds[milestone] = round(self._clock.monotonic() - closed, 3)
                told.found = f"{_where(order)} after {seconds[milestone]:.1f} s"
        return order

    async def _acted(self, path: str, body: dict[str, Any]) -> str:
        """Do what somebody does in a vendor's system; it may have been done by an earlier run."""
        try:
            await read_json(self._http, f"{self._sandbox}{path}", body=body)
        except RefusedError as refused:
            if refused.answer.status not in _DONE_BEFORE:
                raise
            return "was done before"
        return "done"

    async def _must(self, reference: str) -> dict[str, Any]:
        order = await self._order(reference)
        if order is None:
            raise DemoError(f"The order {reference} is gone. Look at the log.")
        return order

    async def _until(
        self, reference: str, reached: Callable[[dict[str, Any]], bool], doing: str
    ) -> dict[str, Any]:
        give_up = self._clock.monotonic() + _PATIENCE
        order: dict[str, Any] | None = None
        while True:
            order = await self._order(reference)
            if order is not None and reached(order):
                return order
            if order is not None and order.get("exception"):
                exception = order["exception"]
                raise DemoError(
                    f"The order {order['id']} is an exception: {exception['title']} "
                    f"({exception['detail']})."
                )
            if self._clock.monotonic() > give_up:
                where = "no order has appeared" if order is None else f"it is {_where(order)}"
                raise DemoError(
                    f"{doing!r} was not reached: {where} after {_PATIENCE:.0f} s. "
                    f"Look at the log, and at `crossdock orders show {reference}`."
                )
            await asyncio.sleep(_LOOK_EVERY)

    async def _order(self, reference: str) -> dict[str, Any] | None:
        page = await self._gateway.get(f"/sales/v1/orders?reference={reference}")
        return page["orders"][0] if page["orders"] else None

    async def _ids(self, order: dict[str, Any]) -> dict[str, str]:
        ids = {known["system"]: known["id"] for known in order["knownAs"]}
        self._stage.say()
        self._stage.say(f"One order, {order['id']}, known as")
        for system, name in sorted(ids.items()):
            self._stage.say(f"  {system:<6} {name}")
        return ids

    async def _ledgers(self, reference: str) -> dict[str, int]:
        """Count what really happened in each vendor, by the vendors' own books.

        Business Central keeps references in capitals.
        """
        self._stage.say()
        self._stage.say("What the vendors' own ledgers say happened:")
        counts = {}
        for system, name in SYSTEMS.items():
            rows = [
                row
                async for row in ledger_entries(self._http, self._sandbox, system)
                if (row.external_reference or "").upper() == reference.upper()
            ]
            counts[system] = len(rows)
            for row in rows:
                self._stage.say(f"  {name:<17} {row.operation:<28} {_effect(row)}")
        return counts

    async def _patiently(self, ask: Callable[[], Awaitable[Any]], otherwise: str) -> Any:
        give_up = self._clock.monotonic() + _PATIENCE
        while True:
            try:
                return await ask()
            except NoAnswerError as error:
                if self._clock.monotonic() > give_up:
                    raise DemoError(f"After {_PATIENCE:.0f} s {otherwise} ({error}).") from error
            except RefusedError as error:
                if error.answer.status not in _NOT_YET or self._clock.monotonic() > give_up:
                    raise
            await asyncio.sleep(_LOOK_EVERY)


_NOT_YET: Final = frozenset({429, 502, 503, 504})
_DONE_BEFORE: Final = frozenset({400, 404, 409})
"""How a desk of the sandbox refuses what is done already."""
_MILESTONES: Final[tuple[tuple[str, str, Callable[[dict[str, Any]], bool]], ...]] = (
    ("accepted", "The order is accepted", lambda _: True),
    (
        "confirmed",
        "The ERP confirms it",
        lambda order: bool(order["commercial"] == "confirmed"),
    ),
    (
        "released",
        "It is released to the warehouse",
        lambda order: bool(order["fulfilment"] not in {"not-released", "rejected", "cancelled"}),
    ),
)


_Reached = Callable[[dict[str, Any]], bool]


def _acts(reference: str) -> tuple[tuple[str, str, str, dict[str, Any], str, _Reached], ...]:
    """What people do after the release: milestone, act, where, with what, and what follows."""
    finance = "/business_central/_sandbox"
    return (
        ("shipped", "The warehouse packs and ships it", "/_sandbox/warehouse/ship",
         {"orderNumber": reference}, "The ERP posts the shipment", _is_posted),
        ("invoiced", "Finance bills it", f"{finance}/invoices", {"order": reference},
         "The invoice is seen", lambda order: bool(order["billing"] in {"invoiced", "paid"})),
        ("paid", "The customer pays", f"{finance}/payments", {"invoice": reference},
         "The money is seen, and the order is closed",
         lambda order: bool(order["billing"] == "paid")),
    )  # fmt: skip


def _is_posted(order: dict[str, Any]) -> bool:
    """Tell whether finance has something to bill: goods that left are posted a moment later."""
    posted = [each.get("erpNumber") for each in order["shipments"]]
    return order["fulfilment"] == "shipped" and bool(posted) and all(posted)


def _where(order: dict[str, Any]) -> str:
    stands = f"{order['commercial']}, credit {order['credit']}, {order['fulfilment']}"
    return stands if order["billing"] == "not-invoiced" else f"{stands}, {order['billing']}"


def _effect(row: LedgerEntry) -> str:
    if row.amount is None:
        return ""
    return f"{row.amount:.2f} {row.currency or ''}".rstrip()


@asynccontextmanager
async def plain_step(say: Callable[[str], None], doing: str) -> AsyncIterator[Told]:
    """Show a step as one line when it is done: for logs and pipes."""
    told = Told()
    yield told
    say(f"{doing}: {told.found}" if told.found else doing)
