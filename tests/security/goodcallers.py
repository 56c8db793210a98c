"""Callers who do everything right, in a process of their own: who else is slow must not be them."""

import asyncio
import sys
import time

import msgspec

from tests.security.wired import THINGS, request

_GOOD_A_SECOND, _GOOD_CLIENTS = 80, 8


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls went; waits in milliseconds."""

    calls: int
    failed: list[str]
    p50: float
    p99: float


class Good:
    """Callers who do everything right, at a steady rate whatever the answers take."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.waited: list[float] = []
        self.failed: list[str] = []

    async def call(self, stop: asyncio.Event) -> None:
        """Call until told to stop."""
        await asyncio.gather(*(self._call(at, stop) for at in range(_GOOD_CLIENTS)))

    async def _call(self, at: int, stop: asyncio.Event) -> None:
        every = _GOOD_CLIENTS / _GOOD_A_SECOND
        due = time.monotonic() + every * at / _GOOD_CLIENTS
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                writer.write(request("GET", THINGS, close=False))
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                if not head.startswith(b"HTTP/1.1 200"):
                    self.failed.append(head[:40].decode("latin-1"))
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.failed.append(type(error).__name__)
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            self.waited.append(time.monotonic() - due)
            due += every
        writer.close()

    def told(self) -> Told:
        """How long they waited, in milliseconds from when each call was due."""
        ordered = sorted(each * 1000 for each in self.waited)
        return Told(
            calls=len(ordered),
            failed=self.failed,
            p50=round(ordered[len(ordered) // 2], 2),
            p99=round(ordered[int(len(ordered) * 0.99) - 1], 2),
        )


async def main(port: int) -> None:
    """Call until standard input ends; then tell how it was, as one line of JSON."""
    good, stop = Good(port), asyncio.Event()
    calling = asyncio.create_task(good.call(stop))
    print("calling", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await calling
    print(msgspec.json.encode(good.told()).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
