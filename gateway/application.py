"""The gateway as a plain ASGI application: asks, serves, tells.

Life: construct (no effects) -> `check` -> `startup` (provision) -> serve -> `drain` -> `shutdown`.
At construction the policies are compiled to one flat tuple of steps per operation; a call walks the
tuple on its way in, its reply walks back through the steps that were asked.

More than 400 lines: a call's whole way in and out reads in one place.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from contracts.context import CORRELATION_HEADER, CallContext, calling
from contracts.problems import Fault, problem
from gateway.call import (
    PASS,
    Answer,
    Call,
    ClientGoneError,
    ConfigFault,
    Finding,
    Pass,
    Receive,
    Refuse,
    Reply,
    Scope,
    Send,
)
from gateway.config import ConfigError
from gateway.edge import deliver, deliver_early, problem_reply, refusal_of
from gateway.explaining import Caller, explain
from gateway.lasting import Lasting
from gateway.lifespan import lifespan
from gateway.plans import Exit, Plan
from gateway.records import Records
from gateway.routes import ContractError, Operation
from gateway.served import Served
from gateway.tunnels import GOING_AWAY, RESTARTED
from gateway.upgrades import SWITCHED, Handshake, as_get, denying, no_body
from gateway.upstreams import OPERATION
from runtime.clock import Clock

QUIET_SECONDS: Final = 0.5
"""A drain waits for this long a silence; a keep-alive client in use speaks more often."""
INTERNAL: Final = 500
TOO_LARGE: Final = 413
_RETIRE_LOOK_SECONDS: Final = 0.05
CORRELATION: Final = CORRELATION_HEADER.encode()
_CLOSE: Final = (b"connection", b"close")
_CLOSING_STATUSES: Final = frozenset({408, TOO_LARGE})
"""After these the rest of the request may still be on the wire (RFC 9110 section 15.5.14)."""


_TOO_LATE: Final = ConfigFault(
    place="services",
    value="an upgrade, and a listener that was started without any",
    allowed="no upgrade until the next start",
    remedy="Start the gateway anew with this configuration.",
)


class Gateway:
    """The ASGI application. Build it with `build_gateway`."""

    def __init__(self, served: Served, *, clock: Clock, records: Records, lasting: Lasting) -> None:
        self._served = served
        self._clock = clock
        self._records = records
        self.lasting = lasting
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._last_arrival = 0.0

    def __repr__(self) -> str:
        state = "draining" if self.draining else "serving"
        return f"<Gateway {len(self._served.plans)} operations {state} {self.in_flight} in flight>"

    @property
    def draining(self) -> bool:
        """Whether the process is on its way out."""
        return self.lasting.draining

    @property
    def in_flight(self) -> int:
        """Calls being answered now, under whatever configuration."""
        return self.lasting.in_flight

    @property
    def served(self) -> Served:
        """The configuration that answers the next call."""
        return self._served

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation that can be reached."""
        return tuple(plan.operation for plan in self._served.plans)

    @property
    def offers_upgrades(self) -> bool:
        """Whether any contract allows an upgrade; the listener must know at its start."""
        return any(each.terms.upgrade is not None for each in self.operations)

    def check(self) -> list[ConfigFault]:
        """Report every fault of every policy at once."""
        return [fault for each in self._served.policies for fault in each.check(self.operations)]

    async def startup(self) -> None:
        """Provision policies and upstreams; raise `ConfigError` with all faults first."""
        await self._provision(None)
        self._served.take_over()
        self.lasting.offers_upgrades = self.offers_upgrades

    async def _provision(self, running: Served | None) -> None:
        faults = self.check()
        if running is not None and self.offers_upgrades and not self.lasting.offers_upgrades:
            faults.append(_TOO_LATE)
        if faults:
            raise ConfigError(faults)
        await self._served.provision(running)

    async def reload(self, build: Callable[[Lasting], "Gateway"]) -> bool:
        """Go over to the gateway that `build` makes of a new configuration, or stay as it is.

        It is built and provisioned whole before a call sees it, then takes over between two calls;
        calls under way end under the configuration they began with, which is closed after the last
        of them. A configuration that cannot be used is told in the log with every fault, and
        nothing changes. Answers whether the new one serves. Reloads wait for one another.
        """
        async with self._reloading:
            try:
                fresh = build(self.lasting)
                await fresh._provision(self._served)  # noqa: SLF001  of our own kind
            except (ConfigError, ContractError) as error:
                self._refused(error.faults)
                return False
            except Exception as error:  # noqa: BLE001  whatever fails, the last good one serves on
                self._records.event("configuration_refused", error=type(error).__name__, faults=1)
                return False
            old, self._served = self._served, fresh._served  # noqa: SLF001  as above
            self._served.take_over()
            self.lasting.tunnels.end(RESTARTED, "reloaded")
            self._records.event("configuration_taken_over", operations=len(self.operations))
            retiring = asyncio.get_running_loop().create_task(
                self._retire(old, self._served, tuple(self._retiring))
            )
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
            return True

    def _refused(self, faults: Sequence[ConfigFault | Fault]) -> None:
        for fault in faults:
            match fault:
                case ConfigFault(place=place, value=value, allowed=allowed, remedy=remedy):
                    said = {"place": place, "value": value, "allowed": allowed, "remedy": remedy}
                case Fault(pointer=place, detail=detail):
                    said = {"place": place, "value": detail}
            self._records.event("configuration_fault_found", **said)
        self._records.event("configuration_refused", error="ConfigError", faults=len(faults))

    async def _retire(
        self, old: Served, successor: Served, before: Sequence[asyncio.Task[None]]
    ) -> None:
        """Close a configuration once its last call has ended, and those `before` it are closed.

        Their calls may still be on an upstream that it took over from them.
        """
        if before:
            await asyncio.wait(before)
        while old.in_flight:  # noqa: ASYNC110  polled only here: a call pays one decrement
            await asyncio.sleep(_RETIRE_LOOK_SECONDS)
        await old.close(successor)

    async def shutdown(self) -> None:
        """Close upstreams and policies, in reverse."""
        self.lasting.close()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self._served.close()

    async def drain(self, seconds: float | None = None) -> bool:
        """Answer what still comes with `Connection: close` until nothing comes any more.

        Ends when no call is in flight and none has come for a while, or after `seconds` (the
        configured drain time); tells whether all calls had ended.
        """
        self.lasting.draining = True
        self.lasting.tunnels.end(GOING_AWAY, "draining")
        limit = self._served.config.gateway.drain_seconds if seconds is None else seconds
        began = self._clock.monotonic()
        self._last_arrival = began
        while (now := self._clock.monotonic()) < began + limit:
            if not self.in_flight and now - self._last_arrival >= QUIET_SECONDS:
                break
            await asyncio.sleep(0.01)
        return not self.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection scope."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        served, lasting = self._served, self.lasting
        call, plan = served.begin(scope, receive, self._clock.monotonic())
        self._last_arrival = call.started
        served.in_flight += 1
        lasting.in_flight += 1
        try:
            asked, reply = await self._enter(call, plan)
            if reply is None:
                reply = await self._serve(call, plan, send)
            if reply is not None:
                reply = await self._told(call, plan, asked, reply)
                if reply.status == TOO_LARGE:
                    call.bytes_out = await deliver_early(send, receive, reply)
                else:
                    bodiless = call.head or call.method == "HEAD"
                    call.bytes_out = await deliver(send, reply, head=bodiless)
        except ClientGoneError:
            call.reply = None
        finally:
            served.in_flight -= 1
            lasting.in_flight -= 1
            self._released(call, plan)

    def _released(self, call: Call, plan: Plan) -> None:
        """Let every policy let go, whatever befalls one of them.

        A record that cannot be written, as on a full disk, must not keep a key or a place taken.
        """
        for step in plan.releases:
            try:
                step.release(call)  # type: ignore[misc]  # only steps that have one
            except Exception as error:  # noqa: BLE001  the others are still to be released
                self._records.event(
                    "release_failed",
                    correlation_id=call.correlation_id,
                    policy=step.name,
                    error=type(error).__name__,
                )

    async def _enter(self, call: Call, plan: Plan) -> tuple[int, Reply | None]:
        """Ask the policies in turn; answer how many were asked, and a reply if one decided."""
        asked = 0
        for step in plan.steps:
            asked += 1
            try:
                verdict = step.ask(call)
                if verdict is PASS:
                    continue
                if not isinstance(verdict, Refuse | Answer | Pass):
                    verdict = await verdict
            except ClientGoneError:
                raise
            except Exception as error:  # noqa: BLE001  whatever fails, the caller gets a problem
                return asked, self._failed(call, error, policy=step.name)
            match verdict:
                case Refuse():
                    return asked, problem_reply(call, verdict, policy=step.name)
                case Answer(reply=reply):
                    reply.policy = step.name
                    return asked, reply
                case Pass():
                    continue
        return asked, None

    async def _serve(self, call: Call, plan: Plan, send: Send) -> Reply | None:
        """Let the operation answer, within the deadline; None once the answer has gone out."""
        context = CallContext(
            correlation_id=call.correlation_id,
            consumer=call.consumer.name,
            traceparent=call.traceparent,
            subject=call.consumer.subject,
            scopes=call.consumer.scopes,
            accounts=call.consumer.accounts,
            deadline=call.deadline,
            idempotency_key=call.idempotency_key,
            fingerprint=call.fingerprint,
            criticality=plan.criticality,
        )
        try:
            with calling(context):
                if plan.timed:
                    return await self._in_time(call, plan, send)
                await self._ask_upstream(call, plan, send)
        except ClientGoneError:
            raise
        except TimeoutError:
            if call.reply is None:
                return problem_reply(
                    call, Refuse(problem=problem("deadline-exceeded")), policy="shield"
                )
        except Exception as error:
            if call.streaming:
                raise  # the head has gone out: only an aborted connection can say "incomplete"
            if call.reply is None:
                return self._failed(call, error, policy=None)
        return self._given(call)

    async def _in_time(self, call: Call, plan: Plan, send: Send) -> Reply | None:
        """End what would not end by itself when the call's time is over."""
        left = None if call.deadline is None else call.deadline - self._clock.monotonic()
        async with asyncio.timeout(left if left is None else max(0.0, left)):
            if plan.handler is not None:
                return await plan.handler(call)
            await self._ask_upstream(call, plan, send)
        return self._given(call)

    def _given(self, call: Call) -> Reply | None:
        if call.streaming:
            return None
        if call.reply is None:
            return self._failed(call, RuntimeError("the upstream sent no answer"), policy=None)
        return call.reply

    async def _ask_upstream(self, call: Call, plan: Plan, send: Send) -> None:
        scope = dict(call.scope)
        scope["headers"] = call.forwarded
        scope[OPERATION] = plan.operation.key
        if call.head:
            scope["method"] = "GET"
        if plan.upstream is None:
            raise RuntimeError(f"{plan.operation.key} leads nowhere")

        async def begin(reply: Reply) -> bool:
            return await self._begin_stream(plan, call, reply, send)

        await plan.upstream(
            scope, call.receive, Exit(call, send, buffered=plan.buffered, begin=begin)
        )

    def _failed(self, call: Call, error: Exception, *, policy: str | None) -> Reply:
        """Say a failure in catalogued words; log the unexpected with its place, never its text."""
        refusal = refusal_of(error)
        if refusal.problem.status == INTERNAL:
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            self._records.event(
                "call_failed_unexpectedly",
                correlation_id=call.correlation_id,
                operation=call.operation.key,
                policy=policy,
                error=type(error).__name__,
                frames=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            )
        return problem_reply(call, refusal, policy=policy)

    async def _told(self, call: Call, plan: Plan, asked: int, reply: Reply) -> Reply:
        """Tell the policies, last asked first; answer the reply that is to be sent."""
        call.reply = reply = await self._tell(call, plan, asked, reply)
        self._finish(reply)
        return reply

    async def _begin_stream(self, plan: Plan, call: Call, reply: Reply, send: Send) -> bool:
        """Tell the policies of a streaming reply and send its head, or all of what replaced it."""
        told = await self._tell(call, plan, len(plan.steps), reply)
        self._finish(told)
        call.streaming = True
        if told is not reply:
            call.reply = told
            call.bytes_out = await deliver(send, told, head=call.head or call.method == "HEAD")
            return False
        await send({"type": "http.response.start", "status": told.status, "headers": told.headers})
        return True

    async def _tell(self, call: Call, plan: Plan, asked: int, reply: Reply) -> Reply:
        waiting = []
        for at, tell in plan.tells:
            if at < asked:
                told = tell(call, reply)
                if told is not None:
                    waiting.append(told)
        if not waiting:
            return reply
        # Together: what two policies must make durable shares one commit.
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._records.event(
                    "answer_not_kept",
                    correlation_id=call.correlation_id,
                    operation=call.operation.key,
                    error=type(outcome).__name__,
                )
                refusal = Refuse(problem=problem("store-unavailable"), retry_after=1)
                replaced = problem_reply(call, refusal, policy="idempotency")
                replaced.headers.append((CORRELATION, call.correlation_id.encode()))
                return replaced
        return reply

    def _finish(self, reply: Reply) -> None:
        closing = self.draining or reply.status in _CLOSING_STATUSES
        if closing and reply.header(b"connection") is None:
            reply.headers.append(_CLOSE)

    def explain(self, method: str, target: str, caller: Caller) -> list[Finding]:
        """Say what each policy would do with a call, without effects: the same steps are read."""
        return explain(self._served, method, target, caller, now=self._clock.monotonic())

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the lifespan, and handshakes where a contract may allow them."""
        if scope["type"] == "websocket":
            await self._upgrade(scope, receive, send)
            return
        await lifespan(self.startup, self.shutdown, receive, send)

    async def _upgrade(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one handshake, and stay for as long as its connection does."""
        served, lasting = self._served, self.lasting
        call, plan = served.begin(as_get(scope), no_body, self._clock.monotonic())
        if plan.operation.terms.upgrade is None and plan in served.plans:
            plan = served.straight
            call.operation = plan.operation
        handshake = Handshake(plan, scope, config=served.config, lasting=lasting, clock=self._clock)
        self._last_arrival = call.started
        served.in_flight += 1
        lasting.in_flight += 1
        try:
            await receive()
            asked, reply = await self._enter(call, plan)
            if reply is None:
                reply = await self._serve(call, handshake.plan, send)
            if reply is not None:
                reply = await self._told(call, plan, asked, reply)
                if reply.status == SWITCHED:
                    await handshake.run(call, reply, receive, send)
                else:
                    call.bytes_out = await deliver(denying(send), reply, head=False)
        except ClientGoneError:
            call.reply = None
        finally:
            await handshake.close()
            served.in_flight -= 1
            lasting.in_flight -= 1
            self._released(call, plan)
