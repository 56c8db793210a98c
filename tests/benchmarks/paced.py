"""Calls at a rate that waits for nobody: `python -m tests.benchmarks.paced`, asked in one line.

Independent callers arrive by chance, so the pauses between calls are exponential (a Poisson
process, seeded). A call's time begins when it is due, not when a connection is free for it: a
program that falls behind is not let off ("coordinated omission"). Each call has a keep-alive
connection to itself while it is under way; where none is free, another is opened.
"""

import random
import select
import socket
import sys
import time

import msgspec

_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = b"content-length:"
_MOST_CONNECTIONS = 512


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, where, how often a second, and for how long."""

    host: str
    port: int
    request: bytes
    rate: float
    seconds: float
    seed: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of every call that was answered 2xx, and how many were not."""

    milliseconds: list[float]
    refused: int


class _Connection:
    """One keep-alive connection, and the answer that is arriving on it."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""
        self.due = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        """Send a call that was due at an instant."""
        self.due, self._heard = due, b""
        self._socket.sendall(request)

    def hear(self) -> int | None:
        """Read what is there; the status once the answer is whole."""
        chunk = self._socket.recv(65_536)
        if not chunk:
            raise SystemExit("the connection was closed in the middle of an answer")
        self._heard += chunk
        head, found, body = self._heard.partition(_HEAD_ENDS)
        if not found or len(body) < _length(head):
            return None
        return int(head[9:12])


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(_LENGTH) + len(_LENGTH)
    return int(lowered[at:].split(b"\r\n", 1)[0])


def run(asked: Asked) -> Told:
    """Call until the time is over and everything under way is answered."""
    chance = random.Random(asked.seed)
    idle: list[_Connection] = []
    busy: set[_Connection] = set()
    took: list[float] = []
    refused = 0
    began = time.perf_counter()
    due = began + chance.expovariate(asked.rate)
    ends = began + asked.seconds
    while due < ends or busy:
        now = time.perf_counter()
        while due <= now and due < ends:
            if not idle and len(busy) >= _MOST_CONNECTIONS:
                raise SystemExit("the program under test does not keep up with this rate")
            one = idle.pop() if idle else _Connection(asked.host, asked.port)
            one.ask(asked.request, due)
            busy.add(one)
            due += chance.expovariate(asked.rate)
        wait = max(0.0, due - time.perf_counter()) if due < ends else 1.0
        ready, _, _ = select.select(busy, [], [], wait)
        for one in ready:
            status = one.hear()
            if status is not None:
                if 200 <= status < 300:
                    took.append((time.perf_counter() - one.due) * 1000)
                else:
                    refused += 1
                busy.discard(one)
                idle.append(one)
    return Told(milliseconds=took, refused=refused)


if __name__ == "__main__":
    told = run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Asked))
    sys.stdout.buffer.write(msgspec.json.encode(told))
