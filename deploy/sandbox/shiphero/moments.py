"""Moments as ShipHero writes them: ISO 8601 in UTC, without a zone."""

from datetime import UTC, datetime
from typing import Any

__all__ = ["read_moment", "write_moment"]


def write_moment(moment: datetime) -> str:
    """``2026-11-22T05:15:24.123456``; sorts as text in the order of time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def read_moment(value: Any) -> str:
    """Any ISO 8601 date or date-time, written the vendor's way; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"ISODateTime cannot represent: {value!r}")  # noqa: TRY004  # GraphQL's idea
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"ISODateTime cannot represent: {value!r}") from None
    return write_moment(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
