"""Everything that cannot be accepted is refused in its own words, and nothing has changed."""

import asyncio

import pytest

from tests.scenarios.stage import eventually

pytestmark = pytest.mark.anyio

ORDERS = "/sales/v1/orders"


@pytest.fixture(scope="module")
async def quiet(house):
    """Whatever earlier stories set going has ended."""
    await house.still()


@pytest.fixture
async def unchanged(house, quiet):
    """No vendor did anything and no order exists that was not there before, whatever is tried."""
    before, orders = await house.counts(), await _newest(house)
    yield
    await asyncio.sleep(0.15)
    assert await house.counts() == before
    assert await _newest(house) == orders


async def _newest(stage):
    page = await stage.call("GET", f"{ORDERS}?limit=1", client="operator")
    every = await stage.operates("/orders?limit=1")
    return page.json["orders"], every.json["orders"]


def _with_line(**line):
    return lambda stage: {
        **stage.an_order(),
        "lines": [{**stage.an_order()["lines"][0], **line}],
    }


BUSINESS = {
    "blocked for everything": (
        lambda stage: stage.an_order("blockedAll"), "customer-blocked", {"/customer"}),
    "blocked for shipping": (
        lambda stage: stage.an_order("blockedShip"), "customer-blocked", {"/customer"}),
    "blocked for invoicing": (
        lambda stage: stage.an_order("blockedInvoice"), "customer-blocked", {"/customer"}),
    "a wrong price": (
        _with_line(unitPrice={"amount": "1.00", "currency": "GBP"}),
        "price-mismatch", {"/lines/0/unitPrice"}),
    "a price in another currency": (
        _with_line(unitPrice={"amount": "20.60", "currency": "EUR"}),
        "currency-mismatch", {"/lines/0/unitPrice/currency"}),
    "an unknown item": (_with_line(item="bc:NO-SUCH"), "item-unknown", {"/lines/0/item"}),
    "a blocked item": (
        lambda stage: stage.an_order("good", ("good", 1), ("blocked", 1)),
        "item-blocked", {"/lines/1/item"}),
    "an unknown customer": (
        lambda stage: stage.an_order() | {"customer": "bc:99999"},
        "customer-unknown", {"/customer"}),
    "an account the CRM does not have": (
        lambda stage: stage.an_order() | {"customer": "sf:0015g0000009999AAA"},
        "customer-unknown", {"/customer"}),
    "another currency than the customer's": (
        lambda stage: stage.an_order() | {"currency": "EUR"}, "currency-mismatch", {"/currency"}),
    "a promise nobody gave": (
        lambda stage: stage.an_order() | {"promise": "AAAA.BBBB"}, "promise-invalid", set()),
}  # fmt: skip


@pytest.mark.parametrize("reason", BUSINESS)
@pytest.mark.usefixtures("unchanged")
async def test_an_order_that_cannot_be_accepted_says_why(house, reason):
    """409, the slug, the place, and who acts; a client can show it as it is."""
    make, slug, pointers = BUSINESS[reason]

    answer = await house.place(make(house), house.a_key("refused"))

    assert (answer.status, answer.slug) == (409, slug), answer.body
    assert answer.pointers == pointers
    problem = answer.json
    assert problem["title"]
    assert problem["detail"]
    assert problem["retryable"] is False
    assert problem["actor"] in {"caller", "sales", "finance"}


@pytest.mark.usefixtures("unchanged")
async def test_a_wrong_price_is_told_with_the_right_one(house):
    """The caller can repair the order from the answer alone."""
    order = _with_line(unitPrice={"amount": "1.00", "currency": "GBP"})(house)

    answer = await house.place(order, house.a_key("price"))

    (fault,) = answer.json["errors"]
    assert fault["allowed"] == f"{house.item('good')['listPrice']} GBP"


@pytest.mark.usefixtures("unchanged")
async def test_a_refusal_is_the_answer_to_its_key(house):
    """Sent again it is refused again in the same words; put right it needs a key of its own."""
    key = house.a_key("repaired")
    wrong = _with_line(unitPrice={"amount": "1.00", "currency": "GBP"})(house)
    refused = await house.place(wrong, key)

    again = await house.place(wrong, key)
    other = await house.place(house.an_order(), key)

    assert (again.status, again.body) == (refused.status, refused.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status, other.slug) == (422, "idempotency-key-reused")


