"""Webhooks of ShipHero, verified and read; pure.

Signed with HMAC-SHA256 over the body (developer.shiphero.com, webhooks). Five tries, no guarantee,
any order: the truth is asked for by polling.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.documents import ShippedLine
from contracts.canonical.ids import ItemId, item_id
from system_apis.wms.shiphero import mapping, wire

__all__ = [
    "ACKNOWLEDGEMENT",
    "CONTENT_TYPE",
    "Cancelled",
    "Ignored",
    "Notice",
    "PackageShipped",
    "StockMoved",
    "parse",
    "verified",
]

CONTENT_TYPE: Final = "application/json"
ACKNOWLEDGEMENT: Final = b'{"code":"200","Status":"Success"}'
"""What ends the tries of a message."""


class PackageShipped(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One package left. A shipment is complete when all `packages` of it have been told."""

    message_id: str
    reference: str
    shipment: str
    package: int
    packages: int
    warehouse: str
    lines: tuple[ShippedLine, ...]
    tracking_number: str | None = None
    carrier: str | None = None
    shipped_at: datetime | None = None


class StockMoved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stock of these items is not what it was."""

    message_id: str
    items: tuple[ItemId, ...]


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An order was cancelled in the warehouse."""

    message_id: str
    reference: str
    number: str = ""
    """The vendor's number of the order, which tells it from another of the same reference."""


class Ignored(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A message that means nothing to us; it is acknowledged all the same."""

    message_id: str
    kind: str


Notice = PackageShipped | StockMoved | Cancelled | Ignored


def verified(body: bytes, headers: Mapping[str, str], secrets: Iterable[str]) -> bool:
    """Tell, in constant time, whether one of the secrets signed the body.

    Header names are lower case. Without secrets nothing is believed.
    """
    given = headers.get(wire.SIGNATURE_HEADER, "").encode()
    good = False
    for secret in secrets:
        right = b64encode(hmac.digest(secret.encode(), body, "sha256"))
        good |= hmac.compare_digest(given, right)
    return good


def parse(body: bytes, headers: Mapping[str, str]) -> Notice:
    """Read a message that was verified.

    `message_id` is the same on every try of a message, to tell repetitions by.

    Raises:
        ValueError: it is not a message of the vendor.
    """
    try:
        told = wire.notification_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError("not a message of the warehouse") from error
    message_id = headers.get(wire.MESSAGE_HEADER, "")
    if told.webhook_type == wire.SHIPMENT_UPDATE and told.fulfillment is not None:
        return _package(told.fulfillment, message_id)
    if told.webhook_type == wire.INVENTORY_UPDATE:
        items = tuple(item_id(notice.sku) for notice in told.inventory)
        return StockMoved(message_id=message_id, items=items)
    reference = told.partner_order_id or told.order_number
    if told.webhook_type == wire.ORDER_CANCELED and reference:
        number = str(told.order_id or "")
        return Cancelled(message_id=message_id, reference=reference, number=number)
    return Ignored(message_id=message_id, kind=told.webhook_type)


def _package(told: wire.Fulfillment, message_id: str) -> PackageShipped:
    reference = told.partner_order_id or told.order_number
    if not reference:
        raise ValueError("a shipment of no order")
    return PackageShipped(
        message_id=message_id or f"{told.shipment_id}/{told.package_number}",
        reference=reference,
        shipment=str(told.shipment_id),
        package=told.package_number or 1,
        packages=told.total_packages or 1,
        warehouse=told.warehouse or "",
        lines=tuple(
            ShippedLine(item=item_id(line.sku), quantity=Decimal(line.quantity))
            for line in told.line_items
        ),
        tracking_number=told.tracking_number or None,
        carrier=told.shipping_carrier or None,
        shipped_at=mapping.moment(told.created_at) if told.created_at else None,
    )
