"""A tier cannot tell whether its neighbour runs in the same process or in another."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from pyreqwest.client import ClientBuilder

from contracts import context
from contracts.canonical.ids import CustomerId, ItemId, OrderId
from contracts.canonical.money import money
from contracts.canonical.order import Order
from contracts.canonical.tax import TaxableLine, TaxAssessment, TaxedSale
from contracts.outcomes import CallFailedError, Rejected, Throttled, Unavailable
from contracts.ports.binding import Reply
from contracts.ports.quote_to_order import Cancellation
from contracts.problems import ProblemError, refuse
from contracts.versions import VERSIONS
from runtime.rest.remote import remote
from runtime.rest.routes import application, router_for
from tests.serving import free_port, serving

pytestmark = pytest.mark.anyio

TAX = next(api for api in VERSIONS if api.name == "system/tax")
ORDERS = next(api for api in VERSIONS if api.name == "process/quote-to-order")
SALE = TaxedSale(
    ship_to_country="GB",
    currency="GBP",
    lines=(TaxableLine(item=ItemId("item_A"), quantity=Decimal(1), net_amount=money(10, "GBP")),),
)
FAILURES = [
    Unavailable(system="tax", may_have_happened=True, because="upstream-unavailable"),
    Unavailable(system="tax", may_have_happened=False, because="upstream-unavailable"),
    Throttled(system="tax", retry_after=7.0),
    Rejected(system="tax", reason="business-rule", detail="no", category="erp-business-rule"),
]


def an_order():
    nothing = money(0, "GBP")
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return Order(
        id=OrderId("ord_1"), reference="k1", customer=CustomerId("cust_1"), customer_name="A",
        currency="GBP", lines=(), net_amount=nothing, tax_amount=None, gross_amount=None,
        commercial="cancelling", credit="approved", fulfilment="not-released",
        billing="not-invoiced", channel="sales", placed_at=now, updated_at=now, revision=3,
    )  # fmt: skip


class TaxThat:
    """A tax engine that answers or fails as it is told."""

    def __init__(self, end):
        self.end = end

    async def assess(self, body):
        if isinstance(self.end, TaxAssessment):
            return self.end
        raise CallFailedError(self.end)


class OneOrder:
    """An order process that knows one order and who asked for it."""

    def __init__(self):
        self.seen = None

    async def cancel(self, order, body):
        self.seen = (order, body, context.current())
        if order == "ord_shipped":
            raise refuse("order-not-cancellable", detail="It has left the warehouse.")
        return Reply(an_order(), 202, location=f"/sales/v1/orders/{order}", etag="3")

    def __getattr__(self, name):
        async def not_here(**_):
            raise AssertionError(name)

        return not_here


@pytest.fixture
def client():
    return ClientBuilder().build()


async def test_an_answer_crosses_the_wire_unchanged(client):
    """The canonical struct that goes in is the one that comes out, to the penny."""
    assessment = TaxAssessment(regime="domestic-vat", lines=(), total=money("2.00", "GBP"))
    async with serving(application([router_for(TAX, TaxThat(assessment))])) as address:
        assert await remote(TAX, address, client).assess(SALE) == assessment


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_a_failed_vendor_call_keeps_its_kind_across_the_wire(client, failure):
    """Whether a second try needs a look-up first must survive the hop."""
    async with serving(application([router_for(TAX, TaxThat(failure))])) as address:
        with pytest.raises(CallFailedError) as caught:
            await remote(TAX, address, client).assess(SALE)

    assert caught.value.failure == failure


async def test_amounts_nobody_can_hold_are_refused_in_words(client):
    """What a document comes to is known only when it is worked out; it is still a refusal."""

    class Overflowing:
        async def assess(self, body):
            net = body.lines[0].net_amount
            return TaxAssessment(regime="none", lines=(), total=net + net)

    largest = money("999999999999", "GBP")
    line = msgspec.structs.replace(SALE.lines[0], net_amount=largest)
    async with serving(application([router_for(TAX, Overflowing())])) as address:
        with pytest.raises(CallFailedError) as caught:
            await remote(TAX, address, client).assess(msgspec.structs.replace(SALE, lines=(line,)))

    assert caught.value.failure.reason == "amount-too-large"


async def test_a_tier_that_cannot_be_reached_has_done_nothing(client):
    """Nobody listens: the call was never sent, and may simply be repeated."""
    with pytest.raises(CallFailedError) as caught:
        await remote(TAX, f"http://127.0.0.1:{free_port()}", client).assess(SALE)

    assert caught.value.failure.may_have_happened is False


async def test_the_call_context_travels_with_the_call(client):
    """Consumer, scopes, accounts, key and what is left of the budget reach the tier below."""
    process = OneOrder()
    call = context.CallContext(
        correlation_id="c-1", consumer="crm", scopes=frozenset({"orders:write"}),
        accounts=("cust_1",), idempotency_key="k1", fingerprint="f", prefer_wait=3.0,
    )  # fmt: skip
    async with serving(application([router_for(ORDERS, process)])) as address:
        with context.calling(call):
            reply = await remote(ORDERS, address, client).cancel(
                "ord_1", Cancellation(reason="typo")
            )

    order, body, seen = process.seen
    assert (order, body.reason) == ("ord_1", "typo")
    assert seen == call
    assert (reply.status, reply.location, reply.etag) == (202, "/sales/v1/orders/ord_1", "3")
    assert isinstance(reply.body, Order)
    assert reply.body.customer == CustomerId("cust_1")


async def test_a_refusal_crosses_the_wire_as_the_same_problem(client):
    """The caller of a tier apart reads the same slug, detail and status."""
    async with serving(application([router_for(ORDERS, OneOrder())])) as address:
        with pytest.raises(ProblemError) as caught:
            await remote(ORDERS, address, client).cancel("ord_shipped", Cancellation(reason="late"))

    assert caught.value.problem.slug == "order-not-cancellable"
    assert caught.value.problem.detail == "It has left the warehouse."


async def test_a_body_that_is_not_the_contract_is_a_problem_with_a_pointer(client):
    """The tier says where the fault is even when nobody checked before it."""
    async with serving(application([router_for(TAX, TaxThat(FAILURES[0]))])) as address:
        request = client.post(f"{address}/system/tax/v1/assessments")
        body = b'{"shipToCountry":"GB","currency":"GBP","lines":[{"item":7}]}'
        response = await request.body_bytes(body).build().send()
        told = await response.json()

    assert response.status == 400
    assert response.headers["content-type"].startswith("application/problem+json")
    assert told["type"] == "/problems/invalid-request"
    assert told["errors"][0]["pointer"] == "/lines/0/item"


@pytest.mark.parametrize(
    ("method", "path", "body", "slug"),
    [
        ("POST", "/system/tax/v1/assessments", b"{", "malformed-request"),
        ("POST", "/system/tax/v1/assessments", b"[" * 100_000, "invalid-request"),
        ("GET", "/system/tax/v1/assessments", b"", "method-not-allowed"),
        ("POST", "/system/tax/v1/nothing", b"", "operation-unknown"),
    ],
)
async def test_whatever_arrives_a_tier_answers_with_a_problem(client, method, path, body, slug):
    """No framework page and no stack leaves a tier."""
    async with serving(application([router_for(TAX, TaxThat(FAILURES[0]))])) as address:
        response = await client.request(method, address + path).body_bytes(body).build().send()
        told = await response.json()

    assert told["type"] == f"/problems/{slug}"
