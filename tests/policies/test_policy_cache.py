"""cache: one caller asks, the others are given what it learnt; never another consumer's."""

import asyncio

import pytest

from contracts.problems import refuse
from gateway.call import Reply
from gateway.copies import Copies, Copy
from gateway.resilience import CacheSettings

pytestmark = pytest.mark.anyio
READ = "/sales/v1/orders"


def cached(world, **rule):
    document = world.document()
    for path in ("/orders", "/orders/{order}"):
        document["paths"][path]["get"]["x-crossdock"] = {
            "limit": "reads",
            "budgetMs": 2_000,
            "cache": {
                "entity": "order",
                "freshSeconds": 10,
                "staleSeconds": 20,
                "errorSeconds": 60,
                **rule,
            },
        }
    return document


async def read(w, token, target=READ, **headers):
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await w.call("GET", target, token=token, headers=sent)


def of(w, name="cache"):
    return next(each for each in w.gateway.served.policies if each.name == name)


async def test_a_fresh_copy_is_given_with_its_age_and_the_tier_is_not_asked(world):
    w = await world(document=cached(world))
    token = await w.token()
    first = await read(w, token)
    w.clock.advance(7)
    second = await read(w, token)

    assert len(w.tier.calls) == 1
    assert (second.status, second.body) == (first.status, first.body)
    assert (first.header("age"), second.header("age")) == ("0", "7")
    assert first.header("cache-status") == "crossdock; fwd=miss; stored"
    assert second.header("cache-status") == "crossdock; hit"
    assert second.header("cache-control") == "private, max-age=3"
    assert second.header("etag") == first.header("etag")
    assert second.header("x-correlation-id") != first.header("x-correlation-id")


async def test_who_has_the_latest_is_told_so_without_a_body(world):
    w = await world(document=cached(world))
    token = await w.token()
    etag = (await read(w, token)).header("etag")
    for condition in (etag, f'"other", W/{etag}', "*"):
        told = await read(w, token, if_none_match=condition)
        assert (told.status, told.body, told.header("etag")) == (304, b"", etag)
    assert (await read(w, token, if_none_match='"other"')).status == 200
    assert len(w.tier.calls) == 1


async def test_a_condition_is_not_passed_on_but_answered_here(world):
    """The first caller has a copy of its own; everybody after it needs the whole answer."""
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.says = [(200, [(b"content-type", b"application/json"), (b"etag", b'"7"')], b"{}")]
    told = await read(w, token, if_none_match='"7"')

    assert (told.status, told.body) == (304, b"")
    assert b"if-none-match" not in w.tier.calls[0].headers
    assert (await read(w, token)).body == b"{}"
    assert len(w.tier.calls) == 1


async def test_one_consumers_copy_is_never_anothers(world):
    w = await world(document=cached(world))
    for client, scope in (("crm", None), ("partner-acme", None), ("crm", "orders:read")):
        assert (await read(w, await w.token(client, scope))).status == 200
    assert [call.context.consumer for call in w.tier.calls] == ["crm", "partner-acme", "crm"]


async def test_what_is_public_is_everybodys_who_may_ask(world):
    w = await world(document=cached(world, public=True))
    told = [await read(w, await w.token(client)) for client in ("crm", "partner-acme")]

    assert len(w.tier.calls) == 1
    assert told[1].header("cache-control") == "public, max-age=10"
    assert (await read(w, "nonsense")).status == 401
    assert (await read(w, await w.token("crm", "orders:write"))).status == 403


async def test_another_path_or_query_is_another_answer(world):
    w = await world(document=cached(world))
    token = await w.token()
    for target in (READ, f"{READ}?po=1", f"{READ}?po=2", f"{READ}/O-1", f"{READ}/O-2"):
        await read(w, token, target)
        await read(w, token, target)
    assert len(w.tier.calls) == 5
    assert (await read(w, token, f"{READ}?nonsense=1")).status == 400


async def test_a_hundred_cold_callers_ask_once(world):
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.05
    told = await asyncio.gather(*(read(w, token) for _ in range(100)))

    assert len(w.tier.calls) == 1
    assert {(each.status, each.body) for each in told} == {(200, b'{"ok": true}')}
    assert sum(each.header("cache-status").endswith("joined") for each in told) == 99


async def test_while_one_refreshes_a_stale_copy_the_others_are_given_it(world):
    w = await world(document=cached(world))
    token = await w.token()
    await read(w, token)
    w.clock.advance(15)
    w.tier.delay = 0.1
    w.tier.says = [(200, [(b"content-type", b"application/json")], b'{"new": 1}')]
    refreshing = asyncio.create_task(read(w, token))
    await asyncio.sleep(0.03)
    told = await read(w, token)

    assert (told.body, told.header("age")) == (b'{"ok": true}', "15")
    assert told.header("cache-status") == "crossdock; hit; detail=refreshing"
    assert (await refreshing).body == b'{"new": 1}'
    assert (await read(w, token)).body == b'{"new": 1}'
    assert len(w.tier.calls) == 2


async def test_past_its_stale_time_everybody_waits_for_the_one_who_asks(world):
    w = await world(document=cached(world))
    token = await w.token()
    await read(w, token)
    w.clock.advance(31)
    w.tier.delay = 0.05
    w.tier.says = [(200, [(b"content-type", b"application/json")], b'{"new": 1}')]
    told = await asyncio.gather(*(read(w, token) for _ in range(10)))

    assert {each.body for each in told} == {b'{"new": 1}'}
    assert len(w.tier.calls) == 2


