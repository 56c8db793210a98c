"""A sandbox in the test's own process, a clock that the test turns, and callers of its vendors."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec

from deploy.sandbox.app import Sandbox, build_sandbox
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.world import World

SMALL = World.seeded(seed=7, items=120, customers=60)

ORDER_CREATE = """
mutation Create($data: CreateOrderInput!) {
  order_create(data: $data) {
    request_id
    complexity
    order {
      id legacy_id order_number partner_order_id fulfillment_status total_price
      holds { payment_hold operator_hold }
      line_items(first: 10) {
        edges { node {
          id sku quantity quantity_allocated backorder_quantity warehouse fulfillment_status
        } }
      }
    }
  }
}
"""


class TurnedClock:
    """Time stands still until the test turns it."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        self._seconds = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._seconds

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._seconds += seconds


def a_sandbox(
    data: Path | None = None, *, clock: TurnedClock | None = None, **settings: Any
) -> Sandbox:
    """A small sandbox; without ``data`` it forgets everything with the test."""
    chosen = SandboxSettings(data=data, **{"webhook_base": "", "webhook_delay": 0.0, **settings})
    return build_sandbox(chosen, world=SMALL, clock=clock)


def an_http_client(sandbox: Sandbox) -> httpx.AsyncClient:
    """Real HTTP requests and answers, without a socket."""
    transport = httpx.ASGITransport(app=sandbox)
    return httpx.AsyncClient(transport=transport, base_url="http://sandbox")


class WarehouseCaller:
    """A careful user of ShipHero's API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> dict[str, Any]:
        answer = await self.http.post(
            "/shiphero/auth/token",
            json={"username": "crossdock", "password": "crossdock-sandbox-secret"},
        )
        tokens = answer.json()
        self.headers = {"authorization": f"Bearer {tokens['access_token']}"}
        return tokens

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL envelope."""
        answer = await self.http.post(
            "/shiphero/graphql",
            content=msgspec.json.encode({"query": query, "variables": variables}),
            headers=self.headers,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def orders(self, *lines: tuple[str, int], number: str = "PO-1", **more: Any) -> Any:
        """Create an order of these lines; answers the envelope."""
        return await self.ask(ORDER_CREATE, data=an_order(*lines, number=number, **more))

    async def created(self, *lines: tuple[str, int], number: str = "PO-1", **more: Any) -> Any:
        """Create an order that must succeed; answers the order."""
        envelope = await self.orders(*lines, number=number, **more)
        assert "errors" not in envelope, envelope["errors"]
        return envelope["data"]["order_create"]["order"]

    async def level(self, sku: str, warehouse: str) -> dict[str, int]:
        envelope = await self.ask(
            "query($sku: String) { warehouse_products(sku: $sku) { data(first: 5) { edges { node {"
            " warehouse_identifier on_hand allocated available backorder } } } } }",
            sku=sku,
        )
        nodes = [edge["node"] for edge in envelope["data"]["warehouse_products"]["data"]["edges"]]
        return next(node for node in nodes if node.pop("warehouse_identifier") == warehouse)

    async def ledger(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/_sandbox/ledger", params={"system": "wms"})
        return [msgspec.json.decode(line) for line in answer.text.splitlines()]


def an_order(*lines: tuple[str, int], number: str = "PO-1", **more: Any) -> dict[str, Any]:
    """CreateOrderInput for lines of SKU and quantity."""
    return {
        "order_number": number,
        "partner_order_id": number,
        "shop_name": "crossdock",
        "total_price": "120.50",
        "currency": "GBP",
        "shipping_address": {"first_name": "Ann", "city": "Leeds", "country_code": "GB"},
        "line_items": [
            {
                "sku": sku,
                "quantity": quantity,
                "price": "2.50",
                "partner_line_item_id": f"{number}-{at}",
            }
            for at, (sku, quantity) in enumerate(lines)
        ],
        **more,
    }
