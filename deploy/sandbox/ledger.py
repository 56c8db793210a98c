"""The append-only ledger of side effects: what really happened in each system, and how often.

It is the oracle of every reliability test, so it only grows: no row is ever changed or removed
while the sandbox's data directory lives, and a row is handed to the kernel before the vendor
answers.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from deploy.sandbox.clock import Clock

__all__ = ["Ledger", "LedgerRow"]


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One side effect.

    ``amount`` is in ``currency``; ``entity`` is the vendor's own id of the record.
    """

    sequence: int
    time: datetime
    system: str
    operation: str
    external_reference: str | None
    amount: Decimal | None = None
    currency: str | None = None
    entity: str | None = None
    detail: Mapping[str, Any] | None = None


class Ledger:
    """Rows in memory and, with a ``path``, in a JSON-lines file that outlives the process."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._clock = clock
        self._rows: list[LedgerRow] = []
        self._encode = msgspec.json.Encoder(decimal_format="string").encode
        self._descriptor: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._replay(path) if path.exists() else 0
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._descriptor, whole)

    def append(
        self,
        *,
        system: str,
        operation: str,
        external_reference: str | None,
        amount: Decimal | None = None,
        currency: str | None = None,
        entity: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> int:
        """Record a side effect; answers its sequence number, counted from 1 over all systems."""
        row = LedgerRow(
            sequence=len(self._rows) + 1,
            time=self._clock.now(),
            system=system,
            operation=operation,
            external_reference=external_reference,
            amount=amount,
            currency=currency,
            entity=entity,
            detail=detail,
        )
        if self._descriptor is not None:
            line = memoryview(self._encode(row) + b"\n")
            while line:
                line = line[os.write(self._descriptor, line) :]
        self._rows.append(row)
        return row.sequence

    def rows(self, system: str | None = None, since: int = 0) -> Iterator[LedgerRow]:
        """Rows after sequence number ``since``, oldest first, of one system or of all."""
        for row in islice(self._rows, max(since, 0), None):
            if system is None or row.system == system:
                yield row

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the file; the rows stay readable."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def erase(self) -> None:
        """Start over, in memory and on disk: only for a reset of the whole sandbox."""
        self._rows.clear()
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def _replay(self, path: Path) -> int:
        """Read every whole line and answer how many bytes they are; a torn last one is left."""
        decode = msgspec.json.Decoder(LedgerRow).decode
        whole = 0
        with path.open("rb") as log:
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._rows.append(decode(line))
                whole += len(line)
        return whole
