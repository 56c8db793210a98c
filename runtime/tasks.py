"""Tasks that several wait for, of whom all may have gone away when it ends."""

import asyncio
from typing import Any

__all__ = ["seen"]


def seen(task: asyncio.Task[Any]) -> None:
    """Look at how it ended: a failure that nobody waits for any more is no stray one."""
    if not task.cancelled():
        task.exception()
