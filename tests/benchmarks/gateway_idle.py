"""What a gateway costs that nobody calls: `python -m tests.benchmarks.gateway_idle`.

Seconds from the start of the process to its first answer, memory then, and memory for each of a
thousand connections that have been used once and are kept alive. HAProxy, nginx and our forwarder
without policies beside it; every program with the configuration of `gateway_against_peers`.
"""

import argparse
import socket
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from tests.benchmarks.debian import Programs, programs
from tests.benchmarks.gateway_against_peers import WHAT
from tests.benchmarks.gateway_peers import PATH, Bench, Running
from tests.benchmarks.peers.installing import NotInstalled

_ENDS = b"\r\n\r\n"


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """One program."""

    starts: list[float]
    """Seconds to the first answer."""
    resident_mib: float
    connection_kib: float


def _used_once(running: Running, token: str) -> socket.socket:
    """A connection on which one call was answered, kept open."""
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    head = f"GET {PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while _ENDS not in answer or not answer.endswith(b"}"):
        answer += connection.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{running.name}: {answer[:200]!r}")
    return connection


def _idle(bench: Bench, running: Running, connections: int) -> float:
    """KiB for each connection."""
    warm = [_used_once(running, bench.key.token) for _ in range(100)]
    before = running.resident_kib
    held = [_used_once(running, bench.key.token) for _ in range(connections)]
    time.sleep(0.5)
    grown = running.resident_kib - before
    for each in (*warm, *held):
        each.close()
    return grown / connections


def measured(found: Programs, *, connections: int, starts: int) -> dict[str, Idle]:
    """Start each program so many times; hold connections to the last."""
    told: dict[str, Idle] = {}
    for name in WHAT:
        seconds = []
        for turn in range(starts):
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(found, Path(folder))
                try:
                    backend = bench.backend()
                    running = _started(bench, name, backend)
                    seconds.append(running.seconds_to_listen)
                    if turn == starts - 1:
                        resident = running.resident_kib / 1024
                        each = _idle(bench, running, connections)
                finally:
                    bench.stop()
        told[name] = Idle(starts=seconds, resident_mib=resident, connection_kib=each)
    return told


def _started(bench: Bench, name: str, backend: Running) -> Running:
    match name:
        case "haproxy":
            return bench.haproxy(backend)
        case "nginx":
            return bench.nginx(backend)
        case _:
            return bench.ours(name, backend)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--starts", type=int, default=3)
    asked = parser.parse_args(arguments)
    try:
        found = programs()
    except NotInstalled as reason:
        print(f"idle gateways: not run. {reason}")
        return
    told = measured(found, connections=asked.connections, starts=asked.starts)
    print(f"idle, {asked.connections} kept connections, {asked.starts} starts")
    print(f"  {'':46} {'start s':>8} {'MiB':>7} {'KiB a connection':>17}")
    for name, idle in told.items():
        start = statistics.median(idle.starts)
        print(
            f"  {WHAT[name]:46} {start:8.2f} {idle.resident_mib:7.1f} {idle.connection_kib:17.1f}"
        )


if __name__ == "__main__":
    main()
