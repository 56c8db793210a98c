"""The WMS port on ShipHero.

A release is one call. The vendor takes the same order twice without a word, so whatever may have
happened without our knowing is looked up by `partner_order_id` before anything is created again.
"""

import asyncio
from typing import Final

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import number_of
from contracts.outcomes import CallFailedError
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
from runtime.http import HttpClient
from system_apis.wms.shiphero import mapping, wire, wire_graphql
from system_apis.wms.shiphero.account import Account, answered, only
from system_apis.wms.shiphero.cursors import asked_since, onward
from system_apis.wms.shiphero.failures import SYSTEM, is_absence, refusal_of, rejected
from system_apis.wms.shiphero.settings import ShipHeroSettings
from system_apis.wms.shiphero.shipments import LIST_COST, Shipments

__all__ = ["ShipHero"]

_MUTATION_COST: Final = 20.0
_LOOKUP_COST: Final = 12.0
_PRODUCT_COST: Final = 2.0
"""First guesses of credits; every answer says what it really cost, which is learned."""


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
        self._clock = clock
        self.guard = guard or Guard(SYSTEM, clock=clock)
        self._account = Account(settings, http=http, broker=broker, clock=clock, guard=self.guard)
        self._shipments = Shipments(self._account)
        self._documents: dict[int, str] = {}
        self._warehouse_ids: dict[str, str] = {}
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
            raise CallFailedError(
                rejected("business-rule", "The warehouse picks whole pieces only.")
            )
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
        wanted = asked_since(query)
        reply = await self._account.ask(
            wire.ORDERS_SINCE,
            wire.OfStatus(since=wanted.since, after=wanted.after, status=status),
            wire.orders_decoder,
            guess=LIST_COST,
            safe=True,
        )
        page = answered(reply)
        return WarehouseOrderPage(
            orders=tuple(mapping.listed_order(edge.node) for edge in page.edges),
            cursor=onward(query, page.after),
        )

    async def shipments_since(self, query: Changes) -> ShipmentPage:
        """List packages by when they left, a page of shipments at a time."""
        return await self._shipments.since(query)

    def heard(self, package: Shipment) -> None:
        """Remember a package that the vendor told of in a signed message: it need not be read."""
        self._shipments.heard(package)

    async def is_registered(self, url: str) -> bool:
        """Tell whether every message we want is told to `url`."""
        reply = await self._account.ask(
            wire.WEBHOOKS, {}, wire.webhooks_decoder, guess=LIST_COST, safe=True
        )
        edges = answered(reply).edges
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
            payload = only(made)
            if payload is None or payload.webhook is None:
                raise CallFailedError(refusal_of(made.errors))
            secrets.append(payload.webhook.shared_signature_secret)
        return tuple(secrets)

    async def _register(
        self, document: str, data: wire.NewWebhook
    ) -> "wire_graphql.Reply[wire.Registered]":
        return await self._account.ask(
            document,
            wire_graphql.WithData(data=data),
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
            raise CallFailedError(rejected("not-found", "The warehouse has no such order."))
        return found

    async def _orders(self, reference: str) -> list[wire.Order]:
        reply = await self._account.ask(
            wire.FIND_ORDERS,
            wire.WithReference(reference=reference),
            wire.orders_decoder,
            guess=_LOOKUP_COST,
            safe=True,
        )
        return [edge.node for edge in answered(reply).edges]

    async def _products(self, skus: list[str]) -> list[wire.Product]:
        document = self._documents.get(len(skus))
        if document is None:
            document = self._documents[len(skus)] = wire.stock_document(len(skus))
        reply = await self._account.ask(
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
        reply = await self._account.ask(
            wire.WAREHOUSES, {}, wire.account_decoder, guess=_PRODUCT_COST, safe=True
        )
        self._warehouse_ids = {place.identifier: place.id for place in answered(reply).warehouses}

    async def _mutate(self, document: str, data: object) -> wire.Order:
        reply = await self._account.ask(
            document,
            wire_graphql.WithData(data=data),
            wire.mutated_decoder,
            guess=_MUTATION_COST,
            safe=False,
        )
        payload = only(reply)
        if payload is None or payload.order is None:
            raise CallFailedError(refusal_of(reply.errors))
        return payload.order
