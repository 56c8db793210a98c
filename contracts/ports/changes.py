"""Reading what changed in a system: the truth behind any notification that was lost."""

from contracts.canonical.shapes import Canonical, Instant


class Changes(Canonical, frozen=True, kw_only=True):
    """Which page of changed records is wanted: those changed since an instant, or all of them."""

    since: Instant | None = None
    cursor: str | None = None
