"""When a process looks for garbage: not while it starts, and seldom afterwards.

Nearly all that a start makes lasts as long as its process, and what an order makes goes when the
last reference to it does. Looking through all of it again and again is an eighth of the cost of an
order and of a start, and finds next to nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["collect_seldom", "starting"]

_AFTER: Final = 25_000
"""New objects that are still there, after which the youngest are looked through."""
_OLDER: Final = (20, 20)
"""After how many such looks the older ones are looked through, and after how many of those all."""


@contextmanager
def starting() -> Iterator[None]:
    """Look for no garbage in here, until `collect_seldom` says that the start is over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect_seldom() -> None:
    """The start is over: what is there now stays, and what comes is looked through seldom."""
    gc.freeze()
    gc.set_threshold(_AFTER, *_OLDER)
    gc.enable()
