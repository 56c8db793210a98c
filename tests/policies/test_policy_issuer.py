"""The built-in issuer: client credentials, and keys that only their owner can read."""

import base64
import stat

import pytest

pytestmark = pytest.mark.anyio
FORM = ("content-type", "application/x-www-form-urlencoded")


async def asked(w, form: str, *headers):
    return await w.call("POST", "/oauth/token", body=form.encode(), headers=[FORM, *headers])


def basic(name: str, secret: str) -> tuple[str, str]:
    return ("authorization", "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode())


async def test_a_client_gets_its_scopes_by_basic_or_by_form(world):
    w = await world()
    by_basic = await w.ask_token("crm", "crm-dev-secret")
    by_form = await asked(
        w, "grant_type=client_credentials&client_id=crm&client_secret=crm-dev-secret"
    )

    for told in (by_basic, by_form):
        assert told.status == 200
        assert told.header("cache-control") == "no-store"
        granted = told.json()
        assert granted["token_type"] == "Bearer"
        assert granted["scope"] == "orders:read orders:write pricing:read"
        assert granted["expires_in"] == 900


async def test_a_client_may_ask_for_less(world):
    w = await world()
    token = await w.token("crm", "orders:read")
    told = await w.order("K", token)

    assert (told.status, told.problem) == (403, "insufficient-scope")
    assert 'scope="orders:write"' in told.header("www-authenticate")
    assert told.json()["scope"] == "orders:write"


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ("grant_type=client_credentials", [], 401, "invalid_client"),
        ("grant_type=client_credentials", [basic("crm", "wrong")], 401, "invalid_client"),
        ("grant_type=client_credentials", [basic("nobody", "x")], 401, "invalid_client"),
        ("grant_type=client_credentials", [basic("crm", "")], 401, "invalid_client"),
        ("grant_type=client_credentials", [("authorization", "Basic !!")], 401, "invalid_client"),
        ("grant_type=client_credentials", [("authorization", "Bearer x")], 401, "invalid_client"),
        ("grant_type=password", [basic("crm", "crm-dev-secret")], 400, "unsupported_grant_type"),
        ("x=y", [basic("crm", "crm-dev-secret")], 400, "unsupported_grant_type"),
        (
            "grant_type=client_credentials&scope=operations:write",
            [basic("crm", "crm-dev-secret")],
            400,
            "invalid_scope",
        ),
        (
            "grant_type=client_credentials&grant_type=client_credentials",
            [basic("crm", "crm-dev-secret")],
            400,
            "invalid_request",
        ),
        (
            "grant_type=client_credentials&client_secret=crm-dev-secret",
            [basic("crm", "crm-dev-secret")],
            400,
            "invalid_request",
        ),
        ("nonsense", [], 400, "invalid_request"),
    ],
)
async def test_anything_else_gets_the_error_of_the_standard(world, form, headers, status, error):
    """RFC 6749 section 5.2."""
    w = await world()
    told = await asked(w, form, *headers)

    assert (told.status, told.json()["error"]) == (status, error)
    if status == 401:
        assert told.header("www-authenticate").startswith("Basic")
    assert b"secret" not in told.body or b"client or its secret" in told.body


async def test_keys_are_made_once_and_only_their_owner_reads_them(world, tmp_path):
    first = await world()
    token = await first.token()
    path = tmp_path / "issuer" / "keys.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = await world()
    told = await again.call("GET", "/sales/v1/orders", token=token)
    assert told.status == 200


async def test_published_keys_hold_nothing_private(world):
    w = await world()
    keys = (await w.call("GET", "/.well-known/jwks.json")).json()["keys"]

    assert len(keys) == 1
    assert set(keys[0]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_a_rotation_keeps_old_tokens_valid(world, clock, tmp_path):
    from gateway.issuer import KeyRing

    w = await world()
    token = await w.token()
    ring = KeyRing(tmp_path / "issuer" / "keys.json", clock=clock)
    ring.open()
    ring.rotate(overlap_seconds=900)

    restarted = await world()
    assert (await restarted.call("GET", "/sales/v1/orders", token=token)).status == 200
    fresh = await restarted.token()
    assert (await restarted.call("GET", "/sales/v1/orders", token=fresh)).status == 200
    keys = (await restarted.call("GET", "/.well-known/jwks.json")).json()["keys"]
    assert len({each["kid"] for each in keys}) == 2


async def test_the_metadata_leads_from_the_resource_to_the_token(world):
    """RFC 9728 names the issuer, RFC 8414 its endpoints."""
    w = await world()
    resource = (await w.call("GET", "/.well-known/oauth-protected-resource")).json()
    server = (await w.call("GET", "/.well-known/oauth-authorization-server")).json()

    assert resource["authorization_servers"] == [server["issuer"]]
    assert server["token_endpoint"] == server["issuer"] + "/oauth/token"
    assert "orders:write" in resource["scopes_supported"]
