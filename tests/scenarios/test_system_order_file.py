"""A wholesaler's file through the command line: ordered once, credited where it can be matched."""

import asyncio
import gzip
import os
import signal
import sys
from collections import Counter
from decimal import Decimal

import msgspec
import pytest

from tests.crash.processes import ROOT
from tests.scenarios.stage import eventually, opened

pytestmark = pytest.mark.anyio

HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ORDERS = [
    f"{540001 + n},{85123 + n}A,HEART HOLDER NO {n},{6 + n},2010-12-0{1 + n % 9} 08:26:00,"
    f"{2 + n % 3}.{55 + n},{17850 + n % 5},United Kingdom"
    for n in range(14)
]
"""Fourteen orders of one line for five customers."""
SECOND_LINES = [
    '540001,71053,"WHITE METAL LANTERN, ""LARGE""",3,2010-12-01 08:26:00,3.39,17850,United Kingdom',
    "540001,85123A,HEART HOLDER NO 0,2,2010-12-01 08:26:00,2.10,17850,United Kingdom",
    "540002,22752,SET 7 BABUSHKA NESTING BOXES,2,2010-12-01 08:26:00,7.6543,17851,France",
]
CREDITS = [
    "C540101,85123A,HEART HOLDER NO 0,-5,2010-12-20 09:00:00,2.55,17850,United Kingdom",
    "C540102,71053,WHITE METAL LANTERN,-1,2010-12-20 09:00:00,3.39,17850,United Kingdom",
    "C540103,71053,WHITE METAL LANTERN,-9,2010-12-21 09:00:00,3.39,17850,United Kingdom",
    "C540104,85199S,NEVER ORDERED,-1,2010-12-21 09:00:00,1.00,17850,United Kingdom",
]
"""Two that fit an order, one of more than there was, one of what never was."""
DIRTY = [
    "540201,85123A,NO CUSTOMER,6,2010-12-01 08:26:00,2.55,,United Kingdom",
    "540001,84406B,FREE OF CHARGE,6,2010-12-01 08:26:00,0.00,17850,United Kingdom",
    "540002,84406B,RETURNED,-6,2010-12-01 08:26:00,2.55,17851,United Kingdom",
    "540003,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,17852,United Kingdom",
    "C540105,D,Discount,-1,2010-12-01 08:26:00,27.50,17850,United Kingdom",
]
NET = Decimal(0) + sum(
    (
        (Decimal(row.split(",")[-5]) * Decimal(row.split(",")[-3])).quantize(Decimal("0.01"))
        for row in [*ORDERS, *SECOND_LINES]
    ),
    Decimal(0),
)


