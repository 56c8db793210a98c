"""Key sources that are wrong as real ones have been, each with the scene that must show it."""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from gateway.keys import RemoteKeys, VerifyingKey
from gateway.tokens import Trust, Verifier
from runtime.clock import Clock


class EveryCallerFetches(RemoteKeys):
    """No single flight, no cooldown."""

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        await self._load()
        return self.find(kid)


class NoStaleKeys(RemoteKeys):
    """Keys past their freshness are not used."""

    def find(self, kid: str | None) -> VerifyingKey | None:
        if self._clock.monotonic() - self._fetched > self._fresh:
            return None
        return super().find(kid)


class RubbishDisplaces(RemoteKeys):
    """What cannot be read leaves no keys behind."""

    def _failed(self, error: str) -> None:
        super()._failed(error)
        self._keys = {}


class NeverLooksAgain(RemoteKeys):
    """An unknown name is unknown until the keys are old."""

    async def fetch(self, kid: str | None) -> VerifyingKey | None:
        return self.find(kid) if self.usable else await super().fetch(kid)


class RefusesInThePause(RemoteKeys):
    """Nobody waits for the next look: as most key caches have it."""

    async def _wait_for_next(self) -> None:
        return


class WaitsForTheIssuer(RemoteKeys):
    """Whoever comes when keys are due is made to wait for them."""

    def find(self, kid: str | None) -> VerifyingKey | None:
        if self._running is not None:
            return None
        return super().find(kid)


def _planted(kind: type[RemoteKeys], trusted: Mapping[str, Trust], *, clock: Clock) -> Verifier:
    made = {}
    for name, trust in trusted.items():
        wrong = kind.__new__(kind)
        wrong.__dict__.update(trust.keys.__dict__)
        made[name] = msgspec.structs.replace(trust, keys=wrong)
    return Verifier(made, clock=clock)


DEFECTS: dict[str, tuple[str, Callable[..., Verifier]]] = {
    "every-caller-fetches": ("cold", partial(_planted, EveryCallerFetches)),
    "never-looks-again": ("abrupt", partial(_planted, NeverLooksAgain)),
    "no-stale-keys": ("down", partial(_planted, NoStaleKeys)),
    "refuses-in-the-pause": ("abrupt", partial(_planted, RefusesInThePause)),
    "rubbish-displaces": ("rubbish", partial(_planted, RubbishDisplaces)),
    "waits-for-the-issuer": ("slow", partial(_planted, WaitsForTheIssuer)),
}
"""By name: the scene that must turn red, and the verifier with the defect in it."""
