"""The OData options of one read: parsed against the set, then applied to rows.

``$filter $select $expand (nested) $orderby $top $skip $count`` and ``Prefer: odata.maxpagesize``;
other system options answer 501. A page ends with a next link that carries everything the next page
needs.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from deploy.sandbox.business_central.errors import (
    BusinessCentralError,
    bad_request,
    not_implemented,
)
from deploy.sandbox.business_central.filters import Filter, Row, parse_filter
from deploy.sandbox.business_central.schema import EntitySet

__all__ = ["LARGEST_PAGE", "Options", "Page", "page_of", "parse_options", "projected"]

LARGEST_PAGE = 20_000
_KNOWN = frozenset(
    {"filter", "select", "expand", "orderby", "top", "skip", "count", "skiptoken", "schemaversion"}
)
Sets = Mapping[str, EntitySet]
Expander = Callable[[Row, str], Any]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked of a set. ``after``: how many rows came before, and the last id."""

    where: Filter | None = None
    select: tuple[str, ...] = ()
    expand: dict[str, "Options"] = {}
    order: tuple[tuple[str, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    after: tuple[int, str] | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows of one page, how many match in all, and the token of the next page if there is one."""

    rows: list[Row]
    total: int
    token: str | None


def parse_options(query: Mapping[str, str], entity_set: EntitySet, sets: Sets) -> Options:
    """Read the options of a request, or of one ``$expand``.

    Raises:
        BusinessCentralError: 400 for what cannot be read, 501 for what the server does not do.
    """
    found: dict[str, str] = {}
    for name, value in query.items():
        if name[0] != "$":
            continue
        option = name[1:].lower()
        if option not in _KNOWN:
            raise not_implemented(f"The query option '{name}' is not supported.")
        found[option] = value
    if not found:
        return Options()
    where = found.get("filter")
    return Options(
        where=parse_filter(where, entity_set) if where else None,
        select=_selected(found.get("select", ""), entity_set),
        expand=_expanded(found.get("expand", ""), entity_set, sets),
        order=_order(found.get("orderby", ""), entity_set),
        top=_whole("$top", found["top"]) if "top" in found else None,
        skip=_whole("$skip", found.get("skip", "0")),
        count=found.get("count", "false").lower() == "true",
        after=_position(found["skiptoken"]) if "skiptoken" in found else None,
    )


def page_of(rows: Iterable[Row], options: Options, size: int) -> Page:
    """Filter, order and cut. ``size`` is the most rows of one page."""
    where = options.where
    matching = list(rows) if where is None else [row for row in rows if where.holds(row)]
    for name, descending in reversed(options.order):
        matching.sort(key=lambda row, name=name: row[name], reverse=descending)  # type: ignore[misc]  # a default binds the loop's name
    total = len(matching)
    start = options.skip
    end = total if options.top is None else min(total, start + options.top)
    if options.after is not None:
        start = _resume(matching, options.after)
    stop = min(end, start + size)
    page = matching[start:stop]
    token = f"{stop}-{page[-1].get('id', '')}" if page and stop < end else None
    return Page(page, total, token)


def next_link(address: str, query: Mapping[str, str], token: str) -> str:
    """The same question, continued behind the last row."""
    kept = {name: value for name, value in query.items() if name.lower() != "$skiptoken"}
    return f"{address}?{urlencode({**kept, '$skiptoken': token}, safe='$(),')}"


def projected(row: Row, options: Options, expander: Expander) -> Row:
    """The row with what was selected and expanded; the entity tag always comes along."""
    if not options.select and not options.expand:
        return row
    if options.select:
        found: Row = {"@odata.etag": row["@odata.etag"]} if "@odata.etag" in row else {}
        for name in options.select:
            found[name] = row[name]
    else:
        found = dict(row)
    for name in options.expand:
        found[name] = expander(row, name)
    return found


def page_size(prefer: str) -> int:
    """The page size asked for with ``Prefer: odata.maxpagesize=N``, else the server's own.

    Raises:
        BusinessCentralError: 413 above the server's largest page.
    """
    _, found, rest = prefer.partition("maxpagesize=")
    if not found:
        return LARGEST_PAGE
    size = _whole("odata.maxpagesize", rest.replace(";", ",").split(",")[0].strip().strip('"'))
    if size > LARGEST_PAGE:
        raise BusinessCentralError(
            413,
            "BadRequest_InvalidRequestUrl",
            f"A page of {size} entities exceeds the maximum of {LARGEST_PAGE}.",
        )
    return max(size, 1)


def _selected(text: str, entity_set: EntitySet) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if "*" in names:
        return ()
    for name in names:
        if name not in entity_set.properties and name not in entity_set.navigations:
            raise _no_property(name, entity_set)
    return tuple(name for name in names if name in entity_set.properties)


def _expanded(text: str, entity_set: EntitySet, sets: Sets) -> dict[str, Options]:
    found = {}
    for part in _split(text, ","):
        name, bracket, inner = part.partition("(")
        name = name.strip()
        navigation = entity_set.navigations.get(name)
        if navigation is None:
            raise _no_property(name, entity_set)
        if bracket and not inner.endswith(")"):
            raise bad_request(f"Syntax error in the expansion '{part}'.", "InvalidRequestUrl")
        pairs = (option.partition("=") for option in _split(inner[:-1], ";"))
        options = {option.strip(): value for option, _, value in pairs}
        found[name] = parse_options(options, sets[navigation.entity_set], sets)
    return found


def _order(text: str, entity_set: EntitySet) -> tuple[tuple[str, bool], ...]:
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        name, _, direction = part.strip().partition(" ")
        if name not in entity_set.properties:
            raise _no_property(name, entity_set)
        if direction.strip() not in {"", "asc", "desc"}:
            raise bad_request(f"Syntax error in the order '{text}'.", "InvalidRequestUrl")
        found.append((name, direction.strip() == "desc"))
    return tuple(found)


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark that is outside brackets and quotation marks."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if letter == mark and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _whole(name: str, text: str) -> int:
    if not text.isdigit() or len(text) > 9:  # noqa: PLR2004  # more rows than there ever are
        raise bad_request(f"Invalid value '{text}' for {name} option found.", "InvalidRequestUrl")
    return int(text)


def _position(token: str) -> tuple[int, str]:
    at, _, last = token.partition("-")
    if not at.isdigit():
        raise bad_request("The skip token is invalid.", "InvalidRequestUrl")
    return int(at), last


def _resume(rows: list[Row], after: tuple[int, str]) -> int:
    """Behind the last row sent, wherever it is now; when it is gone, where it was."""
    at, last = after
    if 0 < at <= len(rows) and rows[at - 1].get("id", "") == last:
        return at
    for found, row in enumerate(rows):
        if row.get("id", "") == last:
            return found + 1
    return min(max(at - 1, 0), len(rows))


def _no_property(name: str, entity_set: EntitySet) -> BusinessCentralError:
    return bad_request(
        f"Could not find a property named '{name}' on type 'Microsoft.NAV.{entity_set.entity}'."
    )
