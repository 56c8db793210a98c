"""One call to the REST API after sign-in, whether it came by HTTP or inside a composite."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.org import Caller

__all__ = ["ROOT", "Answer", "Call", "caller_of", "read_json", "split_path"]

VERSION = "v67.0"
ROOT = f"/services/data/{VERSION}"
# numbers are read as Decimal so that 1.005 is not yet another number when it is rounded
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Answer:
    """A status, a body (None for none) and headers beside the content type."""

    __slots__ = ("body", "headers", "rolled_back", "status")

    def __init__(
        self,
        status: int,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        rolled_back: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.rolled_back = rolled_back


class Call:
    """``path`` are the decoded segments after the version; ``headers`` have lower-case names."""

    __slots__ = ("body", "caller", "headers", "method", "path", "query")

    def __init__(
        self,
        *,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any,
        caller: Caller,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.caller = caller

    def flag(self, name: str) -> bool:
        """A query parameter that is ``true`` or not."""
        return self.query.get(name, "").lower() == "true"

    def object_body(self) -> dict[str, Any]:
        """The body, which must be an object.

        Raises:
            Refusal: it is not.
        """
        if not isinstance(self.body, dict):
            raise Refusal("JSON_PARSER_ERROR", "The HTTP entity body is required, and an object")
        return self.body

    def allow(self, *methods: str) -> None:
        """Check the method.

        Raises:
            Refusal: 405, naming those that are allowed.
        """
        if self.method not in methods:
            raise Refusal(
                "METHOD_NOT_ALLOWED",
                f"HTTP Method '{self.method}' not allowed. Allowed are {','.join(methods)}",
            )


def split_path(raw_path: str) -> tuple[str, ...]:
    """The decoded segments of a path; an encoded slash stays inside its segment."""
    return tuple(unquote(segment) for segment in raw_path.strip("/").split("/"))


def split_url(url: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Path segments and query of a relative address."""
    path, _, query = url.partition("?")
    return split_path(path), dict(parse_qsl(query, keep_blank_values=True))


def read_json(body: bytes) -> Any:
    """A JSON body; None when there is none.

    Raises:
        Refusal: JSON_PARSER_ERROR.
    """
    if not body:
        return None
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as trouble:
        raise Refusal("JSON_PARSER_ERROR", f"Unexpected character: {trouble}") from None


def caller_of(user_id: str, headers: Mapping[str, str]) -> Caller:
    """The caller and the options that its headers set for this call."""
    duplicates = options_of(headers.get("sforce-duplicate-rule-header", ""))
    return Caller(
        user_id=user_id,
        client=options_of(headers.get("sforce-call-options", "")).get("client"),
        allow_duplicates=duplicates.get("allowsave", "").lower() == "true",
        include_record_details=duplicates.get("includerecorddetails", "").lower() == "true",
    )


def options_of(header: str) -> dict[str, str]:
    """``a=1; b=2`` (or with commas) read; names in lower case."""
    options = {}
    for piece in header.replace(",", ";").split(";"):
        name, equals, value = piece.partition("=")
        if equals:
            options[name.strip().lower()] = value.strip()
    return options
