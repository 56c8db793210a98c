"""webhooks/v1: what vendors push, verified by their connector, handed to whoever must know.

A push is a hint: of a won deal only the id is believed, and a record that changed is only read
again. What starts a process is durable before it is acknowledged.
"""

from collections.abc import Awaitable, Callable, Iterable

from contracts.events.taxonomy import RecordChanged
from contracts.ports.binding import RawReply, RawRequest
from contracts.problems import refuse
from deploy.profile import Systems

DealWon = Callable[[str, str], Awaitable[bool]]
Doubt = Callable[[Iterable[RecordChanged]], object]


class Notifications:
    """Implements `contracts.ports.webhooks.Webhooks`."""

    def __init__(self, systems: Systems, *, deal_won: DealWon, doubt: Doubt) -> None:
        self._systems = systems
        self._deal_won = deal_won
        self._doubt = doubt

    async def salesforce(self, raw: RawRequest) -> RawReply:
        """Take an outbound message: each won deal starts its process once, then the Ack."""
        raise refuse("not-found")

    async def business_central(self, raw: RawRequest) -> RawReply:
        """Answer the handshake; doubt the copies of every record that changed."""
        raise refuse("not-found")

    async def shiphero(self, raw: RawRequest) -> RawReply:
        """Doubt the copies of what changed in the warehouse."""
        raise refuse("not-found")
