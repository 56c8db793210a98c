"""Campaign B3: an issuer that rotates, is slow, is down or talks rubbish, and those who flood it.

    python -m tests.security.keys --seed 1 --rounds 50

The issuer is on a real socket and counts what it is asked. Which tokens are right is known here
and not asked of the gateway. No right token may be refused, no other accepted, and the issuer may
not be asked more often than it must.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gateway.config import Issuer
from gateway.fetching import Fetcher
from gateway.tokens import Verifier
from runtime.clock import SystemClock
from tests.crash import result as kept
from tests.security.forging import Minter, a_key, jwk
from tests.security.guarded import Guarded, guarded
from tests.security.issuing import FaultyIssuer
from tests.security.keydefects import DEFECTS

FRESH, STALE = 600.0, 86_400.0
_OK, _UNAUTHORIZED, _LATER = 200, 401, 503


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, what the issuer was asked, and what went wrong."""

    seed: int
    rounds: int
    scenes: int
    right: int
    wrong: int
    fetches: int
    faults: int
    """Times the issuer was made to fail, and was seen to."""
    violations: list[str]

    @property
    def clean(self) -> bool:
        """Nothing went wrong, and the faults did happen."""
        return self.right > 0 and self.faults > 0 and not self.violations


class Ahead(SystemClock):
    """The system's clock, set forward as a scene asks."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Scene:
    """One gateway, cold, before one issuer."""

    def __init__(self, target: Guarded, issuer: FaultyIssuer, clock: Ahead, chance: random.Random):
        self.target = target
        self.issuer = issuer
        self.clock = clock
        self.chance = chance
        self.right = self.wrong = self.faults = self.fetched = 0
        self.violations: list[str] = []

    def token(self, minter: Minter | None = None, **header: str) -> str:
        """Mint a token that is right now and like no other."""
        minter = minter or self.issuer.published[0]
        now = int(self.clock.now().timestamp())
        claims = {"iat": now, "exp": now + 600, "jti": f"{self.chance.getrandbits(64):x}"}
        return minter.token(header, claims)

    async def accepts(self, *tokens: str) -> None:
        """Right tokens, at once: each must reach the tier."""
        self.right += len(tokens)
        for answer, reached in await asyncio.gather(*map(self.target.token, tokens)):
            if not reached or answer.status != _OK:
                self.violations.append(f"right token: {answer.status} {answer.slug}")

    async def refuses(self, *tokens: str, may_be_later: bool = False) -> None:
        """Wrong tokens, at once: none may reach the tier, none may end in a fault."""
        self.wrong += len(tokens)
        allowed = {_UNAUTHORIZED, _LATER} if may_be_later else {_UNAUTHORIZED}
        for answer, reached in await asyncio.gather(*map(self.target.token, tokens)):
            if reached or answer.status not in allowed:
                self.violations.append(f"wrong token: {answer.status} {answer.slug}")

    async def puts_off(self, *tokens: str) -> None:
        """Tokens that nobody can judge now: not refused, not accepted, told when to come again."""
        self.right += len(tokens)
        for answer, reached in await asyncio.gather(*map(self.target.token, tokens)):
            if reached or answer.status != _LATER or answer.retry_after is None:
                self.violations.append(f"token without keys: {answer.status} {answer.slug}")

    def asked(self, most: int, *, least: int = 0) -> None:
        """Hold the issuer's own count of key set requests, and begin it anew."""
        count = self.issuer.asked.pop("/keys", 0)
        self.fetched += count
        if not least <= count <= most:
            self.violations.append(f"asked {count} times, {least} to {most} expected")

    def failing(self) -> None:
        """Count a fault that was seen: the issuer was asked while it failed."""
        if self.issuer.asked["/keys"] + self.issuer.asked["/.well-known/openid-configuration"]:
            self.faults += 1
        else:
            self.violations.append("the fault met nobody: void")


async def cold(s: Scene) -> None:
    """Five hundred callers find a gateway that has no key yet: one fetch."""
    s.issuer.delay = 0.05
    await s.accepts(*(s.token() for _ in range(500)))
    s.asked(1, least=1)


async def overlapping(s: Scene) -> None:
    """Old and new key are published together; tokens of both are right."""
    for _ in range(3):
        old = s.issuer.published[0]
        await s.accepts(s.token())
        s.issuer.rotate(overlap=True)
        await s.accepts(
            *(s.token(s.chance.choice([old, s.issuer.published[0]])) for _ in range(20))
        )
    s.asked(4, least=2)


