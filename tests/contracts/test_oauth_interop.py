"""A client library that we did not write gets on with our issuer, over a real socket."""

import asyncio
from random import Random

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from msgspec import structs

from deploy.assembly import System
from deploy.profile import Settings, configuration
from gateway.config import BuiltInIssuer
from tests.connected import SMALL, connected
from tests.serving import serving

pytestmark = pytest.mark.anyio

TOKEN_SECONDS = 5
CUSTOMER = next(c for c in SMALL.customers.values() if not c.blocked)
ITEM = next(item for item in SMALL.items.values() if not item.blocked)
PRICE_CHECK = {
    "customer": f"bc:{CUSTOMER.number}",
    "lines": [{"item": f"bc:{ITEM.number}", "quantity": "3"}],
}


class Served:
    """The gateway of a system that is started after its address is known."""

    def __init__(self):
        self.gateway = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            await self.gateway(scope, receive, send)
            return
        while True:  # the system starts and stops itself
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


@pytest.fixture
async def issuer(tmp_path):
    """The address of an assembled system whose tokens last five seconds."""
    served = Served()
    async with connected() as vendors, serving(served) as base:
        settings = Settings(
            port=int(base.rpartition(":")[2]),
            sandbox_port=int(vendors.base.rpartition(":")[2]),
            data=tmp_path,
        )
        configured = configuration(settings)
        issuing = BuiltInIssuer(enabled=True, token_seconds=TOKEN_SECONDS)
        gateway = structs.replace(
            configured.gateway, gateway=structs.replace(configured.gateway.gateway, issuer=issuing)
        )
        system = System(settings, structs.replace(configured, gateway=gateway), random=Random(7))
        await system.start()
        served.gateway = system.gateway
        yield base
        await system.stop()


async def discovered(issuer):
    """What a client learns that knows the issuer alone (RFC 8414, section 3)."""
    async with AsyncOAuth2Client() as client:
        url = get_well_known_url(issuer, external=True)
        answer = await client.request("GET", url, withhold_token=True)
    assert answer.status_code == 200
    return AuthorizationServerMetadata(answer.json())


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_signs_in_in_either_way_and_asks_a_price(issuer, method):
    metadata = await discovered(issuer)
    assert metadata["issuer"] == issuer
    assert method in metadata["token_endpoint_auth_methods_supported"]
    async with AsyncOAuth2Client(
        "crm", "crm-dev-secret", token_endpoint_auth_method=method, scope="pricing:read", leeway=0
    ) as client:
        token = await client.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials"
        )
        answer = await client.post(f"{issuer}/sales/v1/price-checks", json=PRICE_CHECK)

    assert (token["token_type"], token["scope"]) == ("Bearer", "pricing:read")
    assert token["expires_in"] == TOKEN_SECONDS
    assert answer.status_code == 200, answer.text
    assert answer.json()["lines"]


async def test_a_token_is_renewed_before_it_expires(issuer):
    """There is no refresh token to be had with client credentials: the client asks again."""
    metadata = await discovered(issuer)
    renewed = []

    async def on_renewal(token, access_token):
        renewed.append((access_token, token["access_token"]))

    async with AsyncOAuth2Client(
        "crm", "crm-dev-secret", token_endpoint=metadata["token_endpoint"],
        grant_type="client_credentials", update_token=on_renewal, leeway=TOKEN_SECONDS - 1,
    ) as client:  # fmt: skip
        first = await client.fetch_token()
        assert "refresh_token" not in first
        await client.post(f"{issuer}/sales/v1/price-checks", json=PRICE_CHECK)
        assert renewed == []
        await asyncio.sleep(2.1)  # whole seconds count: now less than four are left
        answer = await client.post(f"{issuer}/sales/v1/price-checks", json=PRICE_CHECK)

    assert answer.status_code == 200, answer.text
    ((old, new),) = renewed
    assert old == first["access_token"] != new


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("name", ["crm", "nobody"])
async def test_a_wrong_secret_is_invalid_client_as_an_unknown_name_is(issuer, method, name):
    async with AsyncOAuth2Client(name, "guessed", token_endpoint_auth_method=method) as client:
        with pytest.raises(OAuthError) as refused:
            await client.fetch_token(f"{issuer}/oauth/token", grant_type="client_credentials")
    assert refused.value.error == "invalid_client"


async def test_a_scope_the_client_does_not_have_is_invalid_scope(issuer):
    async with AsyncOAuth2Client("crm", "crm-dev-secret", scope="operations:write") as client:
        with pytest.raises(OAuthError) as refused:
            await client.fetch_token(f"{issuer}/oauth/token", grant_type="client_credentials")
    assert refused.value.error == "invalid_scope"


async def test_the_metadata_are_as_the_standard_has_them(issuer, monkeypatch):
    """Each member by authlib's own rules, but for two.

    A loopback issuer is not https; and with client credentials alone there is no response type,
    which authlib takes for a missing member.
    """
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    metadata = await discovered(issuer)
    for member in AuthorizationServerMetadata.REGISTRY_KEYS:
        if member != "response_types_supported":
            getattr(metadata, f"validate_{member}")()
    assert metadata["response_types_supported"] == []
