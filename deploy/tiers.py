"""The tiers, each as one object: built here over what stands below it, in this process or apart.

A tier apart is the same ports over HTTP (`elsewhere`), so that whoever holds it cannot tell. Every
adapter can be replaced by a keyword (`Parts`), which is how a campaign plants a defect.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import msgspec
from pyreqwest.client import Client, ClientBuilder

from contracts.canonical.documents import Shipment
from contracts.events.taxonomy import RecordChanged
from contracts.ports.accounts import Accounts
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.processes import Processes
from contracts.ports.quote_to_order import QuoteToOrder as Orders
from contracts.ports.reconciliation import Reconciliation
from contracts.ports.tax import Tax
from contracts.ports.wms import Wms
from contracts.versions import ApiVersion, supported
from deploy.jobs import Job, alone, forgetting, lasting
from deploy.notifications import Notifications
from deploy.profile import Configuration, Settings
from deploy.subscribing import Subscriptions, VendorSubscriptions, WarehouseSecrets
from experience_apis.operations.api import OperationsApi
from experience_apis.sales.api import SalesApi
from gateway.config import reference
from process_apis.inventory.api import InventoryApi
from process_apis.journal.api import JournalApi
from process_apis.pricing_credit.api import PricingCreditApi
from process_apis.pricing_credit.promises import Promises
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.refreshing import Refresher
from process_apis.propagation.build import Propagation
from process_apis.propagation.caches import Invalidations
from process_apis.propagation.streams import EventStreams
from process_apis.quote_to_order.book import OrderBook
from process_apis.quote_to_order.build import QuoteToOrder
from process_apis.quote_to_order.reports import CrmTeller
from process_apis.quote_to_order.shared_exposure import exposure_over
from process_apis.reconciliation.api import ReconciliationApi
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.http import HttpClient
from runtime.journal.crash_points import CrashPoints
from runtime.journal.holding import Holding
from runtime.journal.journal import Journal
from runtime.journal.worker import Worker
from runtime.rest.remote import remote
from runtime.shared.state import SharedState
from runtime.store.engine import Store
from runtime.tracing import Tracing
from system_apis.accounts.api import AccountsApi, Line
from system_apis.crm.salesforce.connector import Salesforce
from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.tax.table.connector import TaxTable
from system_apis.wms.shiphero.connector import ShipHero

_PROMISE_KEY_BYTES: Final = 32


def _as_it_is(part: Any) -> Any:
    return part


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What wraps an adapter of the system; by default nothing does."""

    erp: Callable[[Any], Erp] = _as_it_is
    crm: Callable[[Any], Crm] = _as_it_is
    wms: Callable[[Any], Wms] = _as_it_is
    tax: Callable[[Any], Tax] = _as_it_is
    journal: Callable[[Any], Any] = _as_it_is
    orders: Callable[[Any], Any] = _as_it_is
    keep: Callable[[Any], Any] = _as_it_is


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every tier of a process is built with."""

    settings: Settings
    configured: Configuration
    parts: Parts
    clock: Clock
    random: Random
    crash_points: CrashPoints
    tracing: Tracing | None = None


class Systems(Protocol):
    """The system tier as the tier above sees it."""

    erp: Erp
    crm: Crm
    wms: Wms
    tax: Tax
    accounts: Accounts


class SystemTier:
    """The connectors, one object a port, on one HTTP client and one budget broker.

    `store`, where there is one, tells every process what operators did to breakers; it is opened
    before the tier is started, and closed after it.
    """

    def __init__(self, around: Surroundings, store: Store | None = None) -> None:
        systems = around.configured.connected()
        clock, parts = around.clock, around.parts
        self._http = HttpClient(tracing=around.tracing)
        edge = around.configured.gateway.gateway
        self._shared = (
            None if edge.redis is None else SharedState(reference(edge.redis), clock=clock)
        )
        self.broker = BudgetBroker(
            systems.allowances, clock=clock, shared=self._shared, share=edge.instances
        )
        http, broker = self._http, self.broker
        erp = BusinessCentral(systems.business_central, http=http, broker=broker, clock=clock)
        crm = Salesforce(systems.salesforce, http=http, broker=broker, clock=clock)
        wms = ShipHero(systems.shiphero, http=http, broker=broker, clock=clock)
        self.guards = (erp.guard, crm.guard, wms.guard)
        self.erp: Erp = parts.erp(erp)
        self.crm: Crm = parts.crm(crm)
        self.wms: Wms = parts.wms(wms)
        self.tax: Tax = parts.tax(TaxTable(clock))
        accounts = AccountsApi(
            lines=(
                Line(system="erp", account=systems.business_central.account, guard=erp.guard),
                Line(system="crm", account=systems.salesforce.account, guard=crm.guard),
                Line(system="wms", account=systems.shiphero.account, guard=wms.guard),
            ),
            broker=broker,
            allowances=systems.allowances,
            clock=clock,
            store=store,
            renewals=VendorSubscriptions(
                erp=erp if systems.business_central.webhook_secrets else None,
                wms=wms if systems.shiphero.webhook_secrets else None,
                webhooks=f"{edge.public_url}/webhooks",
            ).renewals,
        )
        self.accounts: Accounts = accounts
        self._acts = accounts.acts
        self._obeying: asyncio.Task[None] | None = None
        self.heard_package: Callable[[Shipment], object] = wms.heard
        self.jobs: list[Job] = []

    @property
    def apis(self) -> Mapping[str, object]:
        """The implementation of each API of the tier."""
        return {
            "system/erp": self.erp,
            "system/crm": self.crm,
            "system/wms": self.wms,
            "system/tax": self.tax,
            "system/accounts": self.accounts,
        }

    async def start(self) -> None:
        """From now on count the vendors' budgets together with the others, and obey operators."""
        await self._acts.look()
        self._obeying = asyncio.create_task(lasting(self._acts.run))
        if self._shared is not None:
            await self._shared.open()
            self.broker.open()

    async def close(self) -> None:
        """Give back what is held of the budgets, and close the connections."""
        if self._obeying is not None:
            self._obeying.cancel()
            await asyncio.gather(self._obeying, return_exceptions=True)
        await self.broker.close()
        if self._shared is not None:
            await self._shared.close()
        await self._http.close()


