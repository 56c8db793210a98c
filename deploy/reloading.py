"""`crossdock.toml` read again, at SIGHUP: what the gateway's sections say takes over whole.

The new configuration is read, checked and built beside the running one, off the event loop, and
takes over between two calls (`Gateway.reload`). One with a fault changes nothing: every fault is
logged as `crossdock check` would tell it, and the last good one serves on. What other sections say
takes effect at the next start; the log names those that have changed.
"""

import asyncio
from collections.abc import Callable

from deploy.checking import faults_of
from deploy.profile import Configuration, Settings, configuration
from gateway.application import Gateway
from gateway.call import ConfigFault
from gateway.config import ConfigError
from gateway.lasting import Lasting
from gateway.records import Records

__all__ = ["Reloading"]

Build = Callable[[Configuration, Lasting], Gateway]
"""Builds the gateway that a configuration describes, around what outlasts configurations."""


class Reloading:
    """Reloads one gateway; one reload at a time, in the order they were asked for."""

    def __init__(
        self,
        gateway: Gateway,
        settings: Settings,
        running: Configuration,
        *,
        build: Build,
        records: Records,
        taken: frozenset[str] = frozenset(),
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._running = running
        self._build = build
        self._records = records
        self._taken = taken | {"gateway"}
        self._turn = asyncio.Lock()

    async def __call__(self) -> bool:
        """Answer whether a new configuration serves; the log says why not."""
        async with self._turn:
            made: tuple[Configuration, Gateway] | Exception
            try:
                made = await asyncio.to_thread(self._make)
            except Exception as error:  # noqa: BLE001  told by the gateway, which stays as it is
                made = error

            def build(_: Lasting) -> Gateway:
                if isinstance(made, Exception):
                    raise made
                return made[1]

            taken_over = await self._gateway.reload(build)
            if taken_over and not isinstance(made, Exception):
                self._tell_what_waits(made[0])
            return taken_over

    def _make(self) -> tuple[Configuration, Gateway]:
        faults = _faults(self._settings)
        if faults:
            raise ConfigError(faults)
        configured = configuration(self._settings)
        return configured, self._build(configured, self._gateway.lasting)

    def _tell_what_waits(self, configured: Configuration) -> None:
        waiting = [
            section
            for section in configured.__struct_fields__
            if section not in self._taken
            and getattr(configured, section) != getattr(self._running, section)
        ]
        if waiting:
            self._records.event("configuration_waits_for_a_start", sections=waiting)


def _faults(settings: Settings) -> list[ConfigFault]:
    try:
        return faults_of(settings)
    except OSError as error:
        return [
            ConfigFault(
                place=str(settings.config),
                value=error.strerror or type(error).__name__,
                allowed="a file that can be read",
                remedy="Put it back and send SIGHUP again.",
            )
        ]
