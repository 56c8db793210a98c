"""What it takes to go on with an order or a credit that stopped: for the preview of a redrive.

The calls are those of an undisturbed course from there on, until the warehouse has the order.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from process_apis.quote_to_order.records import CreditRecord, OrderRecord
from runtime.journal.process import Outlook, Process

__all__ = ["credit_outlook", "order_outlook"]

_CHECK: Final = {"erp": 2}
"""Prices and the customer's position, when they are no longer remembered."""
_FETCH: Final = {"crm": 2, **_CHECK}
_PLACE: Final = {"erp": 1, "crm": 1}
_RELEASE: Final = {"wms": 1, "crm": 1}
_POST: Final = {"erp": 4, "crm": 1}
"""A shipment is posted in four: read, lines, post, read again."""
_MEMO: Final = {"erp": 3}
"""A credit memo is created, given its lines, and posted."""
_UNDO: Final = {"wms": 2, "erp": 2, "crm": 1}
_LOOK_UP: Final = {"erp": 1}
_LOOK_UP_RELEASE: Final = {"wms": 1}
_TELL: Final = {"crm": 1}

_ENTERED: Final[Mapping[str, str]] = {"provisional": "provisional", "fetching": "fetching"}
"""Where a stopped order goes back to, by where it was stopped; everywhere else it is placed."""
_ON_ITS_WAY: Final[Mapping[str, tuple[Mapping[str, int], ...]]] = {
    "fetching": (_FETCH, _PLACE, _RELEASE),
    "provisional": (_CHECK, _PLACE, _RELEASE),
    "accepted": (_PLACE, _RELEASE),
    "confirmed": (_RELEASE,),
    "posting": (_POST,),
    "withdrawing": (_UNDO,),
}
_BACK_IN: Final[Mapping[str, str]] = {
    "held": "provisional",
    "mispriced": "accepted",
    "not_released": "confirmed",
    "allocated": "confirmed",
    "backordered": "confirmed",
    "not_posted": "posting",
    "rollback_incomplete": "withdrawing",
}


def order_outlook(process: Process[OrderRecord]) -> Outlook:
    """Answer what going on with an order takes."""
    record, state = process.data, process.state
    if state == "stopped":
        state = _ENTERED.get(record.stopped_in or "", "accepted")
    state = _BACK_IN.get(state, state)
    parts = list(_ON_ITS_WAY.get(state, (_TELL,)))
    if record.maybe_placed:
        parts.append(_LOOK_UP)
    if record.maybe_released:
        parts.append(_LOOK_UP_RELEASE)
    return Outlook(
        looks_up_first=record.maybe_placed or record.maybe_released,
        checks_again=state in _ENTERED,
        calls=_sum(parts),
    )


def credit_outlook(process: Process[CreditRecord]) -> Outlook:
    """Answer what going on with a credit takes."""
    doubt = process.data.maybe_posted
    return Outlook(
        looks_up_first=doubt,
        calls=_sum([_MEMO, _LOOK_UP] if doubt else [_MEMO]),
    )


def _sum(parts: list[Mapping[str, int]]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
