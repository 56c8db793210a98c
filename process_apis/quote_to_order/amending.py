"""The corrected order that a remedy carries: as a whole, or as a patch of what was asked for.

Pure. One person corrects one order and sends it whole; a redrive corrects many orders in the same
way and carries a JSON merge patch (RFC 7396).
"""

from typing import Any

import msgspec

from contracts.canonical.money import Money
from contracts.canonical.order import OrderLineRequest, OrderRequest
from process_apis.quote_to_order.records import OrderRecord
from runtime.journal.amending import AmendmentRefused, amended
from runtime.journal.process import Process, Signal

__all__ = ["amendment"]


def amendment(process: Process[OrderRecord], signal: Signal) -> OrderRequest | None:
    """Answer the order as corrected; None when no order comes of it."""
    told = signal.data.get("amendment") or {}
    try:
        if "patch" in told:
            corrected: OrderRequest = amended(_asked_for(process.data), told["patch"])
            return corrected
        return msgspec.convert(told.get("order"), OrderRequest)
    except (AmendmentRefused, msgspec.ValidationError):
        return None


def _asked_for(record: OrderRecord) -> OrderRequest:
    """What was asked for; made of what was agreed where the request is not kept any more."""
    if record.request is not None:
        return record.request
    known: dict[str, Any] = {
        name: getattr(record, name)
        for name in ("po_number", "order_date", "requested_delivery_date", "ship_to")
    }
    return OrderRequest(
        customer=record.customer,
        currency=record.currency,
        lines=tuple(
            OrderLineRequest(
                item=line.item,
                quantity=line.quantity,
                unit_price=Money(amount=line.unit_price, currency=record.currency)
                if line.basis == "agreed"
                else None,
                description=line.description,
            )
            for line in record.lines
        ),
        **known,
    )
