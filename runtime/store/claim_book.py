"""Claims in memory: the totals of a store that one program has for itself."""

from collections import deque
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from msgspec import Struct, field

from runtime.store.claim_values import NEVER, Ending, Holding, Putting, Taking, chosen, holding_of


class _Account(Struct):
    """What is held under an account, and what has ended: (until, amount), oldest first."""

    held: int = 0
    ended: deque[tuple[int, int]] = field(default_factory=deque)

    def total(self, reading: int) -> int:
        amount = self.held
        for until, units in reversed(self.ended):
            if until < reading:
                break
            amount += units
        return amount


class _Holder(Struct):
    amounts: dict[str, int]
    expires_at: int


class ClaimBook:
    """Every claim of one kind. Used by one event loop; nothing here awaits.

    A total costs two look-ups and a step for each claim that has ended since the reading.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._holders: dict[str, _Holder] = {}
        self._expiring: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._holders)

    def take(self, taking: Taking) -> Holding:
        """Take, unless the holder holds something already."""
        self._expire(taking.at)
        holder = self._holders.get(taking.holder)
        if holder is not None:
            return holding_of(holder.amounts, holder.expires_at)
        totals = {a: self._total(a, bound.reading) for a, bound in taking.bounds.items()}
        taken = chosen(taking, totals)
        for account, units in taken.items():
            self.put(taking.holder, account, units, taking.expires_at)
        return holding_of(taken, taking.expires_at, is_new=True)

    def put_within(self, putting: Putting) -> bool:
        """Let a holder hold so much if that keeps the bound; answer whether it does."""
        self._expire(putting.at)
        total = self._total(putting.account, putting.bound.reading)
        holder = self._holders.get(putting.holder)
        own = 0 if holder is None else holder.amounts.get(putting.account, 0)
        if not putting.fits(total - own):
            return False
        self.put(putting.holder, putting.account, putting.amount, NEVER)
        return True

    def put(self, name: str, account: str, units: int, expires_at: int) -> None:
        """Let a holder hold so much. It keeps the expiry it has."""
        holder = self._holders.get(name)
        if holder is None:
            if not units:
                return
            holder = self._holders[name] = _Holder({}, expires_at)
            if expires_at < NEVER:
                heappush(self._expiring, (expires_at, name))
        there = self._accounts.get(account)
        if there is None:
            there = self._accounts[account] = _Account()
        there.held += units - holder.amounts.pop(account, 0)
        if units:
            holder.amounts[account] = units
        elif not holder.amounts:
            del self._holders[name]
        self._tidy(account, there)

    def end(self, ending: Ending) -> bool:
        """End claims; answer whether there were any."""
        self._expire(ending.at)
        holder = self._holders.get(ending.holder)
        if holder is None:
            return False
        wanted = holder.amounts if ending.amounts is None else ending.amounts
        for account, units in list(wanted.items()):
            held = holder.amounts.get(account, 0)
            ended = min(held, units)
            if ended <= 0:
                continue
            there = self._accounts[account]
            if ending.until:
                _add(there.ended, ending.until, ended)
            self.put(ending.holder, account, held - ended, holder.expires_at)
        return True

    def drop(self, name: str) -> None:
        """Forget a holder."""
        holder = self._holders.get(name)
        for account in [] if holder is None else list(holder.amounts):
            self.put(name, account, 0, NEVER)

    def held(self, name: str, now: int) -> Holding:
        """What a holder holds."""
        self._expire(now)
        holder = self._holders.get(name)
        return holding_of({}, NEVER) if holder is None else holding_of(*_parts(holder))

    def rows(self, name: str) -> Iterable[tuple[str, int, int]]:
        """What is to be written of a holder: account, amount, expiry."""
        holder = self._holders.get(name)
        if holder is None:
            return ()
        return [(account, units, holder.expires_at) for account, units in holder.amounts.items()]

    def totals(self, readings: Mapping[str, int], now: int, without: str | None) -> dict[str, int]:
        """What of each account is claimed; accounts nobody claims are missing."""
        self._expire(now)
        accounts, found = self._accounts, {}
        for account, reading in readings.items():
            there = accounts.get(account)
            if there is not None:
                found[account] = there.total(reading)
        holder = None if without is None else self._holders.get(without)
        for account, units in () if holder is None else holder.amounts.items():
            if account in found:
                found[account] -= units
        return found

    def forget(self, before: int, now: int) -> None:
        """Forget what has expired, and what ended before an instant. Looks at every account."""
        self._expire(now)
        for account, there in list(self._accounts.items()):
            while there.ended and there.ended[0][0] < before:
                there.ended.popleft()
            self._tidy(account, there)

    def _total(self, account: str, reading: int) -> int:
        there = self._accounts.get(account)
        return 0 if there is None else there.total(reading)

    def _expire(self, now: int) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            expired_at, name = heappop(self._expiring)
            holder = self._holders.get(name)
            if holder is not None and holder.expires_at == expired_at:
                self.drop(name)

    def _tidy(self, account: str, there: _Account) -> None:
        if not there.held and not there.ended:
            self._accounts.pop(account, None)


def _parts(holder: _Holder) -> tuple[dict[str, int], int]:
    return holder.amounts, holder.expires_at


def _add(ended: deque[tuple[int, int]], until: int, units: int) -> None:
    """Keep the order also when the clock was put back."""
    if ended and ended[-1][0] > until:
        until = ended[-1][0]
    ended.append((until, units))
