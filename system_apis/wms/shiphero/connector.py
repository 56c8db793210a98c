"""The WMS port on ShipHero: the only file that awaits the vendor.

A release is one call. The vendor takes the same order twice without a word, so whatever may have
happened without our knowing is looked up by `partner_order_id` before anything is created again.
"""

import asyncio
from base64 import b64decode
from datetime import datetime
from typing import Any, Final, TypeVar

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import number_of
from contracts.outcomes import CallFailedError, Failure, Rejected
from contracts.ports.changes import Changes
from contracts.ports.wms import (
    CancelRelease,
    HoldRelease,
    ReleaseCancelled,
    ReleaseOrder,
    ShipmentPage,
    StockEnquiry,
    StockPositions,
    WarehouseOrder,
    WarehouseOrderPage,
)
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard, Turns
from runtime.http import Channel, Exchange, HttpAnswer, HttpClient, Token, TokenSource, decode
from runtime.http.client import Decoder
from system_apis.wms.shiphero import mapping, wire
from system_apis.wms.shiphero.failures import (
    SYSTEM,
    credits_left,
    failure_of,
    is_absence,
    refusal_of,
)
from system_apis.wms.shiphero.settings import ShipHeroSettings

__all__ = ["ShipHero"]

T = TypeVar("T")
_JSON: Final = {"accept": "application/json", "content-type": "application/json"}
_MUTATION_COST: Final = 20.0
_LOOKUP_COST: Final = 12.0
_LIST_COST: Final = 26.0
_PRODUCT_COST: Final = 2.0
"""First guesses of credits; every answer says what it really cost, which is learned."""

MOST_REMEMBERED: Final = 20_000
"""Packages remembered at most; the oldest goes first."""


