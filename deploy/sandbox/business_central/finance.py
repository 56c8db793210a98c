"""Finance and the customers, acting by themselves: what is shipped is billed, and then paid."""

from collections.abc import Callable
from datetime import UTC, datetime

from deploy.sandbox.autopilot import Pace, before
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.desk import Desk
from deploy.sandbox.business_central.errors import BusinessCentralError
from deploy.sandbox.vault import Index, Record

__all__ = ["Finance"]


class Finance:
    """Bills what is shipped and not billed, and has customers pay what is open."""

    def __init__(self, books: Books, desk: Desk) -> None:
        self._books = books
        self._desk = desk
        self._unbilled: Index | None = None
        self._open: Index | None = None

    def act(self, now: datetime, pace: Pace) -> int:
        """Bill and pay what is due; what the vendor refuses, as for a blocked customer, waits."""
        if self._unbilled is None or self._open is None:
            self._unbilled = self._books.table("salesOrders").index("unbilled", _is_unbilled)
            self._open = self._books.table("salesInvoices").index("open", _is_open)
        due = _stamp(before(now, pace.bill_after))
        done = 0
        for order in _due(self._unbilled, due, pace.at_once):
            done += _done(self._desk.bill, order["header"]["number"])
        due = _stamp(before(now, pace.pay_after))
        for invoice in _due(self._open, due, pace.at_once):
            done += _done(self._desk.register_payment, invoice["header"]["number"])
        return done


def _done(deed: Callable[[str], object], number: str) -> int:
    try:
        deed(number)
    except BusinessCentralError:
        return 0
    return 1


def _due(index: Index, stamp: str, most: int) -> list[Record]:
    found = index.get(True)
    return [one for one in found if one["header"]["lastModifiedDateTime"] <= stamp][:most]


def _is_unbilled(order: Record) -> bool | None:
    return order.get("exposed", (0, 0))[1] > 0 or None


def _is_open(invoice: Record) -> bool | None:
    header = invoice["header"]
    return (header["status"] == "Open" and header["remainingAmount"] > 0) or None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
