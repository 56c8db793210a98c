"""webhooks: what vendors push, verified by their connector, handed to whoever must know.

A push is a hint: of a won deal only the id is believed, and a record that changed is only read
again. What moves an order is durable before it is acknowledged; a message that cannot be read is
refused, and one that means nothing to us is acknowledged, so that its vendor does not try again.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, assert_never

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import OrderId
from contracts.events.taxonomy import RecordChanged
from contracts.ports.binding import RawReply, RawRequest
from contracts.problems import refuse
from deploy.profile import Systems
from deploy.subscribing import WarehouseSecrets
from process_apis.propagation.build import DEALS
from process_apis.propagation.erp_looks import CUSTOMERS, INVOICES, ORDERS
from process_apis.propagation.intake import Intake
from process_apis.propagation.wms_looks import CANCELLATIONS, SHIPMENTS, STOCK
from runtime.clock import Clock
from runtime.store.faults import StoreUnavailable
from system_apis.crm.salesforce import notifications as salesforce
from system_apis.erp.business_central import notifications as business_central
from system_apis.erp.business_central.mapping import Records
from system_apis.wms.shiphero import notifications as shiphero
from system_apis.wms.shiphero.notifications import Notice, PackageShipped

DealWon = Callable[[str, str], Awaitable[bool]]
Doubt = Callable[[Iterable[RecordChanged]], object]
Heard = Callable[[str], object]
Package = Callable[[Shipment], object]
Changed = Callable[[Collection[str]], object]

_ERP_ENTITIES: Final[Mapping[Records, str]] = {
    "customers": "customer",
    "items": "item",
    "invoices": "invoice",
}
"""Which changes of the ERP make a copy doubtful; the others are polled for."""
_ERP_WATCHED: Final[Mapping[Records, str]] = {
    "customers": CUSTOMERS,
    "orders": ORDERS,
    "invoices": INVOICES,
}
"""Which changes of the ERP an order may have to be told of, by the subscription they come by."""


def _nobody(*_: object) -> None:
    """Whoever is told when nobody wants to know."""


class Notifications:
    """Implements `contracts.ports.webhooks.Webhooks`.

    Without `systems` nobody's messages are believed, as nothing says what they are known by.
    """

    def __init__(
        self,
        systems: Systems | None,
        *,
        deal_won: DealWon,
        doubt: Doubt,
        intake: Intake,
        clock: Clock,
        heard: Heard = _nobody,
        erp_changed: Changed = _nobody,
        package_told: Package = _nobody,
        wms_secrets: WarehouseSecrets | None = None,
    ) -> None:
        self._organization = "" if systems is None else systems.salesforce.organization_id
        self._erp_secrets = () if systems is None else systems.business_central.webhook_secrets
        self._deal_won = deal_won
        self._doubt = doubt
        self._intake = intake
        self._clock = clock
        self._heard = heard
        self._erp_changed = erp_changed
        self._package_told = package_told
        known = () if systems is None else systems.shiphero.webhook_secrets
        self._wms_secrets = wms_secrets or WarehouseSecrets(known)

    async def salesforce(self, raw: RawRequest) -> RawReply:
        """Take an outbound message: each won deal starts its process once, then the Ack."""
        try:
            message = salesforce.parse(raw.body)
        except ValueError:
            raise refuse("malformed-request") from None
        if not message.is_from(self._organization):
            raise refuse("webhook-signature-invalid")
        self._heard(DEALS)
        for notice in message.deals:
            await self._deal_won(notice.deal, notice.id)
        return RawReply(
            status=200, body=salesforce.ACKNOWLEDGEMENT, content_type=salesforce.CONTENT_TYPE
        )

    async def business_central(self, raw: RawRequest) -> RawReply:
        """Answer the handshake; doubt the copies of what changed, and have it looked at."""
        token = business_central.handshake(raw.query)
        if token is not None:
            return RawReply(status=200, body=token, content_type="text/plain; charset=utf-8")
        try:
            if not business_central.verified(raw.body, self._erp_secrets):
                raise refuse("webhook-signature-invalid")
            notices = business_central.parse(raw.body)
        except ValueError:
            raise refuse("malformed-request") from None
        told = {notice.records for notice in notices if notice.records is not None}
        # A notification names a record by its system id, the copies are by number: all are doubted.
        self._doubt(
            RecordChanged(system="business_central", entity=_ERP_ENTITIES[records])
            for records in sorted(told & _ERP_ENTITIES.keys())
        )
        watched = tuple(_ERP_WATCHED[records] for records in sorted(told & _ERP_WATCHED.keys()))
        for name in watched:
            self._heard(name)
        self._erp_changed(watched)
        return RawReply(status=200, body=b"", content_type="text/plain; charset=utf-8")

    async def shiphero(self, raw: RawRequest) -> RawReply:
        """Tell an order what was shipped of it or cancelled; doubt the stock that moved."""
        if not await self._wms_secrets.signed(raw):
            raise refuse("webhook-signature-invalid")
        try:
            notice = shiphero.parse(raw.body, raw.headers)
        except ValueError:
            raise refuse("malformed-request") from None
        try:
            await self._told(notice)
        except StoreUnavailable:
            raise refuse("store-unavailable", retry_after=1) from None
        return RawReply(
            status=200, body=shiphero.ACKNOWLEDGEMENT, content_type=shiphero.CONTENT_TYPE
        )

    async def _told(self, notice: Notice) -> None:
        match notice:
            case shiphero.PackageShipped():
                await self._shipped(notice)
            case shiphero.StockMoved():
                self._heard(STOCK)
                self._doubt(
                    RecordChanged(system="wms", entity="stock", id=item) for item in notice.items
                )
                await self._intake.stock(notice.items, notice.message_id)
            case shiphero.Cancelled():
                self._heard(CANCELLATIONS)
                await self._intake.cancelled(notice.reference, notice.number)
            case shiphero.Ignored():
                pass
            case _:
                assert_never(notice)

    async def _shipped(self, notice: PackageShipped) -> None:
        """Take one package; each is told to its order once, whatever the vendor repeats."""
        shipment = Shipment(
            id=f"{notice.shipment}/{notice.package}",
            order=OrderId(notice.reference),
            warehouse=notice.warehouse,
            lines=notice.lines,
            shipped_at=notice.shipped_at or self._clock.now(),
            tracking_numbers=(notice.tracking_number,) if notice.tracking_number else (),
            carrier=notice.carrier,
        )
        self._heard(SHIPMENTS)
        await self._intake.package(shipment)
        self._package_told(shipment)
