"""One configuration of the gateway, compiled and, once provisioned, ready to answer calls."""

from collections.abc import Callable, Mapping, Sequence

from gateway.call import Call, Policy, Receive, Scope
from gateway.config import GatewayConfig
from gateway.plans import Plan
from gateway.policies.shield import Shield
from gateway.routes import Match, MethodNotAllowed, Router
from gateway.shared import SharedState
from gateway.upstreams import Upstream


class Served:
    """One configuration, compiled: what calls are answered by until another takes its place."""

    def __init__(
        self,
        *,
        plans: Sequence[Plan],
        unknown: Plan,
        disallowed: Plan,
        straight: Plan,
        policies: Sequence[Policy],
        shield: Shield,
        upstreams: Mapping[str, Upstream],
        config: GatewayConfig,
        shared: SharedState | None,
        on_startup: Callable[[], None],
        on_take_over: Callable[[], None] = lambda: None,
    ) -> None:
        self.plans = plans
        self.unknown = unknown
        self.disallowed = disallowed
        self.straight = straight
        """Where a handshake ends that no contract allows."""
        self.router = Router(plan.operation for plan in plans)
        self.policies = policies
        self.shield = shield
        self.upstreams = upstreams
        self.config = config
        self.in_flight = 0
        self._shared = shared
        self._on_startup = on_startup
        self._on_take_over = on_take_over
        self._began: list[Upstream] = []

    def __repr__(self) -> str:
        return f"<Served {len(self.plans)} operations, {self.in_flight} in flight>"

    def begin(self, scope: Scope, receive: Receive, started: float) -> tuple[Call, Plan]:
        """Find the operation; what no contract names still passes correlate and guard.

        `started` is the monotonic instant of arrival.
        """
        found = self.router.find(scope["method"], scope["path"])
        parameters: Mapping[str, str] = {}
        match found:
            case None:
                plan = self.unknown
            case MethodNotAllowed(allowed=allowed):
                plan, parameters = self.disallowed, {"allow": allowed}
            case _:
                plan, parameters = self.plans[found.index], found.parameters
        call = Call(
            scope=scope,
            receive=receive,
            operation=plan.operation,
            parameters=parameters,
            started=started,
        )
        call.head = isinstance(found, Match) and found.head
        return call, plan

    async def provision(self, running: "Served | None" = None) -> None:
        """Acquire everything; what fails on the way gives back what it had, and is raised.

        An upstream that `running` has started already is taken over as it is.
        """
        started = set() if running is None else {id(each) for each in running.upstreams.values()}
        try:
            self._on_startup()
            if self._shared is not None:
                await self._shared.open()
            for policy in self.policies:
                await policy.provision()
            for upstream in {id(each): each for each in self.upstreams.values()}.values():
                begin = getattr(upstream, "startup", None)
                if begin is not None and id(upstream) not in started:
                    await begin()
        except BaseException:
            await self.close(running)
            raise

    def take_over(self) -> None:
        """Put what lasts under this configuration: the moment from which it, and no other, counts.

        A configuration that is refused before has touched nothing.
        """
        self._on_take_over()
        for policy in self.policies:
            take_over = getattr(policy, "take_over", None)
            if take_over is not None:
                take_over()

    async def close(self, successor: "Served | None" = None) -> None:
        """Give everything back, in reverse; upstreams a successor goes on with stay open."""
        kept = set() if successor is None else {id(each) for each in successor.upstreams.values()}
        for upstream in {id(each): each for each in self.upstreams.values()}.values():
            end = getattr(upstream, "shutdown", None)
            if end is not None and id(upstream) not in kept:
                await end()
        for policy in reversed(self.policies):
            await policy.close()
        if self._shared is not None:
            await self._shared.close()
