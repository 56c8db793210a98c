"""Campaign B6: what a caller may read or would like to be, written into every body.

Every name of any contract's members and every privileged one goes into every object of every write
that does not know it; every member of every object is written twice; a partner names prices of its
own. Each is refused with the place named, and afterwards an order is worth what it was worth.
"""

import asyncio
import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import supported
from tests.crash.processes import Stage
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.caller import Caller, system
from tests.security.launch import EVERYTHING
from tests.security.samples import objects, property_names, sample

PRIVILEGED = (
    "accounts", "scopes", "consumer", "subject", "tenant", "role", "roles", "admin", "isAdmin",
    "plan",
    "owner", "createdBy", "approved", "approvedBy", "creditOverride", "creditStatus", "discount",
    "lineDiscountPercent", "netAmount", "priceSource", "costPrice", "margin", "channel", "placedBy",
    "idempotencyKey", "correlationId", "version", "_id", "__proto__", "constructor", "$ref",
    "@type",
)  # fmt: skip
_AT_ONCE_NAMED = 40
_MOST_BATCHES = {"smoke": 1, "full": 1_000}
_MOST_TWICE = {"smoke": 2, "full": 1_000}
_OWN = "partner-acme"
_DEFECTS = ("bodies-unread", "unknown-dropped")
_BAD = 400
_AT_ONCE = 8


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that takes a JSON body, and a body it takes."""

    key: str
    method: str
    path: str
    schema: dict[str, Any]
    components: dict[str, Any]
    body: Any


def writes() -> Iterator[Write]:
    """Yield every operation of every contract that takes JSON."""
    for api in supported():
        document = blessed(api)
        for path, item in document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema")
                if schema is None:
                    continue
                address = api.path + path
                while "{" in address:
                    end = address.index("}") + 1
                    address = address[: address.index("{")] + "x" + address[end:]
                yield Write(
                    key=f"{api.path[1:]} {operation['operationId']}", method=method.upper(),
                    path=address, schema=schema, components=document["components"],
                    body=sample(schema, document["components"]),
                )  # fmt: skip


def names() -> list[str]:
    """Every name that may be read somewhere, and every privileged one."""
    return sorted(property_names([blessed(api) for api in supported()]) | set(PRIVILEGED))


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for each in path:
        document = document[each]
    return document


def _pointer(path: tuple[str | int, ...]) -> str:
    return "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in path)


def twice(body: Any) -> Iterator[tuple[str, bytes]]:
    """Yield a body once for each member, with that member written twice."""
    places = [(path, name) for path in _places(body, ()) for name in _at(body, path)]
    money = ("amount", "unitPrice", "quantity", "currency", "customer", "item")
    for path, name in sorted(places, key=lambda each: (each[1] not in money, each)):
        marked = copy.deepcopy(body)
        node = _at(marked, path)
        value = node[name]
        node[name] = "@MARK@"
        member = msgspec.json.encode(name) + b":"
        other = b'"9999.00"' if isinstance(value, str) else b"[]"
        raw = msgspec.json.encode(marked)
        for first, last in (
            (msgspec.json.encode(value), other),
            (other, msgspec.json.encode(value)),
        ):
            yield (
                _pointer((*path, name)),
                raw.replace(member + b'"@MARK@"', member + first + b"," + member + last),
            )


def _places(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, dict):
        yield path
        for name, each in node.items():
            yield from _places(each, (*path, name))
    elif isinstance(node, list) and node:
        yield from _places(node[0], (*path, 0))


class Attempt:
    """Writes into one system what must not be written, and notes what was taken."""

    def __init__(self, caller: Caller, chance: random.Random, size: Size) -> None:
        self._caller = caller
        self._chance = chance
        self._size = size
        self.sent = self.injected = self.controls = self.open_objects = 0
        self.found: dict[str, list[str]] = {
            "controls refused": [], "taken": [], "not named": [], "twice": [], "changed": [],
            "failed": [],
        }  # fmt: skip

    async def _ask(self, write: Write, body: Any, query: str = "") -> Any:
        self.sent += 1
        answer = await self._caller.ask(write.method, write.path + query, body, client=EVERYTHING)
        if answer.status == 500:
            self.found["failed"].append(f"{write.key}: {answer.said}")
        return answer

    async def control(self, write: Write) -> None:
        """The body as it should be is not refused for its form."""
        answer = await self._ask(write, write.body)
        self.controls += 1
        if answer.slug in ("invalid-request", "malformed-request"):
            self.found["controls refused"].append(f"{write.key}: {answer.said}")

    async def inject(self, write: Write, every: list[str]) -> None:
        """Put names into each object that does not know them."""
        for path, known, takes_any in objects(write.schema, write.components, write.body):
            if takes_any:
                self.open_objects += 1
                continue
            foreign = [name for name in every if name not in known]
            self._chance.shuffle(foreign)
            batches = range(0, len(foreign), _AT_ONCE_NAMED)
            for start in list(batches)[: _MOST_BATCHES[self._size]]:
                batch = foreign[start : start + _AT_ONCE_NAMED]
                body = copy.deepcopy(write.body)
                _at(body, path).update(dict.fromkeys(batch, "9999.00"))
                self.injected += len(batch)
                self._judge(write, path, batch, await self._ask(write, body))

    def _judge(self, write: Write, path: Any, batch: list[str], answer: Any) -> None:
        if answer.status != _BAD:
            self.found["taken"].append(f"{write.key} at {_pointer(path)}: {answer.status}")
            return
        told = {each["pointer"] for each in answer.said.get("errors", ())}
        silent = [name for name in batch if _pointer((*path, name)) not in told]
        if silent:
            self.found["not named"].append(f"{write.key} at {_pointer(path)}: {silent[:5]}")

    async def write_twice(self, write: Write) -> None:
        """Write members twice, either value last."""
        for place, raw in list(twice(write.body))[: 2 * _MOST_TWICE[self._size]]:
            answer = await self._ask(write, raw)
            if answer.status != _BAD:
                self.found["twice"].append(f"{write.key}: {place} was {answer.status}")

    async def in_the_query(self, write: Write) -> None:
        """Privileged names beside the body do no better."""
        query = "?" + "&".join(f"{name}=1" for name in PRIVILEGED if name.isalnum())
        answer = await self._ask(write, write.body, query)
        if answer.status != _BAD:
            self.found["taken"].append(f"{write.key} in the query: {answer.status}")


async def _worth(caller: Caller, stage: Stage, order: str, key: str) -> tuple[Any, ...]:
    """What an order is worth: as its owner reads it and as the ERP's ledger has it."""
    seen = (await caller.ask("GET", f"/sales/v1/orders/{order}", client=_OWN)).json
    rows = [
        row for row in await stage.ledger("business_central") if row["externalReference"] == key
    ]
    return seen["netAmount"], seen["lines"], [(row["operation"], row["amount"]) for row in rows]


