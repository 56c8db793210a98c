"""A credit position never claims to include an order that was created while it was read."""

import asyncio

import pytest

from contracts.canonical.ids import customer_id
from tests.connected import SMALL, connected

pytestmark = pytest.mark.anyio

BUYER = next(c for c in SMALL.customers.values() if c.country == "GB" and not c.blocked)


async def test_a_position_is_as_old_as_the_question():
    """What was created after it was asked for counts as not included, so it is counted by us."""
    async with connected() as vendors:
        who = customer_id(BUYER.number)
        await vendors.erp.credit_position(who)
        vendors.fault("business_central", "latency", "openOrderAmounts.list", latency=0.2)

        asking = asyncio.create_task(vendors.erp.credit_position(who))
        await asyncio.sleep(0.1)
        meanwhile = vendors.clock.now()
        position = await asking

        assert position.as_of < meanwhile
