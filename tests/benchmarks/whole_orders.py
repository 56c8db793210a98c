"""Whole orders a second, over the vendors' own protocols, on this machine.

    python -m tests.benchmarks.whole_orders --orders 1500 --lines 20

Sandbox and system run as their own processes, vendor limits off; an order file of this size is
written, imported through the gateway, and every order is followed until the ERP has it and the
warehouse may pick it. Told: orders a second, and CPU milliseconds an order in each process.
"""

import argparse
import asyncio
import csv
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from tests.crash.processes import Stage, staged

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
          "CustomerID", "Country")  # fmt: skip


def write_order_file(path: Path, *, orders: int, lines: int, seed: int) -> None:
    """Write a file in the wholesaler's layout: so many orders of so many lines."""
    chance = random.Random(seed)
    catalogue = [(f"{20000 + n}", f"ITEM {n}", chance.randint(30, 1500) / 100) for n in range(3000)]
    moment = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(HEADER)
        for number in range(orders):
            customer = 10_000 + chance.randrange(800)
            moment += timedelta(seconds=chance.randint(5, 90))
            for code, name, price in chance.sample(catalogue, lines):
                writer.writerow(
                    (f"{700_000 + number}", code, name, chance.randint(1, 24),
                     moment.strftime("%Y-%m-%d %H:%M:%S"), f"{price:.2f}", customer,
                     "United Kingdom")
                )  # fmt: skip


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measure(folder: Path, orders: int, lines: int) -> dict[str, float]:
    """Import the file once and answer the figures."""
    path = folder / "orders.csv"
    write_order_file(path, orders=orders, lines=lines, seed=7)
    launcher = ("-m", "deploy.cli", "up", "--no-sandbox", "--limits", "off")
    async with staged(folder, launcher=launcher) as stage:
        before = _spent(stage)
        found = await asyncio.to_thread(_import, stage, path)
        after = _spent(stage)
    if not found["reconciled"] or found["confirmed"] != orders:
        raise SystemExit(f"not every order was confirmed: {found}")
    return {
        "orders/s": found["ordersPerSecond"],
        "seconds": found["seconds"],
        "system CPU ms/order": 1000 * (after[0] - before[0]) / orders,
        "sandbox CPU ms/order": 1000 * (after[1] - before[1]) / orders,
    }


def _spent(stage: Stage) -> tuple[float, float]:
    return cpu_seconds(stage.system.pids[-1]), cpu_seconds(stage.vendors.pids[-1])


def _import(stage: Stage, path: Path) -> dict:
    command = [sys.executable, "-m", "deploy.cli", "orders", "import", str(path), "--json"]
    done = subprocess.run(
        command, env=stage.environment, capture_output=True, timeout=600, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:])
    return msgspec.json.decode(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1500)
    parser.add_argument("--lines", type=int, default=20)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), asked.orders, asked.lines))
    print(f"whole orders, {asked.orders} of {asked.lines} lines, vendor limits off")
    for name, value in found.items():
        print(f"  {name:34} {value:8.1f}")


if __name__ == "__main__":
    main()
