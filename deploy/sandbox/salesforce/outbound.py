"""The outbound message "deal won": SOAP to the gateway, at least once, in no order.

A notification is tried until it is acknowledged or 24 hours have gone; each try carries the
record's values of that moment. Up to 100 travel in one message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from deploy.sandbox.faults import PUSH, FaultSwitch
from deploy.sandbox.identifiers import salesforce_id
from deploy.sandbox.pushes import Pushes
from deploy.sandbox.salesforce.accounting import SYSTEM
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.soap import acknowledged, notifications
from deploy.sandbox.vault import Record

__all__ = ["ACTION", "FIELDS", "OutboundMessages"]

ACTION = salesforce_id("04k", 100_001)
FIELDS = (
    "Id",
    "AccountId",
    "Amount",
    "CloseDate",
    "CurrencyIsoCode",
    "IsClosed",
    "IsWon",
    "LastModifiedDate",
    "Name",
    "PO_Number__c",
    "Requested_Delivery_Date__c",
    "StageName",
    "SystemModstamp",
)
_MOST_IN_ONE = 100
_HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}

Sleep = Callable[[float], Awaitable[None]]


class OutboundMessages:
    """Sends what the org's outbox owes. One message is under way at a time."""

    def __init__(
        self,
        *,
        org: Org,
        pushes: Pushes,
        faults: FaultSwitch,
        chance: Random,
        url: str,
        base: str,
        delay: float,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``url``: where to, empty for nowhere; ``base``: the org's own address.

        ``delay`` is in seconds, before the first try.
        """
        self._org = org
        self._pushes = pushes
        self._faults = faults
        self._chance = chance
        self._url = url
        self._base = base
        self._delay = delay
        self._sleep = sleep
        self._due: dict[str, tuple[float, float]] = {}  # notification: when (epoch), gap after it
        self._pumping = False
        self._woken: asyncio.Event | None = None

    def owe(self, notification: str) -> None:
        """Send this notification when its time comes; without a running loop it waits."""
        now = self._org.now().timestamp()
        self._due[notification] = (now + self._delay, self._org.policy.push_first_gap)
        self._start()

    def resume(self) -> None:
        """Take up what the outbox owed when the process ended."""
        if self._url:
            for owed in self._org.outbox.pending():
                if owed["Id"] not in self._due:
                    self.owe(owed["Id"])

    def _start(self) -> None:
        if self._woken is not None:
            self._woken.set()
        if self._due and not self._pumping:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return
            self._pumping = True
            self._pushes.start(self._pump())

    async def _pump(self) -> None:
        self._woken = asyncio.Event()
        try:
            while self._due:
                now = self._org.now().timestamp()
                ready = [key for key, (at, _) in self._due.items() if at <= now][:_MOST_IN_ONE]
                if ready:
                    self._chance.shuffle(ready)
                    await self._send(ready)
                    continue
                self._woken.clear()
                await self._wait(min(at for at, _ in self._due.values()) - now)
        finally:
            self._pumping = False
            self._woken = None

    async def _wait(self, seconds: float) -> None:
        """Until ``seconds`` have gone or something new is owed."""
        assert self._woken is not None  # noqa: S101  # the pump set it
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeping, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            woken.cancel()

    async def _send(self, ready: list[str]) -> None:
        """One message with these notifications, and a second where a fault wants it twice."""
        carried: list[tuple[str, Record]] = []
        twice: list[tuple[str, Record]] = []
        for notification in ready:
            owed = self._org.outbox.get(notification)
            record = None
            if owed is not None:
                record = self._org.living("Opportunity", owed["Record"])
            if record is None:
                self._settle([notification])
                continue
            fault = await self._faults.before(SYSTEM, PUSH)
            if fault is not None and fault.kind == "lost_push":
                self._settle([notification])
                continue
            carried.append((notification, record))
            if fault is not None and fault.kind == "duplicate_push":
                twice.append((notification, record))
        if not carried:
            return
        taken = await self._post(carried)
        if twice:
            await self._post(twice)
        names = [notification for notification, _ in carried]
        if taken:
            self._settle(names)
        else:
            self._postpone(names)

    async def _post(self, carried: list[tuple[str, Record]]) -> bool:
        body = notifications(
            organization_id=self._org.organization_id,
            action_id=ACTION,
            base=self._base,
            sobject=self._org.schema.objects["Opportunity"],
            fields=FIELDS,
            records=carried,
        )
        reply = await self._pushes.post(
            self._url, body, _HEADERS, seconds=self._org.policy.push_ack_seconds
        )
        return reply is not None and acknowledged(*reply)

    def _settle(self, names: list[str]) -> None:
        for name in names:
            self._due.pop(name, None)
        with self._org.vault.batch():
            self._org.outbox.settle(names)

    def _postpone(self, names: list[str]) -> None:
        """Later, with growing gaps; given up when it has been owed for too long."""
        policy = self._org.policy
        now = self._org.now().timestamp()
        for name in names:
            owed = self._org.outbox.get(name)
            if owed is None or now - owed["Since"] >= policy.push_give_up:
                self._settle([name])
                continue
            _, gap = self._due[name]
            self._due[name] = (now + gap, min(gap * 2, policy.push_longest_gap))
