"""The judge: compares what the caller was told with what the vendors' ledgers say happened.

It asks the product nothing. The invariants are numbered as in the project's campaign rules:
I1 every acknowledged order is in the ERP, I2 at most one ERP order (and one fulfilment order) per
reference, I3 nothing is stuck, I4 an unacknowledged order has 0 or 1 effects, I5 amounts agree to
the penny, I7 what the CRM shows of an order never goes backwards.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
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
    backwards: list[str]
    seconds_to_settle: float

    @property
    def clean(self) -> bool:
        """No violation, and something to violate."""
        return bool(self.acknowledged) and not any(self.violations.values())

    @property
    def violations(self) -> dict[str, list[str]]:
        """The cases found, by invariant."""
        return {
            "I1 acknowledged and in the ERP": self.lost,
            "I2 at most one order a reference": self.doubled,
            "I3 nothing stuck": self.stuck,
            "I5 the amount that was told": self.mispriced,
            "I7 the CRM never goes backwards": self.backwards,
        }


class Books:
    """The vendors' ledgers, read on as they grow."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._since = 0
        self.erp: Counter[str] = Counter()
        self.wms: Counter[str] = Counter()
        self.erp_cancelled: Counter[str] = Counter()
        self.wms_cancelled: Counter[str] = Counter()
        self.amounts: dict[str, Decimal] = {}
        self.numbers: dict[str, str] = {}
        """The ERP's own numbers of the orders, by reference."""
        self.backwards: set[str] = set()
        self._shown: dict[str, int] = {}
        self.rows: list[dict] = []

    async def read(self) -> None:
        """Take in what happened since the last time."""
        for row in await self._stage.ledger_since(self._since):
            self._since = max(self._since, row["sequence"])
            self._take(row)

    def _take(self, row: dict) -> None:
        self.rows.append(row)
        reference = row["externalReference"]
        match row["system"], row["operation"]:
            case "business_central", "salesOrders.create":
                self.erp[reference] += 1
                self.amounts[reference] = Decimal(row["amount"])
                self.numbers[reference] = row["entity"]
            case "business_central", "salesOrders.delete":
                self.erp_cancelled[reference] += 1
            case "wms", "order_create":
                self.wms[reference] += 1
            case "wms", "order_cancel":
                self.wms_cancelled[reference] += 1
            case "salesforce", operation if operation.startswith("ERP_Order__c."):
                self._seen_by_reps(reference, row["detail"] or {})

    def _seen_by_reps(self, reference: str, detail: Mapping) -> None:
        told = detail.get("Version__c")
        if told is None:
            return
        if int(told) < self._shown.get(reference, 0):
            self.backwards.add(reference)
        self._shown[reference] = int(told)


async def judge(
    stage: Stage, told: Mapping[str, Told], *, settle: float, books: Books | None = None
) -> Verdict:
    """Wait up to `settle` seconds for the work to end, then judge by the ledgers alone."""
    acknowledged = {key for key, one in told.items() if one.status in (200, 201, 202)}
    books = books or Books(stage)
    started = time.monotonic()
    while True:
        await books.read()
        waiting = [key for key in acknowledged if not (books.erp[key] and books.wms[key])]
        seconds = time.monotonic() - started
        if not waiting or seconds > settle:
            break
        await asyncio.sleep(0.2)
    return Verdict(
        acknowledged=len(acknowledged),
        lost=sorted(key for key in acknowledged if not books.erp[key]),
        doubled=sorted(key for key in told if books.erp[key] > 1 or books.wms[key] > 1),
        mispriced=sorted(
            key
            for key in acknowledged
            if key in books.amounts
            and told[key].amount
            and books.amounts[key] != Decimal(told[key].amount)
        ),
        stuck=sorted(key for key in acknowledged if books.erp[key] and not books.wms[key]),
        backwards=sorted(books.backwards),
        seconds_to_settle=round(seconds, 2),
    )


async def created(stage: Stage) -> tuple[Counter[str], Counter[str]]:
    """Count the orders of the ERP and of the warehouse by reference."""
    books = Books(stage)
    await books.read()
    return books.erp, books.wms
