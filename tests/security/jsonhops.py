"""Campaign B14: JSON that is wrong, or that two readers read differently, through every hop.

Texts by hand and by mutation go to the real listener and, if admitted, on to a service behind. An
oracle of its own says what each text means, if it means one thing. What means none or two is
answered 400 and reaches nobody; what means one arrives, byte for byte, and every reader on the way
(the gateway's, the tiers', the standard library's) reads the same, to the last digit; two texts
with two meanings never share a fingerprint.
"""

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from contracts.problems import ProblemError, problem
from gateway.call import PASS, Call, Refuse
from gateway.documents import canonical, parse
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.jsontexts import DoubtfulError, meaning, mutated, texts
from tests.security.wired import Wired, request, said, wired
from tests.security.wiredefects import Defect, without

_AT_ONCE = 60
_MUTATIONS = {"smoke": 400, "full": 20_000}
_KIND = "Content-Type: application/json"
_MOST = 262_144


async def _sent(target: Wired, raws: list[bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {
        "admitted": [], "refused": [], "changed": [], "readers differ": [], "fingerprints": [],
        "failed": [],
    }  # fmt: skip
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, raw: bytes) -> None:
        path = f"/wired/v1/tried/{number}"
        async with at_once:
            heard = await said(target.port, request("POST", path, _KIND, body=raw))
        _judged(target, path, raw, heard.status, found)

    await asyncio.gather(*(one(number, raw) for number, raw in enumerate(raws)))
    found["failed"] = target.failures()
    return found


def _judged(target: Wired, path: str, raw: bytes, status: int, found: dict[str, list[str]]) -> None:
    shown = f"{raw[:60]!r} ({len(raw)}): {status}"
    taken = [each.body for each in target.service.taken if each.target == path]
    try:
        meant = meaning(raw)
    except DoubtfulError as doubt:
        if taken or status != 400:
            found["admitted"].append(f"{shown}, {doubt}")
        return
    if not isinstance(meant, dict | list):
        if taken or status != 400:
            found["admitted"].append(f"{shown}, no object")
        return
    if status != 200:
        found["refused"].append(shown)
    elif taken != [raw]:
        found["changed"].append(f"{shown}: {len(taken)} arrived")
    else:
        found["readers differ"] += [f"{shown}: {name}" for name in _differing(raw, meant)]


def _differing(raw: bytes, meant: Any) -> list[str]:
    """Answer which readers read something else than was meant."""
    read = {
        "gateway": parse(raw),
        "msgspec": msgspec.json.decode(raw),
        "standard library": json.loads(raw),
        "its decimals": json.loads(raw, parse_float=Decimal),
    }
    return [name for name, value in read.items() if _exact(value) != _exact(meant)]


def _exact(node: Any) -> Any:
    """The same with every double as the decimal it is written as; types told apart."""
    match node:
        case bool() | None | str():
            return node
        case float():
            return ("number", Decimal(repr(node)))
        case int() | Decimal():
            return ("number", Decimal(node))
        case list():
            return [_exact(each) for each in node]
        case _:
            return {name: _exact(each) for name, each in node.items()}


def _collisions(raws: list[bytes]) -> list[str]:
    """Two texts that mean two things and would be taken for repeats of one another."""
    by_print: dict[bytes, tuple[bytes, Any]] = {}
    collided = []
    for raw in raws:
        try:
            print_of = canonical(parse(raw))
            exact = _exact(json.loads(raw, parse_float=Decimal))
        except (ProblemError, ValueError, RecursionError, ArithmeticError):
            continue
        other = by_print.setdefault(print_of, (raw, exact))
        if other[1] != exact:
            collided.append(f"{raw[:60]!r} and {other[0][:60]!r}")
    return collided


def _standard(call: Call) -> Any:
    """The standard library as it comes: NaN, half characters, the last of two names wins."""
    try:
        call.document = json.loads(call.body or b"")
    except (ValueError, RecursionError):
        return Refuse(problem=problem("malformed-request"))
    return PASS


def _fast(call: Call) -> Any:
    """A quick reader that nobody asked about names written twice."""
    try:
        call.document = msgspec.json.decode(call.body or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Refuse(problem=problem("malformed-request"))
    return PASS


DEFECTS = {
    "standard-library": Defect(plant=lambda gateway: without(gateway, "validate", _standard)),
    "last-name-wins": Defect(plant=lambda gateway: without(gateway, "validate", _fast)),
    "unread": Defect(plant=lambda gateway: without(gateway, "validate")),
}


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    chance = random.Random(seed)
    by_hand = [raw for raw in texts() if len(raw) <= _MOST]
    raws = [*by_hand, *(mutated(chance) for _ in range(_MUTATIONS[size]))]
    async with wired(folder / "sound") as target:
        found = await _sent(target, raws)
        arrived = len(target.service.taken)
    found["fingerprints"] = _collisions(raws)
    caught = {}
    for name, defect in DEFECTS.items():
        async with wired(folder / name, defect) as wrong:
            caught[name] = any((await _sent(wrong, by_hand)).values())
    result = Result(
        campaign="B14",
        what="JSON with no meaning or with two, through gateway and service",
        size=size,
        seed=seed,
        trials=len(raws),
        accepted=arrived,
        faults={"by hand": len(by_hand), "mutations": _MUTATIONS[size]},
        evidence={"arrived": arrived, "refused": len(raws) - arrived},
        violations=found,
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
