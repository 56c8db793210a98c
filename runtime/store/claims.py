"""Claims: what accepted work takes of something limited, counted once by every process.

An account is something limited: a customer's credit, an item in one warehouse. A holder is
somebody who takes of it: an order. Where the limit itself is known by another system, that system
sooner or later counts the holder as well; then the claim is *ended*, and counts only against
readings of the other system that are older, so that the amount is counted in one place and never in
none. Decision record 0011 has the reasons.

**What is promised.** `take` takes amounts under several accounts at once, never more in all than
is bound by what the caller read, once for a holder however often it is asked. A claim counts until
it is ended or dropped, or expires. On a store of our own the totals are kept in memory, each
change of them is written, and the rows are read again at the start. On a shared store every total
is the database's, and takers of one account wait for each other's commit (an advisory lock for
each account, taken in one order), so that processes on many hosts never exceed a bound together;
their clocks must agree to within `CLOCKS_APART`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec import structs

from runtime.clock import Clock
from runtime.journal.times import to_micros
from runtime.store.claim_book import ClaimBook
from runtime.store.claim_rows import BookRows, Change, Rows, SharedRows
from runtime.store.claim_values import (
    NEVER,
    Bound,
    Choose,
    Ending,
    Holding,
    OpenClaim,
    Putting,
    Taking,
    all_or_nothing,
    quantity_of,
    units_of,
    what_fits,
)
from runtime.store.engine import Store

__all__ = ["Bound", "Choose", "Claims", "Holding", "all_or_nothing", "what_fits"]

WITHOUT_BOUND: Final = Bound(most=None)
CLOCKS_APART: Final = timedelta(seconds=1)
"""How far the clocks of hosts on a shared store may differ."""

_SWEPT_AT_ONCE: Final = 5_000


class Claims:
    """The claims of one `kind` (`stock`, `credit`).

    Construction has no effects; `open` must come first, after the store's own. `remembered`: how
    long a claim that has ended still counts against older readings; nobody may hand in a bound or
    ask for totals by a reading older than that.
    """

    def __init__(self, store: Store, kind: str, *, clock: Clock, remembered: timedelta) -> None:
        self._store = store
        self._kind = kind
        self._clock = clock
        self._remembered = remembered
        self._book = ClaimBook() if store.is_exclusive else None
        self._shared = SharedRows(kind, store.dialect)
        self._rows = BookRows(kind, store.dialect)

    def __repr__(self) -> str:
        where = "the store's" if self._book is None else f"{len(self._book)} holders"
        return f"<Claims {self._kind}, {where}>"

    async def open(self) -> None:
        """Read what an earlier program's holders hold. The store must be open."""
        if self._book is not None:
            for row in await self._store.read(self._rows.all):
                self._book.put(row.holder, row.account, row.amount, row.expires_at)

    async def take(
        self,
        holder: str,
        bounds: Mapping[str, Bound],
        choose: Choose,
        *,
        expires_at: datetime | None = None,
    ) -> Holding:
        """Take for a holder what `choose` makes of what is free; answer what it holds.

        A holder that holds something is answered that, whatever is asked (`is_new` False).
        `choose` is given what is free in each account of `bounds` and answers what to take; it must
        be quick, have no effects, and may be asked more than once. Raises `ValueError` if it
        takes more than is free or under another account, `StoreUnavailable` with nothing taken
        that anybody counts for longer than until `expires_at`.
        """
        taking = Taking(
            holder=holder,
            bounds=bounds,
            choose=choose,
            expires_at=NEVER if expires_at is None else to_micros(expires_at),
            at=self._now(),
        )
        if self._book is None:
            return await self._store.submit(self._shared.take, taking)
        holding = self._book.take(taking)
        if holding.is_new and holding.amounts:
            await self._keep(holder, undo=lambda book: book.drop(holder))
        return holding

    async def put(
        self, holder: str, account: str, amount: Decimal, *, bound: Bound = WITHOUT_BOUND
    ) -> Holding:
        """Let a holder hold so much under an account, if that keeps the bound. 0 drops it.

        Answers what it holds; `is_new` False: the bound would not be kept, nothing has changed.
        """
        putting = Putting(
            holder=holder, account=account, amount=units_of(amount), at=self._now(), bound=bound
        )
        if self._book is None:
            return await self._store.submit(self._shared.put, putting)
        is_put = self._book.put_within(putting)
        if is_put:
            await self._keep(holder)
        return structs.replace(self._book.held(holder, putting.at), is_new=is_put)

    async def end(
        self,
        holder: str,
        amounts: Mapping[str, Decimal] | None = None,
        *,
        until: datetime | None,
    ) -> Holding:
        """Let what a holder holds count only against readings not after `until`; None: at all.

        Without `amounts` all of it, else so much of each account, at most what is held. Answers
        what is still held. Ending what is not there changes nothing.
        """
        ending = Ending(
            holder=holder,
            amounts=None if amounts is None else {a: units_of(q) for a, q in amounts.items()},
            until=0 if until is None else to_micros(until + self._apart()),
            at=self._now(),
        )
        if self._book is None:
            return await self._store.submit(self._shared.end, ending)
        if self._book.end(ending):
            await self._keep(holder)
        return self._book.held(holder, ending.at)

    async def held(self, holder: str) -> Holding:
        """Answer what a holder holds."""
        now = self._now()
        if self._book is not None:
            return self._book.held(holder, now)
        return await self._store.read(lambda c: self._shared.held(c, holder, now))

    async def totals(
        self, readings: Mapping[str, datetime | None], *, without: str | None = None
    ) -> dict[str, Decimal]:
        """Answer for each account what claims a reading of that instant does not include.

        None for a reading that includes whatever has ended. Accounts nobody claims are missing.
        What the holder `without` holds is left out.
        """
        now = self._now()
        instants = {at: NEVER if at is None else to_micros(at) for at in set(readings.values())}
        asked = {account: instants[at] for account, at in readings.items()}
        if self._book is not None:
            found = self._book.totals(asked, now, without)
        else:
            found = await self._store.read(lambda c: self._shared.totals(c, asked, now, without))
        return {account: quantity_of(units) for account, units in found.items() if units}

    async def open_before(self, *, before: datetime) -> Sequence[OpenClaim]:
        """Answer what has been held since before an instant, for a comparison with the holders.

        On a shared store only; a store of our own has no other program's claims.
        """
        if self._book is not None:
            return ()
        at = to_micros(before)
        return await self._store.read(lambda c: self._shared.open_before(c, at))

    async def knows(self, holders: Collection[str]) -> frozenset[str]:
        """Answer which of these holders hold something, or did until of late."""
        if self._book is not None:
            now = self._now()
            return frozenset(h for h in holders if self._book.held(h, now).amounts)
        return await self._store.read(lambda c: self._shared.known(c, holders))

    async def sweep(self) -> int:
        """Forget what has expired or ended long ago; answers how many rows went."""
        now = self._now()
        before = now - int(self._remembered / timedelta(microseconds=1))
        if self._book is not None:
            self._book.forget(before, now)
        return await self._store.write(
            lambda c: self._rows.forget(c, before=before, now=now, most=_SWEPT_AT_ONCE)
        )

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _apart(self) -> timedelta:
        return timedelta() if self._book is not None else CLOCKS_APART

    async def _keep(self, holder: str, undo: Callable[[ClaimBook], None] | None = None) -> None:
        """Write what the book says of a holder. Writes of one store are made in order."""
        book = self._book
        if book is None:
            return
        rows: Rows = book.rows(holder)
        change = Change(holder=holder, rows=rows, is_new=undo is not None, at=self._now())
        try:
            await self._store.submit(self._rows.keep, change)
        except Exception:
            if undo is not None:
                undo(book)
            raise