_RIDDLED = (
    b'{"customer": 5, "currency": "pounds", "extra": 1, "lines":'
    b'[{"item": "10001", "quantity": -1, "colour": "red"}, {"quantity": "many"}]}'
)
BROKEN = {
    "no JSON": (b'{"customer": "bc:20001", oops', "malformed-request", set()),
    "no UTF-8": (b'{"customer": "\xff\xfe"}', "malformed-request", set()),
    "a number that is none": (b'{"customer": NaN}', "malformed-request", set()),
    "nothing": (b"", "invalid-request", {""}),
    "a list": (b"[]", "invalid-request", {""}),
    "no lines": (
        b'{"customer": "bc:20001", "currency": "GBP", "lines": []}', "invalid-request", {"/lines"}),
    "many faults": (
        _RIDDLED,
        "invalid-request",
        {"/customer", "/currency", "/extra", "/lines/0/quantity", "/lines/0/colour",
         "/lines/1/item", "/lines/1/quantity"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.usefixtures("unchanged")
async def test_a_body_that_is_no_order_is_refused_with_every_fault(house, fault):
    """All faults at once, each with its JSON pointer."""
    body, slug, pointers = BROKEN[fault]

    answer = await house.place(body, house.a_key("broken"))

    assert (answer.status, answer.slug) == (400, slug)
    assert answer.pointers == pointers


@pytest.mark.parametrize("quantity", ["0", "-3", "NaN", "1e9", "99999999999"])
@pytest.mark.usefixtures("unchanged")
async def test_a_quantity_nobody_can_ship_is_refused(house, quantity):
    """Whatever Decimal would make of it."""
    answer = await house.place(_with_line(quantity=quantity)(house), house.a_key("quantity"))

    assert (answer.status, answer.slug) == (400, "invalid-request")
    assert all(pointer.startswith("/lines/0") for pointer in answer.pointers)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.usefixtures("unchanged")
async def test_twenty_megabytes_are_refused_before_they_have_arrived(house, chunked):
    """The status is there at once, whether the length is announced or not."""
    key, size = house.a_key("large"), 20_000_000
    head = [
        f"POST {ORDERS} HTTP/1.1", "Host: crossdock", "Content-Type: application/json",
        f"Authorization: Bearer {await house.token('crm')}", f"Idempotency-Key: {key}",
        "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}",
    ]  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n")
    answer, sent = asyncio.create_task(reader.readuntil(b"\r\n\r\n")), 0
    piece = b" " * 65_536
    async with asyncio.timeout(5.0):
        while sent < size and not answer.done():
            writer.write(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            sent += len(piece)
            await asyncio.sleep(0.001)
        status = (await answer).split(b"\r\n")[0]
    writer.close()

    assert status.startswith(b"HTTP/1.1 413")
    assert sent < size / 4


@pytest.mark.usefixtures("unchanged")
async def test_an_ordinary_client_learns_that_its_body_is_too_large(house):
    """Also one that sends everything before it reads, and quickly."""
    answer = await house.place(b" " * 20_000_000, house.a_key("large"))

    assert answer.seconds < 3.0
    assert (answer.status, answer.slug) == (413, "request-too-large")


@pytest.mark.usefixtures("unchanged")
async def test_two_keys_are_no_key(house):
    """Which of them names the order?"""
    keys = [house.a_key("twin"), house.a_key("twin")]

    answer = await house.call("POST", ORDERS, house.an_order(), key=keys)

    assert (answer.status, answer.slug) == (400, "idempotency-key-invalid")


@pytest.mark.usefixtures("unchanged")
async def test_no_key_is_refused(house):
    """An order without a name of the caller's own could not be sent again."""
    answer = await house.call("POST", ORDERS, house.an_order())

    assert (answer.status, answer.slug) == (400, "idempotency-key-missing")


CALLERS = {
    "nobody": ({"client": None}, "unauthenticated"),
    "no token": ({"token": "not.a.token"}, "unauthenticated"),
}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.usefixtures("unchanged")
async def test_who_is_not_known_is_refused(house, who):
    """401 says which scheme is spoken here (RFC 6750, section 3)."""
    how, slug = CALLERS[who]

    answer = await house.place(house.an_order(), house.a_key("who"), **how)

    assert (answer.status, answer.slug) == (401, slug)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.usefixtures("unchanged")
async def test_a_token_that_was_tampered_with_is_refused(house):
    """A signature of another's, an algorithm of none: both are nobody."""
    head, claims, signature = (await house.token("crm")).split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"  # {"alg":"none","typ":"at+jwt"}
    other = (await house.token("operator")).split(".")[1]

    for forged in (f"{none}.{claims}.", f"{head}.{other}.{signature}"):
        answer = await house.place(house.an_order(), house.a_key("forged"), token=forged)
        assert (answer.status, answer.slug) == (401, "unauthenticated")


@pytest.mark.usefixtures("unchanged")
async def test_a_scope_that_is_missing_is_named(house):
    """A partner may order and may not ask for credit."""
    body = {"customer": "bc:20001", "amount": {"amount": "1.00", "currency": "GBP"}}

    answer = await house.call("POST", "/sales/v1/credit-checks", body, client="partner-acme")

    assert (answer.status, answer.slug) == (403, "insufficient-scope")
    assert answer.json["scope"] == "credit:read"
    assert (await house.call("GET", "/operations/v1/exceptions")).slug == "insufficient-scope"


async def test_an_order_of_another_customer_is_not_there(house):
    """A partner cannot tell another's order from none, nor order in another's name."""
    key = house.a_key("theirs")
    order = (await house.place(house.an_order("keyAccount"), key, wait=10)).json["id"]
    await house.crm_reached(key, Fulfilment_Status__c="released")
    before = await house.counts()
    foreign = {"client": "partner-acme"}

    read = await house.call("GET", f"{ORDERS}/{order}", **foreign)
    none = await house.call("GET", f"{ORDERS}/01M80ZDXXKHQWYAQNX0XF9WAX3", **foreign)
    story = await house.call("GET", f"{ORDERS}/{order}/timeline", **foreign)
    cancel = await house.call(
        "POST", f"{ORDERS}/{order}/cancellations", {"reason": "mischief"},
        key=house.a_key("mischief"), **foreign,
    )  # fmt: skip
    listed = await house.call("GET", f"{ORDERS}?reference={key}", **foreign)
    placed = await house.place(house.an_order("keyAccount"), house.a_key("theirs"), **foreign)
    prices = await house.call(
        "POST", "/sales/v1/price-checks",
        {"customer": "bc:20005", "lines": [{"item": "10001", "quantity": "1"}]}, **foreign,
    )  # fmt: skip

    assert {each.status for each in (read, none, story, cancel)} == {404}
    assert {each.slug for each in (read, none, story, cancel)} == {"not-found"}
    assert listed.json["orders"] == []
    assert placed.slug == prices.slug == "customer-unknown"
    assert await house.counts() == before
    own = await house.call("GET", f"{ORDERS}/{order}", client="partner-globex")
    assert own.status == 200


@pytest.mark.usefixtures("unchanged")
async def test_what_no_contract_names_is_not_there(house):
    """Unknown paths, methods, parameters and formats."""
    unknown = await house.call("GET", "/sales/v1/invoices")
    nowhere = await house.call("GET", "/", client=None)
    method = await house.call("DELETE", ORDERS)
    parameter = await house.call("GET", f"{ORDERS}?colour=red&limit=5000")
    form = await house.call(
        "POST", ORDERS, b"customer=20001", key="K", headers=[("content-type", "text/plain")]
    )

    assert (unknown.status, unknown.slug) == (404, "operation-unknown")
    assert (nowhere.status, nowhere.slug) == (404, "operation-unknown")
    assert (method.status, method.slug) == (405, "method-not-allowed")
    assert "POST" in method.headers["allow"]
    assert parameter.pointers == {"query:limit", "query:colour"}
    assert (form.status, form.slug) == (415, "unsupported-media-type")


async def test_wrong_secrets_get_no_token(house):
    """In the words of RFC 6749, section 5.2, the same for a wrong name and a wrong secret."""
    wrong = await house.sign_in("crm", "guessed")
    nobody = await house.sign_in("nobody", "guessed")

    assert wrong.status == nobody.status == 401
    assert wrong.json["error"] == "invalid_client"
    assert wrong.body == nobody.body


async def test_a_token_that_has_expired_says_so(impatient):
    """Distinct from a bad token: the caller gets a new one and repeats the call."""

    async def refused():
        return (await impatient.call("GET", ORDERS, token=impatient.first_token)).status != 200

    await eventually(refused, "the first token has expired")
    late = await impatient.place(impatient.an_order(), "LATE", token=impatient.first_token)
    await asyncio.sleep(0.3)
    before = await impatient.order("LATE")
    again = await impatient.place(impatient.an_order(), "LATE")

    assert (late.status, late.slug) == (401, "token-expired")
    assert "invalid_token" in late.headers["www-authenticate"]
    assert before is None
    assert again.status == 202
