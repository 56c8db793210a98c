"""One vendor account, counted by all processes together in Redis.

While Redis answers, a process asks it for every call; calls that arrive or end while a question is
under way go with the next one. High lanes do not wait for low ones of another process: whoever
waits is known to all, and a lower lane lets it pass. Within a lane and with calls at once limited,
the process with the fewest under way goes first.

While it does not, the process keeps to its own share of the allowance, in memory, beginning with
its part of what was used when it last heard. A Redis that comes back, or that has forgotten, is
told what happened meanwhile; calls are counted together again when every process has had the time
to do so (`_SETTLING`).
"""

import asyncio
import heapq
from math import ceil, inf
from typing import Final

import msgspec

from contracts import context
from runtime.accounts import (
    LANES,
    LOWEST_HIGH,
    Account,
    Alarm,
    Allowance,
    BudgetStanding,
    Timer,
    Waiter,
)
from runtime.clock import Clock
from runtime.meters import Bucket
from runtime.shared.budget_script import SPEND
from runtime.shared.messages import LEASE_SECONDS, Answer, Report, micros, spec_of
from runtime.shared.state import LEFT_ALONE_SECONDS, SharedState
from runtime.shared.unsaid import Unsaid

__all__ = ["SharedAccount"]

_PROBE: Final = LEFT_ALONE_SECONDS + 0.01
"""Seconds between two tries to find Redis again."""
_SETTLING: Final = 0.9
"""Seconds in which every process that lost Redis, or meets an empty one, has told it its part."""
_HEARTBEAT: Final = 0.5
"""Seconds between two reports of a process that has nothing to say; see `_SETTLING`."""
_LINGER: Final = 0.01
"""Seconds an end that nobody waits for may wait for the next call, to go along with it."""
_ASK: Final = 0.01
"""Seconds between two questions of who waits for another process's call to end."""
_SHORTEST: Final = 0.002
"""Seconds; turns closer together than this are asked for in one question."""
_LONGEST: Final = 0.25
"""Seconds after which the wait is asked for again: it may have become shorter."""
_MOST_ASKED: Final = 64
_answers: Final = msgspec.json.Decoder(Answer)
_encode: Final = msgspec.json.Encoder().encode


