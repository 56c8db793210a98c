"""Campaign A4 in its smoke size: one key, one effect, byte-equal answers."""

import asyncio
import random

import msgspec
import pytest

from tests.crash.keys import KeyCaller, campaign, orders_of, race
from tests.crash.processes import staged

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory):
    async with staged(tmp_path_factory.mktemp("a4")) as running:
        yield running


@pytest.fixture(scope="module")
async def caller(stage):
    one = KeyCaller(stage, random.Random(4))
    await one.look_around()
    return one


@pytest.mark.parametrize(
    ("keys", "slug"),
    [
        ([], "idempotency-key-missing"),
        ([""], "idempotency-key-invalid"),
        (["k" * 256], "idempotency-key-invalid"),
        (["has space"], "idempotency-key-invalid"),
        (["tab\there"], "idempotency-key-invalid"),
        (["caf\u00e9"], "idempotency-key-invalid"),
        (["one", "two"], "ambiguous-request"),
        (["same", "same"], "ambiguous-request"),
    ],
    ids=["missing", "empty", "over-long", "space", "control", "not-ascii", "two", "twice"],
)
async def test_a_key_that_cannot_be_used_is_refused_and_nothing_happens(stage, caller, keys, slug):
    """The caller learns what is wrong with its key before anything is done."""
    before = len(await stage.ledger("business_central"))

    answer = await caller.post(caller.an_order(), keys)

    assert answer.status == 400
    assert answer.slug in {slug, "idempotency-key-invalid"}
    assert len(await stage.ledger("business_central")) == before


async def test_fifty_at_once_are_one_order_and_fifty_equal_answers(stage, caller):
    """The whole reason for the header."""
    payload = caller.an_order()

    answers = await asyncio.gather(*(caller.post(payload, ["fifty"]) for _ in range(50)))

    assert {one.status for one in answers} == {202}
    assert len({(one.body, one.location) for one in answers}) == 1
    erp = await orders_of(stage, prefix="fifty", at_least=1)
    assert erp["fifty"] == 1


async def test_another_body_under_a_used_key_is_refused(stage, caller):
    """A key names one request for ever, not one order line more or less."""
    first = await caller.post(caller.an_order(), ["reused"])
    order = msgspec.json.decode(caller.an_order())
    order["note"] = "something else"

    second = await caller.post(msgspec.json.encode(order), ["reused"])

    assert (first.status, second.status) == (202, 422)
    assert second.slug == "idempotency-key-reused"


async def test_the_same_key_of_another_consumer_is_another_order(stage, caller):
    """Two consumers cannot know each other's keys, so neither may be given the other's answer."""
    payload = caller.an_order()

    ours = await caller.post(payload, ["shared-key"], client="crm")
    theirs = await caller.post(payload, ["shared-key"], client="operator")

    assert ours.status == theirs.status == 202
    assert ours.body != theirs.body
    erp = await orders_of(stage, prefix="shared-key", at_least=2)
    made = {key: count for key, count in erp.items() if key.startswith("shared-key")}
    assert sorted(made.values()) == [1, 1], made


async def test_the_same_key_for_another_operation_is_another_request(stage, caller):
    """A key is scoped to its operation: a cancellation may carry the order's own key."""
    placed = await caller.post(caller.an_order(), ["order-and-cancel"], prefer="wait=10")
    order = msgspec.json.decode(placed.body)["id"]

    cancelled = await caller.post(
        b'{"reason":"changed my mind"}', ["order-and-cancel"],
        path=f"/sales/v1/orders/{order}/cancellations",
    )  # fmt: skip

    assert placed.status in (201, 202)
    assert cancelled.status in (200, 202), cancelled


async def test_a_crash_after_the_claim_leaves_the_key_usable(stage, caller):
    """Killed with calls in flight, the system answers the same key with one order afterwards."""
    payload = caller.an_order()
    calls = [asyncio.create_task(caller.post(payload, ["crashed"])) for _ in range(10)]
    await asyncio.sleep(0.005)
    stage.system.kill()
    broken = await asyncio.gather(*calls)
    stage.system.start()
    await stage.system.ready(stage.client)

    answers = [await caller.post(payload, ["crashed"]) for _ in range(3)]

    assert len({(one.status, one.body) for one in answers}) == 1
    assert answers[0].status == 202
    told = [one for one in broken if one.status]
    assert all(one.body == answers[0].body for one in told)
    erp = await orders_of(stage, prefix="crashed", at_least=1)
    assert erp["crashed"] == 1


async def test_two_hundred_races_have_one_effect_each(stage):
    """Two to eight callers at once, and one who comes late."""
    found = await race(stage, races=200, seed=20261122)

    assert found.clean, found


async def test_the_campaign_catches_a_system_that_ignores_the_key(tmp_path):
    """Planted defect: every call is a new order. The oracle must see it."""
    launcher = ("-m", "tests.crash.launch", "key-ignored")
    found = await campaign(tmp_path, races=5, seed=3, launcher=launcher)

    assert not found.clean, found
