"""An operation with its compiled steps, and the way out for what its upstream answers."""

from collections.abc import Awaitable, Callable
from typing import Final

from contracts.problems import ProblemError, problem
from gateway.call import Call, Message, Reply, Send, Step
from gateway.edge import from_upstream
from gateway.house import Handler
from gateway.routes import Operation
from gateway.upstreams import Upstream

_MOST_BUFFERED: Final = 8 * 1024 * 1024
"""Bytes of an upstream's answer held whole for a key or a copy; more breaks its contract."""


class Plan:
    """An operation with its steps and where it ends: a handler of ours or an upstream."""

    __slots__ = (
        "buffered",
        "criticality",
        "handler",
        "operation",
        "releases",
        "steps",
        "tells",
        "timed",
        "upstream",
    )

    def __init__(
        self,
        operation: Operation,
        steps: tuple[Step, ...],
        *,
        handler: Handler | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        self.operation = operation
        self.steps = steps
        self.handler = handler
        self.upstream = upstream
        self.buffered = operation.terms.idempotency != "none" or operation.terms.cache is not None
        self.criticality = operation.terms.criticality
        self.timed = not getattr(upstream, "keeps_deadline", False)
        """Whether the gateway must end the call itself when its time is over."""
        told = [(at, step.tell) for at, step in enumerate(steps) if step.tell is not None]
        self.tells = tuple(reversed(told))
        """Place of its step and what it is told by, the last first."""
        self.releases = tuple(step for step in steps if step.release is not None)

    def __repr__(self) -> str:
        return f"<Plan {self.operation.key} {'>'.join(step.name for step in self.steps)}>"


Begin = Callable[[Reply], Awaitable[bool]]
"""Tells the policies of a reply that will stream and sends its head; False: another was sent."""


class Exit:
    """Takes an upstream's answer and sends it on: whole where it comes whole, else as it comes."""

    __slots__ = (
        "_begin",
        "_buffered",
        "_call",
        "_chunks",
        "_over",
        "_send",
        "_size",
        "head",
        "status",
    )

    def __init__(self, call: Call, send: Send, *, buffered: bool, begin: Begin) -> None:
        self._begin = begin
        self._buffered = buffered
        self._call = call
        self._send = send
        self._chunks: list[bytes] = []
        self._over = False
        self._size = 0
        self.status = 0
        self.head: list[tuple[bytes, bytes]] = []

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message of the upstream."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.head = list(message.get("headers", ()))
            return
        if message["type"] != "http.response.body":
            return  # trailers and pushes are dropped (RFC 9110 section 6.5.1)
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        call = self._call
        if call.streaming and not self._over:
            call.bytes_out += len(body)
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            return
        if call.reply is not None:
            return  # the rest of an answer that was replaced
        if not more:
            self._chunks.append(body)
            call.reply = from_upstream(self.status, self.head, b"".join(self._chunks))
            return
        if self._buffered:
            self._size += len(body)
            if self._size > _MOST_BUFFERED:
                raise ProblemError(problem("upstream-malformed"))
            self._chunks.append(body)
            return
        reply = from_upstream(self.status, self.head, None)
        call.reply = reply
        if reply.body is None:
            self._over = not await self._begin(reply)
            if not self._over:
                call.bytes_out += len(body)
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
