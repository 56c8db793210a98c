"""Campaign B1: tokens and keys that are wrong in one way each, and ways to smuggle a right one.

    python -m tests.security.tokens --seed 1

None may reach the tier, none may end in a 5xx, and all but a right token past its time are told the
same body. Before and after, a right token of every issuer must reach the tier: or nothing is shown.
"""

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Issuer
from gateway.tokens import Verifier
from runtime.clock import SystemClock
from tests.crash import result as kept
from tests.security import jwks
from tests.security.defects import DEFECTS
from tests.security.forging import ALGORITHMS, Minter, PrivateKey, jwk
from tests.security.guarded import Answer, Guarded, guarded
from tests.security.vectors import contents, signatures, spelt

Headers = list[tuple[str, str]]
_FULL_CONTENTS = 11
_SMOKE_CONTENTS = 2
_AT_ONCE = 100
_FOREIGN = "https://stranger.example"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the campaign sent and what came of it."""

    seed: int
    issuers: int
    right: int
    vectors: int
    keys: int
    attacks: int
    accepted: list[str]
    failed: list[str]
    """Vectors answered with a 5xx, or by an unexpected failure inside."""
    told_apart: list[str]
    right_refused: list[str]

    @property
    def clean(self) -> bool:
        """Nothing wrong accepted, everything right accepted, and one body for all."""
        return self.vectors > 0 and not (
            self.accepted or self.failed or self.told_apart or self.right_refused
        )


class Issuers:
    """Issuers that publish their keys in memory."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.documents: dict[str, dict[str, Any]] = {}
        self.trusted: dict[str, Issuer] = {}
        self.minters: list[Minter] = []
        self.strangers: list[Minter] = []
        for alg in ALGORITHMS:
            self.minters.append(self._add(alg.lower(), alg))
        self.wrong_keys: list[tuple[str, Minter]] = []
        for n, (name, bad, key, alg) in enumerate(jwks.wrong()):
            minter = self._add(f"jwk-{n}", alg, key=self.of(alg).key)
            self.documents[f"{minter.claims['iss']}/keys"]["keys"].append({**bad, "kid": "bad"})
            minter.key, minter.header["kid"] = key, "bad"
            self.wrong_keys.append((name, minter))
        for each in self.minters:
            # Trusted as well, with the same algorithm: only its key is not the issuer's.
            self.strangers.append(self._add(f"other-{each.alg.lower()}", each.alg))

    def of(self, alg: str) -> Minter:
        """Answer the issuer that signs with an algorithm."""
        return self.minters[ALGORITHMS.index(alg)]

    def _add(self, name: str, alg: str, key: PrivateKey | None = None) -> Minter:
        issuer = f"https://{name}.example"
        minter = Minter(issuer, alg, f"{name}-1", self.now, key=key)
        self.trusted[name] = Issuer(
            url=issuer, audience="crossdock", algorithms=(alg,), jwks_uri=f"{issuer}/keys"
        )
        public = jwk(minter.key, kid=minter.header["kid"], use="sig")
        self.documents[f"{issuer}/keys"] = {"keys": [public]}
        return minter

    async def fetch(self, url: str) -> bytes:
        """Answer a key set."""
        return json.dumps(self.documents[url]).encode()


