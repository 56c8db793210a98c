"""The gateway, built: contract in, policy out.

Life: `build_gateway` (no effects) -> `check` -> `startup` (provision) -> serve -> `drain` ->
`shutdown`. The policies are compiled here, once, to one flat tuple of steps per operation.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.problems import problem
from gateway.application import Gateway
from gateway.call import Call, ConfigFault, Finding, Policy, Refuse, Step, Verdict
from gateway.checking import check
from gateway.circuits import Circuits
from gateway.config import ConfigError, GatewayConfig, reference
from gateway.house import House, Ready
from gateway.identity import identify
from gateway.keep import Keep
from gateway.keys import Fetch
from gateway.lasting import Lasting
from gateway.mounting import mount
from gateway.outside import Outside
from gateway.plans import Plan
from gateway.policies.audit import Audit
from gateway.policies.cache import Cache
from gateway.policies.contract_guard import ContractGuard
from gateway.policies.correlate import Correlate
from gateway.policies.guard import Guard
from gateway.policies.idempotency import Idempotency
from gateway.policies.lifecycle import Lifecycle, Retired
from gateway.policies.quota import Quota
from gateway.policies.shed import Shed
from gateway.policies.shield import Shield
from gateway.policies.validate import Validate
from gateway.publishing import published
from gateway.records import Records
from gateway.retelling import api_of, prefix_of
from gateway.routes import Lifecycle as Stage
from gateway.routes import Operation, Terms, compile_documents
from gateway.served import Served
from gateway.shared import SharedState
from gateway.tokens import Verifier
from gateway.upgrades import not_upgraded, upgrade_faults
from gateway.upstreams import Forwarder, Upstream
from runtime.clock import Clock
from runtime.tracing import Tracing


class _Routed:
    """The policies in the order they are asked, and how an operation is compiled through them."""

    def __init__(self, guard: Guard, shield: Shield, policies: Mapping[str, Policy]) -> None:
        self._guard = guard
        self._shield = shield
        self._policies = policies

    def house(self, operation: Operation) -> tuple[Step, ...]:
        """Answer the steps of the gateway's own operations."""
        return (
            *self._policies["correlate"].compile(operation),
            *self._guard.compile(operation),
            *self._shield.compile(operation),
            *self._policies["authenticate"].compile(operation),
            *self._policies["authorize"].compile(operation),
            *self._guard.compile_body(operation),
        )

    def api(self, operation: Operation) -> tuple[Step, ...]:
        """Answer the steps of a contract's operation."""
        of = self._policies
        first = ("authenticate", "authorize", "lifecycle", "quota")
        then = ("validate", "cache", "audit", "idempotency")
        return (
            *of["correlate"].compile(operation),
            *self._guard.compile(operation),
            *self._shield.compile(operation),
            *of["contract_guard"].compile(operation),
            *of["shed"].compile(operation),
            *(step for name in first if name in of for step in of[name].compile(operation)),
            *self._guard.compile_body(operation),
            *(step for name in then if name in of for step in of[name].compile(operation)),
            *self._shield.compile_place(operation),
        )

    def refusing(self, operation: Operation, ask: Step) -> Plan:
        """Answer the plan of calls that lead nowhere."""
        steps = (
            *self._policies["correlate"].compile(operation),
            *self._policies["guard"].compile(operation),
            ask,
        )
        return Plan(operation, steps)


def _nowhere(name: str) -> Operation:
    return Operation(
        key=f"house/{name}",
        api="house",
        method="*",
        template="*",
        scopes=None,
        terms=Terms(limit="house"),
        media_types=("*/*",),
    )


def _disallowed(call: Call) -> Verdict:
    allow = call.parameters["allow"].encode()
    return Refuse(problem=problem("method-not-allowed"), headers=((b"allow", allow),))


def _explain_disallowed(call: Call) -> Finding:
    because = f"the path is known, {call.method} is not; allowed: {call.parameters['allow']}"
    return Finding(policy="route", verdict="refuse", because=because)


async def _always_ready() -> Mapping[str, str | None]:
    return {}


