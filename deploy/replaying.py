"""Recorded calls put to two configurations: which of them would be told something else.

The access log's records are replayed, oldest first, through the very policies that each
configuration compiles to, on a clock that shows the time of the record: who calls
(`authenticate`, from the clients named), what for (`authorize`), how often (`quota`, window by
window). What a record does not hold cannot be replayed, and is counted instead of guessed.
"""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from contracts.problems import Problem
from deploy.compiling import compiled, consumer_of
from gateway.application import Gateway
from gateway.call import ANONYMOUS, Call, Consumer, Refuse
from gateway.config import GatewayConfig
from gateway.records import AccessRecord
from gateway.routes import Operation

__all__ = ["Change", "Replay", "Replayed", "changes", "untold"]

_REPLAYED: Final = frozenset({"authorize", "lifecycle", "quota"})
_PASS: Final = "pass"  # noqa: S105  a verdict
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
    """One configuration, compiled, and what it says to records one after the other."""

    def __init__(self, configured: GatewayConfig) -> None:
        alone = msgspec.structs.replace(configured.gateway, redis=None)
        self._clock = _RecordClock()
        self._configured = configured
        self._gateway: Gateway = compiled(
            msgspec.structs.replace(configured, gateway=alone), clock=self._clock
        )
        self._steps = {
            plan.operation.key: (
                plan.operation,
                tuple(step.ask for step in plan.steps if step.name in _REPLAYED),
            )
            for plan in self._gateway.served.plans
        }
        self._consumers: dict[str, Consumer | None] = {}

    def verdict(self, record: AccessRecord) -> str:
        """Answer what it would say: `pass`, or `refuse` with the policy's problem."""
        found = self._steps.get(record.operation)
        if found is None:
            return "refuse (route: operation-unknown)"
        operation, asks = found
        consumer = ANONYMOUS
        if operation.scopes is not None:
            known = self._consumer(record.consumer)
            if known is None:
                return "refuse (authenticate: unauthenticated)"
            consumer = known
        self._clock.at = _came(record)
        call = _call(record, operation, consumer)
        for ask in asks:
            told = ask(call)
            if inspect.isawaitable(told):
                raise TypeError(f"{record.operation} waits for something while it is replayed")
            if isinstance(told, Refuse):
                return f"refuse ({_said(told.problem)})"
        return _PASS

    def _consumer(self, name: str) -> Consumer | None:
        if name not in self._consumers:
            self._consumers[name] = self._introduced(name)
        return self._consumers[name]

    def _introduced(self, name: str) -> Consumer | None:
        """A client as its credential would say it; one that an issuer alone vouches for."""
        client = self._configured.clients.get(name)
        if client is not None:
            return None if client.disabled else consumer_of(name, client)
        issuer = self._configured.issuers.get(name.partition(":")[0])
        if issuer is None or ":" not in name:
            return None
        every = frozenset(
            scope
            for operation in self._gateway.operations
            for alternative in operation.scopes or ()
            for scope in alternative
        )
        return Consumer(
            name=name, subject=name, scopes=every, accounts=(), plan=issuer.plan,
            expires=float("inf"),
        )  # fmt: skip


def _came(record: AccessRecord) -> datetime:
    return record.at - timedelta(milliseconds=record.duration_ms)


def _call(record: AccessRecord, operation: Operation, consumer: Consumer) -> Call:
    scope = {"type": "http", "method": record.method, "path": record.template, "headers": []}
    call = Call(
        scope=scope, receive=_nothing, operation=operation, parameters={},
        started=_came(record).timestamp(),
    )  # fmt: skip
    call.consumer = consumer
    return call


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


def changes(records: Iterable[AccessRecord | None], old: Replay, new: Replay) -> Replayed:
    """Put every record to both; None stands for a line that is no access record."""
    changed: Counter[Change] = Counter()
    lacking: Counter[str] = Counter()
    told: list[AccessRecord] = []
    for record in records:
        lack = "no access record" if record is None else _lacks(record)
        if record is not None and lack is None:
            told.append(record)
        else:
            lacking[str(lack)] += 1
    for record in sorted(told, key=_came):  # a record is written when its call ends
        before, after = old.verdict(record), new.verdict(record)
        if before != after:
            changed[record.consumer, record.operation, before, after] += 1
    return Replayed(replayed=len(told), changed=changed, unreplayed=lacking)


def _lacks(record: AccessRecord) -> str | None:
    if record.consumer == ANONYMOUS.name and record.policy in _NOBODY:
        return f"refused by {record.policy} before anybody was known to call"
    return None


def untold(old: GatewayConfig, new: GatewayConfig) -> Iterator[str]:
    """Name the differences whose effect no record shows."""
    for name in sorted(old.clients.keys() & new.clients.keys()):
        mine, other = old.clients[name], new.clients[name]
        for field in ("issuer", "secrets", "keys", "certificates", "accounts"):
            if getattr(mine, field) != getattr(other, field):
                yield f"clients.{name}.{field}"
    for name in sorted(old.issuers.keys() & new.issuers.keys()):
        if old.issuers[name] != new.issuers[name]:
            yield f"issuers.{name}"
    for field in old.gateway.__struct_fields__:
        if getattr(old.gateway, field) != getattr(new.gateway, field):
            yield f"gateway.{field}"
