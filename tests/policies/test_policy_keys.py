"""Keys of foreign issuers: what is imported, and how an issuer's trouble is lived through."""

import asyncio
import json
import re
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.config import BuiltInIssuer, Client, GatewayConfig, GatewaySettings, Issuer
from gateway.keys import KeyRefusedError, import_key, import_set, metadata_url, reachable

pytestmark = pytest.mark.anyio
ISSUER = "https://login.example/tenant"
EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library warns of what the story is about
    WEAK = RSAKey.generate_key(1024)


def public(key, **members):
    return {**key.as_dict(private=False), "kid": "k1", **members}


BAD = {
    "symmetric": (
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1q"},
        "private-or-symmetric",
    ),
    "private": ({**EC.as_dict(private=True)}, "private-or-symmetric"),
    "weak RSA": (public(WEAK), "rsa-size"),
    "even modulus": ({**public(RSA), "n": public(RSA)["n"][:-1] + "A"}, None),
    "exponent 1": ({**public(RSA), "e": "AQ"}, "rsa-numbers"),
    "exponent 3": ({**public(RSA), "e": "Aw"}, "rsa-numbers"),
    "leading zero": ({**public(RSA), "e": "AAEAAQ"}, "not-minimal"),
    "for encryption": (public(EC, use="enc"), "not-for-signatures"),
    "key_ops to sign": (public(EC, key_ops=["sign"]), "key-ops-not-verify"),
    "key_ops both": (public(EC, key_ops=["sign", "verify"]), "key-ops-not-verify"),
    "alg of another kind": (public(EC, alg="RS256"), "alg-contradicts-key"),
    "alg of another curve": (public(EC, alg="ES384"), "alg-contradicts-key"),
    "alg HS256": (public(EC, alg="HS256"), "alg-contradicts-key"),
    "curve unknown": (public(EC, crv="P-192"), "curve-not-allowed"),
    "curve for agreement": ({**public(OKPKey.generate_key("X25519"))}, "curve-not-allowed"),
    "secp256k1": (public(ECKey.generate_key("secp256k1")), "curve-not-allowed"),
    "curve of another type": (public(EC, crv="Ed25519"), "curve-not-allowed"),
    "short coordinate": (public(EC, x="AAAA"), "coordinate-size"),
    "not on the curve": (public(EC, x=ECKey.generate_key("P-256").as_dict()["x"]), "not-a-key"),
    "padding": (public(EC, x=EC.as_dict()["x"] + "="), "not-base64url"),
    "standard base64": (public(EC, x="+" * 43), "not-base64url"),
    "coordinate a number": (public(EC, x=7), "not-base64url"),
    "coordinate missing": ({k: v for k, v in public(EC).items() if k != "y"}, "not-base64url"),
    "kid a number": (public(EC, kid=7), "kid-not-usable"),
    "kid empty": (public(EC, kid=""), "kid-not-usable"),
    "type unknown": (public(EC, kty="XX"), "key-type-not-allowed"),
    "type missing": ({"kid": "k1"}, "key-type-not-allowed"),
    "not an object": ("key", "not-an-object"),
}


@pytest.mark.parametrize(("jwk", "reason"), BAD.values(), ids=BAD.keys())
async def test_a_key_that_contradicts_itself_or_is_weak_is_not_taken(jwk, reason):
    with pytest.raises(KeyRefusedError) as refused:
        import_key(jwk)
    if reason is not None:
        assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (public(EC), {"ES256"}),
        (public(EC, alg="ES256", use="sig", key_ops=["verify"], x5t="abc"), {"ES256"}),
        (public(OKPKey.generate_key("Ed25519")), {"EdDSA", "Ed25519"}),
        (public(RSA), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (public(RSA, alg="PS256"), {"PS256"}),
    ],
)
async def test_a_good_key_is_taken_for_its_own_algorithms(jwk, algorithms):
    assert import_key(jwk).algorithms == algorithms


async def test_a_name_for_two_keys_names_none_and_the_others_stay():
    keys, refused = import_set(
        {
            "keys": [
                public(EC, kid="twin"),
                public(RSA, kid="twin"),
                public(ECKey.generate_key("P-256"), kid="single"),
                {"kty": "oct", "k": "x", "kid": "mac"},
            ]
        }
    )

    assert set(keys) == {"single"}
    assert sorted(refused) == ["kid-names-two-keys", "kid-names-two-keys", "private-or-symmetric"]


