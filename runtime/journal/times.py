"""Times as the store keeps them: whole microseconds since 1970-01-01 UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Exact; raises TypeError for a naive time."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(at: int) -> datetime:
    """Exact, aware, UTC."""
    return _EPOCH + timedelta(microseconds=at)


def maybe_micros(at: datetime | None) -> int | None:
    """None stays None."""
    return None if at is None else to_micros(at)


def maybe_time(at: int | None) -> datetime | None:
    """None stays None."""
    return None if at is None else from_micros(at)
