"""Webhooks: registered per type, signed, tried five times, and not guaranteed."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from hmac import digest
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from deploy.sandbox.faults import PUSH
from deploy.sandbox.shiphero.records import ACCOUNT, opaque
from deploy.sandbox.shiphero.refusals import invalid, not_found
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.vendor import VendorContext

__all__ = ["TYPES", "Webhooks"]

TYPES = (
    "Inventory Update",
    "Inventory Change",
    "Shipment Update",
    "Automation Rules",
    "Order Canceled",
    "Capture Payment",
    "PO Update",
    "Return Update",
    "Tote Complete",
    "Tote Cleared",
    "Order Packed Out",
    "Package Added",
    "Order Allocated",
    "Order Deallocated",
    "Product Update",
)
ANSWER_SECONDS = 10.0
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between the five tries; the vendor's own are not published
ANY_SHOP = "api"
# registered when the account was set up, for the gateway at the sandbox's webhook base
INSTALLED = ("Shipment Update", "Order Canceled", "Inventory Update")
INSTALLED_SHOP = "Crossdock"
INSTALLED_SECRET = "crossdock-sandbox-secret"  # noqa: S105  # the sandbox's own, public on purpose
FIRST_WEBHOOK = 90_001


class _Accepted(msgspec.Struct):
    """The answer that ShipHero expects: ``{"code": "200", "Status": "Success"}``."""

    code: str | int


class Webhooks:
    """Registrations, and the messages on their way."""

    def __init__(self, vault: Vault, context: VendorContext) -> None:
        self._context = context
        self._registered = vault.table("webhooks")
        self._messages = 0
        base = context.settings.webhook_base
        self._registered.load(
            (
                f"{INSTALLED_SHOP}|{name}",
                _webhook(
                    FIRST_WEBHOOK + at,
                    name=name,
                    shop=INSTALLED_SHOP,
                    url=f"{base}/shiphero",
                    secret=INSTALLED_SECRET,
                ),
            )
            for at, name in enumerate(INSTALLED if base else ())
        )
        self._encode = msgspec.json.Encoder(decimal_format="string").encode

    def create(self, data: Mapping[str, Any]) -> Record:
        """Register one URL for one type; only this answer carries the signing secret.

        Raises:
            Refusal: no such type, no http URL, or the type has its webhook already.
        """
        name, shop = data["name"], data.get("shop_name") or ANY_SHOP
        if name not in TYPES:
            raise invalid(f"Webhook type {name!r} is not one of {', '.join(TYPES)}")
        if urlsplit(data["url"]).scheme not in {"http", "https"}:
            raise invalid(f"Webhook url {data['url']!r} is not a valid url")
        key = f"{shop}|{name}"
        if key in self._registered:
            raise invalid(f"Webhook {name!r} already exists for shop {shop!r}: delete it first")
        number = 1 + max(
            (w["legacy_id"] for w in self._registered.values()), default=FIRST_WEBHOOK - 1
        )
        seed = self._context.settings.seed
        secret = sha256(f"shiphero webhook {seed}/{number}/{name}".encode()).hexdigest()[:40]
        record = _webhook(number, name=name, shop=shop, url=data["url"], secret=secret)
        self._registered.put(key, record)
        return {**record, "shared_signature_secret": secret}

    def delete(self, data: Mapping[str, Any]) -> None:
        """Remove a registration.

        Raises:
            Refusal: there is none.
        """
        key = f"{data.get('shop_name') or ANY_SHOP}|{data['name']}"
        if key not in self._registered:
            raise not_found("Webhook", data["name"])
        self._registered.delete(key)

    def all(self) -> list[tuple[str, Record]]:
        """Every registration with its position, without its secret."""
        return [(f"{w['legacy_id']:010d}", w) for w in self._registered.values()]

    def wanted(self, kind: str) -> bool:
        """Whether anybody listens to this type: a body that nobody wants need not be built."""
        return any(webhook["name"] == kind for webhook in self._registered.values())

    def emit(self, kind: str, body: Mapping[str, Any]) -> None:
        """Send a message to every listener of its type, later and in the background."""
        for webhook in tuple(self._registered.values()):
            if webhook["name"] == kind:
                self._messages += 1
                message = {"webhook_type": kind, "account_id": 7001, **body}
                content = self._encode(message)
                self._context.pushes.start(self._deliver(webhook, content, self._messages))

    async def _deliver(self, webhook: Record, content: bytes, number: int) -> None:
        delay = self._context.settings.webhook_delay
        await asyncio.sleep(1.0 if delay is None else delay)
        fault = await self._context.faults.before("wms", PUSH)
        if fault is not None and fault.kind == "lost_push":
            return
        headers = self._headers(webhook, content, number)
        if fault is not None and fault.kind == "duplicate_push":
            await self._post(webhook["url"], content, headers)
        for wait in (*WAITS, 0.0):
            if await self._post(webhook["url"], content, headers):
                return
            await asyncio.sleep(wait)

    def _headers(self, webhook: Record, content: bytes, number: int) -> dict[str, str]:
        signature = digest(webhook["secret"].encode(), content, "sha256")
        unique = sha256(f"{self._context.clock.now().isoformat()}/{number}".encode()).digest()[:16]
        return {
            "content-type": "application/json",
            "x-shiphero-hmac-sha256": b64encode(signature).decode(),
            "x-shiphero-message-id": str(UUID(bytes=unique, version=4)),
        }

    async def _post(self, url: str, content: bytes, headers: dict[str, str]) -> bool:
        answer = await self._context.pushes.post(url, content, headers, seconds=ANSWER_SECONDS)
        if answer is None or answer[0] != 200:  # noqa: PLR2004  # HTTP's own number
            return False
        try:
            return str(msgspec.json.decode(answer[1], type=_Accepted).code) == "200"
        except msgspec.MsgspecError:
            return False


def _webhook(number: int, *, name: str, shop: str, url: str, secret: str) -> Record:
    return {
        "id": opaque("Webhook", number),
        "legacy_id": number,
        "account_id": ACCOUNT,
        "name": name,
        "shop_name": shop,
        "url": url,
        "source": "api",
        "secret": secret,
    }
