"""idempotency: the same key, the same effect, the same answer, byte for byte.

Meaning as in draft-ietf-httpapi-idempotency-key-header: 400 without a usable key, 422 for another
request under it, 409 while the first is still running and cannot be waited for. Within this process
repeats wait for the first and share its answer; between processes a claim in the shared state tells
that one is running. Answers that invite a retry are not kept: the tier below is keyed too, so a
retry runs again without a second effect.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from contracts.problems import problem
from gateway.call import (
    PASS,
    Answer,
    Asked,
    Call,
    ConfigFault,
    Finding,
    Header,
    Refuse,
    Reply,
    Step,
    Told,
    Verdict,
)
from gateway.config import IdempotencySettings
from gateway.documents import canonical
from gateway.keep import Keep, StoredAnswer
from gateway.routes import Operation
from runtime.clock import Clock

_HEADER: Final = b"idempotency-key"
_REPLAYED: Final = (b"idempotency-replayed", b"true")
_USABLE: Final = re.compile(rb"[\x21-\x7e]{1,255}")
_KEPT_HEADERS: Final = frozenset(
    {
        b"content-type",
        b"content-length",
        b"location",
        b"etag",
        b"last-modified",
        b"content-language",
    }
)
_SHARED_HEADERS: Final = _KEPT_HEADERS | {b"retry-after"}
"""What those who wait are told: it is said now, so when to come again holds for them as well."""
_NEVER_KEPT: Final = frozenset({401, 403, 408, 425, 429})
_MARGIN_SECONDS: Final = 0.05
"""Kept back of a waiting repeat's budget, so that it can still be told 409 in time."""
_DAY: Final = 86_400.0

Claimed = Literal["ours", "running", "other-request"]


class Claims(Protocol):
    """Tells gateways of one another's running calls. May forget: the tier below is keyed too."""

    async def claim(
        self, scope: str, key: str, fingerprint: str, *, holder: str, seconds: float
    ) -> Claimed:
        """Claim a key for as long as the call may run; `holder` is this call and no other."""

    async def unclaim(self, scope: str, key: str, fingerprint: str, *, holder: str) -> None:
        """Give a claim back; another holder's stays, also one for the same request."""


class _Advice(msgspec.Struct):
    retryable: bool = False


class Flight:
    """The first call under a key, and those who wait for its answer."""

    __slots__ = ("fingerprint", "holder", "key", "landed", "reply", "scope")

    def __init__(self, scope: str, key: str, fingerprint: str) -> None:
        self.scope = scope
        self.key = key
        self.fingerprint = fingerprint
        self.holder: str | None = None
        """Who holds the claim that this call gives back when it ends; None while it has none."""
        self.landed = asyncio.Event()
        self.reply: Reply | None = None

    def __repr__(self) -> str:
        return f"<Flight {self.scope} {'landed' if self.landed.is_set() else 'running'}>"

    def land(self, reply: Reply | None) -> None:
        """Share the answer; only the first landing counts."""
        if not self.landed.is_set():
            self.reply = reply
            self.landed.set()


Flights: TypeAlias = dict[tuple[str, str], Flight]
"""Calls under way by scope and key."""