async def _placed(caller: Caller, stage: Stage, key: str, **line: Any) -> Any:
    catalog = await caller.catalog()
    view = await caller.ask("GET", "/sales/v1/customers/cust_20001", client="crm")
    currency = view.json["customer"]["currency"]
    if "unitPrice" in line:
        line["unitPrice"]["currency"] = currency
    wanted = {"item": f"bc:{catalog['items']['good']['number']}", "quantity": "3", **line}
    order = {"customer": "cust_20001", "currency": currency, "lines": [wanted]}
    return await caller.ask("POST", "/sales/v1/orders", order, client=_OWN, key=key)


async def _own_prices(attempt: Attempt, caller: Caller, stage: Stage, net: Any) -> None:
    """A price a partner names is refused, or not what it pays."""
    for at, price in enumerate(("0.01", "0.00", "1.00")):
        line = {"unitPrice": {"amount": price, "currency": ""}}
        answer = await _placed(caller, stage, f"B6-PRICE-{at}", **line)
        attempt.sent += 1
        if answer.status < 400 and answer.json["netAmount"] != net:
            attempt.found["changed"].append(f"{price}: {answer.json['netAmount']} for {net}")


async def attempt_on(folder: Path, *, size: Size, seed: int, defect: str = "sound") -> Attempt:
    """Write everything into one system."""
    async with system(folder, defect) as stage:
        caller = Caller(stage)
        attempt = Attempt(caller, random.Random(seed), size)
        placed = await _placed(caller, stage, "B6-CONTROL")
        assert placed.status < 300, placed.body
        order = placed.json["id"]
        every, all_writes = names(), list(writes())
        await _own_prices(attempt, caller, stage, placed.json["netAmount"])
        for write in all_writes:
            await attempt.control(write)
        await asyncio.sleep(1.0)
        before = await _worth(caller, stage, order, "B6-CONTROL")
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(write: Write) -> None:
            async with at_once:
                await attempt.inject(write, every)
                await attempt.write_twice(write)
                await attempt.in_the_query(write)

        await asyncio.gather(*(one(write) for write in all_writes))
        after = await _worth(caller, stage, order, "B6-CONTROL")
        if before != after:
            attempt.found["changed"].append(f"{before} became {after}")
    return attempt


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    sound = await attempt_on(folder / "sound", size=size, seed=seed)
    caught = {}
    for name in _DEFECTS:
        wrong = await attempt_on(folder / name, size="smoke", seed=seed, defect=name)
        caught[name] = bool(wrong.found["taken"] or wrong.found["twice"])
    result = Result(
        campaign="B6",
        what="readable and privileged properties in every write, every member twice",
        size=size,
        seed=seed,
        trials=sound.sent,
        accepted=sound.controls,
        faults={"writes": len(list(writes())), "names": len(names()), "injected": sound.injected},
        evidence={"controls": sound.controls, "injected": sound.injected},
        violations=sound.found,
        measures={"objects that take any name": float(sound.open_objects)},
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