async def abrupt(s: Scene) -> None:
    """The new key replaces the old at once, right after the gateway looked."""
    for _ in range(3):
        await s.accepts(s.token())
        s.issuer.rotate(overlap=False)
        await s.accepts(*(s.token() for _ in range(20)))
    s.asked(4, least=3)


async def flooded(s: Scene) -> None:
    """Five hundred invented names at once among right tokens, then a rotation in the midst."""
    await s.accepts(s.token())
    s.asked(1)
    invented = [s.token(kid=f"k{s.chance.getrandbits(64):x}") for _ in range(500)]
    right = [s.token() for _ in range(50)]
    await asyncio.gather(s.refuses(*invented), s.accepts(*right))
    s.asked(2, least=1)  # a machine so busy that it takes longer than the cooldown asks once more
    s.issuer.rotate(overlap=False)
    again = [s.token(kid=f"k{s.chance.getrandbits(64):x}") for _ in range(200)]
    await asyncio.gather(s.refuses(*again), s.accepts(*(s.token() for _ in range(20))))
    s.asked(3, least=1)


async def down(s: Scene) -> None:
    """The issuer is away for most of a day; its keys go on serving, and then no longer."""
    await s.accepts(s.token())
    s.issuer.asked.clear()
    s.issuer.down = True
    for _ in range(5):
        s.clock.ahead += STALE / 6
        await s.accepts(*(s.token() for _ in range(10)))
        await asyncio.sleep(0.02)
    s.failing()
    stranger = Minter(s.issuer.url, "ES256", s.issuer.published[0].header["kid"], s.issuer.now)
    await s.refuses(s.token(stranger))
    await s.refuses(s.token(kid="unknown"), may_be_later=True)
    s.clock.ahead += STALE
    await s.puts_off(s.token())
    s.issuer.down = False
    s.clock.ahead += 60
    await s.accepts(*(s.token() for _ in range(10)))


async def away_at_first(s: Scene) -> None:
    """A cold gateway and no issuer: callers are asked to come again, and then are right."""
    s.issuer.down = True
    await s.puts_off(*(s.token() for _ in range(20)))
    s.failing()
    s.issuer.down = False
    s.clock.ahead += 60
    await s.accepts(*(s.token() for _ in range(20)))


async def slow(s: Scene) -> None:
    """The issuer takes its time; nobody with a known key waits for it."""
    await s.accepts(s.token())
    s.issuer.asked.clear()
    s.issuer.delay = 1.5
    s.clock.ahead += FRESH + 1
    await s.accepts(s.token())
    await asyncio.sleep(0.05)
    await s.accepts(*(s.token() for _ in range(20)))
    if not s.issuer.pending:
        s.violations.append("right tokens waited for the issuer")
    s.failing()


async def rubbish(s: Scene) -> None:
    """What is no key set displaces none; what is a bad one is not used."""
    await s.accepts(s.token())
    mine = Minter(s.issuer.url, "ES256", "planted", s.issuer.now)
    for status, headers, body in _rubbish(mine):
        s.issuer.asked.clear()
        s.issuer.fault = (status, headers, body)
        s.clock.ahead += FRESH + 31
        await s.accepts(s.token())
        for _ in range(40):
            await asyncio.sleep(0.005)
            if s.issuer.asked["/keys"] and not s.issuer.pending:
                break
        s.failing()
        await s.accepts(*(s.token() for _ in range(5)))
        await s.refuses(s.token(mine), may_be_later=True)
    s.issuer.fault = None
    s.clock.ahead += FRESH + 31
    s.issuer.rotate(overlap=False)
    await s.accepts(s.token())