def attacks(minter: Minter, issuers: Issuers) -> Iterator[tuple[str, Headers, str]]:
    """Yield what surrounds a token, wrong: name, headers, query."""
    good = minter.token()
    bearer = ("authorization", f"Bearer {good}")
    basic = base64.b64encode(f"caller:{good}".encode()).decode()
    for name in ("access_token", "token", "id_token", "jwt", "authorization", "bearer"):
        yield f"query {name}", [], f"{name}={good}"
    for name in (
        "cookie", "x-access-token", "x-auth-token", "proxy-authorization", "x-authorization",
        "x-forwarded-authorization", "x-original-authorization", "x-forwarded-access-token",
        "authentication", "x-jwt-assertion", "x-amzn-oidc-data", "cf-access-jwt-assertion",
        "x-goog-iap-jwt-assertion", "x-api-key", "client-cert", "x-ssl-client-cert",
    ):  # fmt: skip
        yield f"header {name}", [(name, good)], ""
        yield f"header {name} as bearer", [(name, f"Bearer {good}")], ""
    for name in (
        "x-crossdock-consumer", "x-crossdock-subject", "x-crossdock-scopes",
        "x-crossdock-accounts", "x-forwarded-user", "x-remote-user", "remote-user", "x-user-id",
        "x-ms-client-principal", "x-webauth-user",
    ):  # fmt: skip
        yield f"identity in {name}", [(name, "caller")], ""
    for scheme in (
        "Basic", "DPoP", "JWT", "Token", "MAC", "Negotiate", "Digest", "Bearer:", "Bearer,",
        "Bearerx", "xBearer", "OAuth", "GNAP", "",
    ):  # fmt: skip
        yield f"scheme {scheme!r}", [("authorization", f"{scheme} {good}".strip())], ""
    yield "basic", [("authorization", f"Basic {basic}")], ""
    yield "two headers, both right", [bearer, bearer], ""
    yield "two headers, wrong first", [("authorization", "Bearer x"), bearer], ""
    yield "two headers, wrong last", [bearer, ("authorization", "Bearer x")], ""
    yield "a token and a key", [bearer, ("x-api-key", "xdk_aaaaaaaaaaaa_x")], ""
    for name, value in {
        "two tokens": f"Bearer {good} {good}",
        "two schemes": f"Bearer Bearer {good}",
        "a comma before": f"Bearer ,{good}",
        "two spaces": f"Bearer  {good}",
        "a tab": f"Bearer\t{good}",
        "no space": f"Bearer{good}",
        "a parameter": f"Bearer {good}; a=b",
        "a realm": f'Bearer realm="x", token="{good}"',
        "nothing": "Bearer",
        "a space and nothing": "Bearer ",
        "a comma": "Bearer a, Bearer " + good,
        "a null byte": f"Bearer {good}\0",
        "a header inside": f"Bearer {good}\r\nx-crossdock-consumer: crm",
        "trailing spaces": f"Bearer {good}   ",
    }.items():
        yield f"bearer, {name}", [("authorization", value)], ""
    unknown = Minter(_FOREIGN, "ES256", "k", issuers.now)
    for name, token in {
        "of an issuer nobody trusts": unknown.token(),
        "of an issuer nobody trusts, jku of its own": unknown.token({"jku": f"{_FOREIGN}/keys"}),
        "of a trusted issuer with a slash more": minter.token(
            claims={"iss": minter.claims["iss"] + "/"}
        ),
        "of a trusted issuer in capitals": minter.token(
            claims={"iss": minter.claims["iss"].upper()}
        ),
        "of a subdomain": minter.token(
            claims={"iss": minter.claims["iss"].replace("https://", "https://a.")}
        ),
        "with a user before the host": minter.token(
            claims={"iss": minter.claims["iss"].replace("https://", "https://evil@")}
        ),
        "of the gateway itself": minter.token(claims={"iss": "http://127.0.0.1:8080"}),
        "an ID token": minter.token({"typ": "JWT"}, {"nonce": "n", "at_hash": "h"}),
        "a refresh token": minter.token({"typ": "refresh+jwt"}),
        "a client assertion": minter.token({"typ": "JWT"}, {"aud": f"{_FOREIGN}/oauth/token"}),
        "a security event": minter.token({"typ": "secevent+jwt"}, {"events": {}}),
    }.items():
        yield name, [("authorization", f"Bearer {token}")], ""


async def campaign(
    folder: Path,
    *,
    seed: int,
    full: bool,
    verifier: Callable[..., Verifier] = Verifier,
    issuers: Issuers | None = None,
) -> Result:
    """Send everything; the order is drawn by the seed, which must not matter.

    Keys are new in every run, whatever the seed, unless `issuers` are handed in.
    """
    issuers = issuers or Issuers(int(SystemClock().now().timestamp()))
    target = guarded(folder, issuers.trusted, issuers.fetch, verifier=verifier)
    await target.gateway.startup()
    try:
        return await _run(target, issuers, random.Random(seed), seed=seed, full=full)
    finally:
        await target.gateway.shutdown()


