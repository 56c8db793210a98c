"""One transaction: what is written, and what becomes known of it only when it is committed.

Ledger rows and change notifications wait until the vault has the records, so that a rolled-back
batch leaves no trace of itself.
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
        self._depth = 0
        self._booked: list[dict[str, Any]] = []
        self._changes: list[Change] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """Everything inside, or nothing. Inside another it is part of that one."""
        self._depth += 1
        try:
            with self._vault.batch():
                yield
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

    def _settle(self) -> None:
        booked, changes = self._booked, self._changes
        if booked:
            self._booked = []
            for row in booked:
                self._ledger.append(system=SYSTEM, **row)
        if changes:
            self._changes = []
            self._announce(changes)
