"""Signing in to Salesforce: both grants, sessions without a stated end, and how they end."""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from deploy.sandbox.salesforce import DEVELOPMENT_APP, OrgPolicy

pytestmark = pytest.mark.anyio
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": DEVELOPMENT_APP.client_id,
    "client_secret": DEVELOPMENT_APP.secret,
}


async def test_client_credentials_open_a_session_that_does_not_say_how_long_it_lasts(org, clock):
    answer = await org.token(**CREDENTIALS)
    granted = answer.json()

    assert answer.status_code == 200
    assert set(granted) == {
        "access_token",
        "signature",
        "token_format",
        "scope",
        "instance_url",
        "id",
        "token_type",
        "issued_at",
        "api_instance_url",
    }
    assert granted["token_type"] == "Bearer"
    assert granted["token_format"] == "opaque"
    assert granted["issued_at"] == str(int(clock.now().timestamp() * 1000))
    assert granted["instance_url"] == "http://sandbox:8090/salesforce"
    assert granted["access_token"].startswith("00D")


async def test_client_credentials_may_come_as_basic_authentication(org):
    secret = f"{DEVELOPMENT_APP.client_id}:{DEVELOPMENT_APP.secret}".encode()
    basic = {"authorization": f"Basic {b64encode(secret).decode()}"}
    assert (await org.token(headers=basic, grant_type="client_credentials")).status_code == 200

    wrong = {"authorization": f"Basic {b64encode(b'crossdock:guess').decode()}"}
    refused = await org.token(headers=wrong, grant_type="client_credentials")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "guess"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": JWT_BEARER, "assertion": "no.jwt"}, "invalid_grant"),
    ],
)
async def test_a_token_request_that_is_wrong_is_refused_in_oauths_words(org, change, error):
    refused = await org.token(**{**CREDENTIALS, **change})
    assert refused.status_code == 400
    assert refused.json()["error"] == error
    assert refused.json()["error_description"]


@pytest.fixture(scope="module")
def signing_key():
    return RSAKey.generate_key(2048)


async def register(org, key):
    pem = key.as_pem(private=False).decode()
    answer = await org.hook("connected-apps", clientId="partner-app", secret="shh", publicKey=pem)
    assert answer.status_code == 201


def assertion(key, clock, **claims):
    told = {
        "iss": "partner-app",
        "sub": "integration@crossdock.example",
        "aud": "https://login.salesforce.com",
        "exp": int(clock.now().timestamp()) + 170,
        **claims,
    }
    return jwt.encode({"alg": "RS256"}, told, key, algorithms=["RS256"])


def with_the_public_key_as_secret(key, clock):
    """The RS256 assertion's claims under HS256, its secret the PEM that everybody may know."""
    header = urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    signed = f"{header}.{assertion(key, clock).split('.')[1]}"
    digest = hmac.new(key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "audience",
    [
        "https://login.salesforce.com",
        "https://test.salesforce.com",
        "http://sandbox:8090/salesforce",
    ],
)
async def test_an_assertion_signed_with_the_registered_key_opens_a_session(
    org, clock, signing_key, audience
):
    await register(org, signing_key)
    signed = assertion(signing_key, clock, aud=audience)
    granted = await org.token(grant_type=JWT_BEARER, assertion=signed)
    token = granted.json()["access_token"]

    answer = await org.call("GET", "limits", authorization=f"Bearer {token}")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.example"},
        {"exp": -1},
        {"exp": 600},
        {"exp": "soon"},
        {"sub": "stranger@crossdock.example"},
        {"sub": None},
    ],
)
async def test_an_assertion_with_a_wrong_claim_opens_nothing(org, clock, signing_key, claims):
    await register(org, signing_key)
    if isinstance(claims.get("exp"), int):
        claims = {"exp": int(clock.now().timestamp()) + claims["exp"]}
    refused = await org.token(
        grant_type=JWT_BEARER, assertion=assertion(signing_key, clock, **claims)
    )
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def test_an_assertion_must_be_signed_by_the_registered_key_with_rs256(
    org, clock, signing_key
):
    """Another key, the public key as an HMAC secret, and an application without a key."""
    await register(org, signing_key)
    foreign = assertion(RSAKey.generate_key(2048), clock)
    confused = with_the_public_key_as_secret(signing_key, clock)
    keyless = assertion(signing_key, clock, iss=DEVELOPMENT_APP.client_id)
    unknown = assertion(signing_key, clock, iss="nobody")

    for signed, error in (
        (foreign, "invalid_grant"),
        (confused, "invalid_grant"),
        (keyless, "invalid_grant"),
        (unknown, "invalid_client_id"),
    ):
        refused = await org.token(grant_type=JWT_BEARER, assertion=signed)
        assert (refused.status_code, refused.json()["error"]) == (400, error)


async def test_a_session_ends_by_the_orgs_policy_and_use_keeps_it_alive(an_org, clock):
    org = await an_org(policy=OrgPolicy(session_seconds=900.0))
    for _ in range(3):
        clock.turn(600)
        assert (await org.call("GET", "limits")).status_code == 200
    clock.turn(901)
    assert await org.refused("GET", "limits") == (401, "INVALID_SESSION_ID")

    await org.sign_in()
    assert (await org.call("GET", "limits")).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic Y3Jvc3Nkb2NrOng="])
async def test_without_a_session_there_is_one_answer(org, header):
    org.http.headers["authorization"] = header
    assert await org.refused("GET", "query?q=SELECT+Id+FROM+Account") == (401, "INVALID_SESSION_ID")


async def test_sessions_can_be_revoked_and_all_be_ended(org):
    token = await org.sign_in()
    assert (
        await org.http.post("/services/oauth2/revoke", data={"token": token})
    ).status_code == 200
    assert await org.refused("GET", "limits") == (401, "INVALID_SESSION_ID")

    await org.sign_in()
    assert (await org.hook("sessions/expire")).json() == {"expired": 2}
    assert await org.refused("GET", "limits") == (401, "INVALID_SESSION_ID")


async def test_a_restart_of_the_vendor_signs_nobody_out(an_org, tmp_path):
    before = await an_org(tmp_path)
    token = before.http.headers["authorization"]
    await before.close()
    after = await an_org(tmp_path)
    assert (await after.call("GET", "limits", authorization=token)).status_code == 200


async def test_the_versions_are_told_without_signing_in(org):
    del org.http.headers["authorization"]
    answer = await org.http.get("/services/data")
    assert answer.json() == [
        {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}
    ]