async def _run(
    target: Guarded, issuers: Issuers, chance: random.Random, *, seed: int, full: bool
) -> Result:
    bare, _ = await target.ask()
    refused = await _right(target, issuers)
    sent: list[tuple[str, Headers, str]] = [
        (f"{minter.alg}: {name}", [("authorization", f"Bearer {token}")], "")
        for n, (minter, stranger) in enumerate(zip(issuers.minters, issuers.strangers, strict=True))
        for name, token in _vectors(
            minter,
            stranger,
            whole=n % _FULL_CONTENTS < (_FULL_CONTENTS if full else _SMOKE_CONTENTS),
        )
    ]
    vectors = len(sent)
    keys = [
        (f"JWK: {name}", [("authorization", f"Bearer {minter.token()}")], "")
        for name, minter in issuers.wrong_keys
    ]
    around = list(attacks(issuers.of("ES256"), issuers))
    sent += keys + around
    chance.shuffle(sent)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def ask(headers: Headers, query: str) -> tuple[Answer, bool]:
        async with at_once:
            return await target.ask(headers, query=query)

    # Many at once: who names a key that nobody has waits for the same one look at the issuer.
    answers = await asyncio.gather(*(ask(each[1], each[2]) for each in sent))
    accepted, failed, apart = _judged(sent, answers, bare)
    failed += [
        str(fields) for name, fields in target.heard.events if name == "call_failed_unexpectedly"
    ]
    return Result(
        seed=seed,
        issuers=len(issuers.trusted),
        right=2 * (len(issuers.minters) + len(issuers.wrong_keys)),
        vectors=vectors,
        keys=len(keys),
        attacks=len(around),
        accepted=accepted,
        failed=failed,
        told_apart=apart,
        right_refused=refused + await _right(target, issuers),
    )


def _vectors(minter: Minter, stranger: Minter, *, whole: bool) -> Iterator[tuple[str, str]]:
    yield from signatures(minter, stranger)
    if whole:
        yield from contents(minter)
        yield from spelt(minter)


async def _right(target: Guarded, issuers: Issuers) -> list[str]:
    """Answer which issuers' right tokens were refused; the control of the whole."""
    refused = []
    for minter in issuers.minters:
        answer, reached = await target.token(minter.token())
        if answer.status != 200 or not reached:
            refused.append(minter.alg)
    for name, minter in issuers.wrong_keys:
        # The good key beside the bad one is taken: a set is read whole, not refused whole.
        good = minter.token({"kid": f"{minter.name}-1"}, key=issuers.of(minter.alg).key)
        answer, reached = await target.token(good)
        if not reached:
            refused.append(f"beside {name}: {answer.slug}")
    return refused


_AMBIGUOUS = frozenset({"ambiguous-request", "headers-too-large"})
"""Refused before any credential is read; each with its own body."""


def _judged(
    sent: list[tuple[str, Headers, str]], answers: list[tuple[Answer, bool]], bare: Answer
) -> tuple[list[str], list[str], list[str]]:
    accepted, failed, apart = [], [], []
    for (name, _, _), (answer, reached) in zip(sent, answers, strict=True):
        if reached or answer.status < 400:
            accepted.append(name)
        elif answer.status >= 500:
            failed.append(f"{name}: {answer.status} {answer.slug}")
        elif answer.slug in _AMBIGUOUS:
            continue
        elif (answer.status, answer.body) != (bare.status, bare.body):
            apart.append(f"{name}: {answer.status} {answer.slug}")
        elif "resource_metadata=" not in (answer.challenge or ""):
            apart.append(f"{name}: {answer.challenge}")
    return accepted, failed, apart


async def run(folder: Path, *, size: kept.Size, seed: int) -> list[kept.Result]:
    """The campaign and its defects, as it is kept."""
    watch = kept.Stopwatch()
    issuers = Issuers(int(SystemClock().now().timestamp()))
    found = await campaign(folder / "sound", seed=seed, full=size == "full", issuers=issuers)
    caught = {}
    for name, verifier in DEFECTS.items():
        wrong = await campaign(
            folder / name, seed=seed, full=False, verifier=verifier, issuers=issuers
        )
        caught[name] = bool(wrong.accepted)
    result = kept.Result(
        campaign="B1",
        what="tokens and keys that are wrong in one way each, and ways to smuggle a right one",
        size=size,
        seed=seed,
        trials=found.vectors + found.keys + found.attacks,
        accepted=found.right,
        faults={"vectors": found.vectors, "keys": found.keys, "attacks": found.attacks},
        evidence={"right tokens taken": found.right},
        violations={
            "accepted": found.accepted, "failed": found.failed, "told apart": found.told_apart,
            "right refused": found.right_refused,
        },
    )  # fmt: skip
    return [kept.whole(result, defects=caught, seconds=watch.seconds)]


def main() -> int:
    """Run the campaign; the result is one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--defect", choices=sorted(DEFECTS))
    asked = parser.parse_args()
    verifier = DEFECTS[asked.defect] if asked.defect else Verifier
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            campaign(Path(folder), seed=asked.seed, full=not asked.smoke, verifier=verifier)
        )
    verdict = {**msgspec.to_builtins(found), "clean": found.clean}
    print(msgspec.json.encode(verdict).decode())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
