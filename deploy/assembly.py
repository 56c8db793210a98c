"""The system, put together: the only module that knows every tier.

Construction connects to nothing and starts nothing; it makes the data directory, and in it the key
that signs promises and the access log. `System.start` opens the store and begins to work,
`System.stop` lets running steps finish. Every adapter can be replaced by a keyword (`Parts`), which
is how a campaign plants a defect and how a test hands in a world of its own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib import import_module
from random import Random, SystemRandom
from typing import Any, BinaryIO, Final

from msgspec.structs import replace

from contracts.events.taxonomy import RecordChanged
from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy.compiling import gone
from deploy.jobs import Job, lasting
from deploy.keeping import JournalKeep
from deploy.profile import Configuration, Settings, configuration
from deploy.reloading import Reloading
from deploy.tiers import ExperienceTier, Parts, ProcessTier, Surroundings, systems
from gateway.api import GatewayApi
from gateway.application import Gateway
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.lasting import Lasting
from gateway.records import Lines
from gateway.server import serve as listen
from runtime.clock import Clock, SystemClock
from runtime.journal.crash_points import CrashPoints, KillAt
from runtime.rest.routes import application, router_for
from runtime.store.engine import Store
from runtime.telemetry import configure_logs
from runtime.tracing import TelemetrySettings, Tracing

log = logging.getLogger("crossdock.system")

DRAIN: Final = timedelta(seconds=10)
_AFTER_THE_START: Final = 3.0


class System:
    """The assembled system: every tier in one process, behind the gateway.

    With `tiers.system` in the configuration the connectors are in a process of their own.
    """

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
        around = surroundings(
            settings, configured, parts=parts, clock=clock, random=random,
            crash_points=crash_points, tracing=tracing,
        )  # fmt: skip
        self.tracing = around.tracing
        self.store = store_of(around)
        self.connectors = systems(around, self.store)
        self.processes = ProcessTier(around, self.connectors, self.store, working=True)
        self.journal = self.processes.journal
        channels = ExperienceTier(
            configured,
            pricing=self.processes.pricing,
            orders=self.processes.orders,
            processes=self.processes.operated,
            reconciliation=self.processes.reconciliation,
        )
        self._background: list[asyncio.Task[None]] = []
        self._jobs: list[Job] = [prepare_for_failures, *self.connectors.jobs, *self.processes.jobs]
        own = GatewayApi(shield=lambda: self.gateway.served.shield, audit=self.journal.append_audit)
        behind = {
            **channels.apis, **self.processes.apis, **self.connectors.apis, "gateway": own,
        }  # fmt: skip
        self._around = around
        self._records = Lines(access_log(settings), logging.getLogger("crossdock.gateway"))
        self._served: Any = application([router_for(api, behind[api.name]) for api in supported()])
        self.gateway = self._gateway(configured)
        self.processes.on_doubt.append(self._forget_copies)
        self.reload = Reloading(
            self.gateway, settings, configured, build=self._gateway, records=self._records
        )

    def _gateway(self, configured: Configuration, lasting: Lasting | None = None) -> Gateway:
        around = self._around
        return build_gateway(
            [blessed(api) for api in supported()],
            configured.gateway,
            {api.path.removeprefix("/"): self._served for api in supported()},
            around.parts.keep(JournalKeep(self.journal)),
            records=self._records,
            data=around.settings.data,
            clock=around.clock,
            ready=self.processes.ready,
            fetch=Fetcher(),
            tracing=around.tracing,
            retired=gone(),
            lasting=lasting,
        )

    def _forget_copies(self, changes: Iterable[RecordChanged]) -> None:
        """What changed is not answered from the gateway's copies any more."""
        for entity in {change.entity for change in changes}:
            self.gateway.lasting.copies.invalidate(entity)

    async def start(self) -> None:
        """Open the store, go on with what an earlier process left, and begin to work."""
        if self.tracing is not None:
            self.tracing.start()
        self.store.open()
        await self.connectors.start()
        await self.processes.start()
        await self.gateway.startup()
        self._background = [asyncio.create_task(lasting(job)) for job in self._jobs]

    async def stop(self) -> None:
        """Stop accepting, let running steps finish, and close everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.processes.stop(DRAIN)
        await self.gateway.shutdown()
        await self.connectors.close()
        self.store.close()
        if self.tracing is not None:
            await self.tracing.stop()


def surroundings(
    settings: Settings,
    configured: Configuration,
    *,
    parts: Parts = Parts(),  # noqa: B008  # immutable, and empty
    clock: Clock | None = None,
    random: Random | None = None,
    crash_points: CrashPoints | None = None,
    tracing: Tracing | None = None,
) -> Surroundings:
    """What the tiers of this process are built with; makes the data directory."""
    clock = clock or SystemClock()
    random = random or SystemRandom()
    settings.data.mkdir(parents=True, exist_ok=True)
    return Surroundings(
        settings=settings,
        configured=configured,
        parts=parts,
        clock=clock,
        random=random,
        crash_points=crash_points or CrashPoints(),
        tracing=tracing or _tracing(configured.telemetry, clock, random),
    )


def store_of(around: Surroundings) -> Store:
    """The store of the journal, for whoever opens it before the tiers and closes it after them."""
    url = around.configured.store.url
    return Store(url or f"sqlite:///{around.settings.data / 'journal.db'}")


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


async def prepare_for_failures() -> None:
    """Load what only a failing vendor needs, once the start is over and before it is needed."""
    await asyncio.sleep(_AFTER_THE_START)
    await asyncio.to_thread(import_module, "runtime.guard.circuit")


def crash_points_of(settings: Settings) -> CrashPoints:
    """Where this process is to kill itself; nowhere unless a campaign asks for it."""
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
    """Run the assembled system until SIGTERM or SIGINT has drained it; SIGHUP reloads.

    Raises:
        gateway.config.ConfigError: the configuration is faulty; nothing was started.
    """
    settings = replace(settings, part="up")
    configure_logs(stream=log_stream(settings))
    system = System(
        settings, configuration(settings), parts=parts, crash_points=crash_points_of(settings)
    )
    await system.start()
    try:
        await listen(
            system.gateway,
            host=settings.host,
            port=settings.port,
            drain=system.gateway.drain,
            reload=system.reload,
            on_listening=on_ready,
            descriptor=settings.descriptor,
            upgrades=system.gateway.offers_upgrades,
        )
    finally:
        await system.stop()


def access_log(settings: Settings) -> BinaryIO:
    """One line a call, written before the event loop next waits: no buffer keeps it longer."""
    return (settings.data / "access.log").open("ab", buffering=0)


def log_stream(settings: Settings) -> Any:
    """Logs go to a file in the data directory, so that a terminal shows what a person asked for."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return (settings.data / "crossdock.log").open("a", encoding="utf-8")
