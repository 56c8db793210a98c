"""cache: one caller asks, the others are given what it learnt.

Only for GETs whose contract declares it. A copy is given while it is fresh; while it is stale and
one caller is refreshing it, to the others (stale-while-revalidate, RFC 5861 section 3); and while
the upstream fails, for as long as the contract allows (stale-if-error, section 4): always with its
`Age` (RFC 9111 section 5.1) and a `Cache-Status` (RFC 9211). Calls for the same thing at the same
time share one. A copy is one consumer's own, with its accounts and scopes, unless the contract
says that everybody is told the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from contracts.problems import problem
from gateway.call import (
    PASS,
    Answer,
    Asked,
    Call,
    ConfigFault,
    Finding,
    Header,
    Pass,
    Refuse,
    Reply,
    Step,
    Verdict,
)
from gateway.copies import Copies, Copy, Fetch, Key, keepable
from gateway.resilience import CacheSettings
from gateway.routes import CacheRule, Operation
from runtime.clock import Clock

_CONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
_MARGIN_SECONDS: Final = 0.05
"""Kept back of a waiting caller's budget, so that it can still be told in time."""
_NOT_MODIFIED: Final = 304
_FAILURE: Final = 500


class Cache:
    """Keeps and gives copies."""

    name = "cache"

    def __init__(
        self, settings: CacheSettings, *, clock: Clock, copies: Copies | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._copies = copies or Copies()

    async def provision(self) -> None:
        """Need nothing."""

    def take_over(self) -> None:
        """Put the copies under this bound."""
        self._copies.most_bytes = self._settings.most_bytes

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """Only what is safe to repeat may be answered from a copy."""
        return [
            ConfigFault(
                place=f"{operation.key} x-crossdock.cache",
                value=operation.method,
                allowed="GET",
                remedy="Remove the rule: an answer to this method is not for another call.",
            )
            for operation in operations
            if operation.terms.cache is not None and operation.method != "GET"
        ]

    async def close(self) -> None:
        """Hold nothing: copies outlive a configuration."""

    def invalidate(self, entity: str) -> int:
        """Forget every copy of an entity, as an event tells that it changed; answer how many."""
        return self._copies.invalidate(entity)

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract has a rule."""
        rule = operation.terms.cache
        if rule is None or not self._settings.enabled:
            return ()
        told = _Told(rule, self._copies, self._settings, self._clock)

        def ask(call: Call) -> Asked:
            return self._ask(call, rule)

        return (
            Step(
                self.name,
                ask=ask,
                tell=told,
                release=self._release,
                explain=lambda _: Finding(
                    policy=self.name,
                    verdict="pass",
                    because=f"fresh for {rule.fresh_seconds:g} s, forgotten with {rule.entity}",
                ),
            ),
        )

    def _ask(self, call: Call, rule: CacheRule) -> Asked:
        consumer = call.consumer
        owner = (
            None
            if rule.public
            else (consumer.name, consumer.subject, consumer.accounts, consumer.scopes)
        )
        key: Key = (call.operation.key, call.path, call.scope["query_string"], owner)
        copy, fetch = self._copies.get(key), self._copies.fetch(key)
        if copy is not None:
            age = self._clock.monotonic() - copy.taken
            if age < rule.fresh_seconds:
                return Answer(reply=_given(call, copy, rule, age, b"hit"))
            if fetch is not None and age < rule.fresh_seconds + rule.stale_seconds:
                return Answer(reply=_given(call, copy, rule, age, b"hit; detail=refreshing"))
        if fetch is not None:
            return self._wait(call, fetch, rule)
        call.fetch = self._copies.begin(key, rule.entity)
        # Whoever has an older copy is told so by us; the answer for all others must come whole.
        call.forwarded = [each for each in call.forwarded if each[0] not in _CONDITIONS]
        return PASS

    async def _wait(self, call: Call, fetch: Fetch, rule: CacheRule) -> Verdict:
        left = None
        if call.deadline is not None:
            left = max(0.0, call.deadline - self._clock.monotonic() - _MARGIN_SECONDS)
        try:
            async with asyncio.timeout(left):
                await fetch.landed.wait()
        except TimeoutError:
            return Refuse(problem=problem("deadline-exceeded"))
        if fetch.copy is not None:
            age = max(0.0, self._clock.monotonic() - fetch.copy.taken)
            return Answer(reply=_given(call, fetch.copy, rule, age, b"hit; detail=joined"))
        if fetch.failed:
            return Refuse(problem=problem("upstream-unavailable"), retry_after=1)
        if not fetch.abandoned:
            return PASS  # an answer that is for one call only
        verdict = self._ask(call, rule)
        return verdict if isinstance(verdict, Pass | Refuse | Answer) else await verdict

    def _release(self, call: Call) -> None:
        fetch: Fetch | None = call.fetch
        if fetch is not None:
            call.fetch = None
            self._copies.end(fetch)
            fetch.abandon()


class _Told:
    """What becomes of an upstream's answer under one rule."""

    def __init__(
        self, rule: CacheRule, copies: Copies, settings: CacheSettings, clock: Clock
    ) -> None:
        self._rule = rule
        self._copies = copies
        self._settings = settings
        self._clock = clock
        self._usable = rule.fresh_seconds + rule.stale_seconds + rule.error_seconds

    def __call__(self, call: Call, reply: Reply) -> None:
        fetch: Fetch | None = call.fetch
        if fetch is None:
            return
        now = self._clock.monotonic()
        if reply.status >= _FAILURE:
            self._failed(call, fetch, reply, now)
        elif keepable(reply, largest_bytes=self._settings.largest_bytes):
            copy = Copy(reply, entity=self._rule.entity, taken=now)
            self._copies.end(fetch, copy)
            fetch.land(copy)
            _become(reply, _given(call, copy, self._rule, 0.0, b"fwd=miss; stored"))
        else:
            self._copies.end(fetch)
            shared = reply.status != 200 and reply.body is not None  # noqa: PLR2004  a 404 is one for all who wait
            fetch.land(
                Copy(reply, entity=self._rule.entity, taken=now) if shared else None,
            )

    def _failed(self, call: Call, fetch: Fetch, reply: Reply, now: float) -> None:
        copy = self._copies.get(fetch.key)
        usable = copy is not None and now - copy.taken < self._usable
        self._copies.end(fetch)
        fetch.land(copy if usable else None, failed=not usable)
        if copy is not None and usable:
            stale = _given(call, copy, self._rule, now - copy.taken, b"hit; detail=upstream-failed")
            _become(reply, stale)
            reply.policy = Cache.name


def _given(call: Call, copy: Copy, rule: CacheRule, age: float, status: bytes) -> Reply:
    """Answer a copy; or that the caller's own is still the one (RFC 9110 section 13.1.2)."""
    whole_age = int(age)
    left = max(0, int(rule.fresh_seconds - age))
    scope = b"public" if rule.public else b"private"
    headers: list[Header] = [
        (b"age", b"%d" % whole_age),
        (b"cache-status", b"crossdock; " + status),
        (b"cache-control", b"%s, max-age=%d" % (scope, left)),
    ]
    asked = call.fields.get(b"if-none-match")
    if copy.status == 200 and asked is not None and _matches(asked, copy.etag):  # noqa: PLR2004  RFC 9110's name
        return Reply(_NOT_MODIFIED, [(b"etag", copy.etag), *headers], b"")
    length = (b"content-length", b"%d" % len(copy.body))
    return Reply(copy.status, [*copy.headers, length, *headers], copy.body)


def _become(reply: Reply, other: Reply) -> None:
    """Turn the answer on its way out into another."""
    reply.status, reply.headers, reply.body = other.status, other.headers, other.body
    reply.reason = None


def _matches(asked: bytes, etag: bytes) -> bool:
    """Compare weakly, as a GET's condition is (RFC 9110 section 8.8.3.2)."""
    bare = etag.removeprefix(b"W/")
    given = (each.strip().removeprefix(b"W/") for each in asked.split(b","))
    return any(each in (b"*", bare) for each in given)
