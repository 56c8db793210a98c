"""The judge: compares what the caller was told with what the vendors' ledgers say happened.

It asks the product nothing. The invariants are numbered as in the project's campaign rules:
I1 every acknowledged order is in the ERP, I2 at most one ERP order (and one fulfilment order) per
reference, I4 an unacknowledged order has 0 or 1 effects, I5 amounts agree to the penny.
"""

import asyncio
import time
from collections import Counter
from decimal import Decimal

import msgspec

from tests.crash.load import Told
from tests.crash.processes import Stage


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; a campaign passes when every list is empty and `acknowledged` is not."""

    acknowledged: int
    lost: list[str]
    doubled: list[str]
    mispriced: list[str]
    stuck: list[str]
    seconds_to_settle: float

    @property
    def clean(self) -> bool:
        """No violation, and something to violate."""
        return bool(self.acknowledged) and not (
            self.lost or self.doubled or self.mispriced or self.stuck
        )


async def judge(stage: Stage, told: dict[str, Told], *, settle: float) -> Verdict:
    """Wait up to `settle` seconds for the work to end, then judge by the ledgers alone."""
    acknowledged = {key for key, one in told.items() if one.status in (200, 201, 202)}
    started = time.monotonic()
    while True:
        erp, wms = await created(stage)
        waiting = [key for key in acknowledged if not (erp[key] and wms[key])]
        seconds = time.monotonic() - started
        if not waiting or seconds > settle:
            break
        await asyncio.sleep(0.2)
    amounts = {
        row["externalReference"]: Decimal(row["amount"])
        for row in await stage.ledger("business_central")
        if row["operation"] == "salesOrders.create"
    }
    return Verdict(
        acknowledged=len(acknowledged),
        lost=sorted(key for key in acknowledged if not erp[key]),
        doubled=sorted(key for key in told if erp[key] > 1 or wms[key] > 1),
        mispriced=sorted(
            key
            for key in acknowledged
            if key in amounts and amounts[key] != Decimal(told[key].amount)
        ),
        stuck=sorted(key for key in acknowledged if erp[key] and not wms[key]),
        seconds_to_settle=round(seconds, 2),
    )


async def created(stage: Stage) -> tuple[Counter[str], Counter[str]]:
    """Count the orders of the ERP and of the warehouse by reference."""
    erp = Counter(
        row["externalReference"]
        for row in await stage.ledger("business_central")
        if row["operation"] == "salesOrders.create"
    )
    wms = Counter(
        row["externalReference"]
        for row in await stage.ledger("wms")
        if row["operation"] == "order_create"
    )
    return erp, wms
