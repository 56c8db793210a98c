"""One at a time for each key: what makes the same thing twice must not overlap with itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """Serialises work by key within this process; keys cost nothing once nobody holds them."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[bool]:
        """Hold the turn of a key; True when somebody else's had to be waited for.

        Whoever had to wait should look at what the other one left before doing it again.
        """
        lock, holders = self._held.get(key, (asyncio.Lock(), 0))
        self._held[key] = (lock, holders + 1)
        try:
            async with lock:
                yield holders > 0
        finally:
            lock, holders = self._held[key]
            if holders == 1:
                del self._held[key]
            else:
                self._held[key] = (lock, holders - 1)