class ShipHero:
    """One ShipHero account as the warehouse (`contracts.ports.wms.Wms`)."""

    def __init__(
        self,
        settings: ShipHeroSettings,
        *,
        http: HttpClient,
        broker: BudgetBroker,
        clock: Clock,
        guard: Guard | None = None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._clock = clock
        self.guard = guard or Guard(SYSTEM, clock=clock)
        self._channel = Channel(
            account=settings.account,
            http=http,
            guard=self.guard,
            broker=broker,
            judge=self._judged,
            tokens=TokenSource(self._fetch_token, clock=clock),
        )
        self._refresh: str | None = None
        self._costs: dict[str, float] = {}
        self._documents: dict[int, str] = {}
        self._warehouse_ids: dict[str, str] = {}
        self._left: dict[str, Shipment] = {}
        self._creating = Turns()

    async def stock(self, body: StockEnquiry) -> StockPositions:
        """Answer stock of any number of items, as many in one call as the vendor can price.

        As of the instant it was asked for: what the vendor allocates while it answers may be
        missing from it.
        """
        asked_at = self._clock.now()
        skus = list(dict.fromkeys(number_of(item) for item in body.items))
        some = [skus[at : at + wire.MOST_ITEMS] for at in range(0, len(skus), wire.MOST_ITEMS)]
        found = await asyncio.gather(*(self._products(chunk) for chunk in some))
        products = (product for chunk in found for product in chunk)
        return StockPositions(positions=mapping.stock_positions(products, asked_at))

    async def release(self, body: ReleaseOrder) -> WarehouseOrder:
        """Create a fulfilment order once per reference; one call unless one is in doubt."""
        if not all(mapping.usable_quantity(line.quantity) for line in body.lines):
            raise _rejected("business-rule", "The warehouse picks whole pieces only.")
        if body.warehouse and body.warehouse not in self._warehouse_ids:
            await self._learn_warehouses()
        async with self._creating.turn(body.reference) as waited:
            if body.in_doubt or waited:
                found = await self._find(body.reference)
                if found is not None:
                    return mapping.warehouse_order(found, body.reference, was_there=True)
            wanted = mapping.new_order(
                body, shop_name=self._settings.shop_name, warehouse_ids=self._warehouse_ids
            )
            created = await self._mutate(wire.CREATE_ORDER, wanted)
        return mapping.warehouse_order(created, body.reference, was_there=False)

    async def find_release(self, reference: str) -> WarehouseOrder:
        """Answer the fulfilment order that carries this reference; `not-found` if none does."""
        found = await self._existing(reference)
        return mapping.warehouse_order(found, reference, was_there=True)

    async def cancel_release(self, body: CancelRelease) -> ReleaseCancelled:
        """Cancel every order of this reference that is not cancelled yet.

        `order-not-cancellable` once something has shipped.
        """
        cancelled = False
        for order in await self._orders(body.reference):
            if order.fulfillment_status != wire.CANCELED:
                wanted = wire.Cancellation(order_id=order.id, reason=body.reason)
                await self._mutate(wire.CANCEL_ORDER, wanted)
                cancelled = True
        return ReleaseCancelled(was_there=cancelled)

    async def hold_release(self, body: HoldRelease) -> WarehouseOrder:
        """Stop the picking of an order, or let go on; `not-found` if there is no such order."""
        found = await self._existing(body.reference)
        wanted = wire.HoldUpdate(order_id=found.id, payment_hold=body.held)
        updated = await self._mutate(wire.UPDATE_HOLDS, wanted)
        return mapping.warehouse_order(updated, body.reference, was_there=True)

    async def list_releases(self, query: Changes) -> WarehouseOrderPage:
        """List orders by time of change, a page at a time."""
        return await self._listed(query, None)

    async def list_cancelled_releases(self, query: Changes) -> WarehouseOrderPage:
        """List cancelled orders by time of change, a page at a time."""
        return await self._listed(query, wire.CANCELED)

    async def _listed(self, query: Changes, status: str | None) -> WarehouseOrderPage:
        wanted = _since(query)
        reply = await self._ask(
            wire.ORDERS_SINCE,
            wire.OfStatus(since=wanted.since, after=wanted.after, status=status),
            wire.orders_decoder,
            guess=_LIST_COST,
            safe=True,
        )
        found = _found(reply)
        return WarehouseOrderPage(
            orders=tuple(mapping.listed_order(edge.node) for edge in found.edges),
            cursor=_onward(query, found.after),
        )

    async def shipments_since(self, query: Changes) -> ShipmentPage:
        """List packages by when they left, a page of shipments at a time.

        Lines are read of those shipments only that are not remembered: what has left never
        changes, and every line has its price.
        """
        reply = await self._ask(
            wire.SHIPMENTS_SINCE,
            _since(query),
            wire.shipments_decoder,
            guess=_LIST_COST,
            safe=True,
        )
        found = _found(reply)
        packages: list[Shipment] = []
        for edge in found.edges:
            packages += await self._packages(edge.node)
        return ShipmentPage(shipments=tuple(packages), cursor=_onward(query, found.after))

    def heard(self, package: Shipment) -> None:
        """Remember a package that the vendor told of in a signed message: it need not be read."""
        self._left[package.id] = package
        while len(self._left) > MOST_REMEMBERED:
            del self._left[next(iter(self._left))]

    async def _packages(self, shipment: wire.Shipment) -> list[Shipment]:
        known = [self._left.get(key) for key in mapping.package_ids(shipment)]
        if all(known):
            return [package for package in known if package is not None]
        lines: list[wire.ShipmentLine] = []
        after: str | None = None
        while True:
            reply = await self._ask(
                wire.SHIPMENT_LINES,
                wire.OfShipment(id=shipment.id, after=after),
                wire.shipment_lines_decoder,
                guess=_LIST_COST,
                safe=True,
            )
            packed = _found(reply).line_items
            lines += [edge.node for edge in packed.edges]
            after = packed.after
            if after is None:
                break
        made = mapping.packages(shipment, lines)
        for package in made:
            self.heard(package)
        return list(made)

    async def is_registered(self, url: str) -> bool:
        """Tell whether every message we want is told to `url`."""
        reply = await self._ask(
            wire.WEBHOOKS, {}, wire.webhooks_decoder, guess=_LIST_COST, safe=True
        )
        edges = _found(reply).edges
        told = {edge.node.name for edge in edges if edge.node.url == url}
        return told.issuperset(wire.TOLD)

    async def register_webhooks(self, url: str) -> tuple[str, ...]:
        """Have shipments, stock changes and cancellations told to `url`; answer the secrets.

        Earlier registrations of the same shop are replaced: a secret is shown only once, so one
        that was lost can only be made anew. Keep the secrets for `notifications.verified`.
        """
        secrets = []
        for name in wire.TOLD:
            old = wire.NewWebhook(name=name, shop_name=self._settings.shop_name)
            gone = await self._register(wire.DELETE_WEBHOOK, old)
            if gone.errors and not is_absence(gone.errors):
                raise CallFailedError(refusal_of(gone.errors))
            new = wire.NewWebhook(name=name, shop_name=self._settings.shop_name, url=url)
            made = await self._register(wire.CREATE_WEBHOOK, new)
            payload = _only(made)
            if payload is None or payload.webhook is None:
                raise CallFailedError(refusal_of(made.errors))
            secrets.append(payload.webhook.shared_signature_secret)
        return tuple(secrets)

    async def _register(
        self, document: str, data: wire.NewWebhook
    ) -> "wire.Reply[wire.Registered]":
        return await self._ask(
            document,
            wire.WithData(data=data),
            wire.registered_decoder,
            guess=_MUTATION_COST,
            safe=False,
        )

    # -- looking up -------------------------------------------------------------------------

    async def _find(self, reference: str) -> wire.Order | None:
        """Answer the living order of this reference, or a cancelled one if that is all."""
        orders = await self._orders(reference)
        living = [order for order in orders if order.fulfillment_status != wire.CANCELED]
        return next(iter(living or orders), None)

    async def _existing(self, reference: str) -> wire.Order:
        found = await self._find(reference)
        if found is None:
            raise _rejected("not-found", "The warehouse has no such order.")
        return found

    async def _orders(self, reference: str) -> list[wire.Order]:
        reply = await self._ask(
            wire.FIND_ORDERS,
            wire.WithReference(reference=reference),
            wire.orders_decoder,
            guess=_LOOKUP_COST,
            safe=True,
        )
        payload = _only(reply)
        if payload is None or payload.data is None:
            raise CallFailedError(refusal_of(reply.errors))
        return [edge.node for edge in payload.data.edges]

    async def _products(self, skus: list[str]) -> list[wire.Product]:
        document = self._documents.get(len(skus))
        if document is None:
            document = self._documents[len(skus)] = wire.stock_document(len(skus))
        reply = await self._ask(
            document,
            {f"s{at}": sku for at, sku in enumerate(skus)},
            wire.products_decoder,
            guess=_PRODUCT_COST * len(skus),
            safe=True,
        )
        if reply.errors and not is_absence(reply.errors):
            raise CallFailedError(refusal_of(reply.errors))
        payloads = (reply.data or {}).values()
        return [one.data for one in payloads if one is not None and one.data is not None]

    async def _learn_warehouses(self) -> None:
        reply = await self._ask(
            wire.WAREHOUSES, {}, wire.account_decoder, guess=_PRODUCT_COST, safe=True
        )
        payload = _only(reply)
        if payload is None or payload.data is None:
            raise CallFailedError(refusal_of(reply.errors))
        self._warehouse_ids = {place.identifier: place.id for place in payload.data.warehouses}

    # -- the wire ---------------------------------------------------------------------------

    async def _mutate(self, document: str, data: object) -> wire.Order:
        reply = await self._ask(
            document,
            wire.WithData(data=data),
            wire.mutated_decoder,
            guess=_MUTATION_COST,
            safe=False,
        )
        payload = _only(reply)
        if payload is None or payload.order is None:
            raise CallFailedError(refusal_of(reply.errors))
        return payload.order

    async def _ask(
        self,
        document: str,
        variables: Any,
        decoder: Decoder["wire.Reply[T]"],
        *,
        guess: float,
        safe: bool,
    ) -> "wire.Reply[T]":
        """Run a document; every root field answers its cost, which sets the next one's price."""
        told = self._settings
        replies: list[wire.Reply[T]] = []

        def settle(answer: HttpAnswer) -> float | None:
            reply = decode(decoder, answer, system=SYSTEM, safe=safe)
            replies.append(reply)
            cost = sum(getattr(one, "complexity", 0.0) for one in (reply.data or {}).values())
            if cost:
                self._costs[document] = cost
            return cost or None

        await self._channel.send(
            Exchange(
                method="POST",
                url=f"{told.base_url}/graphql",
                headers=_JSON,
                timeout=told.read_timeout if safe else told.write_timeout,
                safe=safe,
                body=wire.encode(wire.Request(query=document, variables=variables)),
            ),
            cost=self._costs.get(document, guess),
            settle=settle,
        )
        return replies[-1]

    def _judged(self, answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
        """Judge an answer; one that counts the account's credits corrects our own count."""
        failure = failure_of(answer, safe)
        left = None if failure is None else credits_left(answer)
        if left is not None:
            self._broker.observed_credits(self._settings.account, left)
        return failure

    async def _fetch_token(self) -> Token:
        """Renew with the refresh token while it is good, else sign in."""
        if self._refresh is not None:
            try:
                return await self._sign_in("refresh", wire.Refresh(refresh_token=self._refresh))
            except CallFailedError:
                self._refresh = None
        told = self._settings
        return await self._sign_in(
            "token", wire.Credentials(username=told.username, password=told.password)
        )

    async def _sign_in(self, how: str, with_what: object) -> Token:
        answer = await self._channel.send_for_token(
            Exchange(
                method="POST",
                url=f"{self._settings.base_url}/auth/{how}",
                headers=_JSON,
                timeout=self._settings.read_timeout,
                safe=True,
                body=wire.encode(with_what),
            )
        )
        tokens = decode(wire.tokens_decoder, answer, system=SYSTEM, safe=True)
        self._refresh = tokens.refresh_token or self._refresh
        return Token(value=tokens.access_token, lifetime=tokens.expires_in)


def _only(reply: "wire.Reply[T]") -> T | None:
    """Answer the payload of a document with one root field."""
    return next(iter((reply.data or {}).values()), None)


def _found(reply: "wire.Reply[wire.Payload[T]]") -> T:
    """Answer what a document with one root field found, or raise the refusal."""
    payload = _only(reply)
    if payload is None or payload.data is None:
        raise CallFailedError(refusal_of(reply.errors))
    return payload.data


def _since(query: Changes) -> wire.Since:
    """What is asked for.

    A cursor of ours is the instant and the vendor's own cursor behind it: the vendor's alone would
    go on through everything there ever was.
    """
    since, after = query.since, None
    if query.cursor is not None:
        told, mark, after = query.cursor.partition("|")
        try:
            since = datetime.fromisoformat(told) if told else None
            whole = bool(mark and after and b64decode(after, validate=True))
            whole = whole and (since is None or since.tzinfo is not None)
        except ValueError:
            whole = False
        if not whole:
            raise _rejected("not-found", "The warehouse has no such page.")
    return wire.Since(since=mapping.on_wire(since) if since else None, after=after)


def _onward(query: Changes, after: str | None) -> str | None:
    if after is None:
        return None
    told = query.cursor.partition("|")[0] if query.cursor is not None else ""
    return f"{told or (query.since.isoformat() if query.since else '')}|{after}"


def _rejected(reason: str, detail: str) -> CallFailedError:
    return CallFailedError(
        Rejected(system=SYSTEM, reason=reason, detail=detail, category="warehouse-rejection")
    )
