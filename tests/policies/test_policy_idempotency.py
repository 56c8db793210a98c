"""idempotency: one key, one effect, one answer, byte for byte (campaign A4 at its smallest)."""

import asyncio

import pytest

from contracts.problems import problem, refuse, render
from gateway.config import IdempotencySettings

pytestmark = pytest.mark.anyio
EXCHANGE = {b"x-correlation-id", b"idempotency-replayed", b"ratelimit", b"ratelimit-policy"}


def answer_of(told):
    return told.status, [each for each in told.headers if each[0] not in EXCHANGE], told.body


async def test_fifty_at_once_become_one_order_and_fifty_equal_answers(world):
    w = await world()
    w.tier.delay = 0.05
    token = await w.token()
    told = await asyncio.gather(*(w.order("INV-1", token) for _ in range(50)))

    assert w.tier.orders == 1
    assert len({str(answer_of(each)) for each in told}) == 1
    assert told[0].status == 201
    assert told[0].header("location") == "/sales/v1/orders/O-1"
    assert sum(each.header("idempotency-replayed") == "true" for each in told) == 49


async def test_a_repeat_gets_the_first_answer_even_after_a_restart(world):
    w = await world()
    first = await w.order("INV-1", await w.token())
    restarted = await world(keep=w.keep)
    second = await restarted.order("INV-1", await restarted.token())

    assert answer_of(first) == answer_of(second)
    assert second.header("idempotency-replayed") == "true"
    assert restarted.tier.orders == 0


@pytest.mark.parametrize(
    "key", [None, "", " ", "a b", "k" * 256, "tab\there", "nul\x00", "ü", "a\x7f"]
)
async def test_without_a_usable_key_nothing_runs(world, key):
    w = await world()
    told = await w.order(key, await w.token())

    slug = "idempotency-key-missing" if key is None else "idempotency-key-invalid"
    assert (told.status, told.problem) == (400, slug)
    assert w.tier.calls == []


async def test_two_keys_in_one_request_are_none(world):
    w = await world()
    told = await w.call(
        "POST",
        "/sales/v1/orders",
        json=w.an_order(),
        token=await w.token(),
        headers=[("idempotency-key", "A"), ("idempotency-key", "A")],
    )

    assert (told.status, told.problem) == (400, "idempotency-key-invalid")


@pytest.mark.parametrize("key", ["k" * 255, "INV-536365", "!", "~", "a,b", '"quoted"'])
async def test_any_visible_ascii_is_a_key(world, key):
    w = await world()
    told = await w.order(key, await w.token())

    assert told.status == 201
    assert w.tier.calls[-1].context.idempotency_key == key


async def test_another_body_under_the_key_is_refused(world):
    w = await world()
    token = await w.token()
    await w.order("INV-1", token)
    told = await w.order("INV-1", token, customer="C2")

    assert (told.status, told.problem) == (422, "idempotency-key-reused")
    assert w.tier.orders == 1


async def test_another_body_while_the_first_still_runs_is_refused_at_once(world):
    w = await world()
    w.tier.delay = 0.1
    token = await w.token()
    first = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)
    told = await w.order("INV-1", token, customer="C2")

    assert (told.status, told.problem) == (422, "idempotency-key-reused")
    assert (await first).status == 201


async def test_the_same_document_spelt_otherwise_is_the_same_request(world):
    w = await world()
    token = await w.token()
    spelt = b'{ "lines" : [ {"quantity": 2, "item": "A"} ], "customer": "C1" }'
    await w.order("INV-1", token)
    told = await w.call("POST", "/sales/v1/orders", body=spelt, token=token, key="INV-1")

    assert told.status == 201
    assert w.tier.orders == 1


async def test_a_key_belongs_to_its_consumer(world):
    w = await world()
    await w.order("INV-1", await w.token("crm"))
    await w.order("INV-1", await w.token("partner-acme"))

    assert w.tier.orders == 2


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_final_refusal_is_replayed(world, status):
    w = await world()
    token = await w.token()
    body = render(problem("customer-blocked"))
    w.tier.says = [(status, [(b"content-type", b"application/problem+json")], body)]
    first = await w.order("INV-1", token)
    second = await w.order("INV-1", token)

    assert answer_of(first) == answer_of(second)
    assert w.tier.orders == 0


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (429, "quota-exceeded"),
        (408, "request-timeout"),
        (401, "unauthenticated"),
        (403, "insufficient-scope"),
        (409, "idempotency-in-flight"),
        (500, "internal-error"),
        (503, "upstream-unavailable"),
        (504, "deadline-exceeded"),
    ],
)
async def test_an_answer_that_invites_a_retry_is_not_kept(world, status, slug):
    w = await world()
    token = await w.token()
    w.tier.says = [
        (status, [(b"content-type", b"application/problem+json")], render(problem(slug)))
    ]
    first = await w.order("INV-1", token)
    second = await w.order("INV-1", token)

    assert (first.status, second.status) == (status, 201)
    assert w.tier.orders == 1


async def test_a_tier_that_raises_is_asked_again(world):
    w = await world()
    token = await w.token()
    w.tier.fails_with = [refuse("store-unavailable", retry_after=3), RuntimeError("SECRET")]

    first = await w.order("INV-1", token)
    assert (first.status, first.problem, first.header("retry-after")) == (
        503,
        "store-unavailable",
        "3",
    )
    second = await w.order("INV-1", token)
    assert (second.status, second.problem) == (500, "internal-error")
    assert b"SECRET" not in second.body
    assert (await w.order("INV-1", token)).status == 201


