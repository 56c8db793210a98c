"""Price, credit, stock and tax of a quote at once: assembled, and as services over httpx.

    python -m tests.benchmarks.checks_assembled --rounds 5 --seconds 3 [--json FILE]

Assembled: `crossdock up` as it is shipped, gateway and all, warm. Apart: experience, process and
system tier as three Litestar services that call each other with httpx, without a gateway; once
with the process tier's copies, once without any, as services that ask each other have none. The
programs under test share one core, load and vendors another; they take turns. CPU a call is that
of all processes of a side.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from deploy.sandbox import credentials
from tests.benchmarks.debian import Programs, programs
from tests.benchmarks.gateway_load import Latencies, Turn, at_a_rate, flat_out
from tests.benchmarks.gateway_peers import Bench, Running
from tests.benchmarks.peers.installing import NotInstalled
from tests.scenarios.stage import config_file
from tests.serving import free_port

LINES = 5
PATH = "/sales/v1/quote-validations"
WHAT = {
    "assembled": "gateway and three tiers, assembled, warm",
    "apart": "three Litestar services over httpx, copies kept",
    "apart, cold": "three Litestar services over httpx, no copies",
}
QUOTA = """
[plans.standard]
checks = [{ quota = 1_000_000, seconds = 60 }]
"""
PARTS = ("price", "credit", "tax", "availability")
_CLIENT = "crm"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured in one run."""

    versions: Mapping[str, str]
    load_average: tuple[float, float, float]
    turns: Mapping[str, Sequence[Turn]]
    half_load: Sequence[Latencies]

    def ratio(self, other: str, *, by_cpu: bool) -> float:
        """How many times as much the assembled system does: the median over rounds."""
        pairs = zip(self.turns["assembled"], self.turns[other], strict=True)
        if by_cpu:
            return statistics.median(theirs.cpu_micros / ours.cpu_micros for ours, theirs in pairs)
        return statistics.median(ours.a_second / theirs.a_second for ours, theirs in pairs)


class Side:
    """The processes of one side: one is called, all are counted."""

    def __init__(self, called: Running, *others: Running) -> None:
        self.url = f"http://127.0.0.1:{called.port}{PATH}"
        self._all = (called, *others)

    @property
    def cpu_seconds(self) -> float:
        """Of all of them."""
        return sum(each.cpu_seconds for each in self._all)


def _post(url: str, content: bytes, token: str = "") -> Any:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=content, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return msgspec.json.decode(answer.read())


