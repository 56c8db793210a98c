"""validate: all faults at once, each with its place, what is allowed and the nearest name."""

import pytest

from tests.policies.conftest import a_document

pytestmark = pytest.mark.anyio


async def checked(w, body: bytes):
    return await w.call("POST", "/sales/v1/price-checks", body=body, token=await w.token())


async def test_every_fault_is_told_at_once_with_its_place_and_remedy(world):
    w = await world()
    told = await w.call(
        "POST",
        "/sales/v1/price-checks",
        token=await w.token(),
        json={
            "custmer": "C1",
            "lines": [{"itm": "A", "quantity": 0, "unit": "boxx"}, {"item": 7, "quantity": "1"}],
        },
    )

    assert (told.status, told.problem) == (400, "invalid-request")
    faults = {each["pointer"]: each for each in told.json()["errors"]}
    assert faults["/custmer"]["nearest"] == "customer"
    assert faults["/customer"]["detail"] == "is missing"
    assert faults["/lines/0/itm"]["nearest"] == "item"
    assert faults["/lines/0/item"]["detail"] == "is missing"
    assert faults["/lines/0/quantity"]["allowed"] == "1 or more"
    assert faults["/lines/0/unit"]["allowed"] == "piece, box"
    assert faults["/lines/0/unit"]["nearest"] == "box"
    assert faults["/lines/1/item"]["allowed"] == "string"
    assert faults["/lines/1/quantity"]["allowed"] == "integer"
    assert w.tier.calls == []


async def test_a_value_is_never_repeated_to_the_caller(world):
    w = await world()
    told = await checked(w, b'{"customer": 1, "lines": "SECRET-CANARY"}')

    assert b"SECRET-CANARY" not in told.body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"customer": NaN, "lines": []}',
        b'{"customer": Infinity, "lines": []}',
        b'{"customer": 1e400, "lines": []}',
        b'{"customer": "\\ud800", "lines": []}',
        b'\xef\xbb\xbf{"customer": "C1"}',
        b'{"customer": "\xff"}',
        b"{} {}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"customer":' + b"9" * 5_000 + b"}",
        b"{'customer': 'C1'}",
        b'{"customer": "C1",}',
        b'{"customer": 01}',
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_json_that_two_readers_could_read_differently_is_malformed(world, body):
    w = await world()
    told = await checked(w, body)

    assert (told.status, told.problem) == (400, "malformed-request")
    assert w.tier.calls == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"customer":"C1","customer":"C2","lines":[]}', "/customer"),
        (b'{"customer":"C1","c\\u0075stomer":"C2","lines":[]}', "/customer"),
        (
            b'{"customer":"C1","lines":[{"item":"A","quantity":1,"quantity" :9}]}',
            "/lines/0/quantity",
        ),
        (b'{"customer":"a:b:c","customer" : "C2","lines":[]}', "/customer"),
        (b'{"customer" :":","customer":"C2","note":"at 10:00","lines":[]}', "/customer"),
        (b'{"customer":"\\":","customer":"C2","lines":[]}', "/customer"),
    ],
)
async def test_a_name_written_twice_is_refused_wherever_it_hides(world, body, pointer):
    """Which of two amounts is meant must not depend on who reads them."""
    w = await world()
    told = await checked(w, body)

    assert (told.status, told.problem) == (400, "malformed-request")
    assert [each["pointer"] for each in told.json()["errors"]] == [pointer]


async def test_colons_inside_values_are_no_fault(world):
    w = await world()
    told = await checked(
        w, b'{"customer":"a:b::c","note":"at 10:00","lines":[{"item":"\\":","quantity":1}]}'
    )

    assert told.status == 200


@pytest.mark.parametrize(
    ("query", "pointer", "nearest"),
    [
        ("limt=5", "query:limt", "limit"),
        ("limit=0", "query:limit", None),
        ("limit=five", "query:limit", None),
        ("limit=1&limit=2", "query:limit", None),
        ("open=yes", "query:open", None),
        ("state=accepted&state=confirmd", "query:state", "confirmed"),
        ("po=%ff", "query:", None),
    ],
)
async def test_a_query_is_held_to_the_contract(world, query, pointer, nearest):
    w = await world()
    told = await w.call("GET", f"/sales/v1/orders?{query}", token=await w.token())

    assert (told.status, told.problem) == (400, "invalid-request")
    fault = told.json()["errors"][0]
    assert (fault["pointer"], fault.get("nearest")) == (pointer, nearest)


async def test_a_right_query_passes(world):
    w = await world()
    told = await w.call(
        "GET",
        "/sales/v1/orders?limit=10&open=true&state=accepted&state=confirmed&po=A%20B",
        token=await w.token(),
    )

    assert told.status == 200


async def test_a_path_parameter_is_held_to_its_form(world):
    w = await world()
    told = await w.call("GET", "/sales/v1/orders/not lower", token=await w.token())

    assert told.json()["errors"][0]["pointer"] == "path:order"


@pytest.mark.parametrize(
    ("text", "status"),
    [("1.5", 200), ("-2", 200), ("1e1", 200), ("1_0", 400), ("%201", 400), ("+5", 400)],
)
async def test_a_number_in_a_query_is_written_as_json_writes_it(world, text, status):
    document = a_document()
    read = document["paths"]["/orders/{order}"]["get"]
    read["parameters"] = [{"name": "weight", "in": "query", "schema": {"type": "number"}}]
    w = await world(document=document)
    told = await w.call("GET", f"/sales/v1/orders/O-1?weight={text}", token=await w.token())

    assert told.status == status


async def test_an_operations_own_parameter_replaces_that_of_its_path(world):
    document = a_document()
    path = document["paths"]["/orders/{order}"]
    header = {"name": "X-Shop", "in": "header", "schema": {"type": "string"}}
    path["parameters"].append({**header, "required": True})
    path["get"]["parameters"] = [header]
    w = await world(document=document)

    assert (await w.call("GET", "/sales/v1/orders/O-1", token=await w.token())).status == 200


async def test_a_missing_body_is_a_fault_of_the_body(world):
    w = await world()
    told = await w.call("POST", "/sales/v1/price-checks", token=await w.token())

    assert (told.status, told.problem) == (400, "invalid-request")
