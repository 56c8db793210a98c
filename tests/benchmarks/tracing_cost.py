"""What traces cost the gateway: `python -m tests.benchmarks.tracing_cost`.

The same authenticated call as in `gateway_policies`, without tracing, with tracing that samples
nothing, and with one call in ten sampled and sent to a collector in a process of its own. The three
take turns, so that a busy machine slows all of them; CPU time of the whole process, so that the
thread that sends is counted. The ratio is what counts.

Then calls through sockets, forwarded as in `gateway_against_peers`, as fast as they go: with one in
ten traced, and without. Every turn is a fresh pair of processes, since two processes of the same
program differ by more than a trace costs.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from gateway.application import Gateway
from gateway.call import Message
from runtime.clock import SystemClock
from runtime.exporting import SpanExport, otlp
from runtime.tracing import Span, Tracing
from tests.benchmarks.debian import Programs, programs
from tests.benchmarks.gateway_load import flat_out
from tests.benchmarks.gateway_peers import Bench
from tests.benchmarks.gateway_policies import BODY, a_gateway, a_scope, a_token, receiving
from tests.benchmarks.peers.installing import NotInstalled

ROUNDS = 12
CALLS = 12_000
PAIRS = 9
SECONDS = 3
COLLECTOR = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
"""


class EachTurn:
    """Sends as the product does, and has sent everything when a turn is over."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._export = SpanExport(otlp(endpoint))
        self.taken = 0

    def open(self) -> None:
        """Begin a turn."""
        self._export = SpanExport(otlp(self._endpoint))
        self._export.open()

    def record(self, span: Span) -> None:
        """Take a span."""
        self.taken += 1
        self._export.record(span)

    async def close(self, within: float) -> None:
        """End a turn."""
        await self._export.close(within)


async def send(_: Message) -> None:
    """Drop what is answered."""


async def caller(gateway: Gateway) -> Callable[[], Awaitable[None]]:
    """Sign in; answer what makes one call."""
    headers = [
        (b"authorization", b"Bearer " + await a_token(gateway)),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
    ]
    scope = a_scope("POST", "/sales/v1/price-checks", headers)
    return lambda: gateway(dict(scope), receiving(BODY), send)


async def measured(endpoint: str, data: Path) -> dict[str, list[float]]:
    """Answer the microseconds a call took in each turn, of each of the three."""
    sending = EachTurn(endpoint)
    clock, chance = SystemClock(), Random(7)
    tracings = {
        "no tracing": None,
        "0 % sampled": Tracing(EachTurn(endpoint), ratio=0.0, clock=clock, chance=chance),
        "10 % sampled": Tracing(sending, ratio=0.1, clock=clock, chance=chance),
    }
    gateways = {name: a_gateway(data / name, tracing) for name, tracing in tracings.items()}
    callers = {}
    for name, gateway in gateways.items():
        await gateway.startup()
        callers[name] = await caller(gateway)
    spent: dict[str, list[float]] = {name: [] for name in callers}
    for turn in range(ROUNDS + 1):
        for name in Random(turn).sample(list(callers), len(callers)):
            call, tracing = callers[name], tracings[name]
            gc.collect()
            began = time.process_time()
            if tracing is not None:
                tracing.start()
            for _ in range(CALLS):
                await call()
            if tracing is not None:
                await tracing.stop()  # what was sampled in this turn is sent in this turn
            if turn:
                spent[name].append((time.process_time() - began) / CALLS * 1e6)
    for gateway in gateways.values():
        await gateway.shutdown()
    share = sending.taken / ((ROUNDS + 1) * CALLS)
    if not 0.09 < share < 0.11:
        raise SystemExit(f"{share:.1%} of the calls were sampled")
    return spent


def forwarded(found: Programs) -> dict[str, list[float]]:
    """Answer the calls a second of fresh gateways, without traces and with."""
    rates: dict[str, list[float]] = {"full": [], "traced": []}
    for pair in range(PAIRS):
        for kind in Random(pair).sample(list(rates), len(rates)):
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(found, Path(folder))
                try:
                    running = bench.ours(kind, bench.backend())
                    for seconds in (1, SECONDS):  # the first is to warm up
                        calls = flat_out(
                            found, running.url, bench.key.token, core=bench.around, seconds=seconds
                        )
                    rates[kind].append(calls / SECONDS)
                finally:
                    bench.stop()
    return rates


def main() -> None:
    """Print the tables."""
    gc.collect()
    with (
        tempfile.TemporaryDirectory() as data,
        subprocess.Popen(
            [sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True
        ) as collector,
    ):
        assert collector.stdout is not None
        port = int(collector.stdout.readline())
        found = asyncio.run(measured(f"http://127.0.0.1:{port}/v1/traces", Path(data)))
        collector.terminate()
    bare = found["no tracing"]
    print(f"tracing, {ROUNDS} turns of {CALLS} calls each")
    for name, turns in found.items():
        share = statistics.median(one / other for one, other in zip(bare, turns, strict=True))
        print(f"  {name:34} {statistics.median(turns):8.1f} us  {share:6.1%} of the throughput")
    try:
        rates = forwarded(programs())
    except NotInstalled as reason:
        print(f"tracing where calls are forwarded: not run. {reason}")
        return
    plain, traced = (statistics.median(rates[kind]) for kind in ("full", "traced"))
    pairs = zip(rates["traced"], rates["full"], strict=True)
    share = statistics.median(one / other for one, other in pairs)
    print(f"tracing where calls are forwarded, {PAIRS} pairs of processes, {SECONDS} s each")
    print(f"  without {plain:.0f} calls/s, 10 % sampled {traced:.0f}: {share:.1%} (goal 90 %)")


if __name__ == "__main__":
    main()