def _token(port: int) -> str:
    form = f"grant_type=client_credentials&client_id={_CLIENT}&client_secret={_CLIENT}-dev-secret"
    request = urllib.request.Request(f"http://127.0.0.1:{port}/oauth/token", data=form.encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(msgspec.json.decode(answer.read())["access_token"])


def _quote(sandbox: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{sandbox}/_sandbox/catalog", timeout=10) as said:
        catalog = msgspec.json.decode(said.read())
    customer, item = catalog["customers"]["good"], catalog["items"]["good"]
    lines = [{"item": f"bc:{item['number']}", "quantity": str(1 + n)} for n in range(LINES)]
    quote = {
        "customer": f"bc:{customer['number']}",
        "currency": customer["currency"],
        "lines": lines,
    }
    return msgspec.json.encode(quote)


class Stage:
    """Vendors beside the load; the assembled system and the services on the other core."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._ports = {"CROSSDOCK_SANDBOX_PORT": str(free_port())}
        self.sandbox = int(self._ports["CROSSDOCK_SANDBOX_PORT"])
        os.environ.update(self._ports, CROSSDOCK_SANDBOX_LIMITS="off")
        self._started(
            "vendors", ["-m", "deploy.sandbox", "--limits", "off"], self.sandbox, bench.around
        )

    def _started(self, name: str, arguments: list[str], port: int, core: int) -> Running:
        data = self._folder / f"data-{name}"
        os.environ.update(CROSSDOCK_DATA=str(data), CROSSDOCK_PORT=str(port))
        return self._bench.start(name, [sys.executable, *arguments], port, core)

    def assembled(self) -> tuple[Side, Running]:
        """The product, with a quota that is counted and never reached."""
        port = free_port()
        told: Any = SimpleNamespace(
            gateway=f"http://127.0.0.1:{port}",
            sandbox=f"http://127.0.0.1:{self.sandbox}",
            folder=self._folder,
        )
        file = self._folder / "crossdock.toml"
        file.write_text(config_file(told, QUOTA, 86_400), encoding="utf-8")
        os.environ.update(CROSSDOCK_CONFIG=str(file), ERP_SECRET=credentials.APP_SECRET)
        up = self._started(
            "assembled", ["-m", "deploy.cli", "up", "--no-sandbox"], port, self._bench.tested
        )
        return Side(up), up

    def apart(self, name: str, *more: str) -> Side:
        """Three services."""
        below, services = "-", []
        for tier in ("system", "process", "experience"):
            port = free_port()
            arguments = ["-m", "tests.benchmarks.checks_service", tier, str(port), below, *more]
            services.append(self._started(f"{name}-{tier}", arguments, port, self._bench.tested))
            below = f"http://127.0.0.1:{port}"
        return Side(services[-1], *services[:-1])


def _alike(sides: Mapping[str, Side], body: bytes, token: str) -> None:
    """Make sure that all answer the same quote in the same words."""
    told = {name: _post(side.url, body, token) for name, side in sides.items()}
    for name, answer in told.items():
        parts = {
            part: answer[part]["standing"]["freshness"]
            for part in ("price", "credit", "tax", "availability")
        }
        good = {"firm"} if name != "apart, cold" else {"firm", "stale"}  # old at once, there
        if not good.issuperset(parts.values()):
            raise SystemExit(f"{name} is not firm: {parts}")
        net = answer["price"]["answer"]["netAmount"]
        if net != told["assembled"]["price"]["answer"]["netAmount"]:
            raise SystemExit(f"{name} prices otherwise: {net}")


def checked(found: Programs, *, rounds: int, seconds: float) -> Checked:
    """Start every side, let them take turns, stop them."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(found, Path(folder))
        try:
            stage = Stage(bench, Path(folder))
            ours, up = stage.assembled()
            sides = {"assembled": ours, "apart": stage.apart("apart"),
                     "apart, cold": stage.apart("cold", "cold")}  # fmt: skip
            body = Path(folder) / "quote.json"
            body.write_bytes(_quote(stage.sandbox))
            for _ in range(3):  # the first call loads, the second finds copies
                _alike(sides, body.read_bytes(), _token(up.port))
            turns = _turns(bench, found, sides, up, body, rounds=rounds, seconds=seconds)
            half = statistics.median(each.a_second for each in turns["assembled"]) / 2
            latencies = [
                at_a_rate(ours.url, _token(up.port), core=bench.around, rate=half,
                          seconds=seconds, body=body)
                for _ in range(rounds)
            ]  # fmt: skip
        finally:
            bench.stop()
    versions = {name: version(name) for name in ("litestar", "httpx", "granian", "msgspec")}
    return Checked(
        versions={"python": platform.python_version(), **versions},
        load_average=os.getloadavg(), turns=turns, half_load=latencies,
    )  # fmt: skip


def _turns(
    bench: Bench, found: Programs, sides: Mapping[str, Side], up: Running, body: Path, *,
    rounds: int, seconds: float,
) -> dict[str, list[Turn]]:  # fmt: skip
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name in random.Random(turn).sample(list(sides), len(sides)):
            side, before = sides[name], sides[name].cpu_seconds
            calls = flat_out(
                found, side.url, _token(up.port), core=bench.around, seconds=seconds, body=body
            )
            spent = side.cpu_seconds - before
            if turn:  # the first is to warm up
                turns[name].append(Turn(calls=calls, seconds=seconds, cpu_seconds=spent))
    return turns


def show(result: Checked) -> None:
    """Print the table."""
    load = ", ".join(f"{each:.1f}" for each in result.load_average)
    print(f"combined check of {LINES} lines: price, credit, stock, tax; load average {load}")
    print("  " + ", ".join(f"{name} {number}" for name, number in result.versions.items()))
    print(f"  {'':50} {'calls/s':>9} {'CPU us/call':>12}")
    for name, what in WHAT.items():
        rate = statistics.median(each.a_second for each in result.turns[name])
        cpu = statistics.median(each.cpu_micros for each in result.turns[name])
        print(f"  {what:50} {rate:9.0f} {cpu:12.0f}")
    for name, goal in (("apart", ""), ("apart, cold", "  (goal 5)")):
        rate, cpu = result.ratio(name, by_cpu=False), result.ratio(name, by_cpu=True)
        print(f"  assembled to {name:12} {rate:6.1f} times the calls/s, {cpu:6.1f} by CPU{goal}")
    p50 = statistics.median(each.p50 for each in result.half_load)
    p99 = statistics.median(each.p99 for each in result.half_load)
    rate = statistics.median(each.a_second for each in result.half_load)
    print(f"  at half load, {rate:.0f} calls/s: p50 {p50:.2f} ms, p99 {p99:.2f} ms  (goal 10)")


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
        print(f"combined check: not run. {reason}")
        return
    result = checked(found, rounds=asked.rounds, seconds=asked.seconds)
    show(result)
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))


if __name__ == "__main__":
    main()
