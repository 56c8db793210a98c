"""What the gateway answers itself, and what no contract names."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio


async def test_health_says_alive_and_ready_says_what_is_wrong(world):
    faults = {"store": None}

    async def ready():
        return faults

    w = await world(ready=ready)
    assert (await w.call("GET", "/healthz")).json() == {"status": "alive"}
    assert (await w.call("GET", "/readyz")).json() == {
        "status": "ready",
        "checks": {"store": "well"},
    }
    faults["store"] = "locked"
    told = await w.call("GET", "/readyz")
    assert (told.status, told.json()["checks"]) == (503, {"store": "locked"})


async def test_a_draining_gateway_is_not_ready_and_closes_what_it_answers(world):
    w = await world()
    token = await w.token()
    drain = asyncio.create_task(w.gateway.drain(30))
    await asyncio.sleep(0.02)
    w.clock.advance(1)
    async with asyncio.timeout(2):
        assert await drain
    told = await w.call("GET", "/sales/v1/orders", token=token)

    assert (told.status, told.header("connection")) == (200, "close")
    assert (await w.call("GET", "/readyz")).status == 503


async def test_the_catalogue_leads_to_every_contract(world):
    """RFC 9727: a linkset at a well-known place."""
    w = await world()
    told = await w.call("GET", "/.well-known/api-catalog")

    assert told.header("content-type") == "application/linkset+json"
    (entry,) = told.json()["linkset"]
    assert entry["anchor"].endswith("/sales/v1")
    contract = await w.call(
        "GET", entry["service-desc"][0]["href"].removeprefix("http://127.0.0.1:8080")
    )
    assert contract.json()["info"]["x-crossdock-api"] == "sales/v1"


async def test_a_problem_type_is_a_page_and_a_document(world):
    w = await world()
    document = await w.call("GET", "/problems/credit-limit-exceeded")
    page = await w.call(
        "GET", "/problems/credit-limit-exceeded", headers=[("accept", "text/html,*/*;q=0.8")]
    )

    assert document.json()["actor"] == "finance"
    assert page.header("content-type") == "text/html; charset=utf-8"
    assert b"Finance may raise the limit" in page.body
    assert (await w.call("GET", "/problems/nothing")).problem == "not-found"


async def test_metrics_that_ask_for_a_scope_name_consumers_to_nobody_else(world):
    config = world.config(gateway={"metrics_scope": "orders:read"})
    w = await world(config=config)
    anybody, holder = await w.call("GET", "/metrics"), await w.token()
    other = await w.token(scope="orders:write")
    refused = await w.call("GET", "/metrics", token=other)
    told = await w.call("GET", "/metrics", token=holder)

    assert (anybody.status, anybody.problem) == (401, "unauthenticated")
    assert (refused.status, refused.problem) == (403, "insufficient-scope")
    assert 'scope="orders:read"' in refused.header("www-authenticate")
    assert (told.status, told.body[:2]) == (200, b"# ")
    assert (await w.call("GET", "/healthz")).status == 200


async def test_the_scope_of_metrics_is_among_those_that_are_named(world):
    w = await world(config=world.config(gateway={"metrics_scope": "metrics:read"}))
    named = (await w.call("GET", "/.well-known/oauth-protected-resource")).json()
    assert "metrics:read" in named["scopes_supported"]


async def test_an_unknown_operation_and_a_wrong_method_are_told_apart(world):
    w = await world()
    unknown = await w.call("GET", "/sales/v1/invoices")
    wrong = await w.call("DELETE", "/sales/v1/orders")

    assert (unknown.status, unknown.problem) == (404, "operation-unknown")
    assert (wrong.status, wrong.problem) == (405, "method-not-allowed")
    assert wrong.header("allow") == "GET, HEAD, POST"
    assert unknown.json()["instance"] == f"urn:crossdock:call:{unknown.header('x-correlation-id')}"


async def test_head_is_get_without_its_body(world):
    w = await world()
    told = await w.call("HEAD", "/sales/v1/orders", token=await w.token())

    assert (told.status, told.body) == (200, b"")
    assert w.tier.calls[-1].method == "GET"


async def test_metrics_count_calls_and_refusals_by_operation_and_policy(world):
    w = await world()
    token = await w.token()
    await w.order("K", token)
    await w.order(None, token)
    text = (await w.call("GET", "/metrics")).body.decode()

    placed = 'crossdock_gateway_calls_total{operation="sales/v1/placeOrder",status="%s"} 1.0'
    assert placed % "2xx" in text
    assert placed % "4xx" in text
    assert (
        'crossdock_gateway_refusals_total{operation="sales/v1/placeOrder",'
        'policy="idempotency",reason="idempotency-key-missing"} 1.0'
    ) in text


async def test_what_an_upstream_says_in_its_own_words_does_not_pass(world):
    """A stack trace, a vendor's page or a leaked identity header stays behind the gateway."""
    w = await world()
    headers = [
        (b"content-type", b"text/html"),
        (b"x-crossdock-consumer", b"operator"),
        (b"connection", b"x-internal"),
        (b"x-internal", b"10.0.0.7"),
        (b"retry-after", b"9"),
    ]
    w.tier.says = [(503, headers, b"Traceback: SECRET"), (200, headers, b"<p>fine</p>")]
    token = await w.token()
    failed = await w.call("GET", "/sales/v1/orders", token=token)
    fine = await w.call("GET", "/sales/v1/orders", token=token)

    assert (failed.status, failed.problem) == (503, "upstream-unavailable")
    assert failed.header("retry-after") == "9"
    assert b"SECRET" not in failed.body
    assert fine.header("content-type") == "text/html"
    assert {name for name, _ in fine.headers} & {b"x-internal", b"x-crossdock-consumer"} == set()
