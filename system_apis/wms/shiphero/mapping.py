"""Between ShipHero's records and the canonical model; pure, held by golden files."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from contracts.canonical.documents import Shipment, ShippedLine
from contracts.canonical.ids import OrderId, item_id, number_of
from contracts.canonical.stock import StockAt, StockPosition
from contracts.ports.wms import ReleaseOrder, WarehouseLine, WarehouseOrder
from system_apis.wms.shiphero import wire

__all__ = [
    "listed_order",
    "moment",
    "new_order",
    "on_wire",
    "package_id",
    "package_ids",
    "packages",
    "stock_positions",
    "usable_quantity",
    "warehouse_order",
]


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
        held=found.holds is not None and _any(found.holds),
        shipped=bool(found.shipments),
        changed_at=moment(found.updated_at) if found.updated_at else None,
    )


def listed_order(found: wire.Order) -> WarehouseOrder:
    """Map an order that was not asked for by reference."""
    reference = found.partner_order_id or found.order_number or ""
    return warehouse_order(found, reference, was_there=True)


def moment(written: str) -> datetime:
    """Read a moment: UTC, without a zone."""
    read = datetime.fromisoformat(written)
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def on_wire(instant: datetime) -> str:
    """Write a moment as the vendor does."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def package_id(shipment: str | int, package: int | None) -> str:
    """What one package is known by here, wherever it is told of."""
    return f"{shipment}/{package or 1}"


def package_ids(found: wire.Shipment) -> tuple[str, ...]:
    """The packages of a shipment; one without labels is a single package."""
    if not found.shipping_labels:
        return (package_id(found.legacy_id, 1),)
    return tuple(package_id(found.legacy_id, one.package_number) for one in found.shipping_labels)


def packages(found: wire.Shipment, lines: Iterable[wire.ShipmentLine]) -> tuple[Shipment, ...]:
    """Map a shipment: each package is one of ours."""
    labels = found.shipping_labels or [wire.Label(id="", package_number=1)]
    pieces: dict[str, dict[str, int]] = {}
    for line in lines:
        label = line.shipping_label_id if len(labels) > 1 else labels[0].id
        packed = pieces.setdefault(label or labels[0].id, {})
        sku = line.line_item.sku if line.line_item else ""
        packed[sku] = packed.get(sku, 0) + line.quantity
    told = found.order
    reference = (told.partner_order_id or told.order_number or "") if told else ""
    return tuple(
        Shipment(
            id=package_id(found.legacy_id, label.package_number),
            order=OrderId(reference),
            warehouse=found.warehouse.identifier if found.warehouse else "",
            lines=tuple(
                ShippedLine(item=item_id(sku), quantity=Decimal(quantity))
                for sku, quantity in pieces.get(label.id, {}).items()
            ),
            shipped_at=moment(found.created_date),
            tracking_numbers=(label.tracking_number,) if label.tracking_number else (),
            carrier=label.carrier or None,
        )
        for label in labels
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
