"""Client certificates: believed from a trusted hop alone, and what a token can be bound to."""

import base64

import pytest
from cryptography import x509

from gateway.certificates import CertificateRefusedError, read
from gateway.config import Client, ConfigError
from tests.policies.certificates import a_certificate

pytestmark = pytest.mark.anyio
HOP = "10.1.0.9"
VERSION_3, VERSION_9 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08"
SCOPES = ("orders:read", "orders:write", "pricing:read")


MINE = a_certificate("warehouse", x509.UniformResourceIdentifier("spiffe://acme/warehouse"))
RENEWED = a_certificate("warehouse", x509.UniformResourceIdentifier("spiffe://acme/warehouse"))
PINNED = a_certificate("kiosk")
OTHER = a_certificate("stranger")
OF_NO_VERSION = base64.b64encode(
    base64.b64decode(MINE[1:-1]).replace(VERSION_3, VERSION_9)
).decode()
EXPIRED = a_certificate("warehouse", x509.DNSName("Warehouse.acme.example"), days=-1, since=9)


@pytest.fixture
async def w(world):
    clients = {
        "warehouse": Client(
            certificates=("uri:spiffe://acme/warehouse", "dns:warehouse.acme.example"),
            scopes=SCOPES,
            accounts=("C3",),
        ),
        "kiosk": Client(certificates=(read(PINNED.encode()).names[0],), scopes=("orders:read",)),
    }
    return await world(
        config=world.config(clients=clients, gateway={"trusted_hops": ("10.1.0.0/24",)})
    )


async def ask(w, certificate: str, *more, peer: str | None = HOP):
    headers = [("client-cert", certificate), *more]
    return await w.call("GET", "/sales/v1/orders", headers=headers, peer=peer)


async def test_a_hop_we_trust_says_who_is_calling(w):
    for certificate, name in ((MINE, "warehouse"), (RENEWED, "warehouse"), (PINNED, "kiosk")):
        assert (await ask(w, certificate)).status == 200
        assert w.tier.calls[-1].context.consumer == name
        assert b"client-cert" not in w.tier.calls[-1].headers


@pytest.mark.parametrize("peer", ["10.1.1.9", "127.0.0.1", "::ffff:10.2.0.9", None])
async def test_from_anybody_else_the_header_is_nothing(w, peer):
    told = await ask(w, MINE, peer=peer)
    bare = await w.call("GET", "/sales/v1/orders")

    assert told.status == 401
    assert told.header("www-authenticate") == bare.header("www-authenticate")


async def test_an_address_written_as_ipv6_is_the_same_hop(w):
    assert (await ask(w, MINE, peer="::ffff:10.1.0.9")).status == 200


@pytest.mark.parametrize(
    "certificate",
    [
        OTHER, EXPIRED, "", ":", "::", ":AAAA:", MINE[1:-1], MINE[:-1], MINE[:40] + ":",
        MINE.replace(":", ""), MINE + ", " + PINNED, ":" + "A" * 20_000 + ":", ":é:",
        f":{OF_NO_VERSION}:",
    ],
    ids=[
        "another", "expired", "empty", "half a frame", "nothing in it", "no certificate",
        "unframed", "cut at its end", "cut", "no frame", "two", "too long", "not ascii",
        "of no version",
    ],
)  # fmt: skip
async def test_a_certificate_that_is_not_a_clients_is_refused(w, certificate):
    told = await ask(w, certificate)

    assert (told.status, told.problem) == (401, "unauthenticated")
    assert w.tier.calls == []


async def test_two_certificates_at_once_are_ambiguous(w):
    assert (await ask(w, MINE, ("client-cert", PINNED))).status == 400


async def token_by_certificate(w, certificate: str) -> str:
    told = await w.call(
        "POST",
        "/oauth/token",
        headers=[
            ("client-cert", certificate),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        body=b"grant_type=client_credentials&client_id=warehouse",
        peer=HOP,
    )
    assert told.status == 200, told.body
    return told.json()["access_token"]


async def test_a_bound_token_is_nothing_without_its_certificate(w):
    """RFC 8705 section 3: whoever steals the token still lacks the key."""
    token = await token_by_certificate(w, MINE)
    bearer = ("authorization", f"Bearer {token}")

    assert (await ask(w, MINE, bearer)).status == 200
    for _ in range(2):  # the second time the token is remembered as verified
        assert (await ask(w, PINNED, bearer)).status == 401
        assert (await ask(w, RENEWED, bearer)).status == 401
        assert (await ask(w, MINE, bearer, peer="192.0.2.7")).status == 401
        stolen = await w.call("GET", "/sales/v1/orders", token=token)
        assert stolen.status == 401
        assert 'error="invalid_token"' in stolen.header("www-authenticate")
    assert (await ask(w, MINE, bearer)).status == 200


@pytest.mark.parametrize("certificate", [OTHER, PINNED, EXPIRED, None])
async def test_no_token_is_granted_to_another_certificate(w, certificate):
    headers = [("content-type", "application/x-www-form-urlencoded")]
    if certificate is not None:
        headers.append(("client-cert", certificate))
    form = b"grant_type=client_credentials&client_id=warehouse"
    told = await w.call("POST", "/oauth/token", headers=headers, body=form, peer=HOP)

    assert (told.status, told.json()["error"]) == (401, "invalid_client")


async def test_the_metadata_says_that_tokens_can_be_bound(w, world):
    for path in ("oauth-authorization-server", "oauth-protected-resource"):
        told = (await w.call("GET", f"/.well-known/{path}")).json()
        assert told["tls_client_certificate_bound_access_tokens"] is True
    without = await world()
    told = (await without.call("GET", "/.well-known/oauth-authorization-server")).json()
    assert told["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
    ]


def test_the_names_of_a_certificate_are_those_its_authority_gave():
    found = read(EXPIRED.encode())
    assert found.names[1:] == ("dns:warehouse.acme.example", "subject:CN=warehouse")
    with pytest.raises(CertificateRefusedError, match="client-cert-not-a-certificate"):
        read(b":AAAA:")


@pytest.mark.parametrize(
    ("clients", "hops", "place"),
    [
        ({"a": ("sha256:00",)}, ("10.0.0.1",), "clients.a.certificates"),
        ({"a": ("CN=a",)}, ("10.0.0.1",), "clients.a.certificates"),
        ({"a": ("uri:x",)}, (), "gateway.trusted_hops"),
        ({"a": ("uri:x",), "b": ("uri:x",)}, ("10.0.0.1",), "clients.*.certificates"),
        ({}, ("everybody",), "gateway.trusted_hops"),
        ({}, ("10.0.0.1/8",), "gateway.trusted_hops"),
    ],
)
async def test_what_could_not_be_believed_is_a_fault_before_the_start(world, clients, hops, place):
    made = {n: Client(certificates=each, scopes=SCOPES) for n, each in clients.items()}
    with pytest.raises(ConfigError) as refused:
        await world(config=world.config(clients=made, gateway={"trusted_hops": hops}))
    assert place in str(refused.value)
