"""One account of ShipHero: signs in, asks at the price of credits, and reads what comes back.

The only file that sends the vendor anything; what is asked is decided in `connector.py`.
"""

from typing import Any, Final, TypeVar

from contracts.outcomes import CallFailedError, Failure
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard
from runtime.http import Channel, Exchange, HttpAnswer, HttpClient, Token, TokenSource, decode
from runtime.http.client import Decoder
from system_apis.wms.shiphero import wire, wire_graphql
from system_apis.wms.shiphero.failures import SYSTEM, credits_left, failure_of, refusal_of
from system_apis.wms.shiphero.settings import ShipHeroSettings

__all__ = ["Account", "answered", "only"]

T = TypeVar("T")
_JSON: Final = {"accept": "application/json", "content-type": "application/json"}


class Account:
    """Runs documents for one account."""

    def __init__(
        self,
        settings: ShipHeroSettings,
        *,
        http: HttpClient,
        broker: BudgetBroker,
        clock: Clock,
        guard: Guard,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._channel = Channel(
            account=settings.account,
            http=http,
            guard=guard,
            broker=broker,
            judge=self._judged,
            tokens=TokenSource(self._fetch_token, clock=clock),
        )
        self._refresh: str | None = None
        self._costs: dict[str, float] = {}

    async def ask(
        self,
        document: str,
        variables: Any,
        decoder: Decoder["wire_graphql.Reply[T]"],
        *,
        guess: float,
        safe: bool,
    ) -> "wire_graphql.Reply[T]":
        """Run a document; every root field answers its cost, which sets the next one's price."""
        told = self._settings
        replies: list[wire_graphql.Reply[T]] = []

        def settle(answer: HttpAnswer) -> float | None:
            reply = decode(decoder, answer, system=SYSTEM, safe=safe)
            replies.append(reply)
            cost = sum(getattr(one, "complexity", 0.0) for one in (reply.data or {}).values())
            if cost:
                self._costs[document] = cost
            return cost or None

        await self._channel.send(
            Exchange(
                method="POST",
                url=f"{told.base_url}/graphql",
                headers=_JSON,
                timeout=told.read_timeout if safe else told.write_timeout,
                safe=safe,
                body=wire_graphql.encode(wire_graphql.Request(query=document, variables=variables)),
            ),
            cost=self._costs.get(document, guess),
            settle=settle,
        )
        return replies[-1]

    def _judged(self, answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
        """Judge an answer; one that counts the account's credits corrects our own count."""
        failure = failure_of(answer, safe)
        left = None if failure is None else credits_left(answer)
        if left is not None:
            self._broker.observed_credits(self._settings.account, left)
        return failure

    async def _fetch_token(self) -> Token:
        """Renew with the refresh token while it is good, else sign in."""
        if self._refresh is not None:
            try:
                return await self._sign_in("refresh", wire.Refresh(refresh_token=self._refresh))
            except CallFailedError:
                self._refresh = None
        told = self._settings
        return await self._sign_in(
            "token", wire.Credentials(username=told.username, password=told.password)
        )

    async def _sign_in(self, how: str, with_what: object) -> Token:
        answer = await self._channel.send_for_token(
            Exchange(
                method="POST",
                url=f"{self._settings.base_url}/auth/{how}",
                headers=_JSON,
                timeout=self._settings.read_timeout,
                safe=True,
                body=wire_graphql.encode(with_what),
            )
        )
        tokens = decode(wire.tokens_decoder, answer, system=SYSTEM, safe=True)
        self._refresh = tokens.refresh_token or self._refresh
        return Token(value=tokens.access_token, lifetime=tokens.expires_in)


def only(reply: "wire_graphql.Reply[T]") -> T | None:
    """Answer the payload of a document with one root field."""
    return next(iter((reply.data or {}).values()), None)


def answered(reply: "wire_graphql.Reply[wire_graphql.Payload[T]]") -> T:
    """Answer what a document with one root field found, or raise the refusal."""
    payload = only(reply)
    if payload is None or payload.data is None:
        raise CallFailedError(refusal_of(reply.errors))
    return payload.data
