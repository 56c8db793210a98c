"""The way to one vendor account: guarded, within its budget, and with one try more for reads."""

from collections.abc import Mapping

import msgspec

from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard
from runtime.http.client import HttpAnswer, HttpClient

__all__ = ["Channel", "Exchange"]


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


class Channel:
    """Sends a connector's requests through budget, bulkhead, breaker and client, in this order.

    The turn in the budget comes first: a call that has waited meets the circuit as it is then.
    """

    def __init__(
        self,
        *,
        account: str,
        http: HttpClient,
        guard: Guard,
        broker: BudgetBroker,
        clock: Clock,
    ) -> None:
        self.account = account
        self.system = guard.system
        self.broker = broker
        self.clock = clock
        self._http = http
        self._guard = guard

    async def send(
        self, exchange: Exchange, *, cost: float = 1.0, free: bool = False
    ) -> HttpAnswer:
        """Send a request and answer whatever the vendor answers, a refusal too.

        `free` calls do not count against the budget (token endpoints).

        Raises:
            CallFailedError: there was no whole answer, or nothing was sent.
        """

        async def attempt(seconds: float) -> HttpAnswer:
            return await self._http.send(
                exchange.method,
                exchange.url,
                system=self.system,
                headers=exchange.headers,
                timeout=seconds,
                safe=exchange.safe,
                body=exchange.body,
            )

        kind = exchange.operation_class or ("read" if exchange.safe else "write")
        if free:
            return await self._guard.call(
                kind, attempt, timeout=exchange.timeout, safe=exchange.safe
            )
        async with self.broker.spend(self.account, cost):
            return await self._guard.call(
                kind, attempt, timeout=exchange.timeout, safe=exchange.safe
            )