def _rubbish(mine: Minter) -> list[tuple[int, str, bytes]]:
    planted = jwk(mine.key, kid="planted")
    good = json.dumps({"keys": [planted]}).encode()
    return [
        (200, "", b""),
        (200, "", b"<html>maintenance</html>"),
        (200, "", b"{}"),
        (200, "", b"[]"),
        (200, "", b"null"),
        (200, "", b'{"keys": []}'),
        (200, "", b'{"keys": {}}'),
        (200, "", b'{"keys": [null, 7, "x", [], {}]}'),
        (200, "", b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "planted"}]}'),
        (200, "", good[:-3]),
        (200, "", b"\xff\xfe" + good),
        (200, "", b"\x1f\x8b\x08" + bytes(200)),
        (200, "", b"[" * 100_000),
        (200, "", good + b" " * 600_000),
        (200, "", json.dumps({"keys": [planted, planted]}).encode()),
        (200, "", json.dumps({"keys": [{**planted, "use": "enc"}]}).encode()),
        (200, "", json.dumps({"keys": [{**planted, "alg": ["ES256"]}]}).encode()),
        (200, "", json.dumps({"keys": [planted] + [jwk(a_key("EdDSA"))] * 300}).encode()),
        (204, "", b""),
        (302, "Location: /other\r\n", good),
        (404, "", good),
        (500, "", good),
    ]


SCENES: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "cold": cold,
    "overlapping": overlapping,
    "abrupt": abrupt,
    "flooded": flooded,
    "down": down,
    "away-at-first": away_at_first,
    "slow": slow,
    "rubbish": rubbish,
}


async def campaign(
    folder: Path,
    *,
    seed: int,
    rounds: int = 1,
    scenes: tuple[str, ...] = tuple(SCENES),
    verifier: Callable[..., Verifier] = Verifier,
) -> Result:
    """Play every scene so many times, each with a cold gateway and an issuer of its own."""
    chance = random.Random(seed)
    played: list[Scene] = []
    violations = []
    for number in range(rounds):
        for name in chance.sample(scenes, len(scenes)):
            scene = await _play(folder / f"{number}-{name}", name, chance, verifier)
            played.append(scene)
            violations += [f"{name}: {each}" for each in scene.violations]
    return Result(
        seed=seed,
        rounds=rounds,
        scenes=len(played),
        right=sum(each.right for each in played),
        wrong=sum(each.wrong for each in played),
        fetches=sum(each.fetched for each in played),
        faults=sum(each.faults for each in played),
        violations=violations,
    )


async def _play(
    folder: Path, name: str, chance: random.Random, verifier: Callable[..., Verifier]
) -> Scene:
    clock = Ahead()
    issuer = FaultyIssuer(int(clock.now().timestamp()))
    await issuer.start()
    fetcher = Fetcher()
    trusted = {
        "faulty": Issuer(
            url=issuer.url,
            audience="crossdock",
            algorithms=("ES256",),
            fresh_seconds=FRESH,
            stale_seconds=STALE,
        )
    }
    target = guarded(folder, trusted, fetcher, verifier=verifier, clock=clock)
    await target.gateway.startup()
    scene = Scene(target, issuer, clock, chance)
    try:
        await SCENES[name](scene)
    finally:
        await target.gateway.shutdown()
        await fetcher.close()
        await issuer.stop()
    unexpected = [f for event, f in target.heard.events if event == "call_failed_unexpectedly"]
    scene.violations += [str(each) for each in unexpected]
    return scene


_ROUNDS = {"smoke": 1, "full": 50}


async def run(folder: Path, *, size: kept.Size, seed: int) -> list[kept.Result]:
    """The campaign and its defects, as it is kept."""
    watch = kept.Stopwatch()
    found = await campaign(folder / "sound", seed=seed, rounds=_ROUNDS[size])
    caught = {}
    for name, (scene, verifier) in DEFECTS.items():
        wrong = await campaign(folder / name, seed=3, scenes=(scene,), verifier=verifier)
        caught[name] = bool(wrong.violations)
    result = kept.Result(
        campaign="B3",
        what="an issuer that rotates, is slow, is down or talks rubbish, and who floods it",
        size=size,
        seed=seed,
        trials=found.right + found.wrong,
        accepted=found.right,
        faults={"scenes": found.scenes, "failures of the issuer": found.faults},
        evidence={"failures met": found.faults, "fetches": found.fetches},
        violations={"violations": found.violations},
    )
    return [kept.whole(result, defects=caught, seconds=watch.seconds)]


def main() -> int:
    """Run the campaign; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--defect", choices=sorted(DEFECTS))
    asked = parser.parse_args()
    verifier = DEFECTS[asked.defect][1] if asked.defect else Verifier
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            campaign(Path(folder), seed=asked.seed, rounds=asked.rounds, verifier=verifier)
        )
    print(msgspec.json.encode({**msgspec.to_builtins(found), "clean": found.clean}).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
