"""One record about to change, as the org's rules see it."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.vault import Record

__all__ = ["Change", "money"]


class Change:
    """``before`` is None for a new record; ``record`` may still be amended until it is stored.

    ``touched`` are the names of the fields that the caller sent.
    """

    __slots__ = ("before", "caller", "org", "record", "sobject", "touched")

    def __init__(
        self,
        *,
        org: Org,
        sobject: SObject,
        before: Record | None,
        record: Record,
        touched: frozenset[str],
        caller: Caller,
    ) -> None:
        self.org = org
        self.sobject = sobject
        self.before = before
        self.record = record
        self.touched = touched
        self.caller = caller

    def was(self, field: str) -> Any:
        """The value before the change; None for a new record."""
        return None if self.before is None else self.before.get(field)

    def sets(self, field: str) -> bool:
        """Whether the field has another value after the change than before."""
        return bool(self.record.get(field) != self.was(field))


def money(value: Decimal) -> float:
    """Rounded half up to two decimals, as a currency field stores it."""
    return float(value.quantize(Decimal("0.01"), ROUND_HALF_UP))
