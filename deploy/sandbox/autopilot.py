"""The people of the sandbox, acting by themselves: for demonstrations and campaigns.

``GET|POST /_sandbox/autopilot`` with ``{"on": true, "shipAfter": 2, "billAfter": 2, "payAfter": 3,
"partly": 25}``: the warehouse ships what is released and allocated so many seconds after the order
last changed, finance bills what is shipped, customers pay what is billed. ``partly`` is how many
orders in a hundred leave in two shipments, chosen by their reference: the same every time. Off at
first.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Protocol
from zlib import crc32

import msgspec

from deploy.sandbox.clock import Clock
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["Autopilot", "Pace", "People"]

log = logging.getLogger("crossdock.sandbox")

_EVERY = 0.5
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Pace(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How quickly people act: times in seconds, ``at_once`` the most deeds of a kind in a turn."""

    on: bool = True
    ship_after: _Seconds = 2.0
    bill_after: _Seconds = 2.0
    pay_after: _Seconds = 3.0
    partly: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    at_once: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50

    def ships_in_parts(self, reference: str) -> bool:
        """Whether an order is one of those that leave in two shipments."""
        return crc32(reference.encode()) % 100 < self.partly


class People(Protocol):
    """Those who act in one system."""

    def act(self, now: datetime, pace: Pace) -> int:
        """Do what is due; answer how much was done."""
        ...


class Autopilot:
    """Lets people act every half second while it is on."""

    def __init__(self, people: Callable[[], Sequence[People]], clock: Clock) -> None:
        self._people = people
        self._clock = clock
        self._pace = Pace(on=False)
        self._done = 0
        self._task: asyncio.Task[None] | None = None

    def answer(self, request: Request) -> Reply:
        """Say how it stands, after setting it when asked to; 400 for nonsense."""
        if request.method == "POST":
            try:
                pace = msgspec.json.decode(request.body, type=Pace)
            except msgspec.MsgspecError as unclear:
                return json_reply(400, {"error": str(unclear)})
            self.off()
            self._pace = pace
            if pace.on:
                self._task = asyncio.create_task(self._run(), name="sandbox-autopilot")
        return json_reply(200, {**msgspec.to_builtins(self._pace), "done": self._done})

    def off(self) -> None:
        """Let nobody act any more."""
        task, self._task = self._task, None
        self._pace = msgspec.structs.replace(self._pace, on=False)
        if task is not None:
            task.cancel()

    def turn(self) -> int:
        """Let everybody act once; answer how much was done."""
        now = self._clock.now()
        done = sum(people.act(now, self._pace) for people in self._people())
        self._done += done
        return done

    async def _run(self) -> None:
        while True:
            try:
                done = self.turn()
            except Exception:
                log.exception("autopilot_stumbled")
                done = 0
            await asyncio.sleep(0.01 if done >= self._pace.at_once else _EVERY)


def before(now: datetime, seconds: float) -> datetime:
    """The moment before which something must have happened for so many seconds to have passed."""
    return now - timedelta(seconds=seconds)