def build_gateway(
    documents: Sequence[Mapping[str, Any]],
    config: GatewayConfig,
    upstreams: Mapping[str, Upstream],
    keep: Keep,
    *,
    records: Records,
    data: Path,
    clock: Clock,
    chance: random.Random | None = None,
    ready: Ready = _always_ready,
    fetch: Fetch,
    tracing: Tracing | None = None,
    verifier: Callable[..., Verifier] = Verifier,
    lasting: Lasting | None = None,
    retired: Mapping[str, Stage] | None = None,
) -> Gateway:
    """Compile contracts and configuration into a gateway, without any effect yet.

    `upstreams` are named by API (`sales/v1`); the services that the configuration names are put
    beside them, by their own contracts. Raises `ContractError` for documents that cannot be
    compiled and `ConfigError` for a configuration that contradicts them, each with every fault.
    For a reload, `lasting` is what the running gateway hands over. `retired` are the APIs that
    have no contract any more, by name: their calls are told that they are gone.
    """
    ours = compile_documents(documents)
    mounted = mount(config.services, ours)
    operations = (*ours, *mounted.operations)
    faults = check(config, operations, mounted.scopes) + _unserved(ours, upstreams)
    if faults or mounted.faults:
        raise ConfigError((*faults, *mounted.faults))
    # Correlation ids and token ids must not be guessable unless a test seeds them.
    chance = chance or random.SystemRandom()
    lasting = lasting or Lasting(clock)
    services = _services(config, mounted.operations, lasting, clock)
    upstreams = {**upstreams, **services}
    metrics = lasting.metrics
    settings = config.gateway
    shared = (
        SharedState(reference(settings.redis), records=records, owed=lasting.owed)
        if settings.redis is not None
        else None
    )
    identity = identify(
        config,
        data=data,
        fetch=fetch,
        clock=clock,
        chance=chance,
        records=records,
        shared=shared,
        verifier=verifier,
        sources=lasting.key_sources,
    )
    guard = Guard(settings.guard)
    shield = Shield(
        settings.shield,
        clock=clock,
        chance=chance,
        records=records,
        remote=_remote(upstreams),
        circuits=Circuits(shared, lasting.standing.untold) if shared is not None else None,
        standing=lasting.standing,
    )
    policies: dict[str, Policy] = {
        "correlate": Correlate(
            clock=clock, chance=chance, records=records, metrics=metrics, tracing=tracing
        ),
        "guard": guard,
        "authenticate": identity.authenticate,
        "authorize": identity.authorize,
        "lifecycle": Lifecycle(clock=clock, metrics=metrics),
        "cache": Cache(settings.cache, clock=clock, copies=lasting.copies),
        "contract_guard": ContractGuard(
            settings.contract_guard, clock=clock, chance=chance, records=records, metrics=metrics
        ),
        "shed": Shed(settings.shed, clock=clock, remote=_remote(upstreams), limits=lasting.limits),
        "quota": Quota(
            config.plans,
            clock=clock,
            shared=shared,
            instances=settings.instances,
            local=lasting.meter,
        ),
        "validate": Validate(),
        "audit": Audit(keep, clock=clock),
        "idempotency": Idempotency(
            keep,
            settings.idempotency,
            clock=clock,
            chance=chance,
            claims=shared,
            flights=lasting.flights,
        ),
        "shield": shield,
    }
    faults = upgrade_faults(operations, upstreams)
    faults += [fault for policy in policies.values() for fault in policy.check(operations)]
    if faults:
        raise ConfigError(faults)
    house = House(
        public_url=settings.public_url,
        documents=[published(each, config) for each in (*documents, *mounted.published)],
        identity=identity,
        metrics=metrics,
        metrics_scope=settings.metrics_scope,
        ready=ready,
        draining=lambda: lasting.draining,
    )
    routed = _Routed(guard, shield, policies)
    plans = [
        *(Plan(each, routed.house(each), handler=handler) for each, handler in house.routes()),
        *(Plan(each, routed.api(each), upstream=upstreams[each.api]) for each in operations),
    ]
    gone = Retired(retired or {}, metrics=metrics, known=identity.authenticate.known())
    served = Served(
        plans=plans,
        unknown=routed.refusing(
            _nowhere("unknown"), Step("route", ask=gone.ask, explain=gone.explain)
        ),
        disallowed=routed.refusing(
            _nowhere("disallowed"), Step("route", ask=_disallowed, explain=_explain_disallowed)
        ),
        straight=routed.refusing(_nowhere("upgrade"), Step("route", ask=not_upgraded)),
        policies=list(policies.values()),
        shield=shield,
        upstreams=upstreams,
        config=config,
        shared=shared,
        on_startup=identity.open,
        on_take_over=lambda: lasting.take_over_services(services),
    )
    metrics.in_flight.set_function(lambda: lasting.in_flight)
    metrics.upgraded.set_function(lambda: lasting.tunnels.taken)
    return Gateway(served, clock=clock, records=records, lasting=lasting)


def _remote(upstreams: Mapping[str, Upstream]) -> frozenset[str]:
    return frozenset(
        api for api, each in upstreams.items() if isinstance(each, Forwarder | Outside)
    )


def _services(
    config: GatewayConfig, operations: Sequence[Operation], lasting: Lasting, clock: Clock
) -> dict[str, Outside]:
    """What speaks to each service: the one that does already, where nothing has changed."""
    found: dict[str, Outside] = {}
    for name, service in config.services.items():
        api = api_of(name)
        fresh = Outside(
            service.url,
            prefix=prefix_of(name, service),
            identity=service.identity,
            headers={header: reference(value) for header, value in service.headers.items()},
            whole=frozenset(each.key for each in operations if each.answers_json),
            clock=clock,
        )
        running = lasting.services.get(api)
        found[api] = running if running is not None and running.says == fresh.says else fresh
    return found


def _unserved(
    operations: Iterable[Operation], upstreams: Mapping[str, Upstream]
) -> list[ConfigFault]:
    return [
        ConfigFault(
            place=f"upstreams.{api}",
            value="missing",
            allowed=", ".join(sorted(upstreams)) or "none given",
            remedy="Name an upstream for every API that has a contract.",
        )
        for api in sorted({each.api for each in operations} - upstreams.keys())
    ]
