"""The same tree in several processes: a gateway, tiers that are served apart, and workers.

What is assembled in `deploy.assembly` in one process is here split at the ports. A tier that the
configuration gives an address (`tiers`) is called there; one without is part of the process that
needs it. Inner tiers trust the call context their caller sends: only the gateway may be reachable
from outside.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from contracts.events.taxonomy import RecordChanged
from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy.assembly import (
    DRAIN,
    access_log,
    crash_points_of,
    log_stream,
    prepare_for_failures,
    store_of,
    surroundings,
)
from deploy.compiling import gone
from deploy.health import Health
from deploy.jobs import Job, lasting
from deploy.keeping import JournalKeep
from deploy.needs import Part
from deploy.profile import Configuration, Settings, Tiers, configuration
from deploy.reloading import Reloading
from deploy.tiers import (
    Elsewhere,
    Parts,
    ProcessTier,
    Surroundings,
    SystemTier,
    apis_of,
    experience_over,
    systems,
)
from gateway.api import GatewayApi
from gateway.application import Gateway
from gateway.call import ConfigFault
from gateway.config import ConfigError, reference
from gateway.fetching import Fetcher
from gateway.gateway import build_gateway
from gateway.lasting import Lasting
from gateway.records import Lines
from gateway.server import serve as listen
from gateway.upstreams import Forwarder, Upstream
from process_apis.propagation.caches import Invalidations
from runtime.journal.journal import Journal
from runtime.rest.routes import application, router_for
from runtime.shared.state import SharedState
from runtime.store.engine import Store
from runtime.telemetry import configure_logs

__all__ = [
    "PARTS", "serve_experience", "serve_gateway", "serve_process", "serve_system", "work",
]  # fmt: skip

OnReady = Callable[[], None]


async def serve_system(settings: Settings, *, on_ready: OnReady) -> None:
    """Serve the connectors until a signal has drained them.

    Of the store they need only what operators did to breakers, and not to begin with. SQLite
    belongs to another process: then an act holds here, and ends with this process.
    """
    around = _begin(settings, "system")
    store = None if _is_alone(around.configured) else store_of(around)
    tier = SystemTier(around, store)
    if store is not None:
        store.join()
    await tier.start()
    try:
        await _served(around, _application("system", tier.apis), tier.jobs, on_ready)
    finally:
        await tier.close()
        if store is not None:
            store.close()


async def serve_process(settings: Settings, *, on_ready: OnReady) -> None:
    """Serve the processes until a signal has drained them.

    On SQLite, which one process has to itself, it carries the processes on as well; on PostgreSQL
    that is left to the workers.
    """
    around = _begin(settings, "process")
    store = store_of(around)
    below = systems(around, store)
    tier = ProcessTier(around, below, store, working=_is_alone(around.configured))
    store.open()
    await below.start()
    await tier.start()
    health = Health(_application("process", tier.apis), ready=tier.ready)
    try:
        await _listened(around, health, [*_jobs(below), *tier.jobs], on_ready)
    finally:
        await tier.stop(DRAIN)
        await below.close()
        store.close()


async def work(
    settings: Settings,
    *,
    on_ready: OnReady = lambda: None,
    parts: Parts = Parts(),  # noqa: B008  # immutable, and empty
) -> None:
    """Carry processes on until a signal, answering only for its own health.

    What vendors push is not received here: whoever serves the process tier subscribes to it.

    Raises:
        gateway.config.ConfigError: the store is one that a single process has to itself.
    """
    around = _begin(settings, "worker", parts)
    if _is_alone(around.configured):
        raise ConfigError([_not_shared()])
    store = store_of(around)
    below = systems(around, store)
    tier = ProcessTier(around, below, store, working=True)
    store.open()
    await below.start()
    await tier.start()
    try:
        health = Health(None, ready=tier.ready)
        await _listened(around, health, [prepare_for_failures, *tier.jobs], on_ready)
    finally:
        await tier.stop(DRAIN)
        await below.close()
        store.close()


async def serve_experience(settings: Settings, *, on_ready: OnReady) -> None:
    """Serve what the channels see, over the process tier at `tiers.process`."""
    around = _begin(settings, "experience")
    processes = Elsewhere("process", _address(around.configured, "process"))
    tier = experience_over(around.configured, processes)
    try:
        await _served(around, _application("experience", tier.apis), [], on_ready)
    finally:
        await processes.close()


async def serve_gateway(settings: Settings, *, on_ready: OnReady) -> None:
    """Serve the policy gateway over tiers at their addresses, or over services that are not ours.

    What it must not forget (answers kept for repeated calls, the audit record) is in the store of
    the configuration, or in one of its own.
    """
    around = _begin(settings, "gateway")
    settings, configured, clock = around.settings, around.configured, around.clock
    store = Store(configured.store.url or f"sqlite:///{settings.data / 'gateway.db'}")
    journal = around.parts.journal(
        Journal(
            store=store, types=(), clock=clock, random=around.random, node=settings.node,
            crash_points=around.crash_points,
        )
    )  # fmt: skip

    async def ready() -> Mapping[str, str | None]:
        try:
            await journal.note("ready", "probe")
        except Exception as fault:  # noqa: BLE001  # whatever the store says, nothing can be kept
            return {"store": type(fault).__name__}
        return {"store": None}

    records = Lines(access_log(settings), logging.getLogger("crossdock.gateway"))
    known: dict[str, Forwarder] = {}
    api = GatewayApi(shield=lambda: gateway.served.shield, audit=journal.append_audit)
    own = _application("gateway", {"gateway": api})

    def build(configured: Configuration, lasting: Lasting | None = None) -> Gateway:
        in_use = () if lasting is None else gateway.served.upstreams.values()
        behind = {**_upstreams(configured, around, known, in_use), "gateway/v1": own}
        return build_gateway(
            [blessed(api) for api in supported() if api.path.removeprefix("/") in behind],
            configured.gateway,
            behind,
            around.parts.keep(JournalKeep(journal)),
            records=records,
            data=settings.data,
            clock=clock,
            ready=ready,
            fetch=Fetcher(),
            tracing=around.tracing,
            retired=gone(),
            lasting=lasting,
        )

    gateway = build(configured)
    reload = Reloading(
        gateway, settings, configured, build=build, records=records, taken=frozenset({"tiers"})
    )
    shared, caches = _invalidations(around, gateway)
    store.open()
    if around.tracing is not None:
        around.tracing.start()
    if shared is not None:
        await shared.open()
    listening = asyncio.create_task(lasting(caches.run))
    await gateway.startup()
    try:
        await listen(
            gateway, host=settings.host, port=settings.port, drain=gateway.drain,
            reload=reload, on_listening=on_ready, descriptor=settings.descriptor,
            upgrades=gateway.offers_upgrades,
        )  # fmt: skip
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await gateway.shutdown()
        if shared is not None:
            await shared.close()
        store.close()
        if around.tracing is not None:
            await around.tracing.stop()


PARTS: Final[Mapping[Part, Callable[..., Coroutine[Any, Any, None]]]] = {
    "gateway": serve_gateway,
    "experience": serve_experience,
    "process": serve_process,
    "system": serve_system,
    "worker": work,
}
"""What runs each part of a split system."""


def _invalidations(
    around: Surroundings, gateway: Gateway
) -> tuple[SharedState | None, Invalidations]:
    """What tells the gateway's copies that something changed, with Redis between the processes."""
    edge = around.configured.gateway.gateway
    shared = None if edge.redis is None else SharedState(reference(edge.redis), clock=around.clock)

    def forget(changes: Iterable[RecordChanged]) -> None:
        for entity in {change.entity for change in changes}:
            gateway.lasting.copies.invalidate(entity)

    return shared, Invalidations([forget], shared)


