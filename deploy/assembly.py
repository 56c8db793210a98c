"""The system, put together: the only module that knows every tier.

Construction connects to nothing and starts nothing; it makes the data directory, and in it the key
that signs promises and the access log. `System.start` opens the store and begins to work,
`System.stop` lets running steps finish. Every adapter can be replaced by a keyword (`Parts`), which
is how a campaign plants a defect and how a test hands in a world of its own.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, BinaryIO, Final

import msgspec

from contracts.governance.openapi import blessed
from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.tax import Tax
from contracts.ports.wms import Wms
from contracts.versions import supported
from deploy.jobs import Job, forgetting, lasting
from deploy.keeping import JournalKeep
from deploy.notifications import Notifications, Subscriptions
from deploy.profile import Configuration, Settings, configuration
from experience_apis.operations.api import OperationsApi
from experience_apis.sales.api import SalesApi
from gateway.application import Gateway
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.records import Lines
from gateway.server import serve as listen
from process_apis.pricing_credit.api import PricingCreditApi
from process_apis.pricing_credit.promises import Promises
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.refreshing import Refresher
from process_apis.quote_to_order.build import QuoteToOrder
from process_apis.quote_to_order.exposure import OpenExposure
from runtime.budget import BudgetBroker
from runtime.clock import Clock, SystemClock
from runtime.http import HttpClient
from runtime.journal.crash_points import CrashPoints, KillAt
from runtime.journal.journal import Journal
from runtime.journal.worker import Worker
from runtime.rest.routes import application, router_for
from runtime.store.engine import Store
from runtime.telemetry import configure_logs
from runtime.tracing import TelemetrySettings, Tracing
from system_apis.crm.salesforce.connector import Salesforce
from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.tax.table.connector import TaxTable
from system_apis.wms.shiphero.connector import ShipHero

log = logging.getLogger("crossdock.system")

DRAIN: Final = timedelta(seconds=10)
_PROMISE_KEY_BYTES: Final = 32
_AFTER_THE_START: Final = 3.0


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


class Connectors:
    """The system tier: one object a port, on one HTTP client and one budget broker."""

    def __init__(
        self, configured: Configuration, parts: Parts, clock: Clock, tracing: Tracing | None
    ) -> None:
        systems = configured.systems
        self._http = HttpClient(tracing=tracing)
        self.broker = BudgetBroker(systems.allowances, clock=clock)
        http, broker = self._http, self.broker
        erp = BusinessCentral(systems.business_central, http=http, broker=broker, clock=clock)
        crm = Salesforce(systems.salesforce, http=http, broker=broker, clock=clock)
        wms = ShipHero(systems.shiphero, http=http, broker=broker, clock=clock)
        self.guards = (erp.guard, crm.guard, wms.guard)
        self.business_central = erp
        self.erp: Erp = parts.erp(erp)
        self.crm: Crm = parts.crm(crm)
        self.wms: Wms = parts.wms(wms)
        self.tax: Tax = parts.tax(TaxTable(clock))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class System:
    """The assembled system: every tier in one process, behind the gateway."""

    def __init__(
        self,
        settings: Settings,
        configured: Configuration,
        *,
        parts: Parts = Parts(),  # noqa: B008  # immutable, and empty
        clock: Clock | None = None,
        random: Random | None = None,
        crash_points: CrashPoints | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        clock = clock or SystemClock()
        random = random or SystemRandom()
        self.tracing = tracing or _tracing(configured.telemetry, clock, random)
        settings.data.mkdir(parents=True, exist_ok=True)
        self.store = Store(configured.store.url or f"sqlite:///{settings.data / 'journal.db'}")
        self.connectors = Connectors(configured, parts, clock, self.tracing)
        tiers, exposure = self.connectors, OpenExposure()
        self.records = Records(
            erp=tiers.erp, wms=tiers.wms, crm=tiers.crm,
            settings=configured.pricing, clock=clock,
        )  # fmt: skip
        promises = Promises(
            _kept_key(settings.data / "promise.key"), valid_for=configured.pricing.promise_seconds
        )
        self.pricing = PricingCreditApi(
            records=self.records, tax=tiers.tax, settings=configured.pricing, clock=clock,
            promises=promises, nonce=lambda: secrets.token_hex(8), exposure=exposure,
        )  # fmt: skip
        built = QuoteToOrder(
            pricing=self.pricing, erp=tiers.erp, wms=tiers.wms, crm=tiers.crm, store=self.store,
            settings=configured.orders, clock=clock, exposure=exposure, promises=promises,
        )  # fmt: skip
        self.journal: Journal = parts.journal(
            Journal(
                store=self.store, types=built.types, subscribers=built.subscribers, clock=clock,
                random=random, node="crossdock",
                crash_points=crash_points or CrashPoints(),
            )
        )  # fmt: skip
        self.worker = Worker(self.journal, tracing=self.tracing)
        self._orders = built.over(self.journal)
        self.orders = parts.orders(self._orders)
        self._background: list[asyncio.Task[None]] = []
        self._jobs: list[Job] = [
            _prepare_for_failures,
            forgetting(self.journal),
            Refresher(self.records, configured.pricing).run,
            built.deal_watch(self.journal).run,
        ]
        if configured.systems.business_central.webhook_secrets:
            url = f"{configured.gateway.gateway.public_url}/webhooks/business_central"
            self._jobs.append(Subscriptions(tiers.business_central, url).run)
        self.gateway = self._gateway(settings, configured, parts, clock)

    def _gateway(
        self, settings: Settings, configured: Configuration, parts: Parts, clock: Clock
    ) -> Gateway:
        tiers = self.connectors
        behind = {
            "sales": SalesApi(pricing=self.pricing, orders=self.orders, settings=configured.sales),
            "operations": OperationsApi(orders=self.orders),
            "webhooks": Notifications(
                configured.systems,
                deal_won=self._orders.deal_won,
                doubt=self.records.doubt,
                inbox=self.journal,
                clock=clock,
            ),
            "process/pricing-credit": self.pricing,
            "process/quote-to-order": self.orders,
            "system/erp": tiers.erp,
            "system/crm": tiers.crm,
            "system/wms": tiers.wms,
            "system/tax": tiers.tax,
        }
        served: Any = application([router_for(api, behind[api.name]) for api in supported()])
        return build_gateway(
            [blessed(api) for api in supported()],
            configured.gateway,
            {api.path.removeprefix("/"): served for api in supported()},
            parts.keep(JournalKeep(self.journal)),
            records=Lines(_access_log(settings), logging.getLogger("crossdock.gateway")),
            data=settings.data,
            clock=clock,
            ready=self._ready,
            fetch=Fetcher(),
            tracing=self.tracing,
        )

    async def start(self) -> None:
        """Open the store, go on with what an earlier process left, and begin to work."""
        if self.tracing is not None:
            self.tracing.start()
        self.store.open()
        await self.journal.open()
        await self._orders.fill_exposure()
        await self.worker.start()
        await self.gateway.startup()
        self._background = [asyncio.create_task(lasting(job)) for job in self._jobs]

    async def stop(self) -> None:
        """Stop accepting, let running steps finish, and close everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.worker.drain(DRAIN)
        await self.gateway.shutdown()
        await self.connectors.close()
        self.store.close()
        if self.tracing is not None:
            await self.tracing.stop()

    async def _ready(self) -> Mapping[str, str | None]:
        """Ready is whoever can accept an order durably; a vendor being down is no reason."""
        try:
            await self.journal.note("ready", "probe")
        except Exception as fault:  # noqa: BLE001  # whatever the store says, it cannot accept
            return {"store": type(fault).__name__}
        return {"store": None}


