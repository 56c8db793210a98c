"""Where vendors push (webhooks/v1): every push is a hint, verified as its vendor signs it."""

from typing import Protocol

from contracts.ports.binding import RawReply, RawRequest, operation


class Webhooks(Protocol):
    """Inbound notifications. Each is recorded durably before it is acknowledged."""

    @operation(
        "POST",
        "/salesforce",
        scope=None,
        limit="webhooks",
        criticality="capture",
        budget_ms=10_000,
        max_body_bytes=1_048_576,
        problems=("webhook-signature-invalid",),
    )
    async def salesforce(self, raw: RawRequest) -> RawReply:
        """Receive an outbound message of Salesforce: SOAP, acknowledged in kind."""
        ...

    @operation(
        "POST",
        "/business_central",
        scope=None,
        limit="webhooks",
        criticality="sync",
        budget_ms=10_000,
        max_body_bytes=1_048_576,
        problems=("webhook-signature-invalid",),
    )
    async def business_central(self, raw: RawRequest) -> RawReply:
        """Receive change notifications of Business Central, and its subscription handshake."""
        ...

    @operation(
        "POST",
        "/shiphero",
        scope=None,
        limit="webhooks",
        criticality="capture",
        budget_ms=10_000,
        max_body_bytes=1_048_576,
        problems=("webhook-signature-invalid",),
    )
    async def shiphero(self, raw: RawRequest) -> RawReply:
        """Receive shipment, inventory and order messages of ShipHero."""
        ...
