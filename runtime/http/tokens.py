"""Access tokens: fetched once for everybody, kept until shortly before they end."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import msgspec

from runtime.clock import Clock
from runtime.tasks import seen

__all__ = ["Token", "TokenSource"]

EARLY: float = 60.0
"""Seconds before its end from which a token is not used any more, or a tenth of its life."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token. `lifetime` is seconds from its issue; None when the vendor does not say."""

    value: str
    lifetime: float | None


class TokenSource:
    """Hands out the current token; whoever finds none fetches it while the others wait.

    A small source of our own because only one of the vendors' grants is plain OAuth 2: Salesforce
    names no lifetime, ShipHero takes a user's password in JSON (decision record 0002).
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]], *, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._good_until = 0.0
        self._fetching: asyncio.Task[Token] | None = None

    async def token(self) -> Token:
        """Answer a token that is good for a call now.

        Raises:
            CallFailedError: it could not be fetched; everybody who waited gets the same end.
        """
        if self._token is not None and self._clock.monotonic() < self._good_until:
            return self._token
        if self._fetching is None:
            # an empty context: the first caller's deadline must not bind what all wait for
            self._fetching = asyncio.get_running_loop().create_task(
                self._renew(), context=contextvars.Context()
            )
            self._fetching.add_done_callback(seen)
        # shielded: the first caller's cancellation must not take the token from the others
        return await asyncio.shield(self._fetching)

    def refused(self, token: Token) -> None:
        """Learn that the vendor does not take this token any more; a newer one is kept."""
        if self._token is token:
            self._token = None

    async def _renew(self) -> Token:
        try:
            asked_at = self._clock.monotonic()
            token = await self._fetch()
            life = float("inf") if token.lifetime is None else token.lifetime
            early = min(EARLY, life / 10) if token.lifetime is not None else 0.0
            self._good_until = asked_at + life - early
            self._token = token
            return token
        finally:
            self._fetching = None
