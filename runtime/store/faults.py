"""What can be wrong with a store."""


class StoreUnavailable(Exception):  # noqa: N818  # reads as the answer it is
    """The database could not be reached or could not write. A write may have happened or not."""


class StoreClosed(Exception):  # noqa: N818  # same
    """The store was closed before this was asked."""


class StoreInUse(Exception):  # noqa: N818  # same
    """Another process has this SQLite store open. Run one process, or move to PostgreSQL."""
