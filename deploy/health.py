"""What a process that is not a gateway answers about itself, and how it ends without losing calls.

`/healthz`: the process lives. `/readyz`: it can do its work; 503 while it drains or lacks what it
needs. Everything else goes to the tier behind it, if there is one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["Health"]

Application = Callable[[Any, Any, Any], Awaitable[None]]
Ready = Callable[[], Awaitable[Mapping[str, str | None]]]

_STOPPED_COMING: Final = 0.25
"""Seconds without a call after which a drained process has no caller left."""
_LOOK_EVERY: Final = 0.02


async def _nothing_needed() -> Mapping[str, str | None]:
    return {}


class Health:
    """An ASGI application around a tier's own, or around nothing."""

    def __init__(
        self,
        inner: Application | None,
        *,
        ready: Ready = _nothing_needed,
        drain_seconds: float = 10.0,
    ) -> None:
        self._inner = inner
        self._ready = ready
        self._drain_seconds = drain_seconds
        self._draining = False
        self._running = 0
        self._last = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer for the process, or pass the call on."""
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/healthz":
                await _reply(send, 200, {"status": "alive"})
            case "/readyz":
                await self._readiness(send)
            case _ if self._inner is None:
                await _reply(send, 404, {"type": "/problems/operation-unknown", "status": 404})
            case _:
                await self._passed_on(scope, receive, send)

    async def drain(self) -> None:
        """Tell callers to go elsewhere; answer when they have, or when time is up."""
        self._draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_seconds
        self._last = loop.time()
        while loop.time() < until:
            if not self._running and loop.time() - self._last > _STOPPED_COMING:
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def _passed_on(self, scope: Any, receive: Any, send: Any) -> None:
        assert self._inner is not None  # noqa: S101  # told apart by the caller
        self._running += 1

        async def sent(message: Any) -> None:
            if self._draining and message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._inner(scope, receive, sent)
        finally:
            self._running -= 1
            self._last = asyncio.get_running_loop().time()

    async def _readiness(self, send: Any) -> None:
        faults = dict(await self._ready())
        if self._draining:
            faults["process"] = "draining"
        wrong = any(fault is not None for fault in faults.values())
        body = {
            "status": "unready" if wrong else "ready",
            "checks": {name: fault or "well" for name, fault in faults.items()},
        }
        await _reply(send, 503 if wrong else 200, body)


async def _reply(send: Any, status: int, body: Mapping[str, Any]) -> None:
    content = msgspec.json.encode(body)
    kind = b"application/json" if status < 400 else b"application/problem+json"  # noqa: PLR2004  # RFC 9110, section 15.5
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
