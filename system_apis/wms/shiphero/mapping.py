"""Between ShipHero's records and the canonical model; pure, held by golden files."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from contracts.canonical.ids import item_id, number_of
from contracts.canonical.stock import StockAt, StockPosition
from contracts.ports.wms import ReleaseOrder, WarehouseLine, WarehouseOrder
from system_apis.wms.shiphero import wire

__all__ = ["new_order", "stock_positions", "usable_quantity", "warehouse_order"]


def new_order(
    wanted: ReleaseOrder, *, shop_name: str, warehouse_ids: Mapping[str, str]
) -> wire.NewOrder:
    """Map a fulfilment order to be created; `warehouse_ids` are the vendor's, by our code."""
    to = wanted.ship_to
    first, _, last = (to.contact or to.name).partition(" ")
    place = warehouse_ids.get(wanted.warehouse) if wanted.warehouse else None
    total = str(wanted.total.amount)
    return wire.NewOrder(
        order_number=wanted.reference,
        partner_order_id=wanted.reference,
        shop_name=shop_name,
        currency=wanted.total.currency,
        subtotal=total,
        total_price=total,
        shipping_address=wire.NewAddress(
            first_name=first,
            last_name=last,
            company=to.name,
            address1=to.street,
            city=to.city,
            state=to.state,
            zip=to.postcode,
            country=to.country,
            country_code=to.country,
        ),
        line_items=[_new_line(line, place) for line in wanted.lines],
        required_ship_date=f"{wanted.ship_by.isoformat()}T00:00:00" if wanted.ship_by else None,
        packing_note=f"PO {wanted.po_number}" if wanted.po_number else None,
        allow_partial=True,
    )


def _new_line(line: WarehouseLine, place: str | None) -> wire.NewLineItem:
    return wire.NewLineItem(
        sku=number_of(line.item),
        partner_line_item_id=str(line.number),
        quantity=int(line.quantity),
        price=str(line.unit_price.amount),
        product_name=line.description,
        warehouse_id=place,
    )


def usable_quantity(quantity: Decimal) -> bool:
    """Tell whether the vendor can pick this quantity: it knows whole pieces only."""
    return quantity == quantity.to_integral_value()


def warehouse_order(found: wire.Order, reference: str, *, was_there: bool) -> WarehouseOrder:
    """Map an order; one that is pending under any hold is `held`."""
    state = found.fulfillment_status or wire.PENDING
    if state == wire.PENDING and found.holds is not None and _any(found.holds):
        state = "held"
    return WarehouseOrder(
        id=found.id,
        number=str(found.legacy_id or found.order_number or found.id),
        reference=reference,
        state="cancelled" if state == wire.CANCELED else state,
        found=was_there,
    )


def _any(holds: wire.Holds) -> bool:
    return bool(
        holds.fraud_hold
        or holds.payment_hold
        or holds.operator_hold
        or holds.address_hold
        or holds.shipping_method_hold
        or holds.client_hold
    )


def stock_positions(found: Iterable[wire.Product], as_of: datetime) -> tuple[StockPosition, ...]:
    """Map products to positions; what is over-allocated counts as nothing available."""
    return tuple(
        StockPosition(
            item=item_id(product.sku),
            places=tuple(
                StockAt(
                    warehouse=level.warehouse_identifier or "",
                    on_hand=Decimal(level.on_hand or 0),
                    available=Decimal(max(0, level.available or 0)),
                )
                for level in product.warehouse_products or ()
            ),
            as_of=as_of,
        )
        for product in found
    )
