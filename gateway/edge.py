"""The rim: problems become answers, and answers become ASGI messages.

Every refusal of the gateway is `application/problem+json` (RFC 9457) with the correlation id as
its `instance`; no vendor text, stack or URL is ever part of it.
"""

import asyncio
import contextlib
import math
from typing import Any, Final

import msgspec

from contracts.outcomes import CallFailedError, as_problem
from contracts.problems import ProblemError, problem, render
from gateway.call import Call, Header, Receive, Refuse, Reply, Send

PROBLEM_JSON: Final = b"application/problem+json"
INSTANCE_PREFIX: Final = "urn:crossdock:call:"
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1; never passed on in either direction."""
_SAID_PLAINLY: Final = frozenset({b"keep-alive", b"close"})
"""What `Connection` says as a rule: names of no header but of a hop-by-hop one."""
_OUR_PREFIX: Final = b"x-crossdock-"
BODILESS: Final = frozenset({204, 304})
_LINGER_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 0.2
_LINGER_BYTES: Final = 32 * 1024 * 1024


def problem_reply(
    call: Call,
    refusal: Refuse,
    *,
    policy: str | None,
) -> Reply:
    """Render a refusal for this call."""
    body = render(
        msgspec.structs.replace(refusal.problem, instance=INSTANCE_PREFIX + call.correlation_id)
    )
    headers: list[Header] = [
        (b"content-type", PROBLEM_JSON),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers,
    ]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refusal.retry_after))))
    if refusal.close:
        headers.append((b"connection", b"close"))
    return Reply(refusal.problem.status, headers, body, policy=policy, reason=refusal.problem.slug)


def refusal_of(error: Exception) -> Refuse:
    """Turn what an upstream or a policy raised into a refusal; the unexpected becomes a 500."""
    match error:
        case ProblemError(problem=found, retry_after=retry_after):
            return Refuse(problem=found, retry_after=retry_after)
        case CallFailedError(failure=failure):
            said = as_problem(failure)
            return Refuse(problem=said.problem, retry_after=said.retry_after)
        case _:
            return Refuse(problem=problem("internal-error"))


def json_reply(
    document: Any, *, status: int = 200, media_type: bytes = b"application/json"
) -> Reply:
    """Answer a document as JSON."""
    return bytes_reply(msgspec.json.encode(document), media_type=media_type, status=status)


def bytes_reply(body: bytes, *, media_type: bytes, status: int = 200) -> Reply:
    """Answer ready bytes."""
    return Reply(
        status,
        [(b"content-type", media_type), (b"content-length", b"%d" % len(body))],
        body,
        policy="house",
    )


def from_upstream(status: int, headers: list[Header], body: bytes | None) -> Reply:
    """Make an upstream's answer ours: hop-by-hop and identity headers stay behind."""
    dropped: frozenset[bytes] = HOP_BY_HOP
    for name, value in headers:
        if name == b"connection" and value not in _SAID_PLAINLY:
            dropped = dropped | {each.strip().lower() for each in value.split(b",")}
    kept = [
        pair
        for pair in headers
        if pair[0] not in dropped and pair[0][: len(_OUR_PREFIX)] != _OUR_PREFIX
    ]
    if status >= 500 and not _is_problem(headers):  # noqa: PLR2004  the 5xx class of RFC 9110
        return _veiled(status, kept)
    return Reply(status, kept, body)


def _is_problem(headers: list[Header]) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(PROBLEM_JSON)
    return False


def _veiled(status: int, headers: list[Header]) -> Reply:
    """Say an upstream's own failure page in our words; only its Retry-After is kept."""
    slug = {503: "upstream-unavailable", 504: "deadline-exceeded"}.get(status, "upstream-malformed")
    body = render(problem(slug))
    kept = [(name, value) for name, value in headers if name == b"retry-after"]
    return Reply(
        problem(slug).status,
        [
            (b"content-type", PROBLEM_JSON),
            (b"content-length", b"%d" % len(body)),
            *kept,
        ],
        body,
        reason=slug,
    )


async def deliver(send: Send, reply: Reply, *, head: bool) -> int:
    """Send a complete reply; answer the body bytes sent."""
    body = b"" if head or reply.status in BODILESS else reply.body or b""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
    return len(body)


async def deliver_early(send: Send, receive: Receive, reply: Reply) -> int:
    """Send a reply to a request that is still arriving; answer the body bytes sent.

    Who reads while writing sees the status at once and stops. Who first writes everything would
    find the connection reset and the reply lost (RFC 9112 section 9.6), so the rest is read and
    dropped for a while. The last byte waits until then: the server closes when it has gone out.
    """
    body = reply.body or b""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": body[:-1], "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await _drop(receive)
    await send({"type": "http.response.body", "body": body[-1:], "more_body": False})
    return len(body)


async def _drop(receive: Receive) -> None:
    """Read a request to its end, to silence, or until it is too much."""
    dropped = 0
    while dropped < _LINGER_BYTES:
        async with asyncio.timeout(_SILENCE_SECONDS):
            message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