def _begin(
    settings: Settings,
    part: Part,
    parts: Parts = Parts(),  # noqa: B008  # immutable, and empty
) -> Surroundings:
    settings = replace(settings, part=part)
    configure_logs(stream=log_stream(settings))
    return surroundings(
        settings,
        configuration(settings),
        parts=parts,
        crash_points=crash_points_of(settings),
    )


def _jobs(below: Any) -> list[Job]:
    return [prepare_for_failures, *below.jobs]


def _application(tier: str, apis: Mapping[str, object]) -> Any:
    return application([router_for(api, apis[api.name]) for api in apis_of(tier)])


async def _served(around: Surroundings, inner: Any, jobs: list[Job], on_ready: OnReady) -> None:
    await _listened(around, Health(inner), [prepare_for_failures, *jobs], on_ready)


async def _listened(
    around: Surroundings, health: Health, jobs: list[Job], on_ready: OnReady
) -> None:
    if around.tracing is not None:
        around.tracing.start()
    background = [asyncio.create_task(lasting(job)) for job in jobs]
    try:
        await listen(
            health, host=around.settings.host, port=around.settings.port, drain=health.drain,
            on_listening=on_ready, descriptor=around.settings.descriptor,
        )  # fmt: skip
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if around.tracing is not None:
            await around.tracing.stop()


def _upstreams(
    configured: Configuration,
    around: Surroundings,
    known: dict[str, Forwarder],
    in_use: Iterable[Upstream],
) -> dict[str, Upstream]:
    """One forwarder for each tier, under the name of each of its APIs.

    None, and so none of these APIs, where the configuration has services and no tier anywhere.
    Across a reload an address that is `in_use` keeps the forwarder it is `known` with, and so its
    connections, its budgets and what it has learnt of the tier.
    """
    if configured.tiers == Tiers() and configured.gateway.services:
        return {}
    used = {id(each) for each in in_use}
    found: dict[str, Upstream] = {}
    for tier in ("system", "process", "experience"):
        address = _address(configured, tier)
        forwarder = known.get(address)
        if forwarder is None or (used and id(forwarder) not in used):
            forwarder = known[address] = Forwarder(address, clock=around.clock)
            used.add(id(forwarder))
        found |= {api.path.removeprefix("/"): forwarder for api in apis_of(tier)}
    return found


def _address(configured: Configuration, tier: str) -> str:
    address: str | None = getattr(configured.tiers, tier)
    if address is None:
        raise ConfigError(
            [
                ConfigFault(
                    place=f"tiers.{tier}",
                    value="missing",
                    allowed="http://host:port",
                    remedy=f"Say where the {tier} tier is served (crossdock serve {tier}).",
                )
            ]
        )
    return address


def _is_alone(configured: Configuration) -> bool:
    return configured.store.url is None or configured.store.url.startswith("sqlite")


def _not_shared() -> ConfigFault:
    return ConfigFault(
        place="store.url",
        value="SQLite, which one process has to itself",
        allowed="postgresql+psycopg://user@host/database",
        remedy="Name the PostgreSQL database that the gateway or the process tier accepts into.",
    )
