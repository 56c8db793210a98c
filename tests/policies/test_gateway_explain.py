"""What the gateway would say to a call that is never made is what it says to one that is."""

import pytest

from gateway.call import Consumer
from gateway.config import Plan, Window
from gateway.explaining import Caller, Proof
from gateway.routes import Lifecycle

pytestmark = pytest.mark.anyio


def a_caller(*scopes):
    """A partner whose key holds these scopes."""
    consumer = Consumer(
        name="partner-acme", subject="partner-acme", scopes=frozenset(scopes), accounts=("C1",),
        plan="standard", expires=9e12,
    )  # fmt: skip
    return Caller(proofs=(Proof(consumer=consumer, by=f"a key of {' '.join(scopes)}"),))


async def test_explain_says_what_each_policy_would_do_without_doing_it(world):
    w = await world()
    partner = a_caller("orders:read")
    found = {each.policy: each for each in w.gateway.explain("POST", "/sales/v1/orders", partner)}

    assert found["route"].because == "sales/v1/placeOrder"
    assert found["authorize"].verdict == "refuse"
    assert found["authorize"].because == "needs orders:write; the caller holds orders:read"
    assert found["idempotency"].because == "an Idempotency-Key is required"
    assert w.tier.calls == []


@pytest.mark.parametrize(
    ("method", "target", "policy", "because"),
    [
        ("GET", "/sales/v1/orders?limit=5&open=true", None, ""),
        ("GET", "/sales/v1/orders/SO-1", None, ""),
        ("GET", "/sales/v1/orders?limit=101", "validate", "query:limit is too large"),
        ("GET", "/sales/v1/orders?limt=1", "validate", "did you mean limit?"),
        ("GET", "/sales/v1/orders/so-1", "validate", "path:order does not have the right form"),
        ("GET", "/sales/v1/orders/a%2Fb", "guard", "encoded separators"),
        ("GET", "/sales/v1/orders?po=" + "x" * 9_000, "guard", "Shorten"),
        ("DELETE", "/sales/v1/orders", "route", "allowed: GET, HEAD, POST"),
        ("GET", "/nowhere", "route", "no contract names this path"),
    ],
)
async def test_explain_refuses_what_the_gateway_refuses(world, method, target, policy, because):
    """By the same policy, and in words that say what to do."""
    w = await world()
    made = await w.call(method, target, token=await w.token())
    refusals = [
        each
        for each in w.gateway.explain(method, target, a_caller("orders:read"))
        if each.verdict == "refuse"
    ]

    assert (made.status >= 400) == bool(refusals) == (policy is not None)
    if policy is not None:
        assert policy in {each.policy for each in refusals}
        assert because in " ".join(each.because for each in refusals)


async def test_explain_tells_a_retired_version_from_what_never_was(world):
    w = await world(retired={"sales/v0": Lifecycle(state="sunset", successor="/sales/v1")})
    (gone,) = [
        each
        for each in w.gateway.explain("GET", "/sales/v0/orders", a_caller())
        if each.policy == "route"
    ]

    assert gone.because == "/sales/v0 is retired"


async def test_explain_judges_a_public_operation_as_anybodys_call(world):
    """As the gateway does: no credential is looked at there, and no client's plan counts."""
    w = await world(
        config=world.config(plans={"standard": Plan(webhooks=(Window(quota=1, seconds=60),))})
    )
    found = {
        each.policy: each
        for each in w.gateway.explain("POST", "/sales/v1/notices", a_caller("orders:read"))
    }

    assert "which is public" in found["route"].because
    assert "authenticate" not in found
    assert found["quota"].because == "the plan sets no limit"


async def test_explain_takes_the_credential_that_opens_the_operation(world):
    """A client may hold several, and calls with the one that will do."""
    w = await world()
    two = Caller(proofs=(*a_caller("orders:read").proofs, *a_caller("orders:write").proofs))
    found = {each.policy: each for each in w.gateway.explain("POST", "/sales/v1/orders", two)}

    assert found["authorize"].verdict == "pass"
    assert found["authenticate"].because == "the caller is partner-acme, by a key of orders:write"


async def test_explain_ends_where_nobody_is_known_to_call(world):
    """What the others say depends on who it is."""
    w = await world()
    nobody = Caller(unproven="the client is disabled")
    *_, last = w.gateway.explain("GET", "/sales/v1/orders", nobody)

    assert (last.policy, last.verdict) == ("authenticate", "refuse")
    assert last.because == "the client is disabled"


async def test_explain_counts_a_dear_call_as_the_gateway_does(world):
    """Ten are left of sixty, and one such call counts as fifty."""
    plans = {"standard": Plan(orders=(Window(quota=60, seconds=60),))}
    w = await world(document=world.document(cost=50), config=world.config(plans=plans))
    token = await w.token("partner-acme")
    assert (await w.order("k-1", token)).status == 201
    assert (await w.order("k-2", token)).status == 429
    caller = a_caller("orders:write")
    found = {each.policy: each for each in w.gateway.explain("POST", "/sales/v1/orders", caller)}

    assert found["quota"].verdict == "refuse"
    assert found["quota"].because == "orders: 60 in 60 s; this call counts as 50"