async def test_while_the_tier_fails_the_old_answer_is_given_with_its_age(world):
    w = await world(document=cached(world))
    token = await w.token()
    await read(w, token)
    w.clock.advance(40)
    w.tier.fails_with = [refuse("upstream-unavailable"), RuntimeError("x")]
    for _ in range(2):
        told = await read(w, token)
        assert (told.status, told.body, told.header("age")) == (200, b'{"ok": true}', "40")
        assert told.header("cache-status") == "crossdock; hit; detail=upstream-failed"
    w.clock.advance(51)
    w.tier.fails_with = [refuse("upstream-unavailable")]
    assert (await read(w, token)).problem == "upstream-unavailable"


async def test_those_who_wait_for_a_call_that_fails_are_refused_and_do_not_all_try(world):
    """A herd before a dead upstream is one call."""
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.05
    w.tier.fails_with = [refuse("upstream-unavailable")]
    told = await asyncio.gather(*(read(w, token) for _ in range(20)))

    assert {each.status for each in told} == {503}
    assert len(w.tier.calls) == 1
    assert (await read(w, token)).status == 200


async def test_a_404_is_one_for_all_who_wait_and_is_not_kept(world):
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.05
    w.tier.says = [(404, [(b"content-type", b"application/problem+json")], b'{"status":404}')]
    told = await asyncio.gather(*(read(w, token) for _ in range(5)))

    assert {(each.status, each.body) for each in told} == {(404, b'{"status":404}')}
    assert (await read(w, token)).status == 200
    assert len(w.tier.calls) == 2


@pytest.mark.parametrize(
    "header",
    [(b"set-cookie", b"a=b"), (b"cache-control", b"private, no-store"), (b"vary", b"accept")],
)
async def test_what_is_for_one_call_is_given_to_no_other(world, header):
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.05
    answer = (200, [(b"content-type", b"application/json"), header], b'{"mine": 1}')
    w.tier.says = [answer] * 3
    told = await asyncio.gather(*(read(w, token) for _ in range(3)))

    assert {each.status for each in told} == {200}
    assert len(w.tier.calls) == 3


async def test_an_event_about_an_entity_ends_its_copies(world):
    w = await world(document=cached(world))
    token = await w.token()
    await read(w, token)
    await read(w, token, f"{READ}/O-1")
    assert of(w).invalidate("customer") == 0
    assert of(w).invalidate("order") == 2
    await read(w, token)
    assert len(w.tier.calls) == 3


async def test_an_answer_that_was_on_its_way_when_the_event_came_is_not_kept(world):
    """It was true before the change; who asks after the change is told the truth after it."""
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.05
    w.tier.says = [(200, [(b"content-type", b"application/json")], b'{"old": 1}')]
    before = asyncio.create_task(read(w, token))
    await asyncio.sleep(0.02)
    of(w).invalidate("order")
    after = await read(w, token)

    assert (await before).body == b'{"old": 1}'
    assert after.body == b'{"ok": true}'
    assert (await read(w, token)).body == b'{"ok": true}'
    assert len(w.tier.calls) == 2


async def test_when_the_one_who_asks_leaves_one_of_those_who_wait_asks(world):
    w = await world(document=cached(world))
    token = await w.token()
    w.tier.delay = 0.1
    leaving = asyncio.create_task(read(w, token))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(read(w, token)) for _ in range(5)]
    await asyncio.sleep(0.02)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert {each.status for each in await asyncio.gather(*waiting)} == {200}
    assert len(w.tier.calls) == 2


async def test_head_shares_the_copy_and_has_no_body(world):
    w = await world(document=cached(world))
    token = await w.token()
    head = await w.call("HEAD", READ, token=token)
    assert (head.status, head.body) == (200, b"")
    assert (await read(w, token)).body == b'{"ok": true}'
    assert len(w.tier.calls) == 1


async def test_a_rule_for_anything_but_a_get_is_a_fault_and_it_can_be_turned_off(world):
    document = world.document()
    document["paths"]["/price-checks"]["post"]["x-crossdock"]["cache"] = {
        "entity": "price",
        "freshSeconds": 1,
    }
    with pytest.raises(ValueError, match="is not for another call"):
        await world(document=document)
    w = await world(
        document=cached(world), config=world.config(gateway={"cache": CacheSettings(enabled=False)})
    )
    token = await w.token()
    await read(w, token)
    assert (await read(w, token)).header("age") is None
    assert len(w.tier.calls) == 2


def test_the_memory_for_copies_is_bounded_and_the_least_used_is_forgotten():
    copies = Copies(most_bytes=5_000)
    for number in range(10):
        key = ("op", f"/{number}", b"", None)
        fetch = copies.begin(key, "item")
        copies.end(fetch, Copy(Reply(200, [], b"x" * 500), entity="item", taken=0.0))
        copies.get(("op", "/0", b"", None))
    assert copies.held_bytes <= 5_000
    assert copies.get(("op", "/0", b"", None)) is not None
    assert copies.get(("op", "/1", b"", None)) is None
    assert copies.invalidate("item") == 4
    assert copies.held_bytes == 0
