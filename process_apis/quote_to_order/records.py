"""What the journal keeps of an order and of a credit. `views` shows it to the channels."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from contracts.canonical.ids import CustomerId, ItemId
from contracts.canonical.order import (
    Billing,
    Commercial,
    CreditState,
    Fulfilment,
    Hold,
    OrderRequest,
)
from contracts.canonical.party import Address
from contracts.canonical.pricing import PriceBasis
from process_apis.quote_to_order import axes

ORDER_KIND: Final = "order"
CREDIT_KIND: Final = "credit"
KINDS: Final = (ORDER_KIND, CREDIT_KIND)
"""What of the journal is ours: others keep processes of their own in it."""
"""The kinds of process whose records these are."""

NOBODY: Final = CustomerId("cust_")
"""The customer of a deal that has not been fetched yet."""

Entry = Literal["ready", "provisional", "deal", "held"]


class AgreedLine(Struct, frozen=True, array_like=True):
    """One line as agreed; compact, because it is written with every order."""

    item: ItemId
    quantity: Decimal
    unit_price: Decimal
    basis: PriceBasis
    description: str | None = None
    shipped: Decimal = Decimal(0)
    invoiced: Decimal = Decimal(0)

    @property
    def was_told(self) -> bool:
        """Whether the customer was told this price: a line not priced yet was not."""
        return bool(self.unit_price) or self.basis == "agreed"


class Trouble(Struct, frozen=True, kw_only=True):
    """What stopped the process, in our words."""

    title: str
    detail: str
    at: datetime


LineShare = tuple[int, Decimal]
"""A line, by its number, and how much of it."""


class ReleaseRecord(Struct, frozen=True, array_like=True):
    """One fulfilment order. `leaving`: the warehouse could not stop it any more."""

    reference: str
    warehouse: str | None
    lines: tuple[LineShare, ...]
    state: Literal["planned", "open", "leaving", "suspended", "shipped", "cancelled"] = "planned"
    number: str | None = None


class ShipmentRecord(Struct, frozen=True, array_like=True):
    """Goods that left together. `posted`: the ERP knows, under `erp_number` if it said one."""

    id: str
    warehouse: str
    release: str
    lines: tuple[LineShare, ...]
    shipped_at: datetime
    tracking: tuple[str, ...] = ()
    carrier: str | None = None
    posted: bool = False
    erp_number: str | None = None


class InvoiceRecord(Struct, frozen=True, array_like=True):
    """An invoice of the ERP. Amounts are in the order's currency.

    `as_of` is when the ERP last changed it, as far as we were told; older news is none.
    """

    number: str
    net: Decimal
    gross: Decimal
    remaining: Decimal
    invoice_date: date
    due_date: date | None = None
    as_of: datetime | None = None


class EarlyPayment(Struct, frozen=True, array_like=True):
    """Money for an invoice that nobody has told of yet."""

    invoice: str
    amount: Decimal
    remaining: Decimal | None
    as_of: datetime | None


class ErpHold(Struct, frozen=True, array_like=True):
    """The last that was heard of one kind of hold in the ERP."""

    kind: str
    held: bool
    reason: str
    as_of: datetime


class OrderRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as the journal keeps it. Amounts are in `currency`."""

    channel: str
    customer: CustomerId
    currency: str
    net: Decimal
    placed_at: datetime
    since: datetime
    """When the present state was entered."""
    customer_name: str = ""
    lines: tuple[AgreedLine, ...] = ()
    tax: Decimal | None = None
    exposure: Decimal | None = None
    """What it adds to the customer's exposure, in company currency; None without a limit."""
    entry: Entry = "ready"
    credit: CreditState = "unchecked"
    fulfilment: Fulfilment = "not-released"
    billing: Billing = "not-invoiced"
    po_number: str | None = None
    order_date: date | None = None
    requested_delivery_date: date | None = None
    ship_to: Address | None = None
    quote: str | None = None
    hold: Hold | None = None
    trouble: Trouble | None = None
    erp_number: str | None = None
    erp_net: Decimal | None = None
    """What the ERP says it comes to, where that is another amount than ours."""
    wms_number: str | None = None
    warehouse: str | None = None
    request: OrderRequest | None = None
    """What was asked for, kept while it may have to be checked again."""
    stopped_in: str | None = None
    maybe_placed: bool = False
    """A call to the ERP ended in doubt, and nobody has looked since."""
    maybe_released: bool = False
    """The same of the warehouse."""
    reason: str | None = None
    """Why it is taken back."""
    prices_accepted: bool = False
    """Sales accepted the prices that were told, whatever the ERP's are now."""
    placed_by: str | None = None
    """The person who placed it, where the channel names one."""
    releases: tuple[ReleaseRecord, ...] = ()
    """Empty while the whole order is one fulfilment order, under the order's own reference."""
    backorder: tuple[LineShare, ...] = ()
    """What no warehouse had when it was last tried to allocate."""
    rounds: int = 0
    """How many times stock was reserved and the reservation used up, or found to be empty."""
    refused: bool = False
    """The warehouse refused what is not released yet, or took a release back by itself."""
    shipments: tuple[ShipmentRecord, ...] = ()
    excess: str | None = None
    """What was shipped beyond the order, in words, until somebody has seen to it."""
    erp_holds: tuple[ErpHold, ...] = ()
    invoices: tuple[InvoiceRecord, ...] = ()
    paid_early: tuple[EarlyPayment, ...] = ()


class Match(Struct, frozen=True, array_like=True):
    """A credited line and the order line it goes against."""

    item: ItemId
    quantity: Decimal
    unit_price: Decimal
    order: str
    reference: str
    line: int
    invoiced_price: Decimal


class CreditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A credit as the journal keeps it. Amounts are positive, in `currency`."""

    channel: str
    customer: CustomerId
    currency: str
    net: Decimal
    placed_at: datetime
    since: datetime
    customer_name: str = ""
    lines: tuple[AgreedLine, ...] = ()
    order_date: date | None = None
    po_number: str | None = None
    matches: tuple[Match, ...] = ()
    memo_number: str | None = None
    trouble: Trouble | None = None
    stopped_in: str | None = None
    maybe_posted: bool = False
    anew: bool = False
    """Somebody asked to match it again: orders that came after it count as well."""


COMMERCIAL_OF: Final[dict[str, Commercial]] = {
    "accepted": "accepted",
    "provisional": "provisional",
    "fetching": "accepted",
    "held": "accepted",
    "stopped": "on-exception",
    "mispriced": "on-exception",
    "withdrawing": "cancelling",
    "rollback_incomplete": "on-exception",
    "cancelled": "cancelled",
    "matched": "accepted",
}
"""The commercial axis of each state; everything after confirmation is confirmed."""


def commercial_of(state: str, record: OrderRecord | CreditRecord) -> Commercial:
    """Answer the commercial axis of a state; everything after confirmation is confirmed."""
    if state == "accepted" and isinstance(record, OrderRecord) and record.entry == "provisional":
        return "provisional"
    return COMMERCIAL_OF.get(state, "confirmed")


def changed(record: OrderRecord, now: datetime, **fields: Any) -> OrderRecord:
    """Answer the record as it is when a new state is entered at `now`.

    An axis changes by its own table: raises `UndefinedMove` for a change that the table lacks.
    """
    if "credit" in fields:
        axes.credit_after(record.credit, fields["credit"])
    if "fulfilment" in fields:
        axes.fulfilment_after(record.fulfilment, fields["fulfilment"])
    if "billing" in fields:
        axes.billing_after(record.billing, fields["billing"])
    return msgspec.structs.replace(record, since=now, **fields)
