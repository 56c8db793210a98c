"""What Business Central's sets are filtered and ordered by, in its own words."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from system_apis.erp.business_central.odata import equals
from system_apis.erp.business_central.wire import IN_REVIEW

CHANGED_AT: Final = "lastModifiedDateTime"
LATEST_RATE: Final = "startingDate desc"


def carries(number: str, reference: str) -> str:
    """A filter on what a customer's document is known by; the vendor keeps it in upper case."""
    return f"{of_customer(number)} and {equals('externalDocumentNumber', reference.upper())}"


def numbered(*numbers: str) -> str:
    """A filter on the records of these numbers."""
    return " or ".join(equals("number", number) for number in numbers)


def of_customer(number: str) -> str:
    """A filter on what is a customer's."""
    return equals("customerNumber", number)


def of_order(number: str) -> str:
    """A filter on what was posted of an order."""
    return equals("orderNumber", number)


def in_review() -> str:
    """A filter on what is under approval."""
    return equals("status", IN_REVIEW)


def prices_of(customer: str, numbers: Iterable[str]) -> str:
    """A filter on what a customer pays for some items."""
    items = " or ".join(equals("itemNumber", number) for number in numbers)
    return f"{of_customer(customer)} and ({items})"


def rates_of(currency: str, until: date) -> str:
    """A filter on the rates of a currency that hold on a day or held before it."""
    return f"{equals('currencyCode', currency)} and startingDate le {until.isoformat()}"


def changed_after(instant: datetime) -> str:
    """A filter on what changed later than an instant."""
    stamp = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{CHANGED_AT} gt {stamp.replace('+00:00', 'Z')}"