class ForeignIssuer:
    """An OpenID issuer on a wire of our own, with faults to order."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048)
        self.kid = "2026-11"
        self.fetched = []
        self.down = False
        self.garbage = None
        self.delay = 0.0
        self.names = ISSUER

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        await asyncio.sleep(self.delay)
        if self.down:
            raise OSError("down")
        if url.endswith("openid-configuration"):
            return json.dumps({"issuer": self.names, "jwks_uri": f"{ISSUER}/keys"}).encode()
        if self.garbage is not None:
            return self.garbage
        return json.dumps({"keys": [public(self.key, kid=self.kid)]}).encode()

    def rotate(self) -> None:
        self.key, self.kid = RSAKey.generate_key(2048), self.kid + "x"

    def token(self, clock, alg="RS256", kid=None, **claims) -> str:
        now = int(clock.now().timestamp())
        body = {
            "iss": ISSUER,
            "aud": "api://crossdock",
            "sub": "svc",
            "azp": "crm-cloud",
            "scp": "orders:read",
            "iat": now,
            "exp": now + 3600,
            **claims,
        }
        header = {"alg": alg, "typ": "at+jwt", "kid": kid or self.kid}
        return jws.serialize_compact(header, json.dumps(body).encode(), self.key, algorithms=[alg])


@pytest.fixture
async def foreign(world):
    issuer = ForeignIssuer()
    config = world.config(
        issuers={
            "cloud": Issuer(
                url=ISSUER,
                audience="api://crossdock",
                algorithms=("RS256",),
                scope_claim="scp",
                consumer_claim="azp",
            )
        },
        clients={"crm-cloud": Client(issuer="cloud", accounts=("C7",))},
    )
    w = await world(config=config, fetch=issuer.fetch)
    return w, issuer


async def read(w, token):
    return (await w.call("GET", "/sales/v1/orders", token=token)).status


async def test_a_foreign_issuer_is_found_by_discovery_and_its_consumer_known(foreign):
    w, issuer = foreign
    assert await read(w, issuer.token(w.clock)) == 200
    assert issuer.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]
    assert w.tier.calls[-1].context.accounts == ("C7",)


async def test_a_refused_caller_is_sent_to_no_address_that_is_not_there(world, foreign):
    """The built-in issuer is off: what a 401 and its pages name is where a token can be had."""
    _, issuer = foreign
    elsewhere = Issuer(url=ISSUER, audience="api://crossdock", algorithms=("RS256",))
    w = await world(config=GatewayConfig(issuers={"cloud": elsewhere}), fetch=issuer.fetch)
    late = issuer.token(w.clock, exp=1_000_000_000, iat=999_999_000, client_id="crm-cloud")

    assert (await w.call("POST", "/oauth/token")).status == 404
    for token, slug in ((None, "unauthenticated"), (late, "token-expired")):
        told = await w.call("GET", "/sales/v1/orders", token=token)
        page = await w.call("GET", f"/problems/{slug}")
        assert (told.status, told.problem) == (401, slug)
        said = told.json()["detail"] + page.body.decode()
        named = set(re.findall(r"/(?:oauth|[.]well-known)/[a-z-]+", said))
        assert [p for p in named if (await w.call("GET", p)).status != 200] == []
        assert slug == "token-expired" or named
    known = (await w.call("GET", "/.well-known/oauth-protected-resource")).json()
    assert known["authorization_servers"] == [ISSUER]


def cloud(**changes):
    made = {"url": ISSUER, "audience": "api://crossdock", "algorithms": ("RS256",)}
    return Issuer(**{**made, **changes})


FOUND = {"type": "openIdConnect", "openIdConnectUrl": f"{ISSUER}/.well-known/openid-configuration"}


@pytest.mark.parametrize(
    ("enabled", "issuers", "kind"),
    [
        (True, {}, "oauth2"),
        (False, {"cloud": cloud()}, "openIdConnect"),
        (False, {"cloud": cloud(discovery="oauth")}, "http"),
        (False, {"cloud": cloud(jwks_uri=f"{ISSUER}/keys")}, "http"),
        (False, {"cloud": cloud(), "other": cloud(url="https://other.example")}, "http"),
        (True, {"cloud": cloud()}, "http"),
    ],
)
async def test_a_published_contract_says_where_tokens_come_from(world, enabled, issuers, kind):
    document = {
        **world.document(),
        "components": {
            **world.document()["components"],
            "securitySchemes": {"oauth2": {"type": "oauth2"}, "other": {"type": "mutualTLS"}},
        },
    }
    gateway = GatewaySettings(issuer=BuiltInIssuer(enabled=enabled))
    w = await world(document=document, config=GatewayConfig(gateway=gateway, issuers=issuers))
    told = (await w.call("GET", "/openapi/sales/v1.json")).json()
    schemes = told["components"].pop("securitySchemes")

    assert (schemes["oauth2"]["type"], schemes["other"]["type"]) == (kind, "mutualTLS")
    assert kind != "openIdConnect" or schemes["oauth2"] == FOUND
    if kind == "http":
        assert schemes["oauth2"]["scheme"] == "bearer"
        (named,) = re.findall(r"/[.]well-known/[a-z-]+", schemes["oauth2"]["description"])
        assert (await w.call("GET", named)).status == 200
    document["components"].pop("securitySchemes")
    assert told == document


@pytest.mark.parametrize("text", ["A", "AAAAA"])
async def test_a_key_whose_text_is_no_base64_spoils_none_beside_it(text):
    """Four characters hold three bytes: one left over holds none (RFC 4648 section 4)."""
    bad = {"kty": "EC", "crv": "P-256", "kid": "other", "x": text, "y": text}
    keys, refused = import_set({"keys": [public(RSA), bad]})

    assert (set(keys), refused) == ({"k1"}, ["not-base64url"])


def large_key():
    """A key of 7,470 bits that need not be searched for: of two Mersenne primes."""
    p, q, e = 2**3217 - 1, 2**4253 - 1, 65_537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    return RSAKey.import_key(
        numbers.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


async def test_what_a_key_as_large_as_is_taken_has_signed_is_verified(foreign):
    w, issuer = foreign
    issuer.key = large_key()

    assert await read(w, issuer.token(w.clock)) == 200


async def test_an_algorithm_the_issuer_is_not_pinned_to_is_refused(foreign):
    w, issuer = foreign
    assert await read(w, issuer.token(w.clock, alg="PS256")) == 401


async def test_a_client_of_another_issuer_is_not_ours_by_name(foreign):
    """`crm` is a client of the built-in issuer; another issuer cannot speak for it."""
    w, issuer = foreign
    await read(w, issuer.token(w.clock, azp="crm"))
    assert w.tier.calls[-1].context.accounts == ()


async def test_five_hundred_cold_callers_fetch_once(foreign):
    w, issuer = foreign
    issuer.delay = 0.02
    tokens = [issuer.token(w.clock, jti=str(n)) for n in range(20)]
    statuses = await asyncio.gather(*(read(w, tokens[n % 20]) for n in range(500)))

    assert set(statuses) == {200}
    assert len(issuer.fetched) == 2


async def test_a_rotation_without_overlap_refuses_no_valid_token(foreign):
    w, issuer = foreign
    await read(w, issuer.token(w.clock))
    w.clock.advance(31)
    issuer.rotate()

    assert await read(w, issuer.token(w.clock)) == 200


async def test_stale_keys_serve_while_the_issuer_is_down(foreign):
    w, issuer = foreign
    await read(w, issuer.token(w.clock))
    issuer.down = True
    w.clock.advance(4 * 3600)
    token = issuer.token(w.clock)

    assert await read(w, token) == 200
    await asyncio.sleep(0.01)
    assert ("issuer_keys_not_fetched", {"issuer": ISSUER, "error": "OSError"}) in w.records.events
    w.clock.advance(24 * 3600)
    late = await w.call("GET", "/sales/v1/orders", token=issuer.token(w.clock))
    assert (late.status, late.problem) == (503, "upstream-unavailable")
    assert int(late.header("retry-after")) >= 1


async def test_a_key_younger_than_what_is_known_is_put_off_while_the_issuer_is_down(foreign):
    """Its token may be right: told that it is not, a client would throw it away."""
    w, issuer = foreign
    await read(w, issuer.token(w.clock))
    w.clock.advance(60)
    issuer.down = True
    before = issuer.token(w.clock, jti="of the old key")
    issuer.rotate()

    for number in range(3):
        late = await w.call("GET", "/sales/v1/orders", token=issuer.token(w.clock, jti=str(number)))
        assert (late.status, late.problem) == (503, "upstream-unavailable")
        assert int(late.header("retry-after")) >= 1
        assert await read(w, before) == 200
        w.clock.advance(1.5)
    issuer.down = False
    w.clock.advance(60)
    assert await read(w, issuer.token(w.clock, jti="back")) == 200


async def test_garbage_does_not_displace_keys_that_work(foreign):
    w, issuer = foreign
    await read(w, issuer.token(w.clock))
    for garbage in (b"<html>", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "x"}]}'):
        issuer.garbage = garbage
        w.clock.advance(700)
        assert await read(w, issuer.token(w.clock)) == 200
        await asyncio.sleep(0.01)


async def test_a_flood_of_invented_key_names_costs_the_issuer_one_fetch(foreign):
    """None is accepted, and the issuer is asked once however many come."""
    w, issuer = foreign
    right = issuer.token(w.clock)
    await read(w, right)
    issuer.fetched.clear()
    invented = [issuer.token(w.clock, kid=f"invented-{n}") for n in range(50)]
    statuses = await asyncio.gather(*(read(w, each) for each in invented))

    assert set(statuses) == {401}
    assert len([each for each in issuer.fetched if each.endswith("/keys")]) == 1
    assert await read(w, right) == 200


async def test_a_key_younger_than_the_last_fetch_is_waited_for(foreign):
    """The issuer rotated right after it was asked: the new token waits a moment, and is right."""
    w, issuer = foreign
    await read(w, issuer.token(w.clock))
    issuer.rotate()

    statuses = await asyncio.gather(*(read(w, issuer.token(w.clock, jti=str(n))) for n in range(9)))
    assert set(statuses) == {200}
    assert len(issuer.fetched) == 4


async def test_discovery_that_names_another_issuer_is_not_followed(foreign):
    w, issuer = foreign
    issuer.names = "https://evil.example"

    assert await read(w, issuer.token(w.clock)) == 503
    assert len(issuer.fetched) == 1
    assert ("issuer_keys_not_fetched", {"issuer": ISSUER, "error": "KeyRefusedError"}) in (
        w.records.events
    )


async def test_a_reload_while_the_issuer_is_down_forgets_no_key(foreign, world):
    """The new configuration goes on with the keys at hand."""
    w, issuer = foreign
    assert await read(w, issuer.token(w.clock)) == 200
    issuer.down = True
    again = await world(
        config=w.gateway.served.config, fetch=issuer.fetch, lasting=w.gateway.lasting
    )
    assert await read(again, issuer.token(w.clock)) == 200
    assert len(issuer.fetched) == 2


@pytest.mark.parametrize(
    ("issuer", "discovery", "url"),
    [
        ("https://a.example/t", "openid", "https://a.example/t/.well-known/openid-configuration"),
        ("https://a.example/t/", "openid", "https://a.example/t/.well-known/openid-configuration"),
        (
            "https://a.example/t",
            "oauth",
            "https://a.example/.well-known/oauth-authorization-server/t",
        ),
        ("https://a.example", "oauth", "https://a.example/.well-known/oauth-authorization-server"),
    ],
)
def test_an_issuers_metadata_is_where_its_standard_says(issuer, discovery, url):
    assert metadata_url(issuer, discovery) == url


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://login.example/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://login.example/keys", False),
        ("http://127.0.0.1:80@login.example/keys", False),
        ("https://user@login.example/keys", False),
        ("http://127.0.0.1.login.example:80/keys", False),
        ("http://localhost:x/keys", False),
        ("file:///etc/passwd", False),
        ("https://", False),
    ],
)
def test_keys_come_over_tls_or_from_this_machine(url, allowed):
    assert reachable(url) is allowed