class Import:
    """One run of `crossdock orders import`."""

    def __init__(self, stage, path, *options):
        self._stage = stage
        self._command = [sys.executable, "-m", "deploy.cli", "orders", "import", str(path)]
        self._options = options
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self._command, "--json", *self._options, cwd=ROOT,
            env={**os.environ, **self._stage.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self

    async def ended(self, *, within=60.0):
        """Exit code, the figures of the last line, and everything said."""
        async with asyncio.timeout(within):
            out, err = await self.process.communicate()
        lines = out.decode().strip().splitlines()
        figures = msgspec.json.decode(lines[-1]) if lines and lines[-1][0] == "{" else None
        return self.process.returncode, figures, out.decode() + err.decode()


@pytest.fixture(scope="module")
async def stage(tmp_path_factory):
    """A house of its own: a file brings customers and items that others do not expect."""
    async with opened(tmp_path_factory.mktemp("files")) as outside:
        yield outside


@pytest.fixture(scope="module")
async def first(stage):
    """The file imported once."""
    path = stage.folder / "orders.csv"
    path.write_text("\n".join([HEAD, *ORDERS, *SECOND_LINES, *DIRTY, *CREDITS]) + "\n")
    run = await Import(stage, path).start()
    code, figures, said = await run.ended()
    assert figures is not None, said
    return code, figures, said


async def test_every_usable_order_is_in_the_erp_once_at_the_files_prices(stage, first):
    """Agreed prices, to the penny, whatever the ERP's own list says."""
    code, figures, said = first
    rows = [row for row in await stage.ledger("business_central")
            if row["operation"] == "salesOrders.create"]  # fmt: skip

    assert code == 0, said
    assert figures["confirmed"] == figures["ordersAccepted"] == 14
    assert Counter(row["externalReference"] for row in rows) == {
        str(540001 + n): 1 for n in range(14)
    }
    assert sum((Decimal(row["amount"]) for row in rows), Decimal(0)) == NET
    assert {row["currency"] for row in rows} == {"GBP"}
    wms = [row["externalReference"] for row in await stage.ledger("wms")]
    assert Counter(wms) == {str(540001 + n): 1 for n in range(14)}


async def test_file_journal_and_ledger_agree_to_the_penny(first):
    """And the last line says so with its figures."""
    _, figures, said = first

    assert figures["reconciled"] is True
    assert figures["complete"] is True
    assert figures["rows"] == len(ORDERS) + len(SECOND_LINES) + len(DIRTY) + len(CREDITS)
    assert str(NET) in said.replace(",", "")


async def test_cancellations_are_credited_where_they_fit_and_never_guessed(stage, first):
    """Two credit memos against what was sold; the others wait for a person."""
    _, figures, _ = first
    memos = [row for row in await stage.ledger("business_central")
             if row["operation"].startswith("salesCreditMemos")]  # fmt: skip

    created = Counter(row["externalReference"] for row in memos if "create" in row["operation"])
    assert created == {"C540101": 1, "C540102": 1}
    assert figures["creditsAccepted"] == 4
    assert figures["credited"] == 2
    assert figures["exceptions"] == {"master-data-mismatch": 2}
    amounts = {row["externalReference"]: Decimal(row["amount"]) for row in memos
               if "create" in row["operation"]}  # fmt: skip
    assert {key: abs(amount) for key, amount in amounts.items()} == {
        "C540101": Decimal("12.75"),
        "C540102": Decimal("3.39"),
    }


async def test_rows_that_cannot_be_used_are_set_aside_with_a_reason(first):
    """Each counted once, none of them ordered."""
    _, figures, said = first

    assert sum(figures["setAside"].values()) == len(DIRTY)
    assert len(figures["setAside"]) >= 4
    assert figures["adjustmentCodes"] == {"D": 1, "POST": 1}
    assert "name no customer" in said


async def test_the_second_run_changes_nothing_and_says_so(stage, first):
    """Not one effect more in any ledger."""
    _, before, _ = first
    counts = await stage.counts()

    path = stage.folder / "orders.csv.gz"
    path.write_bytes(gzip.compress((stage.folder / "orders.csv").read_bytes()))
    code, figures, _ = await (await Import(stage, path).start()).ended()

    assert code == 0
    assert figures["nothingChanged"] is True
    assert figures["replayed"] == 18
    assert {k: v for k, v in (await stage.counts()).items() if k[0] != "salesforce"} == {
        k: v for k, v in counts.items() if k[0] != "salesforce"
    }
    for name in ("confirmed", "credited", "exceptions", "setAside", "books"):
        assert figures[name] == before[name], name


async def test_interrupted_and_run_again_it_completes(stage):
    """Ctrl-C in the middle, with the ERP slow; afterwards everything is there once."""
    path = stage.folder / "later.csv"
    keys = [str(550001 + n) for n in range(40)]
    path.write_text("\n".join([HEAD, *(
        f"{key},{60000 + n},THING {n},{1 + n},2011-01-05 10:00:00,1.25,{19000 + n},France"
        for n, key in enumerate(keys)
    )]) + "\n")  # fmt: skip
    await stage.fault(
        system="business_central", operation="salesOrders.create", kind="latency", latency=0.3
    )
    run = await Import(stage, path, "--concurrency", "2").start()

    async def some_are_there():
        made = [row["externalReference"] for row in await stage.ledger("business_central")]
        return sum(key in made for key in keys) >= 5

    await eventually(some_are_there, "some of the file is ordered")
    run.process.send_signal(signal.SIGINT)
    code, _, said = await run.ended()
    await stage.clear_faults()
    made = [row["externalReference"] for row in await stage.ledger("business_central")]
    assert sum(key in made for key in keys) < 40, "it was not interrupted in the middle"

    again, figures, _ = await (await Import(stage, path).start()).ended()

    assert code not in {0, -signal.SIGKILL}
    assert "Traceback" not in said
    assert again == 0
    assert figures["confirmed"] == 40
    assert figures["reconciled"] is True
    made = Counter(
        row["externalReference"] for row in await stage.ledger("business_central")
        if row["operation"] == "salesOrders.create"
    )  # fmt: skip
    assert {key: made[key] for key in keys} == dict.fromkeys(keys, 1)


async def met(stage):
    """Whether the fault that was armed last has acted."""
    faults = (await stage.sandbox_call("GET", "/_sandbox/faults")).json["rules"]
    return faults[-1]["acted"] > 0


async def test_the_erp_goes_away_in_the_middle_and_the_import_ends_well(stage):
    """The file is taken, the orders wait, and the import stays until they are confirmed."""
    path = stage.folder / "outage.csv"
    path.write_text("\n".join([HEAD, *(
        f"{560001 + n},{61000 + n},THING {n},{1 + n},2011-02-05 10:00:00,1.25,{19000 + n},France"
        for n in range(20)
    )]) + "\n")  # fmt: skip
    await stage.fault(system="business_central", operation="salesOrders.create", kind="outage")
    run = await Import(stage, path).start()
    await eventually(lambda: met(stage), "an order met the outage")
    await stage.clear_faults()

    code, figures, said = await run.ended()

    assert code == 0, said
    assert (figures["confirmed"], figures["reconciled"]) == (20, True)
    made = Counter(row["externalReference"] for row in await stage.ledger("business_central"))
    assert {made[str(560001 + n)] for n in range(20)} == {1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column InvoiceNo"),
        (b"a,b,c\n1,2,3\n", "InvoiceNo"),
        (b"\x1f\x8bbroken", "gzip"),
        (HEAD.encode(), "no"),
    ],
    ids=["nothing", "other columns", "broken gzip", "no rows"],
)
async def test_a_file_that_is_none_is_refused_in_one_sentence(stage, content, says):
    """Nothing is submitted, nobody sees a stack."""
    path = stage.folder / "wrong.csv"
    path.write_bytes(content)
    before = await stage.counts()

    code, _, said = await (await Import(stage, path).start()).ended()

    assert code != 0
    assert says in said
    assert "Traceback" not in said
    assert await stage.counts() == before
