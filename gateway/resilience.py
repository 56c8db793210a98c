"""The settings of what keeps a gateway and its upstreams well; sections of `crossdock.toml`."""

from typing import Annotated

import msgspec

from runtime.guard import BreakerSettings
from runtime.guard.limit import LimitSettings

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class CircuitSettings(BreakerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the circuits of remote upstreams open and close."""

    failures: Count = 5
    ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    window: Count = 50
    minimum: Count = 20
    slow_seconds: Seconds | None = None
    slow_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    open_seconds: Seconds = 2.0
    longest_open_seconds: Seconds = 30.0
    jitter: Share = 0.1
    trials: Count = 1


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Copies of answers, where contracts allow them: how much memory all and one may take."""

    enabled: bool = True
    most_bytes: Annotated[int, msgspec.Meta(ge=65_536)] = 33_554_432
    largest_bytes: Count = 1_048_576


class ContractGuardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which share of the answers is looked at; 0 turns it off."""

    sample_share: Share = 0.01


class RepeatSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Second attempts at a remote upstream, as shares of the calls to it; 0 turns them off."""

    retry_share: Annotated[float, msgspec.Meta(ge=0, le=0.15)] = 0.1
    hedge_share: Annotated[float, msgspec.Meta(ge=0, le=0.05)] = 0.05
    least_hedge_seconds: Seconds = 0.005


class UpgradeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections upgraded to WebSocket, where contracts allow it.

    How many may be open at a time, how large a message may be, and how long nothing need be said.
    """

    connections: Count = 64
    largest_message_bytes: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] = 1_048_576
    idle_seconds: Seconds = 300.0


class ShedSettings(LimitSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Load shedding: bounds of the calls under way, and how late the event loop may run.

    An upstream that answers within `late_seconds` is quick, however much quicker it can be.
    """

    enabled: bool = True
    least: Count = 64
    first: Count = 1_024
    most: Count = 4_096
    tolerance: Annotated[float, msgspec.Meta(gt=1, le=1_000)] = 2.0
    window_seconds: Seconds = 0.1
    late_seconds: Seconds = 0.05
