"""API keys: found by their id, known by their hash, two at once while one replaces the other."""

import hashlib
from datetime import UTC, datetime

import msgspec
import pytest

from gateway import apikeys
from gateway.config import ApiKey, Client, ConfigError, from_document

pytestmark = pytest.mark.anyio
SCOPES = ("orders:read", "orders:write", "pricing:read")
OLD, NEW, OTHER = apikeys.mint(), apikeys.mint(), apikeys.mint()


def held(minted, **more) -> ApiKey:
    return ApiKey(id=minted.id, secret=minted.secret, **more)


@pytest.fixture
async def shop(world):
    """A client with two keys: the old one ends in a day, the new one may only read."""
    client = Client(
        keys=(
            held(OLD, expires=datetime(2026, 11, 23, 12, tzinfo=UTC)),
            held(NEW, scopes=("orders:read",)),
        ),
        scopes=SCOPES,
        accounts=("C9",),
    )
    return await world(config=world.config(clients={"shop": client}))


async def read(w, key: str, *more):
    return await w.call("GET", "/sales/v1/orders", headers=[("x-api-key", key), *more])


async def test_both_keys_are_the_client_while_one_replaces_the_other(shop):
    for key in (OLD.key, NEW.key):
        assert (await read(shop, key)).status == 200
        context = shop.tier.calls[-1].context
        assert (context.consumer, context.accounts) == ("shop", ("C9",))


async def test_a_key_ends_when_it_was_said_to(shop):
    shop.clock.advance(86_400)

    assert (await read(shop, OLD.key)).status == 401
    assert (await read(shop, NEW.key)).status == 200


async def test_a_key_may_do_less_than_its_client(shop):
    """No challenge: a key has no scopes that a new token could widen (RFC 6750 section 3.1)."""
    for key, status in ((OLD.key, 200), (NEW.key, 403)):
        told = await shop.call(
            "POST", "/sales/v1/price-checks", json=shop.an_order(), headers=[("x-api-key", key)]
        )
        assert told.status == status
    assert told.header("www-authenticate") is None
    assert told.json()["scope"] == "pricing:read"


async def test_no_upstream_ever_sees_a_key(shop):
    await read(shop, NEW.key)

    assert b"x-api-key" not in shop.tier.calls[-1].headers


BAD = {
    "empty": "",
    "another's": OTHER.key,
    "the hash": NEW.secret,
    "the id": NEW.id,
    "one letter off": NEW.key[:-1] + ("a" if NEW.key[-1] != "a" else "b"),
    "upper case": NEW.key.upper(),
    "a letter more": NEW.key + "a",
    "a space": " " + NEW.key,
    "the id of one with the secret of another": NEW.key[:17] + OLD.key[17:],
    "not ASCII": "é" * 76,
    "long": "x" * 20_000,
}


def rechecked(key: str) -> str:
    """A key with a right checksum, so that only its secret is wrong."""
    body = key[:69]
    return body + apikeys._checksum(body.encode())


@pytest.mark.parametrize("key", BAD.values(), ids=BAD.keys())
async def test_any_other_key_is_told_what_no_key_is_told(shop, key):
    bare = await shop.call("GET", "/sales/v1/orders")
    told = await read(shop, key)

    assert told.status == bare.status == 401
    assert told.header("www-authenticate") == bare.header("www-authenticate")
    assert "error=" not in told.header("www-authenticate")
    assert {k: v for k, v in told.json().items() if k != "instance"} == {
        k: v for k, v in bare.json().items() if k != "instance"
    }
    assert shop.tier.calls == []


async def test_a_wrong_secret_with_a_right_checksum_is_refused(shop):
    mixed = NEW.key[:17] + OLD.key[17:]
    assert (await read(shop, rechecked(mixed))).status == 401
    assert shop.records.events[-1][1]["reason"] == "key-unknown"


async def test_two_credentials_at_once_are_refused(shop):
    """RFC 6750 section 2: not more than one method in each request."""
    told = await read(shop, NEW.key, ("authorization", f"Bearer {await shop.token()}"))

    assert (told.status, told.problem) == (400, "ambiguous-request")
    assert 'error="invalid_request"' in told.header("www-authenticate")
    twice = await read(shop, NEW.key, ("x-api-key", NEW.key))
    assert twice.status == 400


async def test_a_disabled_client_is_refused_with_every_credential(world):
    client = Client(keys=(held(NEW),), scopes=SCOPES, disabled=True)
    w = await world(config=world.config(clients={"shop": client}))

    assert (await read(w, NEW.key)).status == 401


async def test_neither_key_nor_secret_is_in_any_record(shop):
    await read(shop, NEW.key)
    await read(shop, rechecked(NEW.key[:17] + OLD.key[17:]))

    kept = msgspec.json.encode([shop.records.calls, shop.records.events]).decode()
    assert NEW.key[17:60] not in kept
    assert OLD.key[17:60] not in kept


def test_a_minted_key_is_kept_as_its_hash_alone():
    assert NEW.secret == "sha256:" + hashlib.sha256(NEW.key.encode()).hexdigest()
    assert NEW.key.startswith(f"xdk_{NEW.id}_")
    assert len({apikeys.mint().key for _ in range(100)}) == 100


def a_client(**said):
    return {"clients": {"shop": {"scopes": ["orders:read"], **said}}}


def a_key(**said):
    return {"id": NEW.id, "secret": NEW.secret, **said}


def test_the_end_of_a_key_is_a_date_of_toml_or_a_string():
    toml = datetime(2027, 1, 1, tzinfo=UTC)
    for end in (toml, "2027-01-01T00:00:00Z"):
        config = from_document(a_client(keys=[a_key(expires=end)]))
        assert config.clients["shop"].keys[0].expires == toml


@pytest.mark.parametrize(
    "said",
    [
        {"keys": [a_key(expires="next year")]},
        {"keys": [a_key(expires="2027-01-01T00:00:00")]},
        {"keys": [a_key(), a_key(id="a" * 12), a_key(id="b" * 12)]},
        {"keys": [a_key(id="UPPER")]},
        {"keys": [{"id": NEW.id}]},
        {"keys": [a_key(scope=["orders:read"])]},
    ],
    ids=["no date", "no offset", "three keys", "id", "no secret", "misspelt"],
)
def test_what_cannot_be_a_key_is_a_fault_of_the_configuration(said):
    with pytest.raises(ConfigError):
        from_document(a_client(**said))


@pytest.mark.parametrize(
    ("client", "place"),
    [
        (Client(keys=(ApiKey(id=NEW.id, secret=NEW.key),), scopes=SCOPES), f"keys.{NEW.id}.secret"),
        (Client(keys=(held(NEW, scopes=("pricing:raed",)),), scopes=SCOPES), "keys"),
        (Client(keys=(held(NEW, scopes=("orders:read",)),), scopes=("pricing:read",)), "keys"),
        (Client(keys=(held(NEW),)), "scopes"),
        (Client(keys=(held(NEW), held(NEW)), scopes=SCOPES), "clients.*.keys"),
    ],
    ids=["in the clear", "unknown scope", "wider than the client", "no scopes", "named twice"],
)
async def test_a_key_that_could_not_work_is_named_before_the_start(world, client, place):
    with pytest.raises(ConfigError) as refused:
        await world(config=world.config(clients={"shop": client}))

    assert place in str(refused.value)
    assert NEW.key not in str(refused.value)
