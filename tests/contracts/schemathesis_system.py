"""Start the system as `crossdock up --no-sandbox` does, prepared for calls, or with a defect.

    python -m tests.contracts.schemathesis_system [careless-tier]

A contract test asks faster than any plan allows, and a quota's refusal would hide what is behind
it; quotas have stories of their own. And somebody may approve prices, so that orders can wait for
it. The defects live here, never in the product.
"""

import asyncio
import sys
from decimal import Decimal
from typing import Any

import msgspec

from contracts import context
from contracts.canonical.order import Order, Timeline
from contracts.ports.binding import Reply
from deploy.assembly import System
from deploy.profile import Configuration, Settings, configuration
from deploy.tiers import Parts
from gateway.config import Plan
from gateway.server import serve as listen
from process_apis.quote_to_order.settings import ApprovalRule, OrderSettings
from runtime.telemetry import configure_logs


class LooseTimeline(Timeline, frozen=True, kw_only=True):
    """A timeline that says more than the contract does."""

    locked_by: str


class CarelessOrders:
    """The process tier as one of its own promises after another would be broken.

    Reads answer a status no contract names and show any account's orders; a timeline has a member
    too many.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, order: str) -> Reply[Order]:
        """Answer whose order it ever is, and 203."""
        with context.calling(msgspec.structs.replace(context.current(), accounts=None)):
            return msgspec.structs.replace(await self._inner.get(order), status=203)

    async def timeline(self, order: str) -> Timeline:
        """Answer with an inner detail."""
        told = await self._inner.timeline(order)
        members = {name: getattr(told, name) for name in Timeline.__struct_fields__}
        return LooseTimeline(**members, locked_by="worker-1")


ANY_PRICE = ApprovalRule(
    region="every country", threshold=Decimal("0.99"), approver="head of sales"
)
"""Under this rule whoever did not place an order may approve nearly any price of it."""
DEFECTS = {"careless-tier": Parts(orders=CarelessOrders)}


def prepared(settings: Settings) -> Configuration:
    """The sandbox profile, every plan of which allows everything, with a rule for approvals."""
    configured = configuration(settings)
    plans = dict.fromkeys(configured.gateway.plans, Plan())
    gateway = msgspec.structs.replace(configured.gateway, plans=plans)
    orders = OrderSettings(approvals=(ANY_PRICE,))
    return msgspec.structs.replace(configured, gateway=gateway, orders=orders)


async def serve(parts: Parts) -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_environment()
    settings.data.mkdir(parents=True, exist_ok=True)
    configure_logs(stream=(settings.data / "crossdock.log").open("a", encoding="utf-8"))
    system = System(settings, prepared(settings), parts=parts)
    await system.start()
    try:
        await listen(
            system.gateway, host="127.0.0.1", port=settings.port, drain=system.gateway.drain
        )
    finally:
        await system.stop()


if __name__ == "__main__":
    asyncio.run(serve(DEFECTS[sys.argv[1]] if sys.argv[1:] else Parts()))
