"""The event taxonomy: one row an event, named in the past tense by what happened to what.

What a process owns it emits through the journal, in the transaction of the move that made it true;
subscribers may see it twice and must not mind. What a system owns is a vendor's push, verified and
in our words: it is a hint, and whoever is told reads the record again.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from contracts.canonical.documents import CreditMemo, Invoice, Payment, Shipment
from contracts.canonical.order import Order
from contracts.canonical.shapes import Canonical, Instant


class RecordChanged(Canonical, frozen=True, kw_only=True):
    """A record of a system changed; whoever keeps a copy must read it again."""

    system: str
    entity: str
    id: str | None = None
    """None: many changed at once."""


class HoldChanged(Canonical, frozen=True, kw_only=True):
    """The ERP holds an order or a customer, or lets go. `as_of` orders what arrives out of order.

    `kind` says how the ERP expresses it: a customer blocked for shipping, or an order that is in
    review. A hold on a customer holds each of its open orders.
    """

    held: bool
    kind: Literal["customer-blocked", "order-in-review"]
    reason: str
    as_of: Instant
    customer: str | None = None
    reference: str | None = None


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
        EventType(name="erp.record.changed", data=RecordChanged, owner="system/erp",
                  ordering_key="id", means="A master record or document of the ERP changed."),
        EventType(name="wms.record.changed", data=RecordChanged, owner="system/wms",
                  ordering_key="id", means="Stock or an order of the warehouse changed."),
        EventType(name="wms.goods.shipped", data=Shipment, owner="system/wms",
                  ordering_key="order", means="Goods left the warehouse."),
        EventType(name="wms.order.cancelled", data=RecordChanged, owner="system/wms",
                  ordering_key="id", means="The warehouse itself cancelled a fulfilment order."),
        EventType(name="erp.hold.changed", data=HoldChanged, owner="system/erp",
                  ordering_key="reference", means="Finance holds an order, or lets go."),
        EventType(name="erp.shipment.posted", data=Shipment, owner="system/erp",
                  ordering_key="order", means="The ERP posted a shipment of an order."),
        EventType(name="erp.invoice.posted", data=Invoice, owner="system/erp",
                  ordering_key="number", means="The ERP posted an invoice of an order."),
        EventType(name="erp.invoice.paid", data=Payment, owner="system/erp",
                  ordering_key="invoice", means="Money was received for an invoice."),
        EventType(name="order.accepted", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="The order is durable and will be worked on."),
        EventType(name="order.provisional", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Accepted on last known data; validated again later."),
        EventType(name="order.confirmed", data=Order, owner="process/quote-to-order",
                  ordering_key="reference", means="The ERP holds exactly one order for it."),
        EventType(name="order.released", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="The warehouse has it; again when goods leave it."),
        EventType(name="order.backordered", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Some or all of it waits for stock; the rest goes on."),
        EventType(name="order.suspended", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Finance holds it in the ERP; again when the warehouse has stopped."),
        EventType(name="order.resumed", data=Order, owner="process/quote-to-order",
                  ordering_key="reference", means="The hold is lifted, and it goes on."),
        EventType(name="order.shipped", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Goods left and the ERP posted it; once for each shipment."),
        EventType(name="order.invoiced", data=Order, owner="process/quote-to-order",
                  ordering_key="reference", means="The ERP posted an invoice of it."),
        EventType(name="order.paid", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Money was received for an invoice of it, some or all."),
        EventType(name="order.closed", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="Everything is shipped, invoiced and paid."),
        EventType(name="order.held", data=Order, owner="process/quote-to-order",
                  ordering_key="reference", means="It waits for credit or price approval."),
        EventType(name="order.excepted", data=Order, owner="process/quote-to-order",
                  ordering_key="reference", means="It stopped; somebody must act."),
        EventType(name="order.cancelled", data=Order, owner="process/quote-to-order",
                  ordering_key="reference",
                  means="It is taken back; again when all that was done is undone."),
        EventType(name="order.credited", data=CreditMemo, owner="process/quote-to-order",
                  ordering_key="reference", means="A credit memo was posted against it."),
    )
}  # fmt: skip
