"""OData as Business Central speaks it: pages, filters, batches and refusals, of whatever records.

Source: OData v4.01 (protocol and URL conventions); what of it the vendor has is in `quirks.md`.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")

BATCH: Final = "$batch"
LARGEST_BATCH: Final = 100


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of an error."""

    code: str = ""
    message: str = ""


class ErrorEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """Every refusal of the vendor."""

    error: ErrorBody = ErrorBody()


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a set. `next_link` must be followed as it is."""

    value: list[T]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class BatchOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch; its address is relative to the company."""

    id: str
    method: str
    url: str
    headers: dict[str, str]
    body: msgspec.Struct


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch; each operation is a transaction of its own."""

    requests: Sequence[BatchOperation]


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request of a batch."""

    status: int
    body: msgspec.Raw = msgspec.Raw(b"")


class BatchAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch."""

    responses: list[BatchAnswer]


error_decoder: Final = msgspec.json.Decoder(ErrorEnvelope)
batch_decoder: Final = msgspec.json.Decoder(BatchAnswers)


def equals(field: str, value: str) -> str:
    """A filter on one value; a quote inside it is doubled (OData v4, section 5.1.1.6.1)."""
    doubled = value.replace("'", "''")
    return f"{field} eq '{doubled}'"


def query(path: str, **options: str) -> str:
    """A path with its system query options, as `query("items", top="1")`."""
    told = "&".join(f"${name}={quote(value, safe='(),=;$')}" for name, value in options.items())
    return f"{path}?{told}" if told else path
