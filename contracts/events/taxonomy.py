"""The event taxonomy: one row an event, named in the past tense by what happened to what.

Events leave as CloudEvents 1.0 whose `type` is the row's name, whose `subject` is the ordering key
and whose `id` is minted once. Subscribers may see an event twice and must not mind.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contracts.canonical.documents import CreditMemo, Invoice, Payment, Shipment
from contracts.canonical.order import Order
from contracts.canonical.shapes import Canonical


class DealWon(Canonical, frozen=True, kw_only=True):
    """A deal was won in the CRM. Only the id is trusted; the deal is read again."""

    deal: str


class RecordChanged(Canonical, frozen=True, kw_only=True):
    """A record of a system changed; whoever keeps a copy must read it again."""

    system: str
    entity: str
    id: str | None = None
    """None: many changed at once."""


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the taxonomy. `ordering_key` names the field that keeps events in order."""

    name: str
    data: type
    owner: str
    ordering_key: str
    means: str


TAXONOMY: Final[Mapping[str, EventType]] = {
    row.name: row
    for row in (
        EventType(name="crm.deal.won", data=DealWon, owner="system/crm", ordering_key="deal",
                  means="A deal was won; it becomes an order."),
        EventType(name="erp.record.changed", data=RecordChanged, owner="system/erp",
                  ordering_key="id", means="A master record or document of the ERP changed."),
        EventType(name="wms.record.changed", data=RecordChanged, owner="system/wms",
                  ordering_key="id", means="Stock or an order of the warehouse changed."),
        EventType(name="wms.goods.shipped", data=Shipment, owner="system/wms",
                  ordering_key="order", means="Goods left the warehouse."),
        EventType(name="order.accepted", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="The order is durable and will be worked on."),
        EventType(name="order.provisional", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="Accepted on last known data; validated again later."),
        EventType(name="order.confirmed", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="The ERP holds exactly one order for it."),
        EventType(name="order.released", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="The warehouse may pick it."),
        EventType(name="order.held", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="It waits for credit or price approval."),
        EventType(name="order.excepted", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="It stopped; somebody must act."),
        EventType(name="order.cancelled", data=Order, owner="process/quote-to-order",
                  ordering_key="id", means="It was taken back and everything done was undone."),
        EventType(name="order.credited", data=CreditMemo, owner="process/quote-to-order",
                  ordering_key="reference", means="A credit memo was posted against it."),
        EventType(name="order.invoiced", data=Invoice, owner="process/billing",
                  ordering_key="number", means="An invoice was posted for it."),
        EventType(name="invoice.paid", data=Payment, owner="process/billing",
                  ordering_key="invoice", means="Money was received for an invoice."),
    )
}  # fmt: skip


def event_type(name: str) -> EventType:
    """Answer a row of the taxonomy; raise `KeyError` for an event nobody agreed on."""
    return TAXONOMY[name]


def decode(name: str, data: bytes) -> Any:
    """Read an event's data as its row says; raise `msgspec.ValidationError` if it is not that."""
    return msgspec.json.decode(data, type=event_type(name).data)
