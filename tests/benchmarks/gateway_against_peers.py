"""Forwarding with every policy, beside HAProxy, nginx and our own bare forwarder.

    python -m tests.benchmarks.gateway_against_peers --rounds 5 --seconds 3 [--json FILE]

One core for the program under test, another for the load and the backend; the programs take turns
in every round, in an order that changes, so that whoever else uses the machine slows all of them.
HAProxy verifies the same RS256 token and counts each consumer's calls; nginx knows no JWT and only
limits and forwards. Figures are medians over the rounds; the ratios are of the same round. CPU
a call is the steadier figure on a machine that is shared. At half of what the gateway can do, calls
come one by one: what it costs to wake a thread is shared by none, so a call costs more.
"""

import argparse
import os
import platform
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from tests.benchmarks.debian import Programs, programs
from tests.benchmarks.gateway_load import Latencies, Turn, at_a_rate, flat_out
from tests.benchmarks.gateway_peers import Bench, Running, refusals
from tests.benchmarks.peers.installing import NotInstalled

WHAT = {
    "full": "our gateway: RS256, quota, circuit, record",
    "haproxy": "HAProxy: RS256, rate of each consumer, record",
    "bare": "our forwarder, no policies",
    "nginx": "nginx: rate limit only, no JWT, record",
}

Figure = Literal["a_second", "cpu_micros"]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured in one run."""

    versions: Mapping[str, str]
    load_average: tuple[float, float, float]
    rounds: int
    seconds: float
    turns: Mapping[str, Sequence[Turn]]
    latencies: Mapping[str, Sequence[Latencies]]
    at_half: Mapping[str, Sequence[Turn]]
    """What each did while the latencies were taken."""

    def median(self, name: str, what: Figure) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(_figure(each, what) for each in self.turns[name])

    def ratio(self, name: str, other: str, what: Figure) -> float:
        """How many times as good one is as another in what they do: median over rounds."""
        pairs = zip(self.turns[name], self.turns[other], strict=True)
        found = [_figure(mine, what) / _figure(theirs, what) for mine, theirs in pairs]
        middle = statistics.median(found)
        return middle if what == "a_second" else 1 / middle

    def added_p99(self, name: str) -> float:
        """Milliseconds that a program adds to the 99th percentile: median over rounds."""
        pairs = zip(self.latencies[name], self.latencies["backend"], strict=True)
        return statistics.median(mine.p99 - direct.p99 for mine, direct in pairs)


def _figure(turn: Turn, what: Figure) -> float:
    return turn.a_second if what == "a_second" else turn.cpu_micros


def compared(found: Programs, *, rounds: int, seconds: float) -> Compared:
    """Start every program, let them take turns, stop them."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(found, Path(folder))
        try:
            backend = bench.backend()
            running = {
                "full": bench.ours("full", backend), "haproxy": bench.haproxy(backend),
                "bare": bench.ours("bare", backend), "nginx": bench.nginx(backend),
            }  # fmt: skip
            _alike(bench, running)
            turns = _turns(bench, found, running, rounds=rounds, seconds=seconds)
            rate = 0.5 * statistics.median(each.a_second for each in turns["full"])
            paced = {"full": running["full"], "haproxy": running["haproxy"], "backend": backend}
            latencies: dict[str, list[Latencies]] = {name: [] for name in paced}
            at_half: dict[str, list[Turn]] = {name: [] for name in paced}
            for turn in range(rounds):
                for name in random.Random(turn).sample(list(paced), len(paced)):
                    before = paced[name].cpu_seconds
                    measured = at_a_rate(
                        paced[name].url, bench.key.token, core=bench.around, rate=rate,
                        seconds=seconds,
                    )  # fmt: skip
                    latencies[name].append(measured)
                    spent, calls = paced[name].cpu_seconds - before, measured.a_second * seconds
                    at_half[name].append(
                        Turn(calls=round(calls), seconds=seconds, cpu_seconds=spent)
                    )
        finally:
            bench.stop()
    return Compared(
        versions=_versions(found), load_average=os.getloadavg(), rounds=rounds, seconds=seconds,
        turns=turns, latencies=latencies, at_half=at_half,
    )  # fmt: skip


def _alike(bench: Bench, running: Mapping[str, Running]) -> None:
    """Make sure that whoever is said to verify tokens does."""
    for name in ("full", "haproxy"):
        told = refusals(bench, running[name])
        if told != {"good": 200, "forged": 401, "none": 401}:
            raise SystemExit(f"{name} does not do the work: {told}")


def _turns(
    bench: Bench, found: Programs, running: Mapping[str, Running], *, rounds: int, seconds: float
) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in running}
    for each in running.values():
        flat_out(found, each.url, bench.key.token, core=bench.around, seconds=1)
    for turn in range(rounds):
        for name in random.Random(turn).sample(list(running), len(running)):
            each = running[name]
            before = each.cpu_seconds
            calls = flat_out(found, each.url, bench.key.token, core=bench.around, seconds=seconds)
            spent = each.cpu_seconds - before
            turns[name].append(Turn(calls=calls, seconds=seconds, cpu_seconds=spent))
    return turns


def _versions(found: Programs) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("granian", "pyreqwest", "uvloop", "joserfc")},
        "haproxy": found.version(found.haproxy, "-v").split()[2],
        "nginx": found.version(found.nginx, "-v").rpartition("/")[2],
        "h2load": found.version(found.h2load, "--version").rpartition("/")[2],
    }


def show(result: Compared) -> None:
    """Print the table."""
    load = ", ".join(f"{each:.1f}" for each in result.load_average)
    said = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    print(
        f"forwarding, {result.rounds} rounds of {result.seconds:g} s; load average {load}; {said}"
    )
    print(f"  {'':46} {'calls/s':>9} {'CPU us/call':>12}")
    for name, what in WHAT.items():
        rate, cpu = result.median(name, "a_second"), result.median(name, "cpu_micros")
        print(f"  {what:46} {rate:9.0f} {cpu:12.1f}")
    for other, goal in (("haproxy", 1.0), ("bare", 0.8), ("nginx", None)):
        rate = result.ratio("full", other, "a_second")
        cpu = result.ratio("full", other, "cpu_micros")
        wanted = f"  (goal {goal})" if goal else ""
        print(f"  ours to {other:12} {rate:6.2f} of its calls/s, {cpu:6.2f} by CPU a call{wanted}")
    rate = statistics.median(each.a_second for each in result.latencies["full"])
    for name in ("full", "haproxy"):
        p50 = statistics.median(each.p50 for each in result.latencies[name])
        cpu = statistics.median(each.cpu_micros for each in result.at_half[name])
        print(
            f"  at {rate:.0f} calls/s, half of our capacity, {name} adds "
            f"{result.added_p99(name):.2f} ms to the p99; its p50 is {p50:.2f} ms, "
            f"CPU {cpu:.0f} us/call"
        )


def main(arguments: list[str] | None = None) -> None:
    """Print the table; keep the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="keep every figure in this file")
    asked = parser.parse_args(arguments)
    try:
        found = programs()
    except NotInstalled as reason:
        print(f"forwarding beside HAProxy and nginx: not run. {reason}")
        return
    result = compared(found, rounds=asked.rounds, seconds=asked.seconds)
    show(result)
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))


if __name__ == "__main__":
    main()