async def test_a_repeat_waits_only_as_long_as_its_own_budget(world):
    w = await world()
    w.tier.delay = 0.4
    token = await w.token()
    first = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)
    told = await w.call(
        "POST",
        "/sales/v1/orders",
        json=w.an_order(),
        token=token,
        key="INV-1",
        headers=[("x-request-budget-ms", "120")],
    )

    assert (told.status, told.problem) == (409, "idempotency-in-flight")
    assert told.header("retry-after") == "1"
    assert (await first).status == 201


async def test_a_first_call_that_times_out_frees_the_key(world):
    w = await world(document=world.document(budgetMs=50))
    token = await w.token()
    w.tier.delay = 0.2
    first = await w.order("INV-1", token)
    w.tier.delay = 0
    second = await w.order("INV-1", token)

    assert (first.status, first.problem) == (504, "deadline-exceeded")
    assert second.status == 201


async def test_an_answer_that_cannot_be_kept_is_not_told(world):
    """Told but not kept, it could not be told again byte for byte."""
    w = await world()
    token = await w.token()

    async def breaking(scope, key):
        w.keep.broken = True

    w.keep.load_answer, loading = breaking, w.keep.load_answer
    first = await w.order("INV-1", token)
    w.keep.broken, w.keep.load_answer = False, loading
    second = await w.order("INV-1", token)

    assert (first.status, first.problem) == (503, "store-unavailable")
    assert first.header("retry-after") == "1"
    assert first.header("x-correlation-id") is not None
    assert second.status == 201


async def test_who_waited_for_an_answer_that_passes_is_told_when_to_come_again(world):
    w = await world()
    token = await w.token()

    async def breaking_slowly(scope, key):
        await asyncio.sleep(0.05)
        raise OSError("the disk is gone")

    w.keep.load_answer = breaking_slowly
    first, repeat = await asyncio.gather(w.order("INV-1", token), w.order("INV-1", token))

    assert (first.status, first.header("retry-after")) == (503, "1")
    assert (repeat.status, repeat.header("retry-after")) == (503, "1")
    assert repeat.header("idempotency-replayed") == "true"


async def test_without_the_store_nothing_runs(world):
    w = await world()
    w.keep.broken = True
    told = await w.order("INV-1", await w.token())

    assert (told.status, told.problem) == (503, "store-unavailable")
    assert w.tier.calls == []


async def test_a_key_expires_after_its_days(world):
    w = await world(config=world.config(gateway={"idempotency": IdempotencySettings(keep_days=1)}))
    await w.order("INV-1", await w.token())
    w.clock.advance(86_401)
    w.keep.answers.clear()  # a store forgets what has expired
    await w.order("INV-1", await w.token())

    assert w.tier.orders == 2


async def test_an_expired_answer_still_in_the_store_is_not_replayed(world):
    w = await world(config=world.config(gateway={"idempotency": IdempotencySettings(keep_days=1)}))
    await w.order("INV-1", await w.token())
    w.clock.advance(86_401)
    await w.order("INV-1", await w.token())

    assert w.tier.orders == 2


async def test_the_tier_gets_the_key_and_the_fingerprint(world):
    w = await world()
    await w.order("INV-1", await w.token())

    context = w.tier.calls[-1].context
    assert context.idempotency_key == "INV-1"
    assert len(context.fingerprint) == 64
    assert context.criticality == "capture"


async def test_a_race_of_many_keys_keeps_each_apart(world):
    w = await world()
    w.tier.delay = 0.01
    token = await w.token()
    told = await asyncio.gather(
        *(w.order(f"INV-{n % 20}", token) for n in range(200)),
    )

    assert w.tier.orders == 20
    assert len({each.body for each in told}) == 20
    assert not next(p for p in w.gateway.served.policies if p.name == "idempotency")._flights


class Board:
    """Holds claims as the shared state does, and takes its time."""

    def __init__(self):
        self.held = {}

    async def claim(self, scope, key, fingerprint, *, holder, seconds):
        held = self.held.setdefault((scope, key), (fingerprint, holder))
        await asyncio.sleep(0.05)
        if held == (fingerprint, holder):
            return "ours"
        return "running" if held[0] == fingerprint else "other-request"

    async def unclaim(self, scope, key, fingerprint, *, holder):
        await asyncio.sleep(0.05)
        if self.held.get((scope, key)) == (fingerprint, holder):
            del self.held[scope, key]


async def claiming(world):
    w = await world()
    idempotency = next(each for each in w.gateway.served.policies if each.name == "idempotency")
    board = idempotency._claims = Board()
    return w, idempotency, board


async def test_a_call_that_ends_while_it_claims_gives_back_what_it_may_have_been_granted(world):
    w, _, board = await claiming(world)
    token = await w.token()
    leaving = asyncio.create_task(w.order("INV-1", token))
    await asyncio.sleep(0.02)
    assert len(board.held) == 1
    leaving.cancel()
    await asyncio.wait([leaving])
    await asyncio.sleep(0.1)

    assert board.held == {}
    assert (await w.order("INV-1", token)).status == 201


async def test_who_closes_has_given_every_claim_back(world):
    """The shared state is closed next: what is not given back by then keeps its key taken."""
    w, idempotency, board = await claiming(world)
    assert (await w.order("INV-1", await w.token())).status == 201
    assert len(board.held) == 1
    await idempotency.close()

    assert board.held == {}


class Forgetful(dict):
    """The planted defect: a call does not see that another with its key is under way."""

    def get(self, key, default=None):
        return default

    def __delitem__(self, key):
        self.pop(key, None)


async def test_the_story_of_the_fifty_catches_a_gateway_that_does_not_look(world):
    w = await world()
    idempotency = next(each for each in w.gateway.served.policies if each.name == "idempotency")
    idempotency._flights = Forgetful()
    w.tier.delay = 0.05
    token = await w.token()
    await asyncio.gather(*(w.order("INV-1", token) for _ in range(50)))

    assert w.tier.orders > 1
