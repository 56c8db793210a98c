"""Keeping the vendors telling us what changed.

Subscriptions are made where the connectors are and looked after where their messages are taken;
the port of the accounts is between the two, in one process or over HTTP.

Those of the ERP end after three days by themselves; those of the warehouse last until they are made
anew, which gives them new secrets. Nothing rests on them: whatever they do not tell is found by
looking.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from contracts.outcomes import CallFailedError
from contracts.ports.accounts import Accounts, Renewal, Renewed, SystemName
from contracts.ports.binding import RawRequest
from process_apis.propagation.watching import Notes
from runtime.store.faults import StoreUnavailable
from system_apis.erp.business_central.connector import BusinessCentral
from system_apis.wms.shiphero import notifications as shiphero
from system_apis.wms.shiphero.connector import ShipHero

__all__ = ["Subscriptions", "VendorSubscriptions", "WarehouseSecrets"]

log = logging.getLogger("crossdock.notifications")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds between two attempts: meanwhile what changes is found by looking only."""
_SEEN_TO_EVERY: Final = 3_600.0
"""Seconds; a subscription lives three days, and one bad answer of ours ends it."""
_MOST_SECRETS: Final = 12
_SECRETS: Final = ("webhook-secrets", "shiphero")
_TOLD_BY: Final[tuple[SystemName, ...]] = ("erp", "wms")


class VendorSubscriptions:
    """Makes subscriptions at the vendors, beside their connectors.

    A system without a secret for its messages (None here) is not asked to tell anything.
    """

    def __init__(self, *, erp: BusinessCentral | None, wms: ShipHero | None, webhooks: str) -> None:
        self._erp = erp
        self._wms = wms
        self._webhooks = webhooks

    @property
    def renewals(self) -> Mapping[SystemName, Callable[[Renewal], Awaitable[Renewed]]]:
        """Answer how the subscriptions of each system are renewed."""
        return {"erp": self._renew_erp, "wms": self._renew_wms}

    async def _renew_erp(self, _: Renewal) -> Renewed:
        """What is there is prolonged, and signed with the secret that is configured."""
        if self._erp is None:
            return Renewed(made=0)
        return Renewed(made=await self._erp.keep_subscribed(f"{self._webhooks}/business_central"))

    async def _renew_wms(self, body: Renewal) -> Renewed:
        """What is registered is left as it is, unless it is wanted anew: its secrets were shown."""
        url = f"{self._webhooks}/shiphero"
        if self._wms is None or (not body.anew and await self._wms.is_registered(url)):
            return Renewed(made=0)
        secrets = await self._wms.register_webhooks(url)
        return Renewed(made=len(secrets), secrets=secrets)


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
    """Has the subscriptions renewed, wherever the connectors are, and believes their secrets."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._secrets: WarehouseSecrets | None = None

    @property
    def renewals(self) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """Answer how the subscriptions of each vendor are made anew."""
        return {
            "business_central": partial(self._renew, "erp", anew=True),
            "shiphero": partial(self._renew, "wms", anew=True),
        }

    def give_secrets_to(self, secrets: WarehouseSecrets) -> None:
        """Have the warehouse's new secrets believed by whoever takes its messages."""
        self._secrets = secrets

    async def _renew(self, system: SystemName, *, anew: bool) -> int:
        renewed = await self._accounts.renew_subscriptions(system, Renewal(anew=anew))
        if renewed.secrets and self._secrets is not None:
            await self._secrets.adopt(renewed.secrets)
        return renewed.made

    async def run(self) -> None:
        """Subscribe, and see to it every hour; a vendor that does not answer is asked again."""
        await asyncio.gather(*(self._keep(system) for system in _TOLD_BY))

    async def _keep(self, system: SystemName) -> None:
        pause, anew = _FIRST_PAUSE, False
        while True:
            await asyncio.sleep(pause)
            try:
                made = await self._renew(system, anew=anew)
            except CallFailedError as failed:
                failure = type(failed.failure).__name__
            except StoreUnavailable:
                failure, anew = "store", True  # what the vendor shows once was not kept
            else:
                pause, anew = _SEEN_TO_EVERY, False
                log.info("subscribed", extra={"system": system, "made": made})
                continue
            pause = min(pause * 2, _LONGEST_PAUSE)
            said = {"system": system, "failure": failure, "again_in": pause}
            log.warning("not_subscribed", extra=said)
