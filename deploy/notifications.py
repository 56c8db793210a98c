"""webhooks: what vendors push, verified by their connector, handed to whoever must know.

A push is a hint: of a won deal only the id is believed, and a record that changed is only read
again. What moves an order is durable before it is acknowledged; a message that cannot be read is
refused, and one that means nothing to us is acknowledged, so that its vendor does not try again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, assert_never

import msgspec

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import OrderId
from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import CallFailedError
from contracts.ports.binding import RawReply, RawRequest
from contracts.problems import refuse
from deploy.profile import Systems
from process_apis.quote_to_order.signals import GOODS_SHIPPED
from runtime.clock import Clock
from runtime.journal.process import Term
from runtime.journal.signalling import SignalTo
from runtime.store.faults import StoreUnavailable
from system_apis.crm.salesforce import notifications as salesforce
from system_apis.erp.business_central import notifications as business_central
from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.wms.shiphero import notifications as shiphero
from system_apis.wms.shiphero.notifications import PackageShipped

log = logging.getLogger("crossdock.notifications")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 3_600.0
"""Seconds; a subscription lives three days, and one bad answer of ours ends it."""

DealWon = Callable[[str, str], Awaitable[bool]]
Doubt = Callable[[Iterable[RecordChanged]], object]

_ERP_ENTITIES: Final[Mapping[str, str]] = {"customers": "customer", "items": "item"}
"""Which changes of the ERP make a copy doubtful; the others are polled for."""


class Inbox(Protocol):
    """Where a message is recorded once, with the signals it carries."""

    async def publish(
        self, source: str, message_id: str, *, signals: Sequence[SignalTo] = ()
    ) -> Any:
        """Record a message and its signals in one transaction; a known message changes nothing."""
        ...


class Subscriptions:
    """Keeps the ERP telling us what changed: its subscriptions end after three days by themselves.

    The copies do not rest on it: they are refreshed by time of change all the same.
    """

    def __init__(self, erp: BusinessCentral, url: str) -> None:
        self._erp = erp
        self._url = url

    async def run(self) -> None:
        """Subscribe, and see to it every hour; a vendor that does not answer is asked again."""
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                made = await self._erp.keep_subscribed(self._url)
            except CallFailedError as failed:
                pause = min(pause * 2, _LONGEST_PAUSE)
                failure = type(failed.failure).__name__
                log.warning("not_subscribed", extra={"failure": failure, "again_in": pause})
            else:
                pause = _LONGEST_PAUSE
                log.info("subscribed", extra={"made": made})


class Notifications:
    """Implements `contracts.ports.webhooks.Webhooks`."""

    def __init__(
        self, systems: Systems, *, deal_won: DealWon, doubt: Doubt, inbox: Inbox, clock: Clock
    ) -> None:
        self._systems = systems
        self._deal_won = deal_won
        self._doubt = doubt
        self._inbox = inbox
        self._clock = clock

    async def salesforce(self, raw: RawRequest) -> RawReply:
        """Take an outbound message: each won deal starts its process once, then the Ack."""
        try:
            message = salesforce.parse(raw.body)
        except ValueError:
            raise refuse("malformed-request") from None
        if not message.is_from(self._systems.salesforce.organization_id):
            raise refuse("webhook-signature-invalid")
        for notice in message.deals:
            await self._deal_won(notice.deal, notice.id)
        return RawReply(
            status=200, body=salesforce.ACKNOWLEDGEMENT, content_type=salesforce.CONTENT_TYPE
        )

    async def business_central(self, raw: RawRequest) -> RawReply:
        """Answer the handshake; doubt the copies of every record that changed."""
        token = business_central.handshake(raw.query)
        if token is not None:
            return RawReply(status=200, body=token, content_type="text/plain; charset=utf-8")
        try:
            if not business_central.verified(
                raw.body, self._systems.business_central.webhook_secrets
            ):
                raise refuse("webhook-signature-invalid")
            notices = business_central.parse(raw.body)
        except ValueError:
            raise refuse("malformed-request") from None
        changed = {_ERP_ENTITIES.get(notice.entity) for notice in notices} - {None}
        # A notification names a record by its system id, the copies are by number: all are doubted.
        self._doubt(
            RecordChanged(system="business_central", entity=entity) for entity in changed if entity
        )
        return RawReply(status=200, body=b"", content_type="text/plain; charset=utf-8")

    async def shiphero(self, raw: RawRequest) -> RawReply:
        """Tell an order what was shipped of it; doubt the stock that moved."""
        if not shiphero.verified(raw.body, raw.headers, self._systems.shiphero.webhook_secrets):
            raise refuse("webhook-signature-invalid")
        try:
            notice = shiphero.parse(raw.body, raw.headers)
        except ValueError:
            raise refuse("malformed-request") from None
        match notice:
            case shiphero.PackageShipped():
                await self._shipped(notice)
            case shiphero.StockMoved():
                self._doubt(
                    RecordChanged(system="wms", entity="stock", id=item) for item in notice.items
                )
            case shiphero.Cancelled() | shiphero.Ignored():
                pass
            case _:
                assert_never(notice)
        return RawReply(
            status=200, body=shiphero.ACKNOWLEDGEMENT, content_type=shiphero.CONTENT_TYPE
        )

    async def _shipped(self, notice: PackageShipped) -> None:
        """Record one package; each is told to its order once, whatever the vendor repeats."""
        package = f"{notice.shipment}/{notice.package}"
        shipment = Shipment(
            id=package,
            order=OrderId(notice.reference),
            warehouse=notice.warehouse,
            lines=notice.lines,
            shipped_at=self._clock.now(),
            tracking_numbers=(notice.tracking_number,) if notice.tracking_number else (),
            carrier=notice.carrier,
        )
        signal = SignalTo(
            name=GOODS_SHIPPED,
            dedupe_key=package,
            data=msgspec.to_builtins(shipment),
            term=Term(kind="reference", value=notice.reference),
        )
        try:
            await self._inbox.publish("shiphero", notice.message_id, signals=(signal,))
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
