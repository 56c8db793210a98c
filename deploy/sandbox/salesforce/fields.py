"""Fields of sObjects: what they hold, and how a value in a request becomes a stored one.

Stored values are what JSON holds: text, bool, int, float, and for dates and times the text the
vendor answers with (``2026-11-22``, ``2026-11-22T05:30:00.000+0000``), which sorts by itself.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.ids import eighteen

__all__ = ["Coercer", "Field", "Kind", "coercer_of", "day", "instant", "instant_of"]

Kind = Literal[
    "id",
    "reference",
    "string",
    "textarea",
    "picklist",
    "email",
    "phone",
    "url",
    "boolean",
    "currency",
    "double",
    "percent",
    "int",
    "date",
    "datetime",
]
Coercer = Callable[[Any], Any]
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_INT_LIMIT = 2**31


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. ``length`` is in characters, ``precision`` and ``scale`` in decimal digits.

    ``relationship`` names the way up from a reference (``Account``), ``children`` the way down from
    what it points to (``Opportunities``); ``cascades`` deletes the child with its parent.
    ``required`` fields have no default. A ``case_sensitive`` text compares as written; any
    other compares without regard to case.
    """

    name: str
    label: str
    kind: Kind
    length: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    createable: bool = True
    updateable: bool = True
    default: Any = None
    values: tuple[str, ...] = ()
    restricted: bool = False
    references: tuple[str, ...] = ()
    relationship: str | None = None
    children: str | None = None
    cascades: bool = False
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    indexed: bool = False

    @property
    def custom(self) -> bool:
        """Whether the field was added to the org."""
        return self.name.endswith("__c")

    @property
    def textual(self) -> bool:
        """Whether the field holds words: compared without case, matched with LIKE."""
        return self.kind in {"string", "textarea", "picklist", "email", "phone", "url"}

    def fold(self, value: Any) -> Any:
        """What two equal values of this field have in common."""
        if self.textual and not self.case_sensitive and value is not None:
            return value.lower()
        return value


def instant(at: datetime) -> str:
    """An instant as Salesforce writes it: UTC, milliseconds, ``+0000``."""
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def instant_of(text: str) -> datetime | None:
    """Read an ISO 8601 instant with an offset; None when it is not one."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None and "T" in text else None


def day(text: str) -> str | None:
    """An ISO date, or None when the text is not one."""
    try:
        return date.fromisoformat(text).isoformat() if len(text) == len("2026-11-22") else None
    except ValueError:
        return None


def coercer_of(field: Field, prefixes: frozenset[str]) -> Coercer:
    """The function that makes a stored value of one in a request, or raises ``Refusal``.

    ``prefixes`` are the key prefixes a reference may carry. Null never reaches the function.
    """
    if field.kind in {"id", "reference"}:
        return _identifier(field, prefixes)
    if field.kind == "picklist" and not field.restricted:
        return _text(field)
    return _MAKERS.get(field.kind, _text)(field)


def _unreadable(field: Field, value: Any) -> Refusal:
    kind = "datetime" if field.kind == "datetime" else field.kind
    token = "VALUE_STRING" if isinstance(value, str) else "VALUE_NUMBER"
    if isinstance(value, bool):
        token = f"VALUE_{str(value).upper()}"
    elif isinstance(value, dict | list):
        token = "START_OBJECT" if isinstance(value, dict) else "START_ARRAY"
    shown = "" if isinstance(value, dict | list) else f" value {value}"
    return Refusal(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {kind} from {token}{shown} or request may be missing a "
        f"required field at [field:{field.name}]",
        (field.name,),
    )


def _text(field: Field) -> Coercer:
    limit = field.length

    def read(value: Any) -> str | None:
        if type(value) is not str:
            raise _unreadable(field, value)
        if len(value) > limit:
            raise Refusal(
                "STRING_TOO_LONG",
                f"{field.label}: data value too large: {value[:80]} (max length={limit})",
                (field.name,),
            )
        return value.strip() or None

    return read


def _restricted(field: Field) -> Coercer:
    known = {value.lower(): value for value in field.values}

    def read(value: Any) -> str:
        found = known.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise Refusal(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{field.label}: bad value for restricted picklist field: {value}",
                (field.name,),
            )
        return found

    return read


def _email(field: Field) -> Coercer:
    text = _text(field)

    def read(value: Any) -> str | None:
        stored: str | None = text(value)
        if stored is not None and not _EMAIL.fullmatch(stored):
            raise Refusal(
                "INVALID_EMAIL_ADDRESS",
                f"{field.label}: invalid email address: {stored}",
                (field.name,),
            )
        return stored

    return read


def _identifier(field: Field, prefixes: frozenset[str]) -> Coercer:
    def read(value: Any) -> str | None:
        if value == "":
            return None
        found = eighteen(value) if isinstance(value, str) else None
        if found is None or found[:3] not in prefixes:
            raise Refusal(
                "MALFORMED_ID",
                f"{field.label}: id value of incorrect type: {value}",
                (field.name,),
            )
        return found

    return read


def _boolean(field: Field) -> Coercer:
    words = {"true": True, "false": False}

    def read(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        raise _unreadable(field, value)

    return read


def _decimal(field: Field) -> Coercer:
    step = Decimal(1).scaleb(-field.scale)
    limit = Decimal(10) ** (field.precision - field.scale)

    def read(value: Any) -> float | None:
        if type(value) is int and -limit < value < limit:
            return float(value)
        if value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise _unreadable(field, value)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise _unreadable(field, value) from None
        if not number.is_finite():
            raise _unreadable(field, value)
        if abs(number) < limit:
            number = number.quantize(step, ROUND_HALF_UP)
        if abs(number) >= limit:
            raise Refusal(
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"{field.label}: value outside of valid range on numeric field: {value}",
                (field.name,),
            )
        return float(number)

    return read


def _integer(field: Field) -> Coercer:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _INT_LIMIT:
            raise _unreadable(field, value)
        return value

    return read


def _moment(field: Field) -> Coercer:
    def read(value: Any) -> str | None:
        if value == "":
            return None
        stored: str | None = None
        if isinstance(value, str) and field.kind == "date":
            stored = day(value[: len("2026-11-22")])  # the time of a dateTime is dropped
        elif isinstance(value, str):
            at = instant_of(value)
            stored = None if at is None else instant(at)
        if stored is None:
            raise _unreadable(field, value)
        return stored

    return read


_MAKERS: dict[Kind, Callable[[Field], Coercer]] = {
    "boolean": _boolean,
    "currency": _decimal,
    "double": _decimal,
    "percent": _decimal,
    "int": _integer,
    "date": _moment,
    "datetime": _moment,
    "picklist": _restricted,
    "email": _email,
}
