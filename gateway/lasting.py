"""What outlives a configuration: counts, circuits, flights and copies of a running gateway.

A reload builds a new gateway around the same `Lasting`, so that nobody's quota begins anew, no
circuit forgets that it is open and a repeated key still finds the first call.
"""

from gateway.copies import Copies
from gateway.identity import KeySources
from gateway.outside import Outside
from gateway.policies.idempotency import Flights
from gateway.policies.quota import LocalMeter
from gateway.policies.shield import Standing
from gateway.records import Metrics
from gateway.tunnels import Tunnels
from runtime.clock import Clock
from runtime.guard.limit import AdaptiveLimit


class Lasting:
    """Made once for the life of a process; handed from configuration to configuration."""

    def __init__(self, clock: Clock) -> None:
        self.metrics = Metrics()
        self.meter = LocalMeter(clock)
        self.owed: dict[str, int] = {}
        """What was admitted while Redis was gone and is still to be counted there."""
        self.standing = Standing()
        self.flights: Flights = {}
        self.copies = Copies()
        self.limits: dict[str, AdaptiveLimit] = {}
        self.key_sources = KeySources(clock)
        self.services: dict[str, Outside] = {}
        self.tunnels = Tunnels()
        self.offers_upgrades = False
        """Whether the listener was started so that a connection can be upgraded."""
        self.draining = False
        self.in_flight = 0

    def __repr__(self) -> str:
        state = "draining" if self.draining else "serving"
        return f"<Lasting {state} {self.in_flight} in flight>"

    def take_over_services(self, services: dict[str, Outside]) -> None:
        """Remember what speaks to each service now: where nothing changes, it goes on."""
        self.services = services

    def close(self) -> None:
        """Let nobody wait for a call that will not land, or for keys that will not come."""
        self.key_sources.close()
        for flight in self.flights.values():
            flight.land(None)
        self.copies.close()
