"""authenticate: nothing but a right token of a trusted issuer is accepted, and nobody learns why.

The table of attacks follows RFC 8725 and what has been seen in the wild; each is a token that some
library accepted once.
"""

import base64
import hashlib
import hmac
import json

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

pytestmark = pytest.mark.anyio
CHECK = "/sales/v1/price-checks"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """Makes tokens out of a good one: changes claims, headers, keys and spelling."""

    def __init__(self, w, good: str) -> None:
        self.w = w
        self.good = good
        head, body, _ = good.split(".")
        self.header = json.loads(base64.urlsafe_b64decode(head + "=="))
        self.claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        kept = json.loads((w.data / "issuer" / "keys.json").read_bytes())
        self.jwk = kept[0]["jwk"]
        self.key = ECKey.import_key({k: self.jwk[k] for k in ("kty", "crv", "x", "y", "d")})
        self.public = {k: self.jwk[k] for k in ("kty", "crv", "x", "y")}

    def signed(self, *, header=(), claims=(), drop=(), drop_header=(), payload=None) -> str:
        """Sign with the issuer's own key, whatever the header says."""
        head = {k: v for k, v in {**self.header, **dict(header)}.items() if k not in drop_header}
        body = {k: v for k, v in {**self.claims, **dict(claims)}.items() if k not in drop}
        text = b64(json.dumps(head).encode()) + "." + b64(payload or json.dumps(body).encode())
        return f"{text}.{b64(self._raw_signature(text.encode()))}"

    def _raw_signature(self, signed: bytes) -> bytes:
        """Answer r and s side by side (RFC 7518 section 3.4)."""
        r, s = decode_dss_signature(self.key.private_key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def unsigned(self, alg: str, signature: str = "") -> str:
        head = b64(json.dumps({**self.header, "alg": alg}).encode())
        return f"{head}.{self.good.split('.')[1]}.{signature}"

    def macd(self, secret: bytes) -> str:
        head = b64(json.dumps({**self.header, "alg": "HS256"}).encode())
        text = f"{head}.{self.good.split('.')[1]}"
        return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def by(self, key, alg: str, **header) -> str:
        head = {**self.header, "alg": alg, **header}
        return jws.serialize_compact(head, json.dumps(self.claims).encode(), key, algorithms=[alg])


@pytest.fixture
async def forge(world):
    w = await world()
    return Forge(w, await w.token())


async def tried(f: Forge, token: str):
    return await f.w.call("POST", CHECK, json=f.w.an_order(), token=token)


NOW = 1_795_348_800
"""The epoch second of the standing clock."""

ATTACKS = {
    "alg none": lambda f: f.unsigned("none"),
    "alg None": lambda f: f.unsigned("None"),
    "alg NONE with a signature": lambda f: f.unsigned("NONE", f.good.split(".")[2]),
    "alg empty": lambda f: f.unsigned(""),
    "alg nOnE, empty third part": lambda f: f.unsigned("nOnE"),
    "alg missing": lambda f: f.signed(drop_header=("alg",)),
    "alg a number": lambda f: f.signed(header={"alg": 256}),
    "alg a list": lambda f: f.signed(header={"alg": ["ES256"]}),
    "alg with a space": lambda f: f.signed(header={"alg": "ES256 "}),
    "HS256 with the public JWK as secret": lambda f: f.macd(json.dumps(f.public).encode()),
    "HS256 with the public PEM as secret": lambda f: f.macd(f.key.as_pem(private=False)),
    "HS256 with the x coordinate": lambda f: f.macd(f.jwk["x"].encode()),
    "HS256 with an empty secret": lambda f: f.macd(b""),
    "another EC key, right kid": lambda f: f.by(ECKey.generate_key("P-256"), "ES256"),
    "another EC key, no kid": lambda f: f.by(ECKey.generate_key("P-256"), "ES256", kid="other"),
    "a P-384 key": lambda f: f.by(ECKey.generate_key("P-384"), "ES384"),
    "a P-521 key": lambda f: f.by(ECKey.generate_key("P-521"), "ES512"),
    "an RSA key": lambda f: f.by(RSAKey.generate_key(2048), "RS256"),
    "an RSA-PSS key": lambda f: f.by(RSAKey.generate_key(2048), "PS256"),
    "an Ed25519 key": lambda f: f.by(OKPKey.generate_key("Ed25519"), "Ed25519"),
    "an octet key": lambda f: f.by(OctKey.generate_key(256), "HS256"),
    "kid of nobody": lambda f: f.signed(header={"kid": "nobody"}),
    "kid missing": lambda f: f.signed(drop_header=("kid",)),
    "kid a path": lambda f: f.signed(header={"kid": "../../../../dev/null"}),
    "kid an injection": lambda f: f.signed(header={"kid": "' OR 1=1 --"}),
    "kid a number": lambda f: f.signed(header={"kid": 1}),
    "kid null": lambda f: f.signed(header={"kid": None}),
    "kid a list": lambda f: f.signed(header={"kid": ["a"]}),
    "kid of a megabyte": lambda f: f.signed(header={"kid": "k" * 6000}),
    "jwk embedded": lambda f: f.signed(header={"jwk": f.public}),
    "jku to a key set": lambda f: f.signed(header={"jku": "https://evil.example/jwks"}),
    "x5u to a certificate": lambda f: f.signed(header={"x5u": "https://evil.example/c"}),
    "x5c embedded": lambda f: f.signed(header={"x5c": ["MIIB"]}),
    "crit unknown": lambda f: f.signed(header={"crit": ["exp"], "exp": 1}),
    "crit empty": lambda f: f.signed(header={"crit": []}),
    "crit b64": lambda f: f.signed(header={"crit": ["b64"], "b64": True}),
    "b64 false": lambda f: f.signed(header={"b64": False, "crit": ["b64"]}),
    "b64 false, not critical": lambda f: f.signed(header={"b64": False}),
    "zip": lambda f: f.signed(header={"zip": "DEF"}),
    "enc": lambda f: f.signed(header={"enc": "A256GCM"}),
    "cty JWT (nested)": lambda f: f.signed(header={"cty": "JWT"}),
    "header member unknown": lambda f: f.signed(header={"admin": "true"}),
    "typ JWT": lambda f: f.signed(header={"typ": "JWT"}),
    "typ missing": lambda f: f.signed(drop_header=("typ",)),
    "typ of an ID token": lambda f: f.signed(header={"typ": "id_token"}),
    "typ of a logout token": lambda f: f.signed(header={"typ": "logout+jwt"}),
    "typ a list": lambda f: f.signed(header={"typ": ["at+jwt"]}),
    "iss of another": lambda f: f.signed(claims={"iss": "https://evil.example"}),
    "iss with a slash more": lambda f: f.signed(claims={"iss": f.claims["iss"] + "/"}),
    "iss a list": lambda f: f.signed(claims={"iss": [f.claims["iss"]]}),
    "iss missing": lambda f: f.signed(drop=("iss",)),
    "aud of another": lambda f: f.signed(claims={"aud": "billing"}),
    "aud a prefix": lambda f: f.signed(claims={"aud": "cross"}),
    "aud in other case": lambda f: f.signed(claims={"aud": "Crossdock"}),
    "aud missing": lambda f: f.signed(drop=("aud",)),
    "aud empty list": lambda f: f.signed(claims={"aud": []}),
    "aud an object": lambda f: f.signed(claims={"aud": {"crossdock": 1}}),
    "aud a number": lambda f: f.signed(claims={"aud": 0}),
    "exp missing": lambda f: f.signed(drop=("exp",)),
    "exp a string": lambda f: f.signed(claims={"exp": str(NOW + 60)}),
    "exp null": lambda f: f.signed(claims={"exp": None}),
    "exp true": lambda f: f.signed(claims={"exp": True}),
    "exp a list": lambda f: f.signed(claims={"exp": [NOW + 60]}),
    "iat missing": lambda f: f.signed(drop=("iat",)),
    "iat in the future": lambda f: f.signed(claims={"iat": NOW + 600}),
    "iat a string": lambda f: f.signed(claims={"iat": "now"}),
    "nbf in the future": lambda f: f.signed(claims={"nbf": NOW + 600}),
    "nbf null": lambda f: f.signed(claims={"nbf": None}),
    "sub missing": lambda f: f.signed(drop=("sub",)),
    "sub a number": lambda f: f.signed(claims={"sub": 7}),
    "sub empty": lambda f: f.signed(claims={"sub": ""}),
    "client_id missing": lambda f: f.signed(drop=("client_id",)),
    "client_id of nobody": lambda f: f.signed(claims={"client_id": "stranger"}),
    "client_id a list": lambda f: f.signed(claims={"client_id": ["crm"]}),
    "scope a number": lambda f: f.signed(claims={"scope": 1}),
    "scope an object": lambda f: f.signed(claims={"scope": {"orders:write": True}}),
    "payload not JSON": lambda f: f.signed(payload=b"hello"),
    "payload a list": lambda f: f.signed(payload=b"[1]"),
    "payload a string": lambda f: f.signed(payload=b'"x"'),
    "payload deep": lambda f: f.signed(payload=b"[" * 3000 + b"]" * 3000),
    "payload not UTF-8": lambda f: f.signed(payload=b'{"iss":"\xff"}'),
    "payload changed": lambda f: ".".join(
        (
            f.good.split(".")[0],
            b64(json.dumps({**f.claims, "scope": "operations:write"}).encode()),
            f.good.split(".")[2],
        )
    ),
    "signature empty": lambda f: f.good.rsplit(".", 1)[0] + ".",
    "signature of zeros": lambda f: f.good.rsplit(".", 1)[0] + "." + b64(b"\0" * 64),
    "signature cut": lambda f: f.good[:-8],
    "signature longer": lambda f: f.good + "AAAA",
    "signature in DER": lambda f: (
        f.good.rsplit(".", 1)[0] + "." + b64(b"\x30\x06\x02\x01\x01\x02\x01\x01")
    ),
    "signature with stray bits": lambda f: f.good[:-1] + chr(ord(f.good[-1]) + 1),
    "padding": lambda f: f.good + "==",
    "padding inside": lambda f: f.good.replace(".", "=.", 1),
    "two parts": lambda f: f.good.rsplit(".", 1)[0],
    "four parts": lambda f: f.good + ".x",
    "five parts, as a JWE": lambda f: f.good + ".x.y",
    "JSON serialisation": lambda f: json.dumps(
        dict(zip(("protected", "payload", "signature"), f.good.split("."), strict=True))
    ),
    "standard base64": lambda f: f.good.replace("-", "+").replace("_", "/") + "+",
    "a space inside": lambda f: f.good.replace(".", ". ", 1),
    "a newline at the end": lambda f: f.good + "\n",
    "empty": lambda _: "",
    "dots": lambda _: "..",
    "a megabyte": lambda f: f.good + "A" * 20_000,
    "not ASCII": lambda f: f.good[:-1] + "é",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_no_forged_token_is_accepted_and_all_are_told_the_same(forge, attack):
    told = await tried(forge, attack(forge))

    assert told.status == 401
    assert forge.w.tier.calls == []
    body = told.json()
    del body["instance"]
    bare = (await forge.w.call("POST", CHECK, json=forge.w.an_order())).json()
    del bare["instance"]
    assert body == bare
    assert 'error="invalid_token"' in told.header("www-authenticate")
    assert "resource_metadata=" in told.header("www-authenticate")


async def test_the_forge_itself_makes_good_tokens(forge):
    """The attacks above fail for what they change, not because the forge cannot sign."""
    assert (await tried(forge, forge.signed())).status == 200
    assert (await tried(forge, forge.signed(claims={"aud": ["x", "crossdock"]}))).status == 200
    assert (await tried(forge, forge.signed(header={"typ": "application/at+jwt"}))).status == 200


async def test_an_expired_token_is_told_apart_so_that_a_client_renews(forge):
    assert (await tried(forge, forge.good)).status == 200
    forge.w.clock.advance(901 + 5)

    told = await tried(forge, forge.good)
    assert (told.status, told.problem) == (401, "token-expired")


async def test_an_expired_and_forged_token_is_not_told_apart(forge):
    told = await tried(forge, forge.by(ECKey.generate_key("P-256"), "ES256"))
    forge.w.clock.advance(10_000)

    late = await tried(forge, forge.by(ECKey.generate_key("P-256"), "ES256"))
    assert (told.problem, late.problem) == ("unauthenticated", "unauthenticated")


@pytest.mark.parametrize("scheme", ["Basic", "bearer2", "DPoP", "Token", ""])
async def test_only_the_bearer_scheme_is_read(forge, scheme):
    told = await forge.w.call(
        "POST",
        CHECK,
        json=forge.w.an_order(),
        headers=[("authorization", f"{scheme} {forge.good}".strip())],
    )

    assert told.status == 401


async def test_a_token_in_the_query_is_no_credential(forge):
    told = await forge.w.call("GET", f"/sales/v1/orders?access_token={forge.good}")

    assert told.status == 401


async def test_a_call_without_credential_learns_where_to_get_one(forge):
    told = await forge.w.call("GET", "/sales/v1/orders")

    assert (told.status, told.problem) == (401, "unauthenticated")
    assert told.header("www-authenticate") == (
        'Bearer realm="crossdock", '
        'resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource", '
        'scope="orders:read"'
    )


async def test_the_reason_is_in_the_log_and_the_token_is_not(forge):
    await tried(forge, forge.signed(claims={"aud": "billing"}))

    name, fields = forge.w.records.events[-1]
    assert (name, fields["reason"]) == ("token_refused", "aud-not-ours")
    assert forge.good[:40] not in msgspec.json.encode(forge.w.records.events).decode()
