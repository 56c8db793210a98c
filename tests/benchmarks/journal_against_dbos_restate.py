"""Whole orders of eight journaled steps: this journal beside DBOS and Restate, in one run.

    python -m tests.benchmarks.journal_against_dbos_restate --rounds 3

Each product runs as a program of its own and does the same work: an order of twenty lines comes in
under a key, eight steps do nothing and answer the order with a count raised, each step's answer is
journaled before the next, and the caller hears of the end. All are durable: PostgreSQL and SQLite
make every commit sure, Restate its log. They take turns, round by round, so that what else the
machine does falls on all of them. The program under test has one core, its load and its database
the other; for Restate the handler is with the load, so that its server has a core to itself.

Callers at a time are those at which each product did best here: DBOS is given its own best of
plain functions on few threads, Restate fewer partitions than it would take by itself, which nearly
doubles its throughput on two cores (`--partitions 24` is its default).
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from tests.benchmarks.counting import Order, cores, on_core
from tests.benchmarks.peers import installing
from tests.postgres_server import a_postgresql_database, the_server

CALLERS = {"journal": 128, "dbos": 4, "restate": 256}
PEERS = Path(__file__).parent / "peers"


class Contestant:
    """A program that answers every line with how long the work of that line took."""

    def __init__(self, name: str, command: list[str], core: set[int] | None, log: Path) -> None:
        self.name = name
        self.rates: list[float] = []
        self.milliseconds: list[float] = []
        place = contextlib.nullcontext() if core is None else on_core(core)
        with place, log.open("ab") as errors:
            self._program = psutil.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self._log = log
        self._hear()

    def run(self, amount: int, *, keep: bool = True) -> None:
        """Do the work so many times; `keep` the figure."""
        asked = msgspec.json.encode({"amount": amount, "order": Order()}) + b"\n"
        self._program.stdin.write(asked)
        self._program.stdin.flush()
        heard = self._hear()
        if keep:
            self.rates.append(amount / heard["seconds"])
            self.milliseconds.append(1000 * heard["cpu"] / amount)

    def _hear(self) -> dict[str, float]:
        line = self._program.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended: {self._log.read_text()[-2000:]}")
        return msgspec.json.decode(line)

    def close(self) -> None:
        """End the program and whatever it started."""
        family = [self._program, *self._program.children(recursive=True)]
        self._program.stdin.close()
        _, alive = psutil.wait_procs(family, timeout=15)
        for program in alive:
            program.kill()
        self._program.wait()


def commands(folder: Path, partitions: int) -> Iterator[tuple[str, list[str], bool]]:
    """Name, command and whether to pin it, of each that can be installed; tell of the others."""
    module = [sys.executable, "-m", "tests.benchmarks.peers.journal_program"]
    for store, url in (
        ("SQLite", f"sqlite:///{folder}/journal.db"),
        ("PostgreSQL", a_postgresql_database()),
    ):
        yield f"journal, {store}", [*module, url, str(CALLERS["journal"])], True
    try:
        python = installing.dbos_python()
    except installing.NotInstalled as reason:
        print(f"left out: {reason}")
    else:
        program = [str(python), str(PEERS / "dbos_program.py")]
        for store, url in (
            ("SQLite", f"sqlite:///{folder}/dbos.db"),
            ("PostgreSQL", a_postgresql_database()),
        ):
            yield f"DBOS, {store}", [*program, url, str(CALLERS["dbos"])], True
    try:
        yield "Restate", _restate(folder, partitions), False
    except installing.NotInstalled as reason:
        print(f"left out: {reason}")


def _restate(folder: Path, partitions: int) -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        raise installing.NotInstalled("Restate: it is run without a way out, which takes root")
    place = tempfile.mkdtemp(dir=folder)
    program = [sys.executable, "-m", "tests.benchmarks.peers.restate_program", place,
               str(CALLERS["restate"]), str(partitions), str(installing.restate_server()),
               str(installing.restate_python())]  # fmt: skip
    return [unshare, "--net", *program]


def pin_postgresql(core: set[int]) -> None:
    """The server and what it starts, on the core of load and database."""
    server = psutil.Process(the_server().get_pid())
    for program in [server, *server.children(recursive=True)]:
        program.cpu_affinity(list(core))


def amount_of(name: str, scale: float) -> int:
    """Enough for some seconds of each."""
    return int({"DBOS": 120, "Restate": 900}.get(name.partition(",")[0], 3000) * scale)


def compare(folder: Path, rounds: int, scale: float, partitions: int) -> list[Contestant]:
    """Every round, everyone once."""
    program_core, database_core = cores()
    pin_postgresql(database_core)
    found: list[Contestant] = []
    try:
        for name, command, pinned in commands(folder, partitions):
            log = folder / f"{name}.log"
            core = program_core if pinned else (program_core | database_core)
            found.append(Contestant(name, command, core, log))
        for one in found:
            one.run(max(1, amount_of(one.name, scale) // 4), keep=False)
        for _ in range(rounds):
            for one in found:
                one.run(amount_of(one.name, scale))
    finally:
        for one in found:
            one.close()
    return found


def report(found: list[Contestant]) -> dict:
    """Medians and ratios, as a value."""
    rate = {one.name: statistics.median(one.rates) for one in found}
    ratios = {
        f"{mine} / {theirs}": rate[mine] / rate[theirs]
        for mine in rate
        for theirs in rate
        if mine.startswith("journal")
        and (theirs == "Restate" or theirs == mine.replace("journal", "DBOS"))
    }
    return {
        "versions": [installing.DBOS, *installing.RESTATE_SDK, installing.RESTATE_SERVER],
        "loadAverage": os.getloadavg()[0],
        "workflowsPerSecond": rate,
        "rounds": {one.name: one.rates for one in found},
        "cpuMilliseconds": {one.name: statistics.median(one.milliseconds) for one in found},
        "ratios": ratios,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every amount")
    parser.add_argument("--partitions", type=int, default=4, help="of Restate's log")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        told = report(compare(Path(folder), asked.rounds, asked.scale, asked.partitions))
    if asked.json:
        print(msgspec.json.encode(told).decode())
        return
    print(f"whole orders of 8 journaled steps ({', '.join(told['versions'])}; "
          f"load average {told['loadAverage']:.1f})")  # fmt: skip
    for name, rate in told["workflowsPerSecond"].items():
        rounds = " ".join(f"{each:,.0f}" for each in told["rounds"][name])
        print(f"  {name:20} {rate:8,.1f}/s  {told['cpuMilliseconds'][name]:6.2f} ms CPU each  "
              f"(rounds: {rounds})")  # fmt: skip
    for name, ratio in told["ratios"].items():
        print(f"  {name:40} {ratio:6.1f}x")


if __name__ == "__main__":
    main()
