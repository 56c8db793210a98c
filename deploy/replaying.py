"""Recorded calls put to two configurations: which of them would be told something else.

The access log's records are replayed, oldest first, through the very policies that each
configuration compiles to, on a clock that shows the time of the record: where it leads (the route,
by method and path), who calls (`authenticate`, from the clients named), what for (`authorize`), how
often (`quota`, window by window). A record's path is the template of the contract it was made
under; ids are not recorded, so a template leads wherever any id would. What a record does not hold
cannot be replayed, and is counted instead of guessed.
"""

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from contracts.problems import Problem
from deploy.callers import every_scope, proofs_of
from deploy.compiling import alone, compiled
from gateway.application import Gateway
from gateway.call import ANONYMOUS, Call, Refuse
from gateway.config import BUILT_IN, GatewayConfig
from gateway.explaining import Caller, Proof
from gateway.plans import Plan
from gateway.records import AccessRecord
from gateway.routes import Match, MethodNotAllowed, Operation

__all__ = ["Change", "Replay", "Replayed", "changes"]

_REPLAYED: Final = frozenset({"authorize", "lifecycle", "quota"})
_PASS: Final = "pass"  # noqa: S105  a verdict
_UNPROVEN: Final = "refuse (authenticate: unauthenticated)"
_NOBODY: Final = frozenset({"authenticate", "guard", "route", "shield", "shed"})
"""What these refuse before they know a caller was never counted for anybody."""

Change = tuple[str, str, str, str]
"""Consumer, operation, verdict under the old configuration, verdict under the new one."""


class _RecordClock:
    """Shows the time of the record that is being replayed."""

    def __init__(self) -> None:
        self.at = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """The wall clock then."""
        return self.at

    def monotonic(self) -> float:
        """Seconds between records are what windows count."""
        return self.at.timestamp()


class Replay:
    """One configuration, compiled, and what it says to records one after the other.

    `made_under` is the configuration that the records were made under.
    """

    def __init__(self, configured: GatewayConfig, *, made_under: GatewayConfig) -> None:
        self._clock = _RecordClock()
        self._configured = configured
        self._made_under = made_under
        self._gateway: Gateway = compiled(alone(configured), clock=self._clock)
        self._every = every_scope(self._gateway)
        self._proofs: dict[str, tuple[Proof, ...]] = {}

    def is_public(self, record: AccessRecord) -> bool:
        """Tell whether the call leads to what needs no credential."""
        plan = self._led(record)
        return isinstance(plan, Plan) and plan.operation.scopes is None

    def verdict(self, record: AccessRecord) -> str:
        """Answer what it would say: `pass`, or `refuse` with the policy's problem."""
        plan = self._led(record)
        if not isinstance(plan, Plan):
            return plan
        operation = plan.operation
        self._clock.at = _came(record)
        consumer = ANONYMOUS
        if operation.scopes is not None:
            proof = self._proven(record.consumer, operation)
            if proof is None:
                return _UNPROVEN
            consumer = proof.consumer
        call = _call(record, operation)
        call.consumer = consumer
        for step in plan.steps:
            if step.name not in _REPLAYED:
                continue
            told = step.ask(call)
            if inspect.isawaitable(told):
                raise TypeError(f"{operation.key} waits for something while it is replayed")
            if isinstance(told, Refuse):
                return f"refuse ({_said(told.problem)})"
        return _passes(record, operation)

    def _led(self, record: AccessRecord) -> Plan | str:
        """Answer where a call of the record's method and path leads, or how it is refused."""
        served = self._gateway.served
        # Braces stand for whatever is there: no contract has them as letters of a path.
        match served.router.find(record.method, record.template):
            case None:
                return "refuse (route: operation-unknown)"
            case MethodNotAllowed():
                return "refuse (route: method-not-allowed)"
            case Match(index=index):
                return served.plans[index]

    def _proven(self, name: str, operation: Operation) -> Proof | None:
        """Answer the caller by a credential that is good then, the one that opens most first."""
        if name not in self._proofs:
            named = self._named(name)
            self._proofs[name] = tuple(proofs_of(self._configured, named, self._every))
        now = self._clock.at.timestamp()
        good = tuple(each for each in self._proofs[name] if each.consumer.expires > now)
        return Caller(proofs=good).best(operation)

    def _named(self, name: str) -> str:
        """A client that is not named any more is a consumer that only its issuer names."""
        was = self._made_under.clients.get(name)
        if name in self._configured.clients or was is None or was.issuer == BUILT_IN:
            return name
        return f"{was.issuer}:{name}"


def _passes(record: AccessRecord, operation: Operation) -> str:
    """Say that it passes, and what the caller would notice all the same."""
    if not record.operation.startswith(f"{operation.api}/"):
        return f"{_PASS}, answered by {operation.api}"
    return f"{_PASS} as anybody" if operation.scopes is None else _PASS


def _came(record: AccessRecord) -> datetime:
    return record.at - timedelta(milliseconds=record.duration_ms)


def _call(record: AccessRecord, operation: Operation) -> Call:
    scope = {"type": "http", "method": record.method, "path": record.template, "headers": []}
    return Call(
        scope=scope, receive=_nothing, operation=operation, parameters={},
        started=_came(record).timestamp(),
    )  # fmt: skip


async def _nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def _said(problem: Problem) -> str:
    limit = problem.extensions.get("limit") or problem.extensions.get("scope")
    return f"{problem.slug} {limit}" if limit else problem.slug


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What replaying came to."""

    replayed: int
    changed: Mapping[Change, int]
    unreplayed: Mapping[str, int]
    """Records that say too little, by what they lack."""
    consumers: frozenset[str]
    """Whose calls were replayed."""
    operations: frozenset[str]
    """What was called in them, as the records name it."""


def changes(records: Iterable[AccessRecord], old: Replay, new: Replay) -> Replayed:
    """Put every record to both."""
    changed: Counter[Change] = Counter()
    lacking: Counter[str] = Counter()
    told: list[AccessRecord] = []
    for record in records:
        lack = _lacks(record, old, new)
        if lack is None:
            told.append(record)
        else:
            lacking[lack] += 1
    for record in sorted(told, key=_came):  # a record is written when its call ends
        before, after = old.verdict(record), new.verdict(record)
        if before != after:
            changed[record.consumer, record.operation, before, after] += 1
    return Replayed(
        replayed=len(told),
        changed=changed,
        unreplayed=lacking,
        consumers=frozenset(each.consumer for each in told),
        operations=frozenset(each.operation for each in told),
    )


def _lacks(record: AccessRecord, old: Replay, new: Replay) -> str | None:
    """Say what is not known of a call; one that needs no credential has no caller to know."""
    if record.consumer != ANONYMOUS.name or record.policy not in _NOBODY:
        return None
    if record.policy == "authenticate" and (old.is_public(record) or new.is_public(record)):
        return None
    return f"refused by {record.policy} before anybody was known to call"
