"""`crossdock orders import`, as a person runs it: its words, its figures, its exit code."""

import asyncio
import os
import signal
import sys
from decimal import Decimal

import msgspec
import pytest

from tests.gateway_desk import Desk
from tests.serving import free_port, serving

pytestmark = pytest.mark.anyio

FILE = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
536365,71053,LANTERN,6,2010-12-01 08:26:00,3.39,17850,United Kingdom
536366,22633,WARMER,6,2010-12-01 08:28:00,1.85,13047,France
536367,POST,POSTAGE,1,2010-12-01 08:28:00,18.00,13047,France
536368,22633,WARMER,6,2010-12-01 08:28:00,1.85,,France
C536369,71053,LANTERN,-2,2010-12-02 08:26:00,3.39,17850,United Kingdom
"""


@pytest.fixture
def order_file(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(FILE)
    return path


async def crossdock(url, tmp_path, *arguments, after=None):
    """Run the command line against a port; answer exit code, output, and the error stream."""
    port = url.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "CROSSDOCK_PORT": port,
            "CROSSDOCK_SANDBOX_PORT": port,
            "CROSSDOCK_DATA": str(tmp_path / "data"),
        },
    )
    if after is not None:
        await after(process)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def imported(desk, order_file, *options):
    async with serving(desk) as url:
        code, out, err = await crossdock(
            url, order_file.parent, "orders", "import", order_file, "--json", *options
        )
    assert "Traceback" not in err
    return code, msgspec.json.decode(out.splitlines()[-1]), out


async def test_a_file_goes_through_and_the_books_agree(order_file):
    """Every usable row is an order or a credit; everything else is named with its reason."""
    desk = Desk()
    code, figures, out = await imported(desk, order_file)

    assert code == 0
    assert (figures["ordersAccepted"], figures["confirmed"]) == (2, 2)
    assert (figures["creditsAccepted"], figures["credited"]) == (1, 1)
    assert figures["setAside"] == {"adjustment-code": 1, "no-customer": 1}
    assert figures["adjustmentCodes"] == {"POST": 1}
    for book in ("file", "journal", "erp"):
        assert figures["books"][book]["net"] == "39.96", "35.64 + 11.10 - 6.78"
    assert figures["reconciled"] is True
    assert "They agree to the penny." in out
    assert desk.catalogues == [str(order_file)]


async def test_a_second_run_says_that_nothing_changed(order_file):
    """The invoice number is the key; the journal has it already."""
    desk = Desk()
    await imported(desk, order_file)
    code, figures, out = await imported(desk, order_file)

    assert (code, figures["replayed"], figures["nothingChanged"]) == (0, 3, True)
    assert "nothing changed" in out
    assert figures["books"]["erp"]["net"] == "39.96"


async def test_what_is_refused_or_stopped_is_shown_apart_with_its_reason(order_file):
    """Neither is a difference between the books, and neither is hidden."""
    desk = Desk()
    desk.troubles["536366"] = [("customer-unknown", None)]
    desk.stopped["C536369"] = "master-data-mismatch"
    code, figures, out = await imported(desk, order_file)

    assert code == 0
    assert figures["exceptions"] == {"customer-unknown": 1, "master-data-mismatch": 1}
    assert figures["books"]["refused"]["net"] == "11.10"
    assert figures["books"]["inException"]["net"] == "-6.78"
    assert figures["books"]["file"]["net"] == figures["books"]["erp"]["net"] == "35.64"
    assert "1 stopped: customer-unknown" in out


async def test_an_order_stopped_after_the_erp_confirmed_it_counts_in_the_books(order_file):
    """The warehouse refused it; the money is in the ERP all the same."""
    desk = Desk()
    desk.stopped["536366"] = "warehouse-rejection"
    desk.confirmed.add("536366")
    code, figures, _ = await imported(desk, order_file)

    assert (code, figures["reconciled"], figures["confirmed"]) == (0, True, 2)
    assert figures["exceptions"] == {"warehouse-rejection": 1}
    assert figures["books"]["inException"]["net"] == "0.00"


@pytest.mark.parametrize(
    ("posts", "said"),
    [
        (lambda net: [net, net], "TWICE in the ERP: 536366"),
        (lambda _: [], "DIFFERENT 536366: not in the ERP"),
        (lambda net: [net + Decimal("0.01")], "the ERP has another amount"),
    ],
    ids=["a duplicate", "a lost order", "a penny too much"],
)
async def test_a_fault_in_the_erp_is_found_and_fails_the_import(order_file, posts, said):
    """Planted: the comparison must be able to fail."""
    desk = Desk()
    desk.posts = lambda key, net: posts(net) if key == "536366" else [net]
    code, figures, out = await imported(desk, order_file)

    assert (code, figures["reconciled"]) == (1, False)
    assert said in out


async def test_interrupted_it_says_how_to_go_on_and_then_completes(order_file):
    """Ctrl-C costs nothing."""
    desk = Desk()
    desk.troubles["536366"] = [("quota-exceeded", 60)]

    async def interrupt(process):
        async with asyncio.timeout(20):
            while not any(key == "536366" for key, _ in desk.arrivals):  # noqa: ASYNC110  # no event of the desk says so
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)

    async with serving(desk) as url:
        command = ("orders", "import", order_file)
        code, _, err = await crossdock(url, order_file.parent, *command, after=interrupt)
    assert code == 130
    assert "What was accepted is safe. Run the same command again to go on: " in err
    assert f"crossdock orders import {order_file}" in err
    assert "Traceback" not in err

    code, figures, _ = await imported(desk, order_file)
    assert (code, figures["ordersAccepted"], figures["reconciled"]) == (0, 2, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("InvoiceNo,StockCode\n1,2\n", "has no column Quantity and no column InvoiceDate"),
        (FILE.splitlines()[0] + "\n", "holds no usable row"),
        (None, "No such file"),
    ],
)
async def test_an_unusable_file_is_refused_in_one_sentence(tmp_path, content, said):
    """Before anything is started or sent."""
    path = tmp_path / "orders.csv"
    if content is not None:
        path.write_text(content)
    url = f"http://127.0.0.1:{free_port()}"
    code, _, err = await crossdock(url, tmp_path, "orders", "import", path)

    assert code == 1
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


async def test_a_token_is_printed_alone(tmp_path):
    """So that a shell can take it."""
    async with serving(Desk()) as url:
        code, out, _ = await crossdock(url, tmp_path, "token", "crm")
        wrong, _, err = await crossdock(url, tmp_path, "token", "crm", "--secret", "guess")

    assert (code, out) == (0, "token-1\n")
    assert wrong == 1
    assert "A token for crm was refused" in err
