"""A process of a split system starts with what it needs, on a machine that has nothing else."""

import contextlib
import os
import sys

import pytest
from pyreqwest.client import ClientBuilder

from tests.crash.processes import Process
from tests.policies.parcels import contract_file
from tests.serving import free_port
from tests.unit.test_configuration_parts import APART, SYSTEMS

pytestmark = pytest.mark.anyio

TIERS = APART + 'experience = "http://127.0.0.1:8083"\n'
SERVICE = """
[services.parcels]
contract = "parcels.openapi.json"
url = "http://127.0.0.1:9"
scopes = ["parcels:use"]
public = ["readStatus"]
publish = true
"""
NOTICE = {
    "subscriptionId": "9e1b7f0c",
    "resource": "api/v2.0/companies(1)/customers(2)",
    "changeType": "updated",
    "lastModifiedDateTime": "2026-11-22T09:00:00Z",
    "expirationDateTime": "2026-11-25T09:00:00Z",
}


@pytest.fixture
async def client():
    async with ClientBuilder().no_proxy().build() as client:
        yield client


@pytest.fixture
def started(tmp_path, client):
    """Starts a part with a file of its own, and no secret of anybody's in its environment."""

    @contextlib.asynccontextmanager
    async def start(text, *command):
        (tmp_path / "crossdock.toml").write_text(text)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        process = Process(
            [sys.executable, "-m", "deploy.cli", *command, "--port", str(port)],
            {
                **{k: v for k, v in os.environ.items() if not k.startswith("CROSSDOCK_")},
                "CROSSDOCK_CONFIG": str(tmp_path / "crossdock.toml"),
                "CROSSDOCK_DATA": str(tmp_path / "data"),
            },
            tmp_path / "log", f"{url}/readyz",
        )  # fmt: skip
        process.start()
        try:
            await process.ready(client)
            yield url
        finally:
            process.stop()

    return start


async def status(client, url):
    return (await client.get(url).build().send()).status


@pytest.mark.parametrize("systems", [SYSTEMS, ""], ids=["unresolved", "missing"])
@pytest.mark.parametrize(
    "command", [("gateway",), ("serve", "experience")], ids=lambda command: command[-1]
)
async def test_the_edge_starts_without_the_vendors_secrets(started, client, command, systems):
    """Whether the file names secrets that are on another machine, or no systems at all."""
    async with started('promise_key = "env:PROMISE_KEY"\n' + TIERS + systems, *command) as url:
        assert await status(client, f"{url}/healthz") == 200


async def test_the_channels_start_where_only_the_processes_are_elsewhere(started, client):
    """Nothing says where the connectors are, and nothing here asks."""
    tiers = '[tiers]\nprocess = "http://127.0.0.1:8082"\n'
    async with started(tiers + SYSTEMS, "serve", "experience") as url:
        assert await status(client, f"{url}/healthz") == 200


@pytest.mark.parametrize(
    "command", [("serve", "process"), ("up", "--no-sandbox")], ids=lambda command: command[0]
)
async def test_who_takes_notifications_knows_what_they_are_signed_with(
    started, client, tmp_path, command
):
    """Also where the connectors, and with them the vendors' credentials, are elsewhere."""
    (tmp_path / "signature").write_text("agreed")
    systems = SYSTEMS.replace("env:SIGNATURE", f"file:{tmp_path / 'signature'}")
    async with started(APART + systems, *command) as url:
        for said, expected in (("agreed", 200), ("guessed", 401)):
            told = {"value": [{**NOTICE, "clientState": said}]}
            request = client.post(f"{url}/webhooks/business_central").body_json(told)
            assert (await request.build().send()).status == expected


async def test_the_processes_without_systems_believe_no_vendor(started, client):
    """They start; what a vendor might push is refused, because nothing says what it is known by."""
    async with started(TIERS, "serve", "process") as url:
        request = client.post(f"{url}/webhooks/shiphero").body_bytes(b"{}")
        answer = await request.build().send()
        assert answer.status == 401
        request = client.post(f"{url}/webhooks/business_central").body_bytes(b'{"value": []}')
        assert (await request.build().send()).status == 401


async def test_a_gateway_stands_in_front_of_foreign_services_alone(started, client, tmp_path):
    """No tier of ours is anywhere: its operations are unknown, the service's are routed."""
    contract_file(tmp_path)
    async with started(SERVICE, "gateway") as url:
        assert await status(client, f"{url}/sales/v1/orders") == 404
        assert await status(client, f"{url}/parcels/status") == 503
        catalogue = await client.get(f"{url}/.well-known/api-catalog").build().send()
        said = await catalogue.text()
        assert "services/parcels" in said
        assert "sales" not in said
