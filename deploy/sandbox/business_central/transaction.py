"""One transaction: what is written, and what becomes known of it only when it is committed.

Ledger rows and change notifications wait until the vault has the records, so that a rolled-back
batch leaves no trace of itself. The rows travel in the transaction as well: a process killed
between vault and ledger writes what is missing when it starts again, and nothing twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Literal

import msgspec

from deploy.sandbox.ledger import Ledger
from deploy.sandbox.vault import Vault

__all__ = ["SYSTEM", "Change", "ChangeKind", "Transactions"]

SYSTEM = "business_central"
ChangeKind = Literal["created", "updated", "deleted"]


class Change(msgspec.Struct, frozen=True):
    """A record that changed: its set, its id and how."""

    entity_set: str
    id: str
    kind: ChangeKind


class Transactions:
    """Runs transactions over one vault; ``announce`` is told what each committed one changed."""

    def __init__(
        self, vault: Vault, ledger: Ledger, announce: Callable[[list[Change]], None]
    ) -> None:
        self._vault = vault
        self._ledger = ledger
        self._announce = announce
        self._outbox = vault.table("outbox")
        self._depth = 0
        self._booked: list[dict[str, Any]] = []
        self._changes: list[Change] = []
        self._written = sum(1 for _ in ledger.rows(SYSTEM))
        self._recover()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Everything inside, or nothing. Inside another it is part of that one."""
        self._depth += 1
        try:
            with self._vault.batch():
                yield
                if self._depth == 1 and self._booked:
                    self._outbox.put("last", {"total": self._total(), "rows": self._booked})
        except BaseException:
            if self._depth == 1:
                self._booked.clear()
                self._changes.clear()
            raise
        else:
            if self._depth == 1:
                self._settle()
        finally:
            self._depth -= 1

    def book(
        self,
        operation: str,
        *,
        reference: str | None,
        amount: Decimal | None = None,
        currency: str | None = None,
        entity: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """A side effect for the ledger, written when the transaction commits."""
        self._booked.append(
            {
                "operation": operation,
                "external_reference": reference or None,
                "amount": amount,
                "currency": currency,
                "entity": entity,
                "detail": detail,
            }
        )

    def changed(self, entity_set: str, record_id: str, kind: ChangeKind) -> None:
        """A change for the subscribers, announced when the transaction commits."""
        self._changes.append(Change(entity_set, record_id, kind))

    def _total(self) -> int:
        return self._written + len(self._booked)

    def _recover(self) -> None:
        """Write the ledger rows of a transaction that was committed and then cut off."""
        last = self._outbox.get("last")
        if last is None or last["total"] <= self._written:
            return
        rows = last["rows"][-(last["total"] - self._written) :]
        for row in rows:
            amount = row["amount"]
            exact_amount = None if amount is None else Decimal(amount)
            self._ledger.append(system=SYSTEM, **{**row, "amount": exact_amount})
        self._written += len(rows)

    def _settle(self) -> None:
        booked, changes = self._booked, self._changes
        if booked:
            self._booked = []
            self._written += len(booked)
            for row in booked:
                self._ledger.append(system=SYSTEM, **row)
        if changes:
            self._changes = []
            self._announce(changes)
