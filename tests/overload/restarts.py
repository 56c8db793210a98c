"""Campaign C6: a gateway restarted again and again under keep-alive load.

    python -m tests.overload C6 [--size smoke|full] [--seed N] [--keep]

Sixteen clients that keep their connections read, stream and write all the time; the gateway is told
to end (SIGTERM) in the middle of it and started again on the same socket. No request may fail, no
connection be refused, and what was written is at the service behind once for each key, however
often it was sent. The service's own book and the clients' are all that is read.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from tests.crash.result import Result, Size, Stopwatch, whole
from tests.overload.keep_alive import Book, KeepAlive

RESTARTS = {"smoke": 3, "full": 50}
CLIENTS = 16
_PIECES = 10
"""Of a streamed answer: so many that a machine that does much else still meets it half-way."""
DEFECTS = ("abrupt", "own-socket")
_PASS_IT_ON = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{fd}'
"""systemd's way of handing a socket in: it is descriptor 3, meant for the process with that id."""


class Behind:
    """The service behind the gateway; its book is the oracle."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, each after a moment."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(
                    line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line
                )
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                if head.startswith(b"POST"):
                    self.effects[fields[b"x-crossdock-idempotency-key"].decode()] += 1
                await asyncio.sleep(0.01)
                if b"/streams" in head.split(b"\r\n", 1)[0]:
                    await self._stream(writer)
                else:
                    writer.write(_whole(b'{"made": "%s"}' % os.urandom(6).hex().encode()))
                await writer.drain()
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for _ in range(_PIECES):
            writer.write(b"8\r\n12345678\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


class Restarted:
    """The gateway's processes, one after the other on one socket."""

    def __init__(self, folder: Path, backend: str, *, defect: str | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048, reuse_port=True)
        self.port: int = self._socket.getsockname()[1]
        if defect == "own-socket":
            self._socket.close()
        self._handed = -1 if defect == "own-socket" else self._socket.fileno()
        more = () if defect is None else ("--defect", defect)
        self._command = [
            sys.executable, "-m", "tests.overload.restarted_gateway", str(self.port), backend,
            str(folder / "data"), *more,
        ]  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "gateway.log"
        self._process: asyncio.subprocess.Process | None = None
        self.pids: list[int] = []

    async def start(self) -> None:
        """Start the next, and wait until it listens."""
        command: list[str] = self._command
        fds: tuple[int, ...] = ()
        if self._handed >= 0:
            command = ["bash", "-c", _PASS_IT_ON.format(fd=self._handed), "bash", *command]
            fds = (self._handed,)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log, pass_fds=fds,
            )  # fmt: skip
        self.pids.append(self._process.pid)
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            if (await self._process.stdout.readline()).strip() != b"listening":
                raise AssertionError(self._log.read_text()[-3000:])

    async def stop(self) -> int:
        """SIGTERM; answer how it ended."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self._process.wait()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What restarts under load came to."""

    restarts: int
    book: Book
    effects: dict[str, int]
    pids: int
    unclean_ends: int
    answered_between: int
    """Requests answered from the first restart to the last: the load that was there."""

    @property
    def violations(self) -> dict[str, list[str]]:
        """Every promise that was broken, with its cases."""
        doubled = [f"{key}: {count} times" for key, count in self.effects.items() if count > 1]
        lost = [f"{key}: answered, and not there" for key in self.book.writes.keys() - self.effects]
        return {
            "no failed request": self.book.failures,
            "no connection refused": [f"{self.book.refused} refused"] if self.book.refused else [],
            "one effect for each key": doubled + lost,
            "ends in order": [f"{self.unclean_ends} did not"] if self.unclean_ends else [],
        }


@contextlib.asynccontextmanager
async def _loaded(port: int, book: Book, seed: int) -> AsyncIterator[None]:
    stop = asyncio.Event()
    clients = [
        KeepAlive(f"c{number}", port, book, random.Random(f"load{seed}-{number}"))
        for number in range(CLIENTS)
    ]
    calling = [asyncio.create_task(each.call_until(stop)) for each in clients]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*calling)


async def _in_the_middle(book: Book) -> None:
    """Wait until a stream has begun to arrive and not ended: an end now would break it off."""
    async with asyncio.timeout(30):
        while not book.streaming:  # noqa: ASYNC110  clients tell nobody of each chunk
            await asyncio.sleep(0.001)


async def restarted(folder: Path, *, restarts: int, seed: int, defect: str | None = None) -> Seen:
    """Restart so many times under load; tell what everybody saw."""
    chance = random.Random(f"faults{seed}")
    behind, book = Behind(), Book()
    server = await asyncio.start_server(behind.handle, "127.0.0.1", 0)
    backend = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    gateway = Restarted(folder, backend, defect=defect)
    unclean = 0
    try:
        await gateway.start()
        async with _loaded(gateway.port, book, seed):
            await asyncio.sleep(0.3)
            before = book.answered
            for _ in range(restarts):
                await _in_the_middle(book)
                unclean += await gateway.stop() != 0
                await gateway.start()
                await asyncio.sleep(0.2 + 0.5 * chance.random())
            between = book.answered - before
        unclean += await gateway.stop() != 0
    finally:
        await gateway.stop()
        gateway.close()
        server.close()
    return Seen(
        restarts=restarts, book=book, effects=dict(behind.effects), pids=len(set(gateway.pids)),
        unclean_ends=unclean, answered_between=between,
    )  # fmt: skip


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign, and its planted defects."""
    watch = Stopwatch()
    seen = await restarted(folder / "sound", restarts=RESTARTS[size], seed=seed)
    caught = {}
    for defect in DEFECTS:
        bad = await restarted(folder / defect, restarts=3, seed=seed, defect=defect)
        caught[defect] = any(bad.violations.values())
    result = Result(
        campaign="C6",
        what="a gateway ended by SIGTERM and started again under keep-alive load",
        size=size,
        seed=seed,
        trials=seen.restarts,
        accepted=seen.book.answered,
        faults={"restarts": seen.restarts},
        evidence={
            "processes": seen.pids - 1,
            "answered during restarts": seen.answered_between,
            "told to close": seen.book.told_to_close,
            "written": len(seen.book.writes),
        },
        violations=seen.violations,
        measures={"repeated": float(seen.book.repeated)},
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
