"""An upstream that is not ours: called in its own paths, and told no more than its section says.

It gets the caller's request, the correlation id, the trace and what is left of the budget. Who is
calling is ours to know: consumer, subject, scopes and accounts are sent only where the section
names them, credentials and cookies never. An `Idempotency-Key` is sent as one that no other
consumer can have: the service takes all of them for one caller, and may answer one with what
another was answered.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from contracts.context import (
    ACCOUNTS_HEADER,
    BUDGET_HEADER,
    CONSUMER_HEADER,
    CORRELATION_HEADER,
    SCOPES_HEADER,
    SUBJECT_HEADER,
    TRACEPARENT_HEADER,
    CallContext,
    current,
    to_headers,
)
from gateway.call import Header, Message, Receive, Scope, Send
from gateway.services import Told
from gateway.upstreams import Forwarder
from runtime.clock import Clock

_ALWAYS: Final = (CORRELATION_HEADER, TRACEPARENT_HEADER, BUDGET_HEADER)
_OF_CALLER: Final[Mapping[Told, str]] = {
    "consumer": CONSUMER_HEADER,
    "subject": SUBJECT_HEADER,
    "scopes": SCOPES_HEADER,
    "accounts": ACCOUNTS_HEADER,
}
_KEY: Final = b"idempotency-key"
_POINTING: Final = frozenset({b"location", b"content-location"})
_COOKIE: Final = b"set-cookie"
"""Ours is the origin it would be set for; no cookie ever reaches the service again."""


class Outside:
    """Speaks to one service that is not ours; an ASGI application like every upstream.

    Only what is safe is tried a second time: whether a key makes a call safe there, we cannot know.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        identity: Sequence[Told],
        headers: Mapping[str, str],
        whole: frozenset[str],
        clock: Clock,
    ) -> None:
        self._base = url.rstrip("/")
        self._base_path = urlsplit(self._base).path
        self._prefix = prefix
        self._deep = prefix.count("/")
        self._told = frozenset({*_ALWAYS, *(_OF_CALLER[each] for each in identity)})
        self._own = [(name.lower(), value) for name, value in headers.items()]
        self._replaced = frozenset({_KEY, *(name.encode() for name, _ in self._own)})
        self._forwarder = Forwarder(
            self._base, clock=clock, saying=self._say, keyed_again=False, whole=whole
        )
        self.says = (self._base, prefix, self._told, tuple(self._own), whole)
        """Two that are alike in this say the same to the same."""

    def __repr__(self) -> str:
        return f"<Outside {self._base} at {self._prefix}>"

    async def startup(self) -> None:
        """Make the client; connect to nothing yet."""
        await self._forwarder.startup()

    async def shutdown(self) -> None:
        """Close the connections."""
        await self._forwarder.shutdown()

    async def upgraded(self, scope: Scope, *, largest_bytes: int) -> Any:
        """Open a WebSocket for a handshake; raise as `gateway.dialling.dial` does."""
        from gateway.dialling import DeclinedError  # noqa: PLC0415  # only who upgrades waits for it

        try:
            return await self._forwarder.upgraded(self._there(scope), largest_bytes=largest_bytes)
        except DeclinedError as declined:
            declined.headers = self._answered(declined.headers)
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one call; raise `ProblemError` where the service cannot be reached."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._answered(message["headers"])
            await send(message)

        await self._forwarder(self._there(scope), receive, sent)

    def _there(self, scope: Scope) -> Scope:
        """The call as the service is to see it."""
        return {**scope, "raw_path": self._path(scope), "headers": self._asked(scope["headers"])}

    def _say(self, call: CallContext, now: float) -> list[tuple[str, str]]:
        return [each for each in to_headers(call, now) if each[0] in self._told] + self._own

    def _path(self, scope: Scope) -> bytes:
        """The path below our prefix, as it was written: segments are the same in any spelling."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        below = raw.split(b"/", self._deep + 1)[self._deep + 1 :]
        return b"/" + b"".join(below)

    def _asked(self, headers: list[Header]) -> list[Header]:
        kept = [each for each in headers if each[0].replace(b"_", b"-") not in self._replaced]
        key = next((value for name, value in headers if name == _KEY), None)
        if key is not None:
            consumer = current().consumer.encode()
            kept.append((_KEY, sha256(consumer + b"\n" + key).hexdigest().encode()))
        return kept

    def _answered(self, headers: list[Header]) -> list[Header]:
        return [
            (name, self._pointed(value)) if name in _POINTING else (name, value)
            for name, value in headers
            if name != _COOKIE
        ]

    def _pointed(self, value: bytes) -> bytes:
        """Say an address below the service's as our callers reach it."""
        target = value.decode("latin-1")
        if target.startswith(f"{self._base}/"):
            return (self._prefix + target[len(self._base) :]).encode("latin-1")
        if target.startswith(f"{self._base_path}/") and not target.startswith("//"):
            return (self._prefix + target[len(self._base_path) :]).encode("latin-1")
        return value
