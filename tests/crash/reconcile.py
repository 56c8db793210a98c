"""Campaign E5: differences planted in four books are all found, rightly classed, none invented.

python -m tests.crash E5 --size full --keep
python -m tests.crash.reconcile --differences 500 --orders 2000
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from contracts.ports.reconciliation import DifferenceQuery
from process_apis.quote_to_order.book import OrderBook
from process_apis.quote_to_order.reports import CrmTeller
from process_apis.reconciliation import sweeping
from process_apis.reconciliation.api import ReconciliationApi
from process_apis.reconciliation.settings import ReconciliationSettings
from runtime.clock import SystemClock
from runtime.store.engine import Store
from tests.connected import connected
from tests.crash.books import KINDS, Books, cases_of
from tests.crash.result import Result, Size, Stopwatch, shown, whole

SIZES = {"smoke": (30, 3 * len(KINDS)), "full": (2_500, 500)}
"""Sound orders, and differences."""

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


class Seen(Struct, frozen=True, kw_only=True):
    """What a sweep said: (kind, reference) of every difference, and its statement."""

    differences: Counter
    statement: str
    complete: bool | None
    compared: dict[str, int]


class HastyWarehouse:
    """Defect: of the warehouse's orders only the first page is read."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def list_releases(self, query):
        page = await self._inner.list_releases(query)
        return msgspec.structs.replace(page, cursor=None)


class OneWaySweep(sweeping.Sweep):
    """Defect: only what the journal knows is looked for in the systems."""

    async def _from_systems(self, span):
        pass


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """Plant, sweep, compare; then let each defect be caught."""
    sound, differences = SIZES[size]
    return [await reconcile(folder, sound=sound, differences=differences, size=size, seed=seed)]


async def reconcile(folder: Path, *, sound: int, differences: int, size: Size, seed: int) -> Result:
    """Answer what was found of what was planted."""
    watch, chance = Stopwatch(), random.Random(seed)
    store = Store(f"sqlite:///{folder / 'journal.db'}")
    store.open()
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(store.close)
        async with connected() as vendors:
            clock = SystemClock()
            books = Books(vendors, store, clock, chance)
            cases = cases_of(sound, differences, chance)
            planted = Counter((each.kind, each.reference.upper()) for each in cases if each.kind)
            await books.make(cases)
            made = watch.seconds

            async def sweep(wms=vendors.wms, engine=sweeping.Sweep):
                return await _swept(books, vendors, store, clock, wms=wms, engine=engine)

            seen, again = await sweep(), await sweep()
            lazy = {
                "reads one page": await sweep(wms=HastyWarehouse(vendors.wms)),
                "compares one way": await sweep(engine=OneWaySweep),
            }
    result = Result(
        campaign="E5",
        what="Differences between CRM, journal, ERP and warehouse are found and classed",
        size=size,
        seed=seed,
        trials=len(cases),
        accepted=sound,
        faults=dict(Counter(kind for kind, _ in planted)),
        evidence={
            **{kind: sum(1 for k, _ in planted if k == kind) for kind in KINDS},
            **{f"compared in {name}": count for name, count in seen.compared.items()},
        },
        violations={
            "not found": _named(planted - seen.differences),
            "invented": _named(seen.differences - planted),
            "another answer the second time": _named(seen.differences - again.differences),
            "said to be complete": [seen.statement] if seen.complete is not False else [],
        },
        measures={"planting_s": made, "in_all_s": watch.seconds},
    )
    defects = {name: told.differences != planted for name, told in lazy.items()}
    return whole(result, defects=defects, seconds=watch.seconds)


async def _swept(books, vendors, store, clock, *, wms, engine):
    """Sweep with an engine, and answer what it said."""
    api = ReconciliationApi(
        orders=OrderBook(store, books.journal.types), erp=vendors.erp, wms=wms, crm=vendors.crm,
        store=store, settings=ReconciliationSettings(), clock=clock, mint=books.journal.mint,
        teller=CrmTeller(books.journal), engine=engine,
    )  # fmt: skip
    await asyncio.sleep(1.1)  # the vendors tell whole seconds
    swept = await api.sweep_now(EARLIER, 0)
    found, cursor = Counter(), None
    while True:
        page = await api.differences(swept.id, DifferenceQuery(cursor=cursor, limit=500))
        found.update((each.kind, each.reference.upper()) for each in page.differences)
        cursor = page.cursor
        if cursor is None:
            break
    return Seen(
        differences=found, statement=swept.says, complete=swept.complete, compared=swept.compared
    )


def _named(some: Counter) -> list[str]:
    return [f"{kind} {reference}" for kind, reference in sorted(some.elements())]


def main() -> int:
    """Run once, with as many orders as asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.reconcile", description=__doc__)
    parser.add_argument("--differences", type=int, default=500)
    parser.add_argument("--orders", type=int, default=2_500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(
            reconcile(
                Path(folder), sound=asked.orders, differences=asked.differences, size="full",
                seed=asked.seed,
            )
        )  # fmt: skip
    print(shown(result).decode(), flush=True)
    return 0 if result.verdict == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
