"""Where a list goes on: the instant it began at, and the vendor's own cursor behind it."""

from base64 import b64decode
from datetime import datetime

from contracts.outcomes import CallFailedError
from contracts.ports.changes import Changes
from system_apis.wms.shiphero import mapping, wire
from system_apis.wms.shiphero.failures import rejected

__all__ = ["asked_since", "onward"]


def asked_since(query: Changes) -> wire.Since:
    """What is asked for.

    A cursor of ours is the instant and the vendor's own cursor behind it: the vendor's alone would
    go on through everything there ever was.
    """
    since, after = query.since, None
    if query.cursor is not None:
        told, mark, after = query.cursor.partition("|")
        try:
            since = datetime.fromisoformat(told) if told else None
            whole = bool(mark and after and b64decode(after, validate=True))
            whole = whole and (since is None or since.tzinfo is not None)
        except ValueError:
            whole = False
        if not whole:
            raise CallFailedError(rejected("not-found", "The warehouse has no such page."))
    return wire.Since(since=mapping.on_wire(since) if since else None, after=after)


def onward(query: Changes, after: str | None) -> str | None:
    """Answer our cursor for the page that the vendor's `after` begins; None after the last."""
    if after is None:
        return None
    told = query.cursor.partition("|")[0] if query.cursor is not None else ""
    return f"{told or (query.since.isoformat() if query.since else '')}|{after}"
