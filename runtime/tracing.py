"""Traces: which calls are told of, how a trace goes on, and where finished spans go.

A trace travels as a W3C `traceparent` in the call context, in process and over the wire (decision
record 0006): its last digit says whether it is sampled. Who begins a trace decides that by the
trace's id; everybody after keeps the decision. An unsampled call makes no span and no object.

Spans are told once they are over, as values: on the hot path an SDK's span that is opened, filled
and closed costs ten times as much. Nothing here imports an SDK; `runtime.exporting` does.
"""

from collections.abc import Mapping
from random import Random
from typing import Annotated, Final, Literal, Protocol

import msgspec

from runtime.clock import Clock

__all__ = ["Kind", "OpenSpan", "Span", "Spans", "TelemetrySettings", "Tracing", "is_sampled"]

Kind = Literal["server", "client", "internal"]

FLUSH_SECONDS: Final = 2.0
"""How long a shutdown waits for the last spans to be taken."""

_RATIO_BITS: Final = 64
_RATIO_MASK: Final = (1 << _RATIO_BITS) - 1
_NO_SPAN: Final = "0" * 16


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where traces go, and how many. Without `traces_endpoint` there are none."""

    traces_endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/]+/.+")] | None = None
    """The full address of an OTLP/HTTP collector, as `http://collector:4318/v1/traces`."""
    sample_ratio: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.1
    """Share of the traces begun here; a caller that brings a trace has decided already."""


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that took time and is over. Times are nanoseconds since 1970-01-01 UTC.

    `parent` is a span id of sixteen hexadecimal digits; None begins the trace. Attributes name
    operations, states and outcomes, never a value from a body.
    """

    name: str
    kind: Kind
    traceparent: str
    parent: str | None
    parent_is_remote: bool
    started_at: int
    ended_at: int
    attributes: Mapping[str, str | int]
    events: tuple[tuple[str, int], ...] = ()
    failed: bool = False


class Spans(Protocol):
    """Takes finished spans. Neither blocks nor raises."""

    def open(self) -> None:
        """Begin to take spans."""

    def record(self, span: Span) -> None:
        """Take one."""

    async def close(self, within: float) -> None:
        """Send what is left, for at most `within` seconds; drop the rest."""


def is_sampled(traceparent: str) -> bool:
    """Tell whether a trace is told of. Flags are normalised where a trace enters: 00 or 01."""
    return traceparent[-1] == "1"


class OpenSpan:
    """A span that has begun: its `traceparent` is what its children are told."""

    __slots__ = ("_events", "_parent", "_started", "_tracing", "traceparent")

    def __init__(
        self, tracing: "Tracing", traceparent: str, parent: str | None, started: float
    ) -> None:
        self.traceparent = traceparent
        self._tracing = tracing
        self._parent = parent
        self._started = started
        self._events: list[tuple[str, float]] = []

    def __repr__(self) -> str:
        return f"<OpenSpan {self.traceparent} under {self._parent or 'nothing'}>"

    def note(self, event: str) -> None:
        """Say that something happened now."""
        self._events.append((event, self._tracing.clock.monotonic()))

    def end(
        self, name: str, kind: Kind, attributes: Mapping[str, str | int], *, failed: bool = False
    ) -> None:
        """It is over; to be called once."""
        self._tracing.tell(
            name,
            kind,
            traceparent=self.traceparent,
            parent=self._parent,
            started=self._started,
            attributes=attributes,
            events=self._events,
            failed=failed,
        )


class Tracing:
    """Samples traces and hands finished spans on. Construction has no effects.

    `chance` need not be unguessable, only unlike every other process's.
    """

    def __init__(self, spans: Spans, *, ratio: float, clock: Clock, chance: Random) -> None:
        self.clock = clock
        self._spans = spans
        self._ratio = ratio
        self._bound = round(ratio * (1 << _RATIO_BITS))
        self._chance = chance

    def __repr__(self) -> str:
        return f"<Tracing {self._ratio:.0%} of the traces begun here>"

    def start(self) -> None:
        """Begin to send."""
        self._spans.open()

    async def stop(self) -> None:
        """Send what is left, within two seconds."""
        await self._spans.close(FLUSH_SECONDS)

    def samples(self, trace_id: int) -> bool:
        """Decide by its id about a trace that begins here, so that everybody would decide alike."""
        return trace_id & _RATIO_MASK < self._bound

    def origin(self) -> str:
        """Begin a trace for work that no traced call asked for.

        A sampled one has no span yet: the first `begin` under it is the trace's root.
        """
        trace_id = self._chance.getrandbits(128) or 1
        if self.samples(trace_id):
            return f"00-{trace_id:032x}-{_NO_SPAN}-01"
        return f"00-{trace_id:032x}-{self._chance.getrandbits(64) or 1:016x}-00"

    def begin(self, parent: str | None) -> OpenSpan | None:
        """Begin a span under `parent`, or a trace where there is none; None if it is unsampled."""
        if parent is None:
            parent = self.origin()
        if not is_sampled(parent):
            return None
        above = parent[36:52]
        span = self._chance.getrandbits(64) or 1
        return OpenSpan(
            self,
            f"{parent[:36]}{span:016x}-01",
            None if above == _NO_SPAN else above,
            self.clock.monotonic(),
        )

    def tell(
        self,
        name: str,
        kind: Kind,
        *,
        traceparent: str,
        parent: str | None,
        started: float,
        attributes: Mapping[str, str | int],
        events: list[tuple[str, float]] | None = None,
        failed: bool = False,
    ) -> None:
        """Hand on a span that ends now and began at the monotonic instant `started`."""
        now = self.clock.monotonic()
        ended_at = int(self.clock.now().timestamp() * 1e9)
        self._spans.record(
            Span(
                name=name,
                kind=kind,
                traceparent=traceparent,
                parent=parent,
                parent_is_remote=kind == "server",
                started_at=ended_at - int((now - started) * 1e9),
                ended_at=ended_at,
                attributes=attributes,
                events=tuple((event, ended_at - int((now - at) * 1e9)) for event, at in events)
                if events
                else (),
                failed=failed,
            )
        )
