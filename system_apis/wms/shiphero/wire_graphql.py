"""GraphQL as ShipHero speaks it: requests, lists, refusals, and what an answer cost.

Source: GraphQL over HTTP, the cursor connections specification and developer.shiphero.com.
"""

from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")

NOT_ENOUGH_CREDITS: Final = 30
NEXT: Final = "pageInfo{hasNextPage endCursor}"
"""What a document asks of a list to have its next page."""


class Request(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A GraphQL request (GraphQL over HTTP)."""

    query: str
    variables: T


class WithData(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The variables of a mutation."""

    data: T


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `errors`; only code 30 and its fields are documented."""

    message: str = ""
    code: int | str | None = None
    remaining_credits: float | None = None
    time_remaining: str | None = None


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a list goes on (GraphQL cursor connections)."""

    hasNextPage: bool = False  # noqa: N815  # GraphQL's name
    endCursor: str | None = None  # noqa: N815  # GraphQL's name


class Node(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An edge of a list."""

    node: T


class Edges(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list."""

    edges: list[Node[T]]
    pageInfo: PageInfo | None = None  # noqa: N815  # GraphQL's name

    @property
    def after(self) -> str | None:
        """Where the next page begins; None on the last one."""
        page = self.pageInfo
        return page.endCursor if page is not None and page.hasNextPage else None


class Payload(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a query answers."""

    complexity: float = 0.0
    data: T | None = None


class Reply(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Every answer of the endpoint: a payload by root field, refusals, or both."""

    data: dict[str, T | None] | None = None
    errors: list[Error] = []


encode: Final = msgspec.json.Encoder().encode
errors_decoder: Final = msgspec.json.Decoder(Reply[msgspec.Raw])