def _tracing(telemetry: TelemetrySettings, clock: Clock, random: Random) -> Tracing | None:
    """Trace if there is somebody to tell."""
    if telemetry.traces_endpoint is None:
        return None
    from runtime.exporting import SpanExport, otlp  # noqa: PLC0415  # only who traces pays 0.1 s

    return Tracing(
        SpanExport(otlp(telemetry.traces_endpoint)),
        ratio=telemetry.sample_ratio,
        clock=clock,
        chance=Random(random.getrandbits(64)),  # noqa: S311  # ids of traces are no secret
    )


def _kept_key(path: Path) -> bytes:
    """Read the key that signs promises; make it, readable by its owner alone, at first."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(_PROMISE_KEY_BYTES))
    return path.read_bytes()


async def _prepare_for_failures() -> None:
    """Load what only a failing vendor needs, once the start is over and before it is needed."""
    await asyncio.sleep(_AFTER_THE_START)
    await asyncio.to_thread(import_module, "runtime.guard.circuit")


def _crash_points(settings: Settings) -> CrashPoints:
    if settings.crash_at is None:
        return CrashPoints()
    point, _, nth = settings.crash_at.partition(":")
    return KillAt(point, int(nth or "1"))


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[], None] = lambda: None,
    parts: Parts = Parts(),  # noqa: B008  # immutable, and empty
) -> None:
    """Run the assembled system until SIGTERM or SIGINT has drained it.

    Raises:
        gateway.config.ConfigError: the configuration is faulty; nothing was started.
    """
    configure_logs(stream=_log_stream(settings))
    system = System(
        settings, configuration(settings), parts=parts, crash_points=_crash_points(settings)
    )
    await system.start()
    try:
        await listen(
            system.gateway,
            host="127.0.0.1",
            port=settings.port,
            drain=system.gateway.drain,
            on_listening=on_ready,
        )
    finally:
        await system.stop()


def _access_log(settings: Settings) -> BinaryIO:
    """One line a call, each written whole before the next: no record waits in a buffer."""
    return (settings.data / "access.log").open("ab", buffering=0)


def _log_stream(settings: Settings) -> Any:
    """Logs go to a file in the data directory, so that a terminal shows what a person asked for."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return (settings.data / "crossdock.log").open("a", encoding="utf-8")
