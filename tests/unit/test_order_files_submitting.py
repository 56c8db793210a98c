"""Documents reach the gateway once each, in the customer's order, whatever happens on the way."""

import asyncio
import contextlib
import random
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from contracts.canonical.order import OrderRequest
from deploy.gateway_client import GatewayClient, RefusedError, http_client
from deploy.order_files.documents import Document, Line
from deploy.order_files.outcomes import Accepted, Refused, Undelivered
from deploy.order_files.submitting import GatewayLostError, Submission, encoded
from runtime.clock import SystemClock
from tests.gateway_desk import Desk
from tests.serving import free_port, serving

pytestmark = pytest.mark.anyio


def a_document(number, customer="17850", kind="order"):
    line = Line(item="85123A", quantity=6, unit_price=Decimal("2.55"), description="HOLDER")
    return Document(
        number=number,
        kind=kind,
        customer=customer,
        ordered_on=date(2010, 12, 1),
        lines=(line,),
        net_amount=Decimal("15.30"),
    )


async def submitted(url, documents, *, concurrency=8, patience=5.0, secret="order-file-dev-secret"):
    outcomes = {}
    clock = SystemClock()
    client = GatewayClient(
        http=http_client(), url=url, client="order-file", secret=secret, clock=clock
    )
    async with client:
        submission = Submission(
            client,
            concurrency=concurrency,
            patience=patience,
            clock=clock,
            chance=random.Random(7),
            on_outcome=lambda document, outcome: outcomes.setdefault(document.number, outcome),
        )
        async with asyncio.timeout(20):
            await submission.run(documents)
    return outcomes


def test_a_document_is_written_as_the_contract_reads_it():
    """Agreed prices, the invoice number as PO number, the customer by its ERP number."""
    order = msgspec.json.decode(encoded(a_document("536365")), type=OrderRequest)

    assert (order.customer, order.po_number, order.currency) == ("bc:17850", "536365", "GBP")
    assert order.order_date == date(2010, 12, 1)
    assert order.lines[0].unit_price.amount == Decimal("2.55")


async def test_documents_of_one_customer_go_one_at_a_time_in_file_order():
    """A credit must find the order it gives back against."""
    documents = [
        a_document(
            f"{'C' if n % 7 == 6 else ''}{n}", f"1{n % 5}", "credit" if n % 7 == 6 else "order"
        )
        for n in range(60)
    ]
    desk = Desk()
    async with serving(desk) as url:
        outcomes = await submitted(url, documents)

    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values())
    assert desk.overlaps == []
    for customer in {document.customer for document in documents}:
        wanted = [d.number for d in documents if d.customer == customer]
        assert [key for key, _ in desk.arrivals if key in wanted] == wanted
    assert {path for key, path in desk.arrivals if key[0] == "C"} == {"/sales/v1/credits"}


async def test_a_second_run_is_answered_from_memory_and_says_so():
    """Nothing changes, and the caller can tell."""
    desk = Desk()
    async with serving(desk) as url:
        await submitted(url, [a_document("536365")])
        again = await submitted(url, [a_document("536365"), a_document("536366")])

    assert again["536365"] == Accepted(replayed=True, net_amount=Decimal("15.30"))
    assert again["536366"].replayed is False


async def test_a_refusal_is_kept_by_its_slug_and_the_customer_goes_on():
    """An unknown item in one order is no reason to hold the next."""
    desk = Desk()
    desk.troubles["1"] = [("item-unknown", None)]
    async with serving(desk) as url:
        outcomes = await submitted(url, [a_document("1"), a_document("2")])

    assert isinstance(outcomes["1"], Refused)
    assert outcomes["1"].slug == "item-unknown"
    assert isinstance(outcomes["2"], Accepted)


async def test_a_pause_asked_for_is_kept_by_everyone():
    """429 with Retry-After: nobody sends before it is over, and nothing is lost."""
    desk = Desk()
    desk.troubles["1"] = [("quota-exceeded", 1)]
    documents = [a_document(str(n), f"c{n}") for n in range(1, 9)]
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with serving(desk) as url:
        outcomes = await submitted(url, documents, concurrency=1)

    assert loop.time() - start >= 1.0
    assert desk.arrivals[0][0] == desk.arrivals[1][0] == "1"
    assert len(outcomes) == 8


async def test_an_expired_token_is_renewed_once_for_all():
    """The order that met it goes through with the next token."""
    desk = Desk()
    async with serving(desk) as url:
        clock = SystemClock()
        client = GatewayClient(
            http=http_client(),
            url=url,
            client="order-file",
            secret="order-file-dev-secret",
            clock=clock,
        )
        async with client:
            await client.token()
            desk.valid = "Bearer another"
            body = encoded(a_document("1"))
            sent = [client.send("POST", "/sales/v1/orders", body=body, key="1") for _ in range(5)]
            answers = await asyncio.gather(*sent)

    assert {answer.status for answer in answers} == {202}
    assert desk.tokens == 2


async def test_a_gateway_killed_and_started_again_gets_every_document_once():
    """The connection breaks, nothing listens for a while, and the same key is sent again."""
    desk, port = Desk(), free_port()
    documents = [a_document(str(n), f"c{n % 3}") for n in range(30)]
    dying = await asyncio.start_server(hang_up, "127.0.0.1", port)
    run = asyncio.create_task(submitted(f"http://127.0.0.1:{port}", documents))
    await asyncio.sleep(0.3)
    dying.close()
    await asyncio.sleep(0.3)
    async with serving(desk) as url, pipe(port, to=int(url.rpartition(":")[2])):
        outcomes = await run

    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values())
    assert set(desk.kept) == {document.number for document in documents}


async def hang_up(reader, writer):
    await reader.readline()
    writer.close()


@contextlib.asynccontextmanager
async def pipe(port, *, to):
    """Everything that arrives at one port goes to another."""

    async def copy(reader, writer):
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
        writer.close()

    async def join(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    listener = await asyncio.start_server(join, "127.0.0.1", port)
    try:
        yield
    finally:
        listener.close()


async def test_a_gateway_that_stays_away_is_given_up_with_a_sentence():
    """Not before patience has run out."""
    with pytest.raises(GatewayLostError, match="has not answered for"):
        await submitted(f"http://127.0.0.1:{free_port()}", [a_document("1")], patience=0.3)


async def test_a_document_that_only_meets_faults_holds_its_customer_and_nobody_else():
    """What waits behind it may depend on it."""
    desk = Desk()
    desk.troubles["1"] = [("internal-error", None)] * 100
    documents = [a_document("1"), a_document("2"), a_document("3", "other")]
    async with serving(desk) as url:
        outcomes = await submitted(url, documents, patience=0.5)

    assert outcomes["1"] == Undelivered(because="internal-error")
    assert outcomes["2"] == Undelivered(because="earlier-document")
    assert isinstance(outcomes["3"], Accepted)


async def test_a_wrong_secret_stops_the_run_before_any_document():
    """It is the client that is refused, not six thousand orders."""
    desk = Desk()
    async with serving(desk) as url:
        with pytest.raises(RefusedError, match="token for order-file"):
            await submitted(url, [a_document("1")], secret="wrong")

    assert desk.arrivals == []
