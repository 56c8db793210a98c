"""Whether a system still pushes: judged by what a look found that no message told of.

A message may be late by a grace; when a change is older than that and nothing of its kind was
heard since, the message was missed. The subscription is then suspect and made anew.

Where several processes share a store, messages come in at one and another looks: what was heard is
then told through the store, every few seconds, which is far less than the grace.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from contracts.outcomes import CallFailedError
from process_apis.propagation.watching import Notes
from runtime.clock import Clock
from runtime.store.faults import StoreUnavailable

__all__ = ["Renew", "Standing", "Watchdog"]

log = logging.getLogger("crossdock.propagation")

Renew = Callable[[], Awaitable[object]]
"""Makes or renews the subscriptions of a system; may be called at any time."""

_MOST_EXPECTED: Final = 10_000
_LOOK_EVERY: Final = 5.0
_HEARD: Final = "push-heard"


class Standing(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a subscription stands. `missed` counts changes that no message told of."""

    name: str
    last_push: datetime | None
    last_poll: datetime | None
    missed: int
    suspect_since: datetime | None
    renewed_at: datetime | None


class _Subscription:
    def __init__(self, renew: Renew | None) -> None:
        self.renew = renew
        self.expected: deque[datetime] = deque(maxlen=_MOST_EXPECTED)
        self.last_push: datetime | None = None
        self.last_poll: datetime | None = None
        self.missed = 0
        self.suspect_since: datetime | None = None
        self.renewed_at: datetime | None = None


class Watchdog:
    """Keeps count for each subscription, by a name such as `shiphero.shipments`.

    `renewals` say how each is made anew; one that only a person can mend has None.
    """

    def __init__(
        self,
        renewals: Mapping[str, Renew | None],
        *,
        clock: Clock,
        grace: timedelta,
        renew_every: timedelta,
    ) -> None:
        self._known = {name: _Subscription(renew) for name, renew in renewals.items()}
        self._clock = clock
        self._grace = grace
        self._renew_every = renew_every
        self._notes: Notes | None = None

    def share(self, notes: Notes) -> None:
        """From now on tell the other processes what is heard here, and learn what is there."""
        self._notes = notes

    def heard(self, name: str) -> None:
        """A message came: what happened until now was told."""
        found = self._known.get(name)
        if found is not None:
            self._heard_at(name, found, self._clock.now())

    def _heard_at(self, name: str, found: _Subscription, at: datetime) -> None:
        if found.last_push is not None and found.last_push >= at:
            return
        found.last_push = at
        # What is looked at just after its message expects no other.
        while found.expected and found.expected[0] - at <= self._grace:
            found.expected.popleft()
        if found.suspect_since is not None and found.suspect_since <= at:
            log.warning("subscription_heard_again", extra={"subscription": name})
            found.suspect_since = None

    def polled(self, name: str) -> None:
        """A look at the system ended."""
        found = self._known.get(name)
        if found is not None:
            found.last_poll = self._clock.now()

    def expected(self, name: str) -> None:
        """A look found a change now; a message must tell of it, or have told of it just before."""
        found = self._known.get(name)
        if found is None:
            return
        now = self._clock.now()
        if found.last_push is None or now - found.last_push > self._grace:
            found.expected.append(now)

    def standings(self) -> tuple[Standing, ...]:
        """Answer how every subscription stands."""
        return tuple(
            Standing(
                name=name,
                last_push=one.last_push,
                last_poll=one.last_poll,
                missed=one.missed,
                suspect_since=one.suspect_since,
                renewed_at=one.renewed_at,
            )
            for name, one in self._known.items()
        )

    async def run(self) -> None:
        """Look at the subscriptions again and again; ends when the task is cancelled."""
        while True:
            await self.exchange()
            await self.check()
            await asyncio.sleep(_LOOK_EVERY)

    async def tell(self) -> None:
        """Tell those who look what is heard here; ends when the task is cancelled."""
        while True:
            await self.exchange()
            await asyncio.sleep(_LOOK_EVERY)

    async def exchange(self) -> None:
        """Write down what was heard here last, and read what was heard elsewhere since."""
        if self._notes is None:
            return
        try:
            for name, one in self._known.items():
                stored = await self._notes.note(_HEARD, name)
                there = None if stored is None else msgspec.json.decode(stored, type=datetime)
                here = one.last_push
                if here is not None and (there is None or there < here):
                    await self._notes.set_note(_HEARD, name, msgspec.json.encode(here))
                elif there is not None:
                    self._heard_at(name, one, there)
        except StoreUnavailable:
            log.warning("pushes_not_shared")

    async def check(self) -> None:
        """Count what was missed, and make suspect subscriptions anew."""
        now = self._clock.now()
        for name, one in self._known.items():
            missed = 0
            while one.expected and now - one.expected[0] > self._grace:
                one.expected.popleft()
                missed += 1
            if missed:
                one.missed += missed
                one.suspect_since = one.suspect_since or now
                log.warning(
                    "subscription_silent",
                    extra={"subscription": name, "missed": missed, "in_all": one.missed},
                )
            if one.suspect_since is not None:
                await self._renew(name, one, now)

    async def _renew(self, name: str, one: _Subscription, now: datetime) -> None:
        if one.renew is None:
            return
        if one.renewed_at is not None and now - one.renewed_at < self._renew_every:
            return
        one.renewed_at = now
        try:
            await one.renew()
        except CallFailedError as failed:
            failure = type(failed.failure).__name__
            log.warning("not_renewed", extra={"subscription": name, "failure": failure})
        else:
            log.warning("subscription_renewed", extra={"subscription": name})
