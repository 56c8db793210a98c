"""Conditional requests: entity tags on accounts only, modification dates on every record.

Source: REST guide, conditional requests. DELETE ignores all of them.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256

import msgspec

from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.fields import instant_of
from deploy.sandbox.vault import Record

__all__ = ["check_write", "entity_tag", "unchanged", "validators"]

_TAGGED = "Account"
_encode = msgspec.json.Encoder(order="sorted").encode


def entity_tag(record: Record) -> str:
    """The tag of a record's present state."""
    digest = b64encode(sha256(_encode(record)).digest()[:20]).decode()
    return f'"{digest}--gzip"'


def validators(name: str, record: Record) -> dict[str, str]:
    """The headers that tell a reader the record's state."""
    headers = {"Last-Modified": format_datetime(_modified(record), usegmt=True)}
    if name == _TAGGED:
        headers["ETag"] = entity_tag(record)
    return headers


def unchanged(name: str, record: Record, headers: Mapping[str, str]) -> bool:
    """Whether a GET may be answered 304."""
    if name == _TAGGED and "if-none-match" in headers:
        return entity_tag(record) in _tags(headers["if-none-match"])
    if "if-modified-since" in headers:
        return _modified(record) <= _date(headers["if-modified-since"])
    return False


def check_write(name: str, record: Record, headers: Mapping[str, str]) -> None:
    """Hold a PATCH to its conditions.

    Raises:
        Refusal: 412 when the record is not in the state that the caller knows, 400 for a
            condition that cannot be read.
    """
    met = True
    if name == _TAGGED and "if-match" in headers:
        tags = _tags(headers["if-match"])
        met = "*" in tags or entity_tag(record) in tags
    if name == _TAGGED and "if-none-match" in headers:
        met = met and entity_tag(record) not in _tags(headers["if-none-match"])
    if "if-unmodified-since" in headers:
        met = met and _modified(record) <= _date(headers["if-unmodified-since"])
    if "if-modified-since" in headers:
        met = met and _modified(record) > _date(headers["if-modified-since"])
    if not met:
        raise Refusal("PRECONDITION_FAILED", "One or more conditional headers evaluated to false")


def _modified(record: Record) -> datetime:
    at = instant_of(record["LastModifiedDate"])
    assert at is not None  # noqa: S101  # the org stamped it
    return at.astimezone(UTC)


def _tags(header: str) -> set[str]:
    tags = {tag.strip() for tag in header.split(",")}
    for tag in tags:
        bare = tag.removeprefix("W/")
        if tag != "*" and not (len(bare) > 1 and bare[0] == bare[-1] == '"'):
            raise Refusal("INVALID_FIELD", f"Malformed entity tag: {tag}")
    return tags


def _date(header: str) -> datetime:
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        raise Refusal("INVALID_FIELD", f"Malformed HTTP date: {header}") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
