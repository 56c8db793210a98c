"""guard: sizes, framing and slow clients, before anything is believed.

The server under us (hyper) refuses malformed HTTP/1.1; what it lets through and could still be read
in two ways is refused here. Identity, forwarding and hop-by-hop headers never pass (RFC 9110
section 7.6.1): only the gateway says who is calling.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from contracts.context import IDENTITY_HEADERS, TRACEPARENT_HEADER
from contracts.problems import ProblemError, problem, refuse
from gateway.call import (
    PASS,
    Call,
    ConfigFault,
    Finding,
    Message,
    Receive,
    Refuse,
    Step,
    Verdict,
)
from gateway.edge import HOP_BY_HOP
from gateway.routes import Operation


class GuardLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes in bytes, times in seconds. Body sizes come from each operation's contract.

    `body_seconds` is for the whole of a body, however steadily it comes.
    """

    url_bytes: Annotated[int, msgspec.Meta(ge=256)] = 8_192
    header_bytes: Annotated[int, msgspec.Meta(ge=1_024)] = 32_768
    header_count: Annotated[int, msgspec.Meta(ge=8)] = 100
    body_seconds: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 8.0


_SINGLE: Final = frozenset(
    {
        b"host",
        b"authorization",
        b"x-api-key",
        b"client-cert",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
    }
)
_UNTRUSTED: Final = frozenset(
    {
        *(name.encode() for name in IDENTITY_HEADERS),
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-real-ip",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-http-method-override",
        b"authorization",
        b"x-api-key",
        b"client-cert",
        b"client-cert-chain",
        b"cookie",
        b"expect",
        TRACEPARENT_HEADER.encode(),
    }
)
"""Never passed on as they came: identity is told in the call context, the trace is continued."""
_NOT_FORWARDED: Final = HOP_BY_HOP | _UNTRUSTED
_LENGTH_DIGITS: Final = 15
_ENCODED_SEPARATORS: Final = (b"%2f", b"%5c", b"%00", b"\\")
_DECODERS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""Content codings accepted, with zlib's window bits (RFC 9110 section 8.4.1)."""


class Guard:
    """Refuses what is too large, too slow or ambiguous."""

    name = "guard"

    def __init__(self, limits: GuardLimits | None = None) -> None:
        self._limits = limits or GuardLimits()

    async def provision(self) -> None:
        """Need nothing."""

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Sizes must leave room for an ordinary request."""
        faults = []
        for field, least in (("url_bytes", 256), ("header_bytes", 1024), ("header_count", 8)):
            value = getattr(self._limits, field)
            if value < least:
                faults.append(
                    ConfigFault(
                        place=f"gateway.guard.{field}",
                        value=str(value),
                        allowed=f"{least} or more",
                        remedy="Leave the line out to use the default.",
                    )
                )
        return faults

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply to the head of every call."""
        takes_body = bool(operation.media_types)
        cap = operation.terms.max_body_bytes if takes_body else 0
        media_types = frozenset(each.encode() for each in operation.media_types)

        def explain(call: Call) -> Finding:
            told = self._head(call, cap, media_types)
            if isinstance(told, Refuse):
                return Finding(policy=self.name, verdict="refuse", because=told.problem.detail)
            because = f"a body of at most {cap} bytes" if takes_body else "takes no body"
            return Finding(policy=self.name, verdict="pass", because=because)

        return (
            Step(self.name, ask=lambda call: self._head(call, cap, media_types), explain=explain),
        )

    def compile_body(self, operation: Operation) -> tuple[Step, ...]:
        """Read the body, after the caller has been found entitled to send one."""
        if not operation.media_types:
            return ()
        cap = operation.terms.max_body_bytes
        terms = operation.terms
        keyed, ours = terms.idempotency != "none", terms.limit == "house"
        whole = keyed or ours or operation.body_schema is not None
        if whole:
            return (Step(self.name, ask=lambda call: self._whole(call, cap)),)
        return (Step(self.name, ask=lambda call: self._streamed(call, cap)),)

    def _head(self, call: Call, cap: int, media_types: frozenset[bytes]) -> Verdict:
        scope = call.scope
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(raw_path) + len(scope["query_string"]) > self._limits.url_bytes:
            return _closing("uri-too-long")
        if b"%" in raw_path or b"\\" in raw_path or b"/." in raw_path:
            refused = _path_fault(raw_path)
            if refused is not None:
                return refused
        refused = self._index(call)
        if refused is not None:
            return refused
        return _framing(call, cap, media_types)

    def _index(self, call: Call) -> Refuse | None:
        headers = call.scope["headers"]
        if len(headers) > self._limits.header_count:
            return _closing("headers-too-large")
        fields = call.fields
        size = 0
        repeated = None
        underscored = False
        for name, value in headers:
            size += len(name) + len(value) + 4
            if b"_" in name:
                underscored = True
            if name in fields:
                repeated = repeated or set()
                repeated.add(name)
                fields[name] = fields[name] + b", " + value
            else:
                fields[name] = value
        if size > self._limits.header_bytes:
            return _closing("headers-too-large")
        if repeated is not None:
            call.repeated = frozenset(repeated)
            if repeated & _SINGLE:
                return _closing("ambiguous-request")
        dropped = _dropped(call)
        call.forwarded = [(name, value) for name, value in headers if name not in dropped]
        if underscored:
            # Where headers become variables (CGI, WSGI), `X_Real_IP` and `X-Real-IP` are one.
            call.forwarded = [
                each for each in call.forwarded if each[0].replace(b"_", b"-") not in dropped
            ]
        return None

    async def _whole(self, call: Call, cap: int) -> Verdict:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                raw = await _read(call.receive, cap)
        except TimeoutError:
            return _closing("request-timeout")
        encoding = call.fields.get(b"content-encoding")
        if encoding is not None:
            raw = _decoded(raw, encoding.lower(), cap) if raw else raw
            call.forwarded = [
                each
                for each in call.forwarded
                if each[0] not in (b"content-encoding", b"content-length")
            ]
            call.forwarded.append((b"content-length", b"%d" % len(raw)))
        call.body = raw
        call.receive = _replayed(raw, call.receive)
        return PASS

    def _streamed(self, call: Call, cap: int) -> Verdict:
        call.receive = _counted(call.receive, cap, self._limits.body_seconds)
        return PASS


