"""The way to one vendor account: guarded, within its budget, and with one try more for reads."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import msgspec

from contracts.context import TRACEPARENT_HEADER, current
from contracts.outcomes import CallFailedError, Conflict, Failure, Rejected, Throttled, Unavailable
from runtime.budget import BudgetBroker
from runtime.guard import Guard
from runtime.http.client import HttpAnswer, HttpClient
from runtime.http.tokens import Token, TokenSource
from runtime.tracing import OpenSpan

__all__ = ["Channel", "Exchange", "Judge", "Settle"]

OK: Final = 200
BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
SERVER_ERROR: Final = 500


class Exchange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request of a connector. `timeout` is its longest, in seconds; `safe` has no effect."""

    method: str
    url: str
    headers: Mapping[str, str]
    timeout: float
    safe: bool
    body: bytes | None = None
    operation_class: str = ""
    """The circuit it belongs to; `read` or `write` by `safe` unless given."""


Judge = Callable[[HttpAnswer, bool], Failure | None]
"""Says of an answer to a safe (True) or effectful call whether it is one of the failures."""

Settle = Callable[[HttpAnswer], float | None]
"""Reads from an answer what the call really cost; None when it does not say."""


class Channel:
    """Sends a connector's requests through budget, bulkhead, breaker and client, in this order.

    The turn in the budget comes first: a call that has waited meets the circuit as it is then.
    With a token source every request carries its bearer token; a token that the vendor refuses is
    renewed once. A call of a sampled trace tells the vendor its `traceparent` and leaves a span,
    from the moment it asks for its turn.
    """

    def __init__(
        self,
        *,
        account: str,
        http: HttpClient,
        guard: Guard,
        broker: BudgetBroker,
        judge: Judge,
        tokens: TokenSource | None = None,
    ) -> None:
        self.account = account
        self.guard = guard
        self.system = guard.system
        self.tokens = tokens
        self._http = http
        self._broker = broker
        self._judge = judge

    async def send(
        self, exchange: Exchange, *, cost: float = 1.0, settle: Settle | None = None
    ) -> HttpAnswer:
        """Send a request with the account's token and answer what the vendor answered.

        `cost` is set aside from the budget; `settle` says afterwards what it really was.

        Raises:
            CallFailedError: there was no whole answer, the judge called it a failure, or nothing
                was sent.
        """
        if self.tokens is None:
            return await self._spend(exchange, cost, settle)
        token = await self.tokens.token()
        answer = await self._spend(_bearing(exchange, token), cost, settle)
        if answer.status != UNAUTHORIZED:
            return answer
        self.tokens.refused(token)
        answer = await self._spend(_bearing(exchange, await self.tokens.token()), cost, settle)
        if answer.status == UNAUTHORIZED:
            raise CallFailedError(
                Unavailable(
                    system=self.system, may_have_happened=False, because="credentials refused"
                )
            )
        return answer

    async def send_for_token(self, exchange: Exchange) -> HttpAnswer:
        """Send a request for a token: outside the budget, answered with status 200.

        Raises:
            CallFailedError: `Unavailable`, nothing done, when there was no token to be had.
        """

        async def attempt(seconds: float) -> HttpAnswer:
            answer = await self._http.send(
                exchange.method,
                exchange.url,
                system=self.system,
                headers=exchange.headers,
                timeout=seconds,
                safe=True,
                body=exchange.body,
            )
            if answer.status != OK:
                refused = BAD_REQUEST <= answer.status < SERVER_ERROR
                because = "credentials refused" if refused else "server error"
                raise CallFailedError(
                    Unavailable(system=self.system, may_have_happened=False, because=because)
                )
            return answer

        span = self._begin_span()
        if span is None:
            return await self.guard.call("token", attempt, timeout=exchange.timeout, safe=True)
        with _Told(span, self.system, "token"):
            return await self.guard.call("token", attempt, timeout=exchange.timeout, safe=True)

    async def _spend(self, exchange: Exchange, cost: float, settle: Settle | None) -> HttpAnswer:
        kind = exchange.operation_class or ("read" if exchange.safe else "write")
        span = self._begin_span()
        if span is None:
            return await self._within_budget(kind, exchange, cost, settle)
        with _Told(span, self.system, kind) as told:
            answer = await self._within_budget(kind, exchange, cost, settle, span)
            if answer.status == UNAUTHORIZED:
                told.outcome = "unauthorized"
            return answer

    def _begin_span(self) -> OpenSpan | None:
        tracing = self._http.tracing
        return None if tracing is None else tracing.begin(current().traceparent)

    async def _within_budget(
        self,
        kind: str,
        exchange: Exchange,
        cost: float,
        settle: Settle | None,
        span: OpenSpan | None = None,
    ) -> HttpAnswer:
        headers = exchange.headers
        if span is not None:
            headers = {**headers, TRACEPARENT_HEADER: span.traceparent}

        async def attempt(seconds: float) -> HttpAnswer:
            if span is not None:
                span.note("sent")
            return await self._attempt(exchange, headers, seconds)

        try:
            async with self._broker.spend(self.account, cost) as spending:
                answer = await self.guard.call(
                    kind, attempt, timeout=exchange.timeout, safe=exchange.safe
                )
                if settle is not None and answer.status != UNAUTHORIZED:
                    spending.charged = settle(answer)
                return answer
        except CallFailedError as error:
            if isinstance(error.failure, Throttled) and error.failure.system == self.system:
                self._broker.throttled(self.account, error.failure.retry_after)
            raise

    async def _attempt(
        self, exchange: Exchange, headers: Mapping[str, str], seconds: float
    ) -> HttpAnswer:
        answer = await self._http.send(
            exchange.method,
            exchange.url,
            system=self.system,
            headers=headers,
            timeout=seconds,
            safe=exchange.safe,
            body=exchange.body,
        )
        failure = self._judge(answer, exchange.safe)
        if failure is not None:
            raise CallFailedError(failure)
        return answer


class _Told:
    """A vendor call in its trace: told when it ends, by the kind of its outcome."""

    __slots__ = ("_kind", "_span", "_system", "outcome")

    def __init__(self, span: OpenSpan, system: str, kind: str) -> None:
        self._span = span
        self._system = system
        self._kind = kind
        self.outcome = "done"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        failed = error is not None
        if isinstance(error, CallFailedError):
            self.outcome = type(error.failure).__name__.lower()
            failed = not isinstance(error.failure, Rejected | Conflict)
        elif error is not None:
            self.outcome = "cancelled"
        self._span.end(
            f"{self._system} {self._kind}",
            "client",
            {
                "crossdock.system": self._system,
                "crossdock.operation_class": self._kind,
                "crossdock.outcome": self.outcome,
            },
            failed=failed,
        )


def _bearing(exchange: Exchange, token: Token) -> Exchange:
    headers = {**exchange.headers, "authorization": f"Bearer {token.value}"}
    return Exchange(
        method=exchange.method,
        url=exchange.url,
        headers=headers,
        timeout=exchange.timeout,
        safe=exchange.safe,
        body=exchange.body,
        operation_class=exchange.operation_class,
    )
