"""The eight steps on Restate: its server, its handler, and a load, as one program.

    python -m tests.benchmarks.peers.restate_program FOLDER CALLERS PARTITIONS SERVER PYTHON

To be run in a network namespace of its own (`unshare --net`) with no way out and with every port
free: the server looks for news of its maker when it starts, telemetry or not. For each line
of its input, `{"amount": N, "order": {...}}`, it sends N calls through the ingress, CALLERS of them
at a time, each under an idempotency key and awaited to its end, and answers
`{"seconds": ..., "cpu": ..., "handler_cpu": ...}`, `cpu` being the server's and the handler's.
The server has a core of its own; handler and load share the other.
"""

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError

from tests.benchmarks.counting import STEPS, cores, on_core

NODE, ADMIN, INGRESS, HANDLER = 5122, 9070, 8080, 9080
PATIENCE = 30
SETTINGS = """
base-dir = "{folder}/data"
bind-ip = "127.0.0.1"
advertised-host = "127.0.0.1"
listen-mode = "tcp"
disable-telemetry = true
log-filter = "warn"
default-num-partitions = {partitions}
"""


def raise_loopback() -> None:
    """A new network namespace has a loopback device that is down (netdevice(7))."""
    with socket.socket() as any_socket:
        up = struct.pack("16sH14x", b"lo", 0x1 | 0x8 | 0x40)  # IFF_UP, IFF_LOOPBACK, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


def start(folder: Path, partitions: str, server: str, python: str) -> list[psutil.Popen]:
    """The server on the first core, the handler on the second."""
    settings = folder / "restate.toml"
    settings.write_text(SETTINGS.format(folder=folder, partitions=partitions))
    first, second = cores()
    here = Path(__file__).parent
    handler = [python, "-m", "hypercorn", "--bind", f"127.0.0.1:{HANDLER}", "restate_handler:app"]
    with (folder / "log").open("ab") as log:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        with on_core(first):
            one = psutil.Popen([server, "--no-logo", "--config-file", str(settings)], **quiet)
        with on_core(second):
            two = psutil.Popen(handler, cwd=here, **quiet)
    return [one, two]


async def register(client: Client) -> None:
    """Tell the server where the handler is, as soon as both are there."""
    body = msgspec.json.encode({"uri": f"http://127.0.0.1:{HANDLER}"})
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            answer = await post(client, f"http://127.0.0.1:{ADMIN}/deployments", body, "deploy")
        except ConnectError:
            answer = None
        if answer is not None and answer.status == 201:
            return
        if time.monotonic() > ends:
            raise SystemExit("Restate did not start: see its log")
        await asyncio.sleep(0.2)


async def post(client: Client, url: str, body: bytes, key: str):
    request = client.post(url).body_bytes(body).header("content-type", "application/json")
    return await request.header("idempotency-key", key).build().send()


async def run(client: Client, amount: int, callers: int, order: object) -> None:
    body = msgspec.json.encode(order)
    prefix, numbers = time.time_ns(), iter(range(amount))

    async def caller() -> None:
        for number in numbers:
            answer = await post(
                client, f"http://127.0.0.1:{INGRESS}/orders/carry", body, f"{prefix}-{number}"
            )
            if int(bytes(await answer.bytes())) != STEPS:
                raise SystemExit("an invocation did not do its steps")

    await asyncio.gather(*(caller() for _ in range(callers)))


def spent(programs: list[psutil.Popen]) -> list[float]:
    """User and system seconds of a program and the children it has."""
    found = []
    for program in programs:
        family = [program, *program.children(recursive=True)]
        found.append(sum(t.user + t.system for t in (one.cpu_times() for one in family)))
    return found


async def main() -> None:
    folder, callers, partitions, server, python = sys.argv[1:]
    raise_loopback()
    programs = start(Path(folder), partitions, server, python)
    try:
        async with ClientBuilder().build() as client:
            await register(client)
            print(msgspec.json.encode({"ready": True}).decode(), flush=True)
            loop = asyncio.get_running_loop()
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                asked = msgspec.json.decode(line)
                began, before = time.perf_counter(), spent(programs)
                await run(client, asked["amount"], int(callers), asked["order"])
                took, after = time.perf_counter() - began, spent(programs)
                used = [new - old for new, old in zip(after, before, strict=True)]
                told = {"seconds": took, "cpu": sum(used), "handler_cpu": used[1]}
                print(msgspec.json.encode(told).decode(), flush=True)
    finally:
        for program in programs:
            for one in [*program.children(recursive=True), program]:
                one.kill()
            program.wait()


if __name__ == "__main__":
    asyncio.run(main())