def _dropped(call: Call) -> frozenset[bytes]:
    """Name the headers that do not pass: ours, those `Connection` names, what a trace left."""
    connection = call.fields.get(b"connection")
    dropped = _NOT_FORWARDED
    if connection is not None:
        dropped = dropped | {each.strip().lower() for each in connection.split(b",")}
    if call.parent_span is None and b"tracestate" in call.fields:
        # W3C Trace Context, section 3.3.1.5: without its traceparent it says nothing.
        dropped = dropped | {b"tracestate"}
    return dropped


def _closing(slug: str) -> Refuse:
    """Refuse and close: what follows on the connection cannot be trusted."""
    return Refuse(problem=problem(slug), close=True)


def _path_fault(raw_path: bytes) -> Refuse | None:
    lowered = raw_path.lower()
    dotted = lowered.replace(b"%2e", b".").split(b"/")
    if any(each in lowered for each in _ENCODED_SEPARATORS) or b"." in dotted or b".." in dotted:
        return Refuse(
            problem=problem(
                "malformed-request", detail="The path holds encoded separators or dot segments."
            )
        )
    return None


def _framing(  # noqa: PLR0911  one return per rule reads as the list it is
    call: Call, cap: int, media_types: frozenset[bytes]
) -> Verdict:
    """Check what the head says of the body: ambiguity, size, type, coding."""
    fields = call.fields
    length = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    if not fields.get(b"host") and call.scope["http_version"] == "1.1":
        # RFC 9112 section 3.2; the server says an empty one where there was none.
        return _closing("malformed-request")
    if length is None and coding is None:
        return _coded(fields) if cap else PASS
    if length is not None:
        # Digits only (RFC 9110 section 8.6), never beside a transfer coding, never absurd.
        if coding is not None or not (length.isdigit() and len(length) <= _LENGTH_DIGITS):
            return _closing("ambiguous-request")
        if length.strip(b"0") == b"":
            return _coded(fields) if cap else PASS
        if cap and int(length) > cap:
            return _closing("request-too-large")
    elif coding is not None and coding.strip().lower() != b"chunked":
        return _closing("malformed-request")
    if not cap:
        refusal = problem("invalid-request", detail="This operation takes no body.")
        return Refuse(problem=refusal, close=True)
    return _typed(fields, media_types)


def _typed(fields: dict[bytes, bytes], media_types: frozenset[bytes]) -> Verdict:
    media_type = fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if not (
        media_type in media_types
        or b"*/*" in media_types
        or media_type.partition(b"/")[0] + b"/*" in media_types
    ):
        return _closing("unsupported-media-type")
    return _coded(fields)


def _coded(fields: dict[bytes, bytes]) -> Verdict:
    """Refuse a content coding that is not known (RFC 9110 section 15.5.16)."""
    encoding = fields.get(b"content-encoding")
    if encoding is not None and encoding.lower() not in _DECODERS:
        return _closing("unsupported-media-type")
    return PASS


async def _read(receive: Receive, cap: int) -> bytes:
    """Read the whole body; refuse as soon as it exceeds `cap` bytes."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _incomplete()
    body: bytes = message.get("body", b"")
    if len(body) > cap:
        raise refuse("request-too-large")
    if not message.get("more_body", False):
        return body
    chunks, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _incomplete()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > cap:
            raise refuse("request-too-large")
        chunks.append(chunk)
    return b"".join(chunks)


def _incomplete() -> ProblemError:
    """Say that the body broke off: the caller left, or framed it wrongly (RFC 9112 section 8)."""
    return refuse("malformed-request", detail="The body broke off.")


def _decoded(raw: bytes, encoding: bytes, cap: int) -> bytes:
    """Undo gzip or deflate; never produce more than `cap` bytes, whatever the ratio."""
    bits = _DECODERS[encoding]
    if encoding == b"deflate" and raw and raw[0] & 0x0F != 8:  # noqa: PLR2004  RFC 1950 CM=8
        bits = -15  # "deflate" without the zlib wrapper, as some clients send it
    decoder = zlib.decompressobj(bits)
    try:
        body = decoder.decompress(raw, cap + 1)
    except zlib.error:
        raise refuse("malformed-request", detail="The body is not what its coding says.") from None
    if len(body) > cap:
        raise refuse("request-too-large")
    if not decoder.eof or decoder.unused_data:
        raise refuse("malformed-request", detail="The body is not one complete coded stream.")
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand the body on as one message; after it, what the server says (a disconnect)."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _counted(receive: Receive, cap: int, seconds: float) -> Receive:
    """Hand chunks on as they come; refuse past `cap` bytes, or past `seconds` from the first."""
    size = 0
    deadline: float | None = None
    whole = False

    async def count() -> Message:
        nonlocal size, deadline, whole
        if whole:
            return await receive()  # what follows is the caller's leaving, which has no hurry
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise refuse("request-timeout") from None
        size += len(message.get("body", b""))
        if size > cap:
            raise refuse("request-too-large")
        whole = not message.get("more_body", False)
        return message

    return count