class SharedAccount(Account):
    """An account counted in Redis; what it inherits is its own share, counted beside it.

    The share's meters count every call of this process at all times, so that they can be relied
    on at once when Redis is lost.
    """

    def __init__(
        self,
        name: str,
        allowance: Allowance,
        clock: Clock,
        timer: Timer,
        *,
        shared: SharedState,
        share: int,
    ) -> None:
        super().__init__(name, allowance.divided(share), clock, timer)
        self._share = share
        self._whole = allowance
        self._shared = shared
        self._me = shared.new_member()
        self._keys = [f"crossdock:budget:{{{name}}}:{part}" for part in ("account", "ended")]
        self._spec = spec_of(allowance)
        self._together = False
        self._told: Answer | None = None
        self._told_at = 0.0
        self._settled_at = inf
        self._was_lost = False
        self._blocked: Waiter | None = None
        self._asking: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._heard = asyncio.Event()
        self._closing = False
        self._ring_at = 0.0
        self._ring: Alarm | None = None
        self._unsaid = Unsaid(allowance)

    def open(self) -> None:
        """Begin to report and ask; the first call does it too."""
        if self._asking is None and not self._closing:
            self._asking = asyncio.create_task(self._keep_asking(), name=f"budget {self.name}")

    async def enter(self, cost: float, lane: str | None) -> None:
        """Wait for a turn and take `cost`, as `Account.enter`."""
        self.open()
        if not self._heard.is_set():
            await self._heard.wait()  # for the socket time-outs at most
        if not self._together:
            await super().enter(cost, lane)
            return
        call = context.current()
        rank = LANES.get(lane or call.criticality, LOWEST_HIGH)
        await self._queue(rank, cost, self._patience(call, self._clock.monotonic()))

    def leave(self, reserved: float, charged: float) -> None:
        """Count a call that ended, here and in the next report."""
        self._unsaid.ended(self._clock.monotonic(), charged)
        super().leave(reserved, charged)

    def pause(self, seconds: float) -> None:
        """Have nobody sent by any process for so many seconds."""
        super().pause(seconds)
        self._wanted.set()

    def observe(self, used: int, limit: int) -> None:
        """Believe the vendor's count of the day, which is that of all processes."""
        self._unsaid.used = (used, limit)
        super().observe(ceil(used / self._share), max(1, limit // self._share))

    def observe_credits(self, left: float, bucket: Bucket | None) -> None:
        """Believe the vendor's count of credits, which is that of all processes."""
        self._unsaid.credits = (left, bucket)
        share = self._share
        super().observe_credits(left / share, bucket and bucket.divided(share))
        self._wanted.set()

    async def close(self) -> None:
        """Give back what is held, and ask no more; a later call is served from the share."""
        self._closing = True
        self._wanted.set()
        if self._asking is not None:
            await self._asking
        self._together = False
        self._heard.set()
        self._dispatch()

    def standing(self) -> BudgetStanding:
        """Answer how the whole account stands, or this process's share while Redis is gone."""
        told = self._told
        if not self._together or told is None:
            return msgspec.structs.replace(super().standing(), degraded=self._heard.is_set())
        now = self._clock.monotonic()
        windows = zip(self._whole.windows, told.used, strict=True)
        fullest = max(windows, key=lambda one: one[1] / one[0].limit, default=None)
        limit = fullest[0].limit if fullest else told.limit if self._whole.daily else None
        return BudgetStanding(
            account=self.name,
            used=fullest[1] + told.running if fullest else told.known,
            limit=limit,
            credits_left=self._level(now) - told.aside if self._whole.bucket else None,
            running=told.running,
            waiting=sum(told.waiting),
            waiting_by_lane=dict(zip(LANES, told.waiting, strict=True)),
            paused_seconds=max(0.0, self._told_at + told.paused - now),
            exhausted_in_seconds=told.exhausted_in(self._whole),
            credits_per_call=self.credits_per_call,
            shared=True,
        )

    # -- asking Redis -----------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Let go whose turn it is: by the share's meters, or by the next answer."""
        if not self._together:
            super()._dispatch()
            return
        if not self._waiting:
            self._ring_in(_LINGER)
        elif self._waiting[0] is not self._blocked or (self._told and self._told.asks):
            self._wanted.set()

    async def _keep_asking(self) -> None:
        """Report and ask, one question at a time, until closed."""
        while not self._closing:
            self._wanted.clear()
            self._silence()
            pause = await self._ask()
            self._heard.set()
            if not self._wanted.is_set():
                self._ring_in(pause)
                await self._wanted.wait()
        self._silence()
        await self._ask()

    def _ring_in(self, seconds: float) -> None:
        """Ask again after so many seconds, or when something happens before."""
        at = self._clock.monotonic() + seconds
        if self._ring is not None and self._ring_at <= at:
            return
        self._silence()
        self._ring_at = at
        self._ring = self._timer(seconds, self._rung)

    def _silence(self) -> None:
        if self._ring is not None:
            self._ring.cancel()
            self._ring = None

    def _rung(self) -> None:
        self._ring = None
        self._wanted.set()

    async def _ask(self) -> float:
        """Put one question, act on the answer; answer in how many seconds to ask again."""
        asked_at = self._clock.monotonic()
        asked = self._next_to_ask()
        report = self._report(asked_at, asked)
        found = await self._shared.run(SPEND, self._keys, [self._spec, _encode(report)])
        now = self._clock.monotonic()
        if found is None:
            self._lose(now)
            return _PROBE
        told = _answers.decode(found)
        self._unsaid.said(report)
        self._learn(told, now)
        if not self._together:
            return self._settle(told, now)
        if now - asked_at < LEASE_SECONDS:  # else they count as ended already, and are asked anew
            self._grant(asked[: told.granted], now)
        return self._next_question(asked[told.granted :], told, now)

    def _next_to_ask(self) -> list[Waiter]:
        """Answer who is to be asked for, in order; who waits no longer is forgotten."""
        if not self._together:
            return []
        if any(waiter[3].done() for waiter in self._waiting):
            self._waiting = [waiter for waiter in self._waiting if not waiter[3].done()]
            heapq.heapify(self._waiting)
        return heapq.nsmallest(_MOST_ASKED, self._waiting)

    def _report(self, now: float, asked: list[Waiter]) -> Report:
        waiting = [0] * len(LANES)
        if self._together:
            for waiter in self._waiting:
                waiting[waiter[0]] += 1
        return self._unsaid.report(
            now,
            me=self._me,
            running=self._running,
            aside=self._bucket.aside if self._bucket else 0.0,
            pause=micros(max(0.0, self._paused_until - now)),
            waiting=waiting,
            asked=[number for rank, _, cost, _, _ in asked for number in (rank, cost)],
            gone=True if self._closing else msgspec.UNSET,
        )

    def _level(self, now: float) -> float:
        """Answer the credits there are by what was last heard."""
        told = self._told
        if told is None:
            return 0.0
        return min(told.capacity, told.level + (now - self._told_at) * told.restore)

    def _learn(self, told: Answer, now: float) -> None:
        before = self._told
        if before is not None and before.epoch != told.epoch:
            known = before.known if self._whole.daily else None
            level = self._level(now) if self._whole.bucket else None
            self._unsaid.say_again(level, known, before.limit)
            self._settled_at = inf
            self._fall_back(now)
        self._told, self._told_at = told, now

    def _settle(self, told: Answer, now: float) -> float:
        """Count together again once all have told what Redis does not know."""
        if self._settled_at == inf:
            wait = _SETTLING if self._was_lost else max(0.0, _SETTLING - told.age)
            self._settled_at = now + wait
        if now < self._settled_at or self._unsaid.more:
            return 0.0 if self._unsaid.more else min(_PROBE, self._settled_at - now)
        self._together = True
        self._was_lost = False
        return 0.0

    def _lose(self, now: float) -> None:
        """Redis did not answer: keep to this process's share."""
        self._was_lost = True
        self._settled_at = inf
        self._fall_back(now)

    def _fall_back(self, now: float) -> None:
        """Begin the share with its part of what all had used when it was last known."""
        told = self._told
        if not self._together or told is None:
            return
        self._together = False
        self._blocked = None
        for meter, used in zip(self._windows, told.used, strict=True):
            meter.fill(now, ceil((used + told.running) / self._share))
        if self._bucket is not None:
            others = max(0.0, told.aside - self._bucket.aside)
            self._bucket.restart(now, (self._level(now) - others) / self._share)
        if self._daily is not None:
            super().observe(ceil(told.known / self._share), max(1, told.limit // self._share))
        self._paused_until = max(self._paused_until, self._told_at + told.paused)
        self._dispatch()

    def _grant(self, granted: list[Waiter], now: float) -> None:
        """Let go who may. A turn nobody wants any more is given back by the next report."""
        for _, _, cost, turn, _ in granted:
            if turn.done():
                self._ring_in(_LINGER)
            else:
                self._take(now, cost)
                turn.set_result(None)

    def _next_question(self, left: list[Waiter], told: Answer, now: float) -> float:
        """Refuse who cannot be served in time; answer when to ask for the others."""
        self._blocked = left[0] if left else None
        if self._blocked is None:
            return 0.0 if any(not waiter[3].done() for waiter in self._waiting) else _HEARTBEAT
        if told.wait > 0.0:
            for waiter in self._waiting:
                too_late = waiter >= self._blocked and waiter[4] < now + told.wait
                if too_late and not waiter[3].done():
                    waiter[3].set_exception(self._refused(told.wait))
        return min(_LONGEST, max(told.wait, _ASK if told.asks else _SHORTEST))

    def _expected(self, cost: float, rank: int) -> float:
        told = self._told
        if not self._together or told is None:
            return super()._expected(cost, rank)
        return told.wait - (self._clock.monotonic() - self._told_at)
