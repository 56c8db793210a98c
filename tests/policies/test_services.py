"""A service that is not ours, behind the gateway by its own contract: a real one, on a socket."""

import asyncio
import contextlib

import pytest

from gateway.config import Client, Plan, Window, hashed
from gateway.house import FIRST_SEGMENTS
from gateway.resilience import ContractGuardSettings
from gateway.services import Service as Section
from tests.policies.http_service import OK, Service
from tests.policies.parcels import contract_file

pytestmark = pytest.mark.anyio
CREATED = (
    b"HTTP/1.1 201 Created\r\nLocation: %s\r\nSet-Cookie: a=b\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)
CLIENTS = {
    "shop": Client(
        secrets=(hashed("shop-dev-secret"),), scopes=("parcels:use",), accounts=("C7", "C9")
    ),
    "stall": Client(secrets=(hashed("stall-dev-secret"),), scopes=("parcels:use",)),
}


@pytest.fixture
async def carrier(world, tmp_path, monkeypatch):
    """Put the gateway in front of the carrier as its section says."""
    monkeypatch.setenv("CARRIER_KEY", "carrier-secret")
    service = Service()
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(service.serving())

        def a_section(terms=None, **said):
            return Section(
                contract=contract_file(tmp_path, **(terms or {})),
                **{"url": address, "scopes": ("parcels:use",), **said},
            )

        async def fronted(terms=None, plans=None, sample=0.0, **said):
            section = a_section(terms, **said)
            w = await world(config=a_config(world, section, plans=plans, sample=sample))
            w.service = service
            return w

        fronted.section = a_section
        yield fronted


def a_config(world, section, *, plans=None, sample=0.0):
    return world.config(
        gateway={"contract_guard": ContractGuardSettings(sample_share=sample)},
        clients={} if section is None else CLIENTS,
        services={} if section is None else {"parcels": section},
        plans=plans or {"standard": Plan()},
    )


async def test_its_operations_are_reached_below_its_name_in_its_own_paths(carrier):
    w = await carrier()
    told = await w.call("GET", "/parcels/shipments/S-1", token=await w.token("shop"))

    assert told.status == 200
    assert w.service.requests[-1].startswith(b"GET /shipments/S-1 HTTP/1.1\r\n")
    [record] = [each for each in w.records.calls if each.operation.startswith("services/")]
    assert (record.operation, record.template, record.consumer) == (
        "services/parcels/readShipment",
        "/parcels/shipments/{shipment}",
        "shop",
    )
    assert b'operation="services/parcels/readShipment"' in (await w.call("GET", "/metrics")).body


async def test_a_prefix_and_a_path_of_the_service_are_of_the_operators_choosing(carrier):
    """Any spelling of the prefix leads to the same place, never to another one."""
    w = await carrier(prefix="/carriers/north")
    token = await w.token("shop")
    w.service.answers = [CREATED % b"/shipments/S-1"]
    told = await w.call("POST", "/carriers/north/shipments", token=token, json={"weight": 1})

    assert told.header("location") == "/carriers/north/shipments/S-1"
    assert w.service.requests[-1].startswith(b"POST /shipments HTTP/1.1\r\n")
    assert (await w.call("GET", "/parcels/shipments", token=token)).problem == "operation-unknown"


async def test_it_is_told_the_call_and_not_the_caller(carrier):
    """Correlation, trace and budget go on; who calls, for whom, and its credential stay here."""
    w = await carrier()
    told = await w.call(
        "GET",
        "/parcels/shipments/S-1",
        token=await w.token("shop"),
        headers=[("cookie", "a=b"), ("x-crossdock-accounts", "C1"), ("accept", "text/plain")],
    )
    service = w.service

    assert service.field("x-correlation-id") == told.header("x-correlation-id")
    assert service.field("traceparent").startswith("00-")
    assert 0 < int(service.field("x-request-budget-ms")) <= 10_000
    assert service.field("accept") == "text/plain"
    assert b"x-crossdock" not in service.requests[-1].lower()
    assert b"shop" not in service.requests[-1]
    assert service.field("authorization") is None
    assert service.field("cookie") is None


async def test_what_its_section_names_of_the_caller_it_is_told(carrier):
    w = await carrier(identity=("consumer", "accounts"))
    await w.call("GET", "/parcels/status", token=await w.token("shop"))

    assert w.service.field("x-crossdock-consumer") == "shop"
    assert w.service.field("x-crossdock-accounts") == "C7,C9"
    assert w.service.field("x-crossdock-scopes") is None
    assert w.service.field("x-crossdock-subject") is None


async def test_it_knows_the_gateway_by_what_the_section_refers_to(carrier):
    """A caller's own header of that name is replaced, in whatever spelling, and not asked for."""
    w = await carrier(headers={"X-Carrier-Key": "env:CARRIER_KEY"})
    told = await w.call(
        "GET",
        "/parcels/shipments",
        token=await w.token("shop"),
        headers=[("x-carrier-key", "mine"), ("x_carrier_key", "mine")],
    )

    assert told.status == 200
    assert w.service.field("x-carrier-key") == "carrier-secret"
    assert b"mine" not in w.service.requests[-1]


async def test_nobody_gets_there_without_a_credential_and_the_scope(carrier):
    """The document's own security is the carrier's; it opens nothing here."""
    w = await carrier()

    assert (await w.call("GET", "/parcels/shipments")).problem == "unauthenticated"
    refused = await w.call("GET", "/parcels/shipments", token=await w.token("crm"))
    assert (refused.status, refused.json()["scope"]) == (403, "parcels:use")
    assert w.service.requests == []


async def test_only_what_the_section_calls_public_is(carrier):
    w = await carrier(public=("readStatus",))

    assert (await w.call("GET", "/parcels/status")).status == 200
    assert (await w.call("GET", "/parcels/shipments")).status == 401


async def test_terms_in_the_contract_go_before_the_section(carrier):
    terms = {"createShipment": {"scopes": ["orders:write"], "idempotency": "required"}}
    w = await carrier(terms)
    shop, crm = await w.token("shop"), await w.token("crm")

    assert (await w.call("POST", "/parcels/shipments", token=shop, json={})).status == 403
    keyless = await w.call("POST", "/parcels/shipments", token=crm, json={"weight": 1})
    assert keyless.problem == "idempotency-key-missing"
    made = [
        await w.call("POST", "/parcels/shipments", token=crm, json={"weight": 1}, key="K")
        for _ in range(2)
    ]
    assert [each.header("idempotency-replayed") for each in made] == [None, "true"]
    assert len(w.service.requests) == 1
    assert [each.operation for each in w.keep.entries][-1] == "services/parcels/createShipment"


async def test_what_its_contract_does_not_name_cannot_be_reached(carrier):
    w = await carrier()
    token = await w.token("shop")

    assert (await w.call("GET", "/parcels/admin", token=token)).problem == "operation-unknown"
    assert (await w.call("GET", "/parcels/shipments/", token=token)).status == 404
    wrong = await w.call("DELETE", "/parcels/shipments/S-1", token=token)
    assert (wrong.problem, wrong.header("allow")) == ("method-not-allowed", "GET, HEAD")
    assert w.service.requests == []


async def test_a_call_is_held_to_its_contract(carrier):
    """All faults at once, in the words of OpenAPI 3.0: what may be null, what only it writes."""
    w = await carrier()
    token = await w.token("shop")
    told = await w.call(
        "POST", "/parcels/shipments", token=token, json={"weight": 0, "wieght": 1, "note": 5}
    )
    assert {each["pointer"] for each in told.json()["errors"]} == {"/weight", "/wieght", "/note"}
    assert w.service.requests == []

    good = await w.call(
        "POST", "/parcels/shipments", token=token, json={"weight": 0.1, "note": None}
    )
    assert good.status == 200


async def test_what_only_the_service_can_judge_is_left_to_it(carrier):
    """XML, members of an object in the query, lists in one text: nothing of ours, no fault."""
    w = await carrier()
    token = await w.token("shop")
    xml = [("content-type", "application/xml")]
    sent = await w.call("POST", "/parcels/shipments", token=token, body=b"<p/>", headers=xml)
    assert (sent.status, w.service.requests[-1].endswith(b"<p/>")) == (200, True)
    keyed = [("x-carrier-key", "k")]
    target = "/parcels/shipments?state=sent,lost&filter[to]=GB"
    assert (await w.call("GET", target, token=token, headers=keyed)).status == 200

    wrong = await w.call("GET", "/parcels/shipments?state=sent,found", token=token, headers=keyed)
    assert wrong.json()["errors"][0]["pointer"] == "query:state"


async def test_one_key_of_two_callers_is_two_keys_there(carrier):
    """To the carrier both are the gateway: it must not answer one with the other's parcel."""
    w = await carrier()
    keys = []
    for client in ("shop", "stall", "shop"):
        await w.call(
            "POST", "/parcels/shipments", token=await w.token(client), json={"weight": 1}, key="K"
        )
        keys.append(w.service.field("idempotency-key"))

    assert keys[0] == keys[2] != keys[1]
    assert "K" not in keys


async def test_a_keyed_call_is_not_tried_again_by_us(carrier):
    """Whether the carrier knows a key for the same call, we cannot know."""
    terms = {"createShipment": {"idempotency": "required"}}
    w = await carrier(terms)
    w.service.answers = [b"HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n"]
    told = await w.call(
        "POST", "/parcels/shipments", token=await w.token("shop"), json={"weight": 1}, key="K"
    )

    assert told.problem == "upstream-unavailable"
    assert len(w.service.requests) == 1


async def test_its_answers_lead_back_to_the_gateway_and_set_no_cookies(carrier):
    w = await carrier()
    token = await w.token("shop")
    address = w.gateway.served.config.services["parcels"].url.encode()
    for said, told in (
        (address + b"/shipments/S-1?x=1", "/parcels/shipments/S-1?x=1"),
        (b"/shipments/S-1", "/parcels/shipments/S-1"),
        (b"S-1", "S-1"),
        (b"https://elsewhere.example/", "https://elsewhere.example/"),
        (b"//elsewhere.example/", "//elsewhere.example/"),
    ):
        w.service.answers = [CREATED % said]
        answer = await w.call("POST", "/parcels/shipments", token=token, json={"weight": 1})
        assert (answer.header("location"), answer.header("set-cookie")) == (told, None)


async def test_its_calls_have_a_quota_of_their_own(carrier):
    w = await carrier(plans={"standard": Plan(services=(Window(quota=1, seconds=60),))})
    token = await w.token("shop")
    first = await w.call("GET", "/parcels/status", token=token)
    second = await w.call("GET", "/parcels/shipments/S-1", token=token)

    assert (first.status, first.header("ratelimit-policy")) == (200, '"services-60s";q=1;w=60')
    assert second.problem == "quota-exceeded"


async def test_a_body_streams_to_it_and_past_the_cap_is_cut_off(carrier):
    w = await carrier(max_body_bytes=100_000)
    token = await w.token("shop")
    kind = ("content-type", "application/pdf")
    whole = await w.call(
        "POST", "/parcels/labels", token=token, body=[b"a" * 40_000] * 2, headers=[kind]
    )
    assert (whole.status, w.service.requests[-1].count(b"a" * 40_000)) == (200, 2)

    chunked = [kind, ("transfer-encoding", "chunked")]
    cut = await w.call(
        "POST", "/parcels/labels", token=token, body=[b"a" * 60_000] * 2, headers=chunked
    )
    assert cut.problem == "request-too-large"


async def test_its_answer_streams_and_its_trailers_are_dropped(carrier):
    w = await carrier()
    head = b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nKeep-Alive: timeout=5\r\n\r\n"
    body = b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n"
    w.service.answers = [b"HTTP/1.1 200 OK\r\n" + head + body]
    told = await w.call("GET", "/parcels/shipments/S-1", token=await w.token("shop"))

    assert (told.status, told.body) == (200, b"abcdef")
    assert not {name for name, _ in told.headers} & {b"trailer", b"keep-alive", b"x-sum"}


async def test_a_piece_of_its_answer_does_not_wait_for_the_next(carrier):
    """A service that says something now and something later is heard now."""
    w = await carrier()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    w.service.answers = [[head, b"3\r\nnow\r\n", 0.4, b"5\r\nlater\r\n", 0.4, b"0\r\n\r\n"]]
    began = asyncio.get_running_loop().time()
    heard = []

    async def hear(message):
        if message.get("body"):
            heard.append((message["body"], asyncio.get_running_loop().time() - began))

    await w.call("POST", "/parcels/labels", token=await w.token("shop"), hear=hear)

    (now, soon), (later, after) = heard
    assert (now, later) == (b"now", b"later")
    assert soon < 0.3 < after < 0.7


async def test_a_carrier_that_is_gone_is_left_alone_and_nobody_else_is(carrier):
    w = await carrier(url="http://127.0.0.1:9")
    token, crm = await w.token("shop"), await w.token("crm")
    for _ in range(8):
        told = await w.call("GET", "/parcels/shipments/S-1", token=token)
        assert told.problem == "upstream-unavailable"

    standing = w.gateway.lasting.standing.breakers["services/parcels", "services"]
    assert standing.state == "open"
    assert (await w.call("GET", "/sales/v1/orders", token=crm)).status == 200


async def test_answers_that_break_its_contract_are_drift(carrier):
    w = await carrier(sample=1.0)
    token = await w.token("shop")
    w.service.answers = [OK.replace(b"{}", b"[]")]
    await w.call("GET", "/parcels/shipments/S-1", token=token)
    await w.call("POST", "/parcels/labels", token=token)
    await asyncio.sleep(0.05)

    [(_, drift)] = [each for each in w.records.events if each[0] == "contract_drift_found"]
    assert (drift["operation"], drift["rule"]) == (
        "services/parcels/readShipment",
        "components/schemas/Parcel/type",
    )


async def test_no_path_of_the_gateway_itself_is_left_for_a_service_to_take(carrier):
    w = await carrier()
    first = {each.template.split("/")[1] for each in w.gateway.operations if each.api == "house"}

    assert first <= FIRST_SEGMENTS


async def test_its_contract_is_shown_where_the_section_says_so(carrier):
    """As one of ours: our prefix, our security, and nothing of where it really is."""
    w = await carrier()
    assert (await w.call("GET", "/openapi/services/parcels.json")).status == 404

    w = await carrier(publish=True)
    shown = (await w.call("GET", "/openapi/services/parcels.json")).json()
    assert shown["servers"] == [{"url": "/parcels"}]
    assert shown["paths"]["/status"]["get"]["security"] == [{"oauth2": ["parcels:use"]}]
    assert "carrier.example" not in str(shown)
    catalog = (await w.call("GET", "/.well-known/api-catalog")).json()["linkset"]
    assert "http://127.0.0.1:8080/parcels" in {each["anchor"] for each in catalog}


async def test_a_reload_adds_changes_and_removes_a_service(carrier, world):
    w = await world(config=a_config(world, None))
    token = None

    async def status(path="/parcels/status"):
        return (await w.call("GET", path, token=token)).status

    assert await status() == 404
    section = carrier.section()
    assert await w.gateway.reload(w.building(a_config(world, section)))
    token = await w.token("shop")
    assert await status() == 200
    moved = carrier.section(prefix="/north", scopes=("parcels:use", "orders:write"))
    assert await w.gateway.reload(w.building(a_config(world, moved)))
    assert (await status(), await status("/north/status")) == (404, 403)
    assert await w.gateway.reload(w.building(a_config(world, None)))
    assert await status("/north/status") == 404


async def test_a_service_that_stays_the_same_keeps_its_connections_over_a_reload(carrier, world):
    w = await carrier()
    token = await w.token("shop")
    for _ in range(3):
        assert (await w.call("GET", "/parcels/status", token=token)).status == 200
        config = a_config(world, carrier.section(budget_ms=5_000))
        assert await w.gateway.reload(w.building(config))

    assert w.service.connections == 1


async def test_a_reload_with_a_faulty_contract_is_refused_and_the_last_good_one_serves(
    carrier, world
):
    w = await carrier()
    token = await w.token("shop")
    faulty = a_config(world, carrier.section({"readStatus": {"limit": "none"}}, url="http://a:9"))

    assert not await w.gateway.reload(w.building(faulty))
    [fault] = [said for name, said in w.records.events if name == "configuration_fault_found"]
    assert fault["place"].endswith("#/paths/~1status/get/x-crossdock/limit")
    assert (await w.call("GET", "/parcels/status", token=token)).status == 200
