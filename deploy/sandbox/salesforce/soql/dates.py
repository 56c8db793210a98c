"""Date literals: ``TODAY``, ``LAST_N_DAYS:7`` and the like, in UTC."""

from datetime import datetime, timedelta

__all__ = ["is_date_word", "span_of"]

_DAY = timedelta(days=1)
_FIXED = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}
_COUNTED = {"LAST_N_DAYS", "NEXT_N_DAYS", "N_DAYS_AGO"}
_WEEKS = {"LAST_WEEK": -7, "THIS_WEEK": 0, "NEXT_WEEK": 7}
_MONTHS = {"LAST_MONTH": -1, "THIS_MONTH": 0, "NEXT_MONTH": 1}
_YEARS = {"LAST_YEAR": -1, "THIS_YEAR": 0, "NEXT_YEAR": 1}


def is_date_word(word: str) -> bool:
    """Whether an upper-case word begins a date literal."""
    return any(word in words for words in (_FIXED, _COUNTED, _WEEKS, _MONTHS, _YEARS))


def span_of(  # noqa: PLR0911  # one return a kind of literal
    word: str, count: int | None, now: datetime
) -> tuple[datetime, datetime] | None:
    """The first instant of a date literal and the first after it.

    None when a count is missing or out of place.
    """
    if (count is not None) != (word in _COUNTED):
        return None
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in _FIXED:
        start = today + _FIXED[word] * _DAY
        return start, start + _DAY
    if word in _WEEKS:  # weeks begin on Sunday, the org's locale
        start = today - (today.weekday() + 1) % 7 * _DAY + _WEEKS[word] * _DAY
        return start, start + 7 * _DAY
    if word in _MONTHS:
        return _month(today, _MONTHS[word]), _month(today, _MONTHS[word] + 1)
    if word in _YEARS:
        start = today.replace(month=1, day=1, year=today.year + _YEARS[word])
        return start, start.replace(year=start.year + 1)
    days = (count or 0) * _DAY
    if word == "LAST_N_DAYS":
        return today - days, today + _DAY
    if word == "NEXT_N_DAYS":
        return today + _DAY, today + days + _DAY
    return today - days, today - days + _DAY


def _month(today: datetime, by: int) -> datetime:
    months = today.year * 12 + today.month - 1 + by
    return today.replace(year=months // 12, month=months % 12 + 1, day=1)
