"""The four axes of an order, each a table of its own. Every change of an axis is a row of one.

The big table (`lifecycle.ORDER`) says what is done next; an axis says where the order stands in
the eyes of one department. An axis's events are named for the value they lead to. The commercial
axis is read off the order's state, so its table is what the big table comes to on it.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from contracts.canonical.order import Billing, Commercial, CreditState, Fulfilment
from runtime.journal.process import Lifecycle

V = TypeVar("V", bound=str)


def _axis(
    name: str, initial: str, leads_to: Mapping[str, tuple[str, ...]], *terminal: str
) -> Lifecycle:
    moves = {(value, after): after for value, following in leads_to.items() for after in following}
    return Lifecycle(name=name, initial=initial, moves=moves, terminal=frozenset(terminal))


COMMERCIAL: Final = _axis(
    "commercial",
    "accepted",
    {
        "accepted": ("provisional", "confirmed", "on-exception", "cancelling", "cancelled"),
        "provisional": ("accepted", "on-exception", "cancelling"),
        "on-exception": ("accepted", "provisional", "confirmed", "cancelling", "cancelled"),
        "confirmed": ("cancelling",),
        # The warehouse may say that the goods have left already: then it was too late.
        "cancelling": ("cancelled", "confirmed", "on-exception"),
    },
    "cancelled",
)

CREDIT: Final = _axis(
    "credit",
    "unchecked",
    {
        "unchecked": ("approved", "held"),
        "approved": ("unchecked", "held"),
        "held": ("unchecked", "approved", "released", "refused"),
        "released": ("unchecked", "held"),
    },
    "refused",
)

FULFILMENT: Final = _axis(
    "fulfilment",
    "not-released",
    {
        # Suspended at once: a release nobody had an answer for was found, and stopped.
        "not-released": ("backordered", "released", "suspended", "rejected", "cancelled"),
        "backordered": ("not-released", "released", "suspended", "rejected", "cancelled"),
        "released": ("backordered", "suspended", "partially-shipped", "shipped", "rejected",
                     "not-released", "cancelled"),
        "suspended": ("released", "backordered", "not-released", "partially-shipped", "shipped",
                      "rejected", "cancelled"),
        "rejected": ("not-released", "backordered", "released", "suspended", "partially-shipped",
                     "shipped", "cancelled"),
        "partially-shipped": ("suspended", "rejected", "shipped"),
        # What the warehouse took back and shipped all the same has left.
        "cancelled": ("partially-shipped", "shipped"),
    },
    "shipped",
)  # fmt: skip

BILLING: Final = _axis(
    "billing",
    "not-invoiced",
    {
        "not-invoiced": ("partially-invoiced", "invoiced", "paid", "credited"),
        # Finance may cancel an invoice, and a payment may go back.
        "partially-invoiced": ("not-invoiced", "invoiced", "paid"),
        "invoiced": ("not-invoiced", "partially-invoiced", "paid"),
        "paid": ("not-invoiced", "partially-invoiced", "invoiced"),
    },
    "credited",
)

AXES: Final = (COMMERCIAL, CREDIT, FULFILMENT, BILLING)


def credit_after(value: CreditState, wanted: CreditState) -> CreditState:
    """Answer the credit axis after a change. Raises `UndefinedMove` for one the table lacks."""
    return _turned(CREDIT, value, wanted)


def fulfilment_after(value: Fulfilment, wanted: Fulfilment) -> Fulfilment:
    """Answer the fulfilment axis after a change. Raises `UndefinedMove`."""
    return _turned(FULFILMENT, value, wanted)


def billing_after(value: Billing, wanted: Billing) -> Billing:
    """Answer the billing axis after a change. Raises `UndefinedMove`."""
    return _turned(BILLING, value, wanted)


def commercial_after(value: Commercial, wanted: Commercial) -> Commercial:
    """Answer the commercial axis after a change. Raises `UndefinedMove`."""
    return _turned(COMMERCIAL, value, wanted)


def _turned(axis: Lifecycle, value: V, wanted: V) -> V:
    if value == wanted:
        return value
    axis.after(value, wanted)
    return wanted
