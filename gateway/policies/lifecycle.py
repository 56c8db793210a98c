"""lifecycle: what is going away says so on every answer, and what is gone says where to go.

`Deprecation` is a structured-field date (RFC 9745), `Sunset` an HTTP-date (RFC 8594); the links
lead to the explanation and to the successor (RFC 8288).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from contracts.problems import problem
from gateway.call import (
    PASS,
    Asked,
    Call,
    ConfigFault,
    Finding,
    Header,
    Refuse,
    Reply,
    Step,
    Verdict,
)
from gateway.records import Metrics
from gateway.routes import Lifecycle as Stage
from gateway.routes import Operation
from runtime.clock import Clock

_UNKNOWN: Final = Refuse(problem=problem("operation-unknown"), close=False)


class Lifecycle:
    """Announces deprecation, and refuses what has been retired."""

    name = "lifecycle"

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._calls = metrics.deprecated_calls

    async def provision(self) -> None:
        """Need nothing."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """Dates must be dates, and a sunset not before its deprecation (RFC 8594 section 3)."""
        return [
            ConfigFault(
                place=f"{operation.key} x-crossdock.lifecycle",
                value=fault,
                allowed="ISO 8601 dates, sunsetAt not before deprecatedAt",
                remedy="Correct the dates in the contract.",
            )
            for operation in operations
            if (fault := _fault(operation.terms.lifecycle)) is not None
        ]

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract says that an operation is not simply active."""
        stage = operation.terms.lifecycle
        if stage.state == "active" and stage.sunset_at is None:
            return ()
        if _fault(stage) is not None:
            return ()  # `check` reports it and the gateway does not start
        sunset = None if stage.sunset_at is None else _moment(stage.sunset_at).timestamp()
        headers = _headers(stage)
        gone = _gone(stage)

        def retired() -> bool:
            return stage.state == "sunset" or (
                sunset is not None and self._clock.now().timestamp() >= sunset
            )

        def ask(call: Call) -> Verdict:
            self._calls.labels(operation.key, call.consumer.name).inc()
            return gone if retired() else PASS

        def tell(_: Call, reply: Reply) -> None:
            if reply.policy != self.name:
                reply.headers.extend(headers)

        return (
            Step(
                self.name,
                ask=ask,
                tell=tell,
                explain=lambda _: Finding(
                    policy=self.name,
                    verdict="refuse" if retired() else "pass",
                    because=f"{stage.state}, sunset {stage.sunset_at or 'not set'}",
                ),
            ),
        )


class Retired:
    """Whole versions that no contract names any more: gone, and who still asks is counted."""

    def __init__(
        self,
        retired: Mapping[str, Stage],
        *,
        metrics: Metrics,
        known: Callable[[Call], Awaitable[None]],
    ) -> None:
        self._calls = metrics.deprecated_calls
        self._known = known
        self._gone = {f"/{api}": _gone(stage) for api, stage in retired.items()}

    def ask(self, call: Call) -> Asked:
        """Refuse a call of a retired version as gone, any other as unknown."""
        prefix = self._retired(call)
        return _UNKNOWN if prefix is None else self._refused(call, prefix, self._gone[prefix])

    def explain(self, call: Call) -> Finding:
        """Tell a retired version apart from what never was."""
        prefix = self._retired(call)
        because = "no contract names this path" if prefix is None else f"{prefix} is retired"
        return Finding(policy="route", verdict="refuse", because=because)

    def _retired(self, call: Call) -> str | None:
        """Answer the prefix of the retired version that the call asks for."""
        asked = f"{call.path}/"
        return next((each for each in self._gone if asked.startswith(f"{each}/")), None)

    async def _refused(self, call: Call, prefix: str, gone: Refuse) -> Verdict:
        await self._known(call)
        self._calls.labels(f"{prefix[1:]}/*", call.consumer.name).inc()
        return gone


def _gone(stage: Stage) -> Refuse:
    extensions: dict[str, Any] = {"successor": stage.successor} if stage.successor else {}
    return Refuse(problem=problem("version-retired", **extensions), headers=_headers(stage))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _fault(stage: Stage) -> str | None:
    try:
        deprecated = None if stage.deprecated_at is None else _moment(stage.deprecated_at)
        sunset = None if stage.sunset_at is None else _moment(stage.sunset_at)
    except ValueError as error:
        return str(error)
    if deprecated is not None and sunset is not None and sunset < deprecated:
        return "the sunset lies before the deprecation"
    return None


def _headers(stage: Stage) -> tuple[Header, ...]:
    found: list[Header] = []
    if stage.deprecated_at is not None:
        found.append((b"deprecation", b"@%d" % _moment(stage.deprecated_at).timestamp()))
    if stage.sunset_at is not None:
        moment = _moment(stage.sunset_at).astimezone(UTC)
        found.append((b"sunset", format_datetime(moment, usegmt=True).encode()))
    if stage.link is not None:
        found.append((b"link", f'<{stage.link}>; rel="deprecation"'.encode()))
    if stage.successor is not None:
        found.append((b"link", f'<{stage.successor}>; rel="successor-version"'.encode()))
    return tuple(found)