class Elsewhere:
    """A tier in another process: its ports, each answered over HTTP at one address.

    `apis` has an object for each API; `close` ends the connections.
    """

    def __init__(self, tier: str, address: str) -> None:
        self._client: Client = ClientBuilder().no_proxy().follow_redirects(False).build()
        self.apis: Mapping[str, Any] = {
            api.name: remote(api, address, self._client) for api in apis_of(tier)
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def apis_of(tier: str) -> tuple[ApiVersion, ...]:
    """The API versions that a process serving this tier answers.

    What vendors push is recorded in the journal, so it is answered where the journal is.
    """
    tiers = {"process", "edge"} if tier == "process" else {tier}
    return tuple(api for api in supported() if api.tier in tiers)


class SystemsElsewhere(Elsewhere):
    """The system tier in another process."""

    guards: Sequence[Any] = ()

    def __init__(self, address: str, parts: Parts) -> None:
        super().__init__("system", address)
        self.erp: Erp = parts.erp(self.apis["system/erp"])
        self.crm: Crm = parts.crm(self.apis["system/crm"])
        self.wms: Wms = parts.wms(self.apis["system/wms"])
        self.tax: Tax = parts.tax(self.apis["system/tax"])
        self.accounts: Accounts = self.apis["system/accounts"]
        self.heard_package: Callable[[Shipment], object] = _as_it_is
        self.jobs: list[Job] = []

    async def start(self) -> None:
        """Nothing to begin with: the budgets are where the connectors are."""


def systems(around: Surroundings, store: Store) -> SystemTier | SystemsElsewhere:
    """The system tier, where the configuration says it is."""
    address = around.configured.tiers.system
    return SystemTier(around, store) if address is None else SystemsElsewhere(address, around.parts)


class ProcessTier:
    """The processes over the journal in `store`; with `working` it also carries them on."""

    def __init__(
        self,
        around: Surroundings,
        below: SystemTier | SystemsElsewhere,
        store: Store,
        *,
        working: bool,
    ) -> None:
        configured, clock, parts = around.configured, around.clock, around.parts
        data = around.settings.data
        self.store = store
        exposure = exposure_over(self.store, clock)
        self.records = Records(
            erp=below.erp, wms=below.wms, crm=below.crm,
            settings=configured.pricing, clock=clock,
        )  # fmt: skip
        self.inventory = InventoryApi(
            wms=below.wms, store=self.store, settings=configured.inventory, clock=clock
        )
        promises = Promises(
            _promise_key(configured, data), valid_for=configured.pricing.promise_seconds
        )
        self.pricing = PricingCreditApi(
            records=self.records, tax=below.tax, settings=configured.pricing, clock=clock,
            promises=promises, nonce=lambda: secrets.token_hex(8), exposure=exposure,
            reserved=self.inventory.reserved,
        )  # fmt: skip
        built = QuoteToOrder(
            pricing=self.pricing, erp=below.erp, wms=below.wms, crm=below.crm, store=self.store,
            settings=configured.orders, clock=clock, exposure=exposure, promises=promises,
            inventory=self.inventory,
        )  # fmt: skip
        subscriptions = Subscriptions(below.accounts)
        self.propagation = Propagation(
            erp=below.erp, wms=below.wms, store=self.store, settings=configured.propagation,
            clock=clock, renewals=subscriptions.renewals,
        )  # fmt: skip
        edge = configured.gateway.gateway
        self.shared = (
            None if edge.redis is None else SharedState(reference(edge.redis), clock=clock)
        )
        self.on_doubt: list[Callable[[Iterable[RecordChanged]], object]] = [self.records.doubt]
        self.caches = Invalidations(self.on_doubt, self.shared)
        subscribers = [*built.subscribers, self.caches.subscriber()]
        if self.shared is not None:
            streams = EventStreams(self.shared, length=configured.propagation.stream_length)
            subscribers.append(streams.subscriber())
        self.journal: Journal = parts.journal(
            Journal(
                store=self.store, types=(*built.types, *self.propagation.types),
                subscribers=subscribers, clock=clock,
                random=around.random, node=around.settings.node,
                crash_points=around.crash_points,
            )
        )  # fmt: skip
        self.worker = Worker(self.journal, tracing=around.tracing) if working else None
        self._orders = built.over(self.journal)
        self.orders: Orders = parts.orders(self._orders)
        erp_watch, wms_watch = self.propagation.over(self.journal)
        if not self.store.is_exclusive:
            self.propagation.watchdog.share(self.journal)
        secrets_of_wms = WarehouseSecrets(configured.warehouse_secrets, self.journal)
        subscriptions.give_secrets_to(secrets_of_wms)
        self.reconciliation = ReconciliationApi(
            orders=OrderBook(self.store, self.journal.types),
            erp=below.erp, wms=below.wms, crm=below.crm, store=self.store,
            settings=configured.reconciliation, clock=clock, mint=self.journal.mint,
            teller=CrmTeller(self.journal),
        )  # fmt: skip
        self.operated: Processes = JournalApi(journal=self.journal, accounts=below.accounts)
        self.webhooks = Notifications(
            configured.systems,
            deal_won=self._orders.deal_won,
            doubt=self.caches.announce,
            intake=self.propagation.intake,
            clock=clock,
            heard=self.propagation.watchdog.heard,
            erp_changed=erp_watch.wake,
            package_told=below.heard_package,
            wms_secrets=secrets_of_wms,
        )
        self.jobs: list[Job] = [Refresher(self.records, configured.pricing).run, self.caches.run]
        if working:
            missed = partial(self.propagation.watchdog.expected, "salesforce.deals")
            holding = Holding(self.store, holder=self.journal.new_holder(), clock=clock)
            self.jobs += [
                alone(forgetting(self.journal), "forgetting", holding, self.store),
                alone(self._orders.mend_exposure, "credit claims", holding, self.store),
                alone(self.reconciliation.run, "reconciliation", holding, self.store),
                alone(self.inventory.run, "reservations", holding, self.store),
                alone(built.deal_watch(self.journal, missed).run, "deals", holding, self.store),
                alone(erp_watch.run, "erp-watch", holding, self.store),
                alone(wms_watch.run, "wms-watch", holding, self.store),
                alone(subscriptions.run, "subscriptions", holding, self.store),
                self.propagation.watchdog.run,
            ]
        else:
            # Messages come in here, and whoever looks at the vendors must hear of them.
            self.jobs.append(self.propagation.watchdog.tell)

    @property
    def apis(self) -> Mapping[str, object]:
        """The implementation of each API of the tier, and of the vendors' notifications."""
        return {
            "process/pricing-credit": self.pricing,
            "process/inventory": self.inventory,
            "process/reconciliation": self.reconciliation,
            "process/journal": self.operated,
            "process/quote-to-order": self.orders,
            "webhooks": self.webhooks,
        }

    async def start(self) -> None:
        """Go on with what an earlier process left, and begin to work."""
        if self.shared is not None:
            await self.shared.open()
        await self.journal.open()
        await self.inventory.open()
        await self._orders.fill_exposure()
        if self.worker is not None:
            await self.worker.start()

    async def stop(self, drain: Any) -> None:
        """Let running steps finish within `drain`."""
        await self.reconciliation.close()
        if self.worker is not None:
            await self.worker.drain(drain)
        if self.shared is not None:
            await self.shared.close()

    async def ready(self) -> Mapping[str, str | None]:
        """Ready is whoever can accept an order durably; a vendor being down is no reason."""
        try:
            await self.journal.note("ready", "probe")
        except Exception as fault:  # noqa: BLE001  # whatever the store says, it cannot accept
            return {"store": type(fault).__name__}
        return {"store": None}


class ExperienceTier:
    """What each channel sees, over the process tier."""

    def __init__(
        self,
        configured: Configuration,
        *,
        pricing: PricingCredit,
        orders: Orders,
        processes: Processes,
        reconciliation: Reconciliation,
    ) -> None:
        self.apis: Mapping[str, object] = {
            "sales": SalesApi(pricing=pricing, orders=orders, settings=configured.sales),
            "operations": OperationsApi(
                orders=orders, processes=processes, reconciliation=reconciliation
            ),
        }


def experience_over(configured: Configuration, processes: Elsewhere) -> ExperienceTier:
    """The experience tier over a process tier in another process."""
    return ExperienceTier(
        configured,
        pricing=processes.apis["process/pricing-credit"],
        orders=processes.apis["process/quote-to-order"],
        processes=processes.apis["process/journal"],
        reconciliation=processes.apis["process/reconciliation"],
    )


def _promise_key(configured: Configuration, data: Path) -> bytes:
    """The key that signs promises: the configured one, or one of this data directory's own."""
    if configured.promise_key is not None:
        return configured.promise_key.encode()
    path = data / "promise.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(_PROMISE_KEY_BYTES))
    return path.read_bytes()
