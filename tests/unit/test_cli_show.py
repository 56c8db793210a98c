"""`crossdock orders show`: an order is found by whatever name a person has for it."""

import asyncio
import os
import sys
from urllib.parse import parse_qs

import pytest

from tests.gateway_desk import Desk, reply
from tests.serving import serving

pytestmark = pytest.mark.anyio

PO = "PO 12/7 & Söhne #3?"


class Shelf(Desk):
    """Knows one order, by the customer's own number."""

    async def __call__(self, scope, receive, send):
        if not scope["path"].startswith("/operations/"):
            await super().__call__(scope, receive, send)
        elif scope["path"].endswith("/timeline"):
            await reply(send, 200, TIMELINE)
        else:
            query = parse_qs(scope["query_string"].decode())
            await reply(send, 200, {"orders": [ORDER] if query.get("po") == [PO] else []})


ORDER = {
    "id": "01ORDER", "reference": "K-1", "customer": "cust_1", "customerName": "Söhne",
    "netAmount": {"amount": "12.00", "currency": "GBP"}, "knownAs": [],
}  # fmt: skip
TIMELINE = {"order": "01ORDER", "summary": "Confirmed.", "next": "The warehouse.", "entries": []}


async def test_an_order_is_found_by_a_number_with_any_sign_in_it(tmp_path):
    """Customers number their orders as they like; no sign of theirs is one of the address."""
    async with serving(Shelf()) as url:
        port = url.rpartition(":")[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", "orders", "show", PO,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ, "CROSSDOCK_PORT": port, "CROSSDOCK_DATA": str(tmp_path),
            },
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert "K-1 of Söhne, 12.00 GBP net" in out.decode()
