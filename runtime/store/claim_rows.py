"""Claims as rows: the record of a store of our own, and the authority of a shared one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Dialect, bindparam, delete, select, text

from runtime.store.claim_values import (
    NEVER,
    Ending,
    Holding,
    OpenClaim,
    Putting,
    Taking,
    chosen,
    holding_of,
    quantity_of,
)
from runtime.store.schema import claim
from runtime.store.statements import inserting

Rows = Iterable[tuple[str, int, int]]
"""Account, amount, expiry."""


class Change(Struct, frozen=True, kw_only=True):
    """What a holder holds from now on, to be written."""

    holder: str
    rows: Rows
    is_new: bool
    at: int


_OF_HOLDER: Final = delete(claim).where(
    claim.c.kind == bindparam("its_kind"), claim.c.holder == bindparam("its_holder")
)
_ALL: Final = select(claim.c.holder, claim.c.account, claim.c.amount, claim.c.expires_at).where(
    claim.c.kind == bindparam("kind"), claim.c.until == NEVER
)
_OVER: Final = (
    "DELETE FROM claim WHERE id IN (SELECT id FROM claim WHERE kind = :kind AND {over} LIMIT :most)"
)
_EXPIRED: Final = text(_OVER.format(over="expires_at <= :now"))
_ENDED: Final = text(_OVER.format(over="until < :before"))


class BookRows:
    """The rows behind a book: written as it says, read at the start."""

    def __init__(self, kind: str, dialect: Dialect) -> None:
        self._kind = kind
        self._add = inserting(claim, dialect)

    def all(self, connection: Connection) -> Sequence[Any]:
        """Every claim that has not ended."""
        return connection.execute(_ALL, {"kind": self._kind}).all()

    def keep(self, connection: Connection, batch: Sequence[Change]) -> Sequence[None]:
        """Write what holders hold; of one holder the last word counts."""
        newest = {change.holder: change for change in batch}
        old = {change.holder for change in batch if not change.is_new}
        if old:
            connection.execute(_OF_HOLDER, [{"its_kind": self._kind, "its_holder": h} for h in old])
        rows = [
            _row(self._kind, change.holder, account, units, change.at, expires_at=expires_at)
            for change in newest.values()
            for account, units, expires_at in change.rows
        ]
        self._add.run(connection, rows)
        return [None] * len(batch)

    def forget(self, connection: Connection, *, before: int, now: int, most: int) -> int:
        """Delete what expired, and what ended before an instant, up to `most` of each."""
        known = {"kind": self._kind, "most": most}
        expired = connection.execute(_EXPIRED, {**known, "now": now}).rowcount
        return expired + connection.execute(_ENDED, {**known, "before": before}).rowcount


# On a shared store, PostgreSQL.

_LOCK: Final = text(
    "SELECT pg_advisory_xact_lock(k) FROM ("
    " SELECT DISTINCT hashtextextended(n, 11) AS k FROM unnest(CAST(:names AS text[])) AS n"
    " ORDER BY k) AS keys"
)
_HELD: Final = text(
    "SELECT holder, account, amount, expires_at FROM claim WHERE kind = :kind"
    " AND holder = ANY(CAST(:holders AS text[])) AND until = :never AND expires_at > :now"
)
_TOTALS: Final = text(
    "SELECT g.n, s.units FROM unnest(CAST(:accounts AS text[]), CAST(:readings AS bigint[]))"
    " WITH ORDINALITY AS g(account, reading, n), LATERAL ("
    " SELECT sum(c.amount) AS units FROM claim c WHERE c.kind = :kind AND c.account = g.account"
    " AND c.until >= g.reading AND c.expires_at > :now"
    " AND NOT (c.until = :never AND c.holder = :without)) AS s"
    " WHERE s.units IS NOT NULL"
)
"""Lateral, so that each account is one look into the index whatever is known of the table."""
_END_ALL: Final = text(
    "UPDATE claim SET until = :until, expires_at = :never"
    " WHERE kind = :kind AND holder = :holder AND until = :never AND expires_at > :now"
)
_LESSEN: Final = text(
    "UPDATE claim SET amount = amount - :units"
    " WHERE kind = :kind AND holder = :holder AND account = :account AND until = :never"
)
_DROP_EMPTY: Final = text(
    "DELETE FROM claim WHERE kind = :kind AND holder = :holder AND until = :never AND amount <= 0"
)
_DROP_ONE: Final = text(
    "DELETE FROM claim"
    " WHERE kind = :kind AND holder = :holder AND account = :account AND until = :never"
)
_BEFORE: Final = text(
    "SELECT holder, account, amount FROM claim"
    " WHERE kind = :kind AND until = :never AND taken_at < :before"
)
_KNOWN: Final = text(
    "SELECT DISTINCT holder FROM claim"
    " WHERE kind = :kind AND holder = ANY(CAST(:holders AS text[]))"
)


class SharedRows:
    """Reads and group writes on a store that other processes write to as well."""

    def __init__(self, kind: str, dialect: Dialect) -> None:
        self._kind = kind
        self._add = inserting(claim, dialect)

    def take(
        self, connection: Connection, batch: Sequence[Taking]
    ) -> Sequence[Holding | Exception]:
        """Take for each what it chooses, with every account of the group locked."""
        self._lock(
            connection,
            [taking.holder for taking in batch],
            [account for taking in batch for account in taking.bounds],
        )
        now = max(taking.at for taking in batch)
        held = self._holders(connection, [taking.holder for taking in batch], now)
        pairs = [(a, b.reading) for taking in batch for a, b in taking.bounds.items()]
        totals = self._sums(connection, list(dict.fromkeys(pairs)), now)
        answers: list[Holding | Exception] = []
        rows: list[dict[str, Any]] = []
        meanwhile: dict[str, int] = {}
        for taking in batch:
            if taking.holder in held:
                answers.append(holding_of(*held[taking.holder]))
                continue
            before = {
                a: totals.get((a, b.reading), 0) + meanwhile.get(a, 0)
                for a, b in taking.bounds.items()
            }
            try:
                taken = chosen(taking, before)
            except Exception as fault:  # noqa: BLE001  # this caller's own choice; the rest goes on
                answers.append(fault)
                continue
            for account, units in taken.items():
                meanwhile[account] = meanwhile.get(account, 0) + units
                rows.append(self._new(taking.holder, account, units, taking.at, taking.expires_at))
            if taken:
                held[taking.holder] = (taken, taking.expires_at)
            answers.append(holding_of(taken, taking.expires_at, is_new=True))
        self._add.run(connection, rows)
        return answers

    def put(self, connection: Connection, batch: Sequence[Putting]) -> Sequence[Holding]:
        """Set what holders hold, one after the other; nobody takes of these accounts meanwhile."""
        self._lock(connection, [p.holder for p in batch], [p.account for p in batch])
        answers = []
        for p in batch:
            pair = (p.account, p.bound.reading)
            others = 0
            if p.bound.most is not None:
                others = self._sums(connection, [pair], p.at, p.holder).get(pair, 0)
            is_put = p.fits(others)
            if is_put:
                named = self._named(holder=p.holder, account=p.account)
                connection.execute(_DROP_ONE, named)
                row = self._new(p.holder, p.account, p.amount, p.at, NEVER)
                self._add.run(connection, [row] if p.amount else [])
            held = self._holders(connection, [p.holder], p.at).get(p.holder, ({}, NEVER))
            answers.append(holding_of(*held, is_new=is_put))
        return answers

    def end(self, connection: Connection, batch: Sequence[Ending]) -> Sequence[Holding]:
        """End claims. No lock is needed: whoever sums meanwhile counts them still."""
        now = max(ending.at for ending in batch)
        for ending in batch:
            named = self._named(holder=ending.holder)
            if ending.amounts is None:
                connection.execute(_END_ALL, {**named, "until": ending.until, "now": now})
            else:
                self._end_some(connection, ending, now)
        held = self._holders(connection, [ending.holder for ending in batch], now)
        return [holding_of(*held.get(ending.holder, ({}, NEVER))) for ending in batch]

    def held(self, connection: Connection, holder: str, now: int) -> Holding:
        """What a holder holds."""
        found = self._holders(connection, [holder], now)
        return holding_of(*found.get(holder, ({}, NEVER)))

    def totals(
        self, connection: Connection, readings: Mapping[str, int], now: int, without: str | None
    ) -> dict[str, int]:
        """What of each account is claimed."""
        found = self._sums(connection, list(readings.items()), now, without)
        return {account: units for (account, _), units in found.items()}

    def open_before(self, connection: Connection, before: int) -> list[OpenClaim]:
        """What has been held since before an instant."""
        rows = connection.execute(_BEFORE, self._named(before=before))
        return [
            OpenClaim(holder=row.holder, account=row.account, amount=quantity_of(row.amount))
            for row in rows
        ]

    def known(self, connection: Connection, holders: Collection[str]) -> frozenset[str]:
        """Which of these holders have a row."""
        asked = self._named(holders=list(holders))
        return frozenset(connection.execute(_KNOWN, asked).scalars())

    def _lock(
        self, connection: Connection, holders: Iterable[str], accounts: Iterable[str]
    ) -> None:
        names = [f"{self._kind}:holder:{h}" for h in holders]
        names += [f"{self._kind}:account:{a}" for a in accounts]
        connection.execute(_LOCK, {"names": names})

    def _holders(
        self, connection: Connection, holders: Sequence[str], now: int
    ) -> dict[str, tuple[dict[str, int], int]]:
        found: dict[str, tuple[dict[str, int], int]] = {}
        asked = self._named(holders=list(holders), now=now)
        for row in connection.execute(_HELD, asked):
            found.setdefault(row.holder, ({}, row.expires_at))[0][row.account] = row.amount
        return found

    def _sums(
        self,
        connection: Connection,
        pairs: Sequence[tuple[str, int]],
        now: int,
        without: str | None = None,
    ) -> dict[tuple[str, int], int]:
        asked = self._named(
            accounts=[account for account, _ in pairs],
            readings=[reading for _, reading in pairs],
            now=now,
            without=without or "",
        )
        rows = connection.execute(_TOTALS, asked)
        return {pairs[number - 1]: int(units) for number, units in rows}

    def _end_some(self, connection: Connection, ending: Ending, now: int) -> None:
        self._lock(connection, [ending.holder], ())
        held, _ = self._holders(connection, [ending.holder], now).get(ending.holder, ({}, NEVER))
        rows = []
        for account, units in (ending.amounts or {}).items():
            ended = min(units, held.get(account, 0))
            if ended <= 0:
                continue
            named = self._named(holder=ending.holder, account=account)
            connection.execute(_LESSEN, {**named, "units": ended})
            rows.append(
                self._new(ending.holder, account, ended, ending.at, NEVER) | {"until": ending.until}
            )
        connection.execute(_DROP_EMPTY, self._named(holder=ending.holder))
        if ending.until:
            self._add.run(connection, rows)

    def _named(self, **values: Any) -> dict[str, Any]:
        return {"kind": self._kind, "never": NEVER, **values}

    def _new(
        self, holder: str, account: str, units: int, at: int, expires_at: int
    ) -> dict[str, Any]:
        return _row(self._kind, holder, account, units, at, expires_at=expires_at)


def _row(
    kind: str, holder: str, account: str, units: int, at: int, *, expires_at: int
) -> dict[str, Any]:
    return {
        "kind": kind,
        "holder": holder,
        "account": account,
        "amount": units,
        "until": NEVER,
        "expires_at": expires_at,
        "taken_at": at,
    }
