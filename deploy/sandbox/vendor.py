"""What a vendor simulator is given, and what it is to the sandbox."""

from typing import Protocol

import msgspec

from deploy.sandbox.clock import Clock
from deploy.sandbox.faults import FaultSwitch
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.limits import Limits
from deploy.sandbox.pushes import Pushes
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.vault import Vault
from deploy.sandbox.wire import Receive, RequestJournal, Scope, Send
from deploy.sandbox.world import World

__all__ = ["Vendor", "VendorContext"]


class VendorContext(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a simulator may touch. Each vendor package has ``build(context) -> Vendor``."""

    world: World
    ledger: Ledger
    faults: FaultSwitch
    limits: Limits
    clock: Clock
    settings: SandboxSettings
    requests: RequestJournal
    pushes: Pushes

    def vault(self, vendor: str) -> Vault:
        """The vendor's own durable memory, replayed: ``<data>/<vendor>/vault.jsonl``."""
        data = self.settings.data
        return Vault(data / vendor if data is not None else None)


class Vendor(Protocol):
    """One vendor: an ASGI application mounted at ``/<path>``.

    The path in the scope starts after the mount: ``/shiphero/graphql`` arrives as ``/graphql``.
    Behind it ``deploy.sandbox.wire.serve`` does the reading, the faults and the journal.
    """

    name: str  # in ledger, faults and limits: business_central | salesforce | wms
    path: str  # business_central | salesforce | shiphero

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        ...

    def close(self) -> None:
        """Close the vault. A reset closes the vendor, removes its vault and builds it anew."""
        ...
