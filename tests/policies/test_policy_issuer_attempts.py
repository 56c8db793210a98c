"""Guessing secrets is slowed by who is named and from where, and locks nobody out."""

import base64

import pytest

from gateway.attempts import Attempts
from gateway.config import AttemptLimits
from tests.policies.conftest import MovingClock

pytestmark = pytest.mark.anyio
FORM = ("content-type", "application/x-www-form-urlencoded")
LIMITS = AttemptLimits(seconds=60.0, client_from_address=3, address=6, client=9)


@pytest.fixture
async def w(world):
    return await world(
        config=world.config(gateway={"attempts": LIMITS, "trusted_hops": ("10.0.0.0/8",)})
    )


async def attempt(w, client="crm", secret="guess", *, peer="192.0.2.7", via=None):
    basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
    headers = [FORM, ("authorization", f"Basic {basic}")]
    if via is not None:
        headers.append(("x-forwarded-for", via))
    return await w.call(
        "POST", "/oauth/token", headers=headers, body=b"grant_type=client_credentials", peer=peer
    )


async def test_after_so_many_failures_even_the_right_secret_waits(w):
    """Otherwise a guesser would learn by the difference that it has found it."""
    for _ in range(3):
        assert (await attempt(w)).status == 401
    for secret in ("guess", "crm-dev-secret"):
        told = await attempt(w, secret=secret)
        assert (told.status, told.json()["error"]) == (429, "temporarily_unavailable")
        assert told.header("retry-after") == "60"
    w.clock.advance(60.0)

    assert (await attempt(w, secret="crm-dev-secret")).status == 200


async def test_a_name_nobody_has_is_slowed_just_the_same(w):
    """Or the third answer would tell which clients exist."""
    known = [(await attempt(w, "crm")).status for _ in range(5)]
    w.clock.advance(60.0)
    unknown = [(await attempt(w, "nobody")).status for _ in range(5)]

    assert known == unknown == [401, 401, 401, 429, 429]


async def test_an_address_that_tries_many_names_is_slowed(w):
    statuses = [(await attempt(w, f"name-{n}")).status for n in range(8)]

    assert statuses == [401] * 6 + [429] * 2
    assert (await attempt(w, "crm", "crm-dev-secret", peer="192.0.2.8")).status == 200


async def test_guesses_from_everywhere_slow_strangers_and_not_the_clients_own_address(w):
    assert (await attempt(w, secret="crm-dev-secret", peer="192.0.2.50")).status == 200
    for n in range(9):
        assert (await attempt(w, peer=f"192.0.2.{n}")).status == 401

    assert (await attempt(w, peer="192.0.2.200")).status == 429
    assert (await attempt(w, secret="crm-dev-secret", peer="192.0.2.50")).status == 200


async def test_behind_a_trusted_hop_the_caller_counts_not_the_hop(w):
    for n in range(8):
        assert (await attempt(w, peer="10.0.0.1", via=f"6.6.6.6, 203.0.113.{n}")).status == 401
    told = await attempt(
        w, "partner-acme", "partner-acme-dev-secret", peer="10.0.0.1", via="203.0.113.99"
    )

    assert told.status == 200


async def test_what_a_caller_writes_of_itself_does_not_count(w):
    """It cannot make itself somebody else by a header, with or without the hop."""
    forged = [(await attempt(w, via=f"203.0.113.{n}")).status for n in range(5)]
    hopped = [
        (await attempt(w, "shop", peer="10.0.0.1", via=f"203.0.113.{n}, 198.51.100.1")).status
        for n in range(5)
    ]

    assert forged == hopped == [401, 401, 401, 429, 429]


async def test_a_client_that_mistyped_starts_afresh_once_it_is_right(w):
    for _ in range(2):
        await attempt(w)
    assert (await attempt(w, secret="crm-dev-secret")).status == 200

    assert [(await attempt(w)).status for _ in range(3)] == [401, 401, 401]


async def test_a_secret_is_compared_as_often_for_a_name_nobody_has(w, monkeypatch):
    """The work done is the same, so time tells nothing."""
    from gateway import oauth

    compared = []
    real = oauth.hmac.compare_digest
    monkeypatch.setattr(oauth.hmac, "compare_digest", lambda a, b: compared.append(1) or real(a, b))
    counts = []
    for name in ("crm", "nobody", ""):
        compared.clear()
        await attempt(w, name)
        counts.append(len(compared))

    assert counts == [2, 2, 2]


async def test_the_log_names_clients_and_repeats_nothing_a_stranger_wrote(w):
    await attempt(w, "crm")
    await attempt(w, "x" * 60 + "\n")

    said = [fields for name, fields in w.records.events if name == "client_refused"]
    assert [each["client"] for each in said] == ["crm", "unknown"]


async def test_names_are_kept_no_longer_than_their_window_and_no_longer_than_names_are():
    """What strangers make up must not fill the memory."""
    clock = MovingClock()
    attempts = Attempts(LIMITS, clock=clock)
    for number in range(500):
        attempts.failed(f"{number}" + "x" * 20_000, f"192.0.2.{number}")
    names = [name for name, _ in attempts._failures if name is not None]
    assert max(map(len, names)) == 128

    clock.advance(60.0)
    attempts.failed("last", "192.0.2.1")
    assert len(attempts._failures) == 3


async def test_a_request_that_names_nobody_counts_once_for_its_address(w):
    statuses = []
    for number in range(7):
        form = b"grant_type=client_credentials"
        if number >= 3:
            form += b"&client_id=name-%d&client_secret=x" % number
        told = await w.call("POST", "/oauth/token", headers=[FORM], body=form, peer="192.0.2.7")
        statuses.append(told.status)

    assert statuses == [401] * 6 + [429]
