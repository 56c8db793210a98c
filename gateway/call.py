"""One call through the gateway, and what a policy may say about it.

A policy is asked once on the way in and told once on the way out. Its verdict is a value: `PASS`,
a `Refuse` (with a catalogued problem) or an `Answer` (a reply the upstream need not be asked for).
A policy answers at once where it can and returns an awaitable only where it must wait, so that the
common path costs no coroutine.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from contracts.context import CallContext
from contracts.problems import Problem
from gateway.routes import Operation

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application: what every upstream is."""

Header: TypeAlias = tuple[bytes, bytes]


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling, as far as the gateway has verified it.

    `accounts` as in `contracts.context.CallContext`. `expires` is the epoch second at which the
    credential stops being valid.
    """

    name: str
    subject: str
    scopes: frozenset[str]
    accounts: tuple[str, ...] | None
    plan: str
    expires: float


ANONYMOUS: Final = Consumer(
    name="anonymous",
    subject="anonymous",
    scopes=frozenset(),
    accounts=(),
    plan="anonymous",
    expires=float("inf"),
)
"""The consumer of operations whose contract asks for no credential."""


class Reply:
    """An answer on its way out. `body` is None while it streams from an upstream."""

    __slots__ = ("body", "headers", "policy", "reason", "status")

    def __init__(
        self,
        status: int,
        headers: list[Header],
        body: bytes | None,
        *,
        policy: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.policy = policy
        """The policy that decided this answer; None when an upstream did."""
        self.reason = reason
        """A stable id of why: a problem slug, or `replayed`."""

    def __repr__(self) -> str:
        size = "streaming" if self.body is None else f"{len(self.body)} bytes"
        return f"<Reply {self.status} {size} by {self.policy or 'upstream'}>"

    def header(self, name: bytes) -> bytes | None:
        """Answer the first value of a lower-case header name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Pass(msgspec.Struct, frozen=True):
    """Not refused here; ask the next policy."""


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """Refused. `retry_after` in seconds; `close` asks for the connection to be closed after it."""

    problem: Problem
    headers: tuple[Header, ...] = ()
    retry_after: float | None = None
    close: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answered here; the upstream is not asked."""

    reply: Reply


PASS: Final = Pass()
Verdict: TypeAlias = Pass | Refuse | Answer


class ClientGoneError(Exception):
    """The caller left before it had sent, or been told, everything."""


class Call:
    """The state of one call; owned by one task."""

    __slots__ = (
        "body",
        "bytes_in",
        "bytes_out",
        "claim",
        "consumer",
        "context",
        "correlation_id",
        "deadline",
        "document",
        "fetch",
        "fields",
        "fingerprint",
        "forwarded",
        "head",
        "idempotency_key",
        "method",
        "operation",
        "parameters",
        "parent_span",
        "path",
        "permit",
        "quota",
        "receive",
        "repeated",
        "reply",
        "scope",
        "shed",
        "started",
        "streaming",
        "traceparent",
    )

    def __init__(
        self,
        *,
        scope: Scope,
        receive: Receive,
        operation: Operation,
        parameters: Mapping[str, str],
        started: float,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.operation = operation
        self.parameters = parameters
        self.started = started
        """Monotonic instant of arrival."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.fields: dict[bytes, bytes] = {}
        """Request headers by lower-case name; a repeated list header is joined by a comma."""
        self.repeated: frozenset[bytes] = frozenset()
        """Names of request headers that came more than once."""
        self.forwarded: list[Header] = []
        """Request headers as an upstream may see them."""
        self.correlation_id = ""
        self.traceparent = ""
        self.parent_span: str | None = None
        """The caller's span, where its trace goes on here."""
        self.consumer: Consumer = ANONYMOUS
        self.deadline: float | None = None
        self.body: bytes | None = None
        """The decoded request body once read; None while it is still on the wire."""
        self.document: Any = msgspec.UNSET
        """The parsed JSON body, where the contract has one."""
        self.idempotency_key: str | None = None
        self.fingerprint: str | None = None
        self.claim: Any = None
        self.fetch: Any = None
        """The flight of `cache` that this call's answer ends."""
        self.permit: Any = None
        self.quota: Any = None
        self.shed = False
        """Holds a place that `shed` gave it."""
        self.context: CallContext | None = None
        self.reply: Reply | None = None
        self.bytes_in = 0
        """Of the messages of an upgraded connection; a body says its own size."""
        self.bytes_out = 0
        self.head = False
        """A HEAD answered by the contract's GET: the body stays here."""
        self.streaming = False
        """The reply's head has gone out and its body follows."""

    def __repr__(self) -> str:
        return f"<Call {self.correlation_id} {self.method} {self.operation.key}>"

    def field(self, name: bytes) -> str | None:
        """Answer a request header by its lower-case name, as text."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


Asked: TypeAlias = Verdict | Awaitable[Verdict]
Told: TypeAlias = Awaitable[None] | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would say of a call, for `explain`."""

    policy: str
    verdict: str
    because: str


class Step:
    """A policy compiled for one operation: plain callables, nothing looked up by name per call.

    `tell` sees the reply before its first byte leaves and may add headers. `release` runs exactly
    once for every call that was asked, however the call ends. `explain` decides without effects.
    """

    __slots__ = ("ask", "explain", "name", "release", "tell")

    def __init__(
        self,
        name: str,
        *,
        ask: Callable[[Call], Asked],
        tell: Callable[[Call, Reply], Told] | None = None,
        release: Callable[[Call], None] | None = None,
        explain: Callable[[Call], Finding] | None = None,
    ) -> None:
        self.name = name
        self.ask = ask
        self.tell = tell
        self.release = release
        self.explain = explain

    def __repr__(self) -> str:
        return f"<Step {self.name}>"


class ConfigFault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault in a configuration: where, what stands there, what may, and what to do."""

    place: str
    value: str
    allowed: str
    remedy: str
    nearest: str | None = None

    def __str__(self) -> str:
        near = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.place}: {self.value}. Allowed: {self.allowed}.{near} {self.remedy}"


class Policy(Protocol):
    """The life of a policy: construct (no effects), provision, check, serve, close."""

    name: str

    async def provision(self) -> None:
        """Acquire what serving needs: files, keys, connections."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """Report every fault of the policy's configuration at once."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Answer the steps for an operation; none where the policy does not apply."""

    async def close(self) -> None:
        """Give back what `provision` acquired."""