class Idempotency:
    """Runs a key once and replays its answer."""

    name = "idempotency"

    def __init__(
        self,
        keep: Keep,
        settings: IdempotencySettings,
        *,
        clock: Clock,
        chance: random.Random,
        claims: Claims | None = None,
        flights: Flights | None = None,
    ) -> None:
        self._keep = keep
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._claims = claims
        self._flights: Flights = {} if flights is None else flights
        self._returning: set[asyncio.Task[None]] = set()

    async def provision(self) -> None:
        """Need nothing: the store is handed in open."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """An order operation must be keyed, or a retry could order twice."""
        return [
            ConfigFault(
                place=f"{operation.key} x-crossdock.idempotency",
                value="none",
                allowed="required or optional",
                remedy="Declare the key; without it a retry may order twice.",
            )
            for operation in operations
            if operation.terms.limit == "orders"
            and operation.method == "POST"
            and operation.terms.idempotency == "none"
        ]

    async def close(self) -> None:
        """Give the last claims back; flights outlive a configuration, and land by themselves."""
        await asyncio.gather(*self._returning, return_exceptions=True)

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract takes a key."""
        if operation.terms.idempotency == "none":
            return ()
        required = operation.terms.idempotency == "required"
        return (
            Step(
                self.name,
                ask=lambda call: self._ask(call, required=required),
                tell=self._tell,
                release=self._release,
                explain=lambda _: Finding(
                    policy=self.name,
                    verdict="pass",
                    because=f"an Idempotency-Key is {operation.terms.idempotency}",
                ),
            ),
        )

    def _ask(self, call: Call, *, required: bool) -> Asked:
        given = call.fields.get(_HEADER)
        if given is None:
            return Refuse(problem=problem("idempotency-key-missing")) if required else PASS
        if _HEADER in call.repeated or not _USABLE.fullmatch(given):
            return Refuse(problem=problem("idempotency-key-invalid"))
        call.idempotency_key = given.decode("ascii")
        call.fingerprint = fingerprint(call)
        scope = f"{call.consumer.name} {call.operation.key}"
        flight = self._flights.get((scope, call.idempotency_key))
        if flight is not None:
            return self._wait(call, flight)
        # Registered before anything is awaited: the next call with this key finds it.
        flight = Flight(scope, call.idempotency_key, call.fingerprint)
        self._flights[scope, call.idempotency_key] = flight
        call.claim = flight
        return self._first(call, flight)

    async def _wait(self, call: Call, flight: Flight) -> Verdict:
        if flight.fingerprint != call.fingerprint:
            return Refuse(problem=problem("idempotency-key-reused"))
        left = self._settings.wait_seconds
        if call.deadline is not None:
            left = min(left, call.deadline - self._clock.monotonic() - _MARGIN_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, left)):
                await flight.landed.wait()
        except TimeoutError:
            return _in_flight()
        if flight.reply is None:
            return _in_flight()
        return Answer(reply=_again(flight.reply))

    async def _first(self, call: Call, flight: Flight) -> Verdict:
        if self._claims is not None:
            # Set before it is asked: a call that ends meanwhile may have been granted it.
            flight.holder = f"{self._chance.getrandbits(64):016x}"
            claimed = await self._claims.claim(
                flight.scope,
                flight.key,
                flight.fingerprint,
                holder=flight.holder,
                seconds=call.operation.terms.budget_ms / 1000 + 1,
            )
            match claimed:
                case "running":
                    flight.holder = None
                    return _in_flight()
                case "other-request":
                    flight.holder = None
                    return Refuse(problem=problem("idempotency-key-reused"))
                case "ours":
                    pass
        try:
            stored = await self._keep.load_answer(flight.scope, flight.key)
        except Exception:  # noqa: BLE001  however the store fails, nothing may run unguarded
            return Refuse(problem=problem("store-unavailable"), retry_after=1)
        if stored is None or stored.expires <= self._clock.now().timestamp():
            return PASS
        if stored.fingerprint != flight.fingerprint:
            return Refuse(problem=problem("idempotency-key-reused"))
        return Answer(reply=_again(_restored(stored)))

    def _tell(self, call: Call, reply: Reply) -> Told:
        flight: Flight | None = call.claim
        if flight is None or reply.policy is not None or not keepable(reply):
            return None
        return self._store(flight, reply)

    async def _store(self, flight: Flight, reply: Reply) -> None:
        kept = _with_only(_KEPT_HEADERS, reply)
        answer = StoredAnswer(
            fingerprint=flight.fingerprint,
            status=kept.status,
            headers=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in kept.headers),
            body=kept.body or b"",
            expires=self._clock.now().timestamp() + self._settings.keep_days * _DAY,
        )
        await self._keep.store_answer(flight.scope, flight.key, answer)
        flight.land(kept)

    def _release(self, call: Call) -> None:
        flight: Flight | None = call.claim
        if flight is None:
            return
        call.claim = None
        del self._flights[flight.scope, flight.key]
        reply = call.reply
        flight.land(
            None if reply is None or reply.body is None else _with_only(_SHARED_HEADERS, reply)
        )
        if self._claims is not None and flight.holder is not None:
            returning = self._claims.unclaim(
                flight.scope, flight.key, flight.fingerprint, holder=flight.holder
            )
            task = asyncio.get_running_loop().create_task(returning)
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)


def fingerprint(call: Call) -> str:
    """Answer what makes two requests the same: method, path and the document's one spelling."""
    body = (call.body or b"") if call.document is msgspec.UNSET else canonical(call.document)
    return sha256(b"\n".join((call.method.encode(), call.path.encode(), body))).hexdigest()


def keepable(reply: Reply) -> bool:
    """Tell whether an upstream's answer is final: a success, or a refusal that will not change."""
    status = reply.status
    if status in _NEVER_KEPT or not 200 <= status < 500 or 300 <= status < 400:  # noqa: PLR2004  classes of RFC 9110
        return False
    if status < 400:  # noqa: PLR2004  same
        return True
    try:
        return not msgspec.json.decode(reply.body or b"{}", type=_Advice).retryable
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True


def _with_only(names: frozenset[bytes], reply: Reply) -> Reply:
    headers: list[Header] = [each for each in reply.headers if each[0] in names]
    return Reply(reply.status, headers, reply.body, reason=reply.reason)


def _restored(stored: StoredAnswer) -> Reply:
    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in stored.headers]
    return Reply(stored.status, headers, stored.body)


def _again(reply: Reply) -> Reply:
    """Answer the same status, headers and body; only the mark of a replay is added."""
    return Reply(reply.status, [*reply.headers, _REPLAYED], reply.body, reason="replayed")


def _in_flight() -> Refuse:
    return Refuse(problem=problem("idempotency-in-flight"), retry_after=1)
