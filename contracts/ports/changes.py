"""Reading what changed in a system: the truth behind any notification that was lost."""

from typing import Annotated

import msgspec

from contracts.canonical.shapes import Canonical, Instant

SystemCursor = Annotated[str, msgspec.Meta(min_length=1)]
"""Where a system's list goes on, in that system's own words."""


class Changes(Canonical, frozen=True, kw_only=True):
    """Which page of changed records is wanted: those changed since an instant, or all of them."""

    since: Instant | None = None
    cursor: SystemCursor | None = None
