"""webhooks: what vendors push, verified by their connector, handed to whoever must know.

A push is a hint: of a won deal only the id is believed, and a record that changed is only read
again. What moves an order is durable before it is acknowledged; a message that cannot be read is
refused, and one that means nothing to us is acknowledged, so that its vendor does not try again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, assert_never

import msgspec

from contracts.canonical.documents import Shipment
from contracts.canonical.ids import OrderId
from contracts.events.taxonomy import RecordChanged
from contracts.outcomes import CallFailedError
from contracts.ports.binding import RawReply, RawRequest
from contracts.problems import refuse
from deploy.profile import Systems
from process_apis.propagation.build import DEALS
from process_apis.propagation.erp_looks import CUSTOMERS, INVOICES, ORDERS
from process_apis.propagation.intake import Intake
from process_apis.propagation.watching import Notes
from process_apis.propagation.wms_looks import CANCELLATIONS, SHIPMENTS, STOCK
from runtime.clock import Clock
from runtime.store.faults import StoreUnavailable
from system_apis.crm.salesforce import notifications as salesforce
from system_apis.erp.business_central import notifications as business_central
from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.erp.business_central.mapping import Records
from system_apis.wms.shiphero import notifications as shiphero
from system_apis.wms.shiphero.connector import ShipHero
from system_apis.wms.shiphero.notifications import Notice, PackageShipped

log = logging.getLogger("crossdock.notifications")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 3_600.0
"""Seconds; a subscription lives three days, and one bad answer of ours ends it."""

_MOST_SECRETS: Final = 12
_SECRETS: Final = ("webhook-secrets", "shiphero")

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


class WarehouseSecrets:
    """What the warehouse signs its messages with: the configured secrets, and those of renewals.

    The vendor shows a secret once, to whoever registers; it is kept beside the journal, where
    every process that takes messages finds it.
    """

    def __init__(self, configured: Sequence[str], notes: Notes | None = None) -> None:
        self._configured = tuple(configured)
        self._notes = notes
        self._adopted: tuple[str, ...] = ()

    async def signed(self, raw: RawRequest) -> bool:
        """Tell whether a message carries the signature of a secret that is known."""
        if shiphero.verified(raw.body, raw.headers, (*self._configured, *self._adopted)):
            return True
        await self._read()
        return shiphero.verified(raw.body, raw.headers, self._adopted)

    async def adopt(self, secrets: Sequence[str]) -> None:
        """Believe new secrets; those before stay, for messages that are under way."""
        await self._read()
        self._adopted = (*secrets, *self._adopted)[:_MOST_SECRETS]
        if self._notes is not None:
            await self._notes.set_note(*_SECRETS, msgspec.json.encode(self._adopted))

    async def _read(self) -> None:
        stored = None if self._notes is None else await self._notes.note(*_SECRETS)
        if stored is not None:
            self._adopted = msgspec.json.decode(stored, type=tuple[str, ...])


class Subscriptions:
    """Keeps the vendors telling us what changed.

    Those of the ERP end after three days by themselves; those of the warehouse last until they are
    made anew, which gives them new secrets. Nothing rests on them: whatever they do not
    tell is found by looking.
    """

    def __init__(self, *, erp: BusinessCentral | None, wms: ShipHero | None, webhooks: str) -> None:
        self._erp = erp
        self._wms = wms
        self._webhooks = webhooks
        self._secrets: WarehouseSecrets | None = None

    @property
    def renewals(self) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """Answer how the subscriptions of each vendor are made anew."""
        return {"business_central": self.renew_erp, "shiphero": self.renew_wms}

    def give_secrets_to(self, secrets: WarehouseSecrets) -> None:
        """Have the warehouse's new secrets believed by whoever takes its messages."""
        self._secrets = secrets

    async def renew_erp(self) -> int:
        """Subscribe to what is not subscribed to; answer how many were made."""
        if self._erp is None:
            return 0
        return await self._erp.keep_subscribed(f"{self._webhooks}/business_central")

    async def renew_wms(self) -> int:
        """Register with the warehouse anew; answer how many were made."""
        if self._wms is None or self._secrets is None:
            return 0
        given = await self._wms.register_webhooks(f"{self._webhooks}/shiphero")
        await self._secrets.adopt(given)
        return len(given)

    async def run(self) -> None:
        """Subscribe, and see to it every hour; a vendor that does not answer is asked again.

        What the warehouse has registered is left as it is: its secrets were shown once.
        """
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                made = await self.renew_erp()
                if self._wms is not None and not await self._wms.is_registered(
                    f"{self._webhooks}/shiphero"
                ):
                    made += await self.renew_wms()
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
        self,
        systems: Systems,
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
        self._systems = systems
        self._deal_won = deal_won
        self._doubt = doubt
        self._intake = intake
        self._clock = clock
        self._heard = heard
        self._erp_changed = erp_changed
        self._package_told = package_told
        self._wms_secrets = wms_secrets or WarehouseSecrets(systems.shiphero.webhook_secrets)

    async def salesforce(self, raw: RawRequest) -> RawReply:
        """Take an outbound message: each won deal starts its process once, then the Ack."""
        try:
            message = salesforce.parse(raw.body)
        except ValueError:
            raise refuse("malformed-request") from None
        if not message.is_from(self._systems.salesforce.organization_id):
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
            if not business_central.verified(
                raw.body, self._systems.business_central.webhook_secrets
            ):
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
