"""Campaign B5: every operation, asked for one's own, another's, a guessed and a deleted id.

The operations come from the contracts. Those of the channels need a rule here that says where an id
stands; without one the campaign, and so the build, fails. Those inside the company refuse whoever
acts for some accounts only, even one who was given every scope by mistake. Another's id must be
answered as one that never was: same status, same words.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import supported
from tests.crash.processes import Stage
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.caller import Answer, Caller, system
from tests.security.launch import OVERSCOPED

OWN, OTHER = "cust_20001", "cust_20005"
_OWNERS = {"partner-acme": OWN, "partner-globex": OTHER}
_INTERNAL = ("/process/", "/system/", "/operations/", "/gateway/")
_PUBLIC = ("/webhooks",)
"""Verified as each vendor signs; no consumer, no accounts."""
_ROUNDS = {"smoke": 1, "full": 15}
_FORBIDDEN, _UNKNOWN = 403, 404
_DEFECTS = {"everybodys-orders": "cross-tenant", "scopes-ignored": "scopes"}
"""By name, and what each must turn red; both are planted in one system."""

Make = Callable[["Ids"], tuple[str, Any]]


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """One account's ids, as they are put into a call."""

    customer: str
    order: str
    currency: str = "GBP"
    item: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation is asked for an id. `lists` answers a list instead of not at all."""

    make: Make
    lists: bool = False
    knows_no_account: bool = False


def _line(ids: Ids) -> dict[str, Any]:
    return {"item": ids.item, "quantity": "1"}


def _goods(ids: Ids) -> dict[str, Any]:
    return {"customer": ids.customer, "currency": ids.currency, "lines": [_line(ids)]}


def _credit(ids: Ids) -> dict[str, Any]:
    price = {"amount": "1.00", "currency": ids.currency}
    return {**_goods(ids), "lines": [{**_line(ids), "unitPrice": price}]}


RULES: dict[str, Rule] = {
    "sales/v1 check_prices": Rule(make=lambda ids: ("", _goods(ids))),
    "sales/v1 check_credit": Rule(
        make=lambda i: (
            "",
            {"customer": i.customer, "amount": {"amount": "1.00", "currency": i.currency}},
        )
    ),
    "sales/v1 check_tax": Rule(make=lambda i: ("", _tax(i))),
    "sales/v1 validate_quote": Rule(make=lambda ids: ("", _goods(ids))),
    "sales/v1 check_availability": Rule(
        make=lambda ids: ("", {"lines": [_line(ids)]}), knows_no_account=True
    ),
    "sales/v1 place_order": Rule(make=lambda ids: ("", _goods(ids))),
    "sales/v1 credit_order": Rule(make=lambda ids: ("", _credit(ids))),
    "sales/v1 find_orders": Rule(make=lambda ids: (f"?customer={ids.customer}", None)),
    "sales/v1 get_order": Rule(make=lambda ids: (ids.order, None)),
    "sales/v1 order_timeline": Rule(make=lambda ids: (ids.order, None)),
    "sales/v1 cancel_order": Rule(make=lambda ids: (ids.order, {"reason": "changed-mind"})),
    "sales/v1 approve_order": Rule(
        make=lambda ids: (ids.order, {"decision": "approve", "note": "x"})
    ),
    "sales/v1 get_customer": Rule(make=lambda ids: (ids.customer, None)),
}
"""By API and operation. A new operation of a channel needs a row."""


def _tax(ids: Ids) -> dict[str, Any]:
    price = {"amount": "1.00", "currency": ids.currency}
    return {**_goods(ids), "lines": [{**_line(ids), "unitPrice": price}]}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix: an operation of a contract."""

    api: str
    name: str
    method: str
    path: str
    scopes: tuple[str, ...]

    @property
    def key(self) -> str:
        """As in `RULES`."""
        return f"{self.api} {self.name}"

    @property
    def internal(self) -> bool:
        """Whether it is for the company's own clients."""
        return self.path.startswith(_INTERNAL)


def operations() -> Iterator[Operation]:
    """Yield every operation of every contract."""
    for api in supported():
        for path, item in blessed(api)["paths"].items():
            for method, operation in item.items():
                if not isinstance(operation, dict) or "operationId" not in operation:
                    continue
                scopes = [s for each in operation.get("security", ()) for s in each.values()]
                yield Operation(
                    api=api.path.removeprefix("/"), name=operation["operationId"],
                    method=method.upper(), path=api.path + path,
                    scopes=tuple(scopes[0]) if scopes else (),
                )  # fmt: skip


def without_a_rule() -> list[str]:
    """Operations of channels that nobody has said where an id stands in."""
    return [
        each.key
        for each in operations()
        if not each.internal and not each.path.startswith(_PUBLIC) and each.key not in RULES
    ]


class Matrix:
    """Asks, and writes down what must not be."""

    def __init__(self, caller: Caller, chance: random.Random) -> None:
        self._caller = caller
        self._chance = chance
        self.asked = self.controls = 0
        self.found: dict[str, list[str]] = {
            "without a rule": without_a_rule(), "cross-tenant": [], "told apart": [], "scopes": [],
            "own refused": [], "failed": [],
        }  # fmt: skip

    async def ask(self, operation: Operation, ids: Ids, client: str | None) -> Answer:
        """Ask an operation for some ids."""
        rule = RULES.get(operation.key)
        where, body = rule.make(ids) if rule else ("x", {})
        path = operation.path
        while "{" in path:
            path = path[: path.index("{")] + where + path[path.index("}") + 1 :]
        if where.startswith("?"):
            path += where
        body = None if operation.method == "GET" else body
        self.asked += 1
        answer = await self._caller.ask(operation.method, path, body, client=client)
        if answer.status >= 500:
            self.found["failed"].append(f"{operation.key} as {client}: {answer.status}")
        return answer

    async def internal(self, operation: Operation, ids: Ids) -> None:
        """Who acts for some accounts learns nothing inside, whatever its scopes."""
        for client in ("partner-acme", OVERSCOPED):
            answer = await self.ask(operation, ids, client)
            if answer.status != _FORBIDDEN:
                self.found["scopes"].append(f"{operation.key} as {client}: {answer.status}")
        answer = await self.ask(operation, ids, None)
        if answer.status != 401:
            self.found["scopes"].append(f"{operation.key} as nobody: {answer.status}")

    async def channel(self, operation: Operation, own: Ids, foreign: dict[str, Ids]) -> None:
        """One's own is answered; another's is answered as one that never was."""
        rule = RULES[operation.key]
        nobody = await self.ask(operation, own, None)
        if nobody.status != 401:
            self.found["scopes"].append(f"{operation.key} as nobody: {nobody.status}")
        if operation.scopes and not set(operation.scopes) <= _PARTNER_SCOPES:
            refused = await self.ask(operation, own, "partner-acme")
            if refused.status != _FORBIDDEN:
                self.found["scopes"].append(f"{operation.key}: {refused.status} without its scope")
        mine = await self.ask(operation, own, OVERSCOPED)
        if mine.status in (400, _FORBIDDEN, _UNKNOWN) or mine.slug == "customer-unknown":
            self.found["own refused"].append(f"{operation.key}: {mine.status} {mine.said}")
        self.controls += mine.status < 300
        if rule.knows_no_account:
            return
        told = {}
        for kind, ids in foreign.items():
            answer = await self.ask(operation, ids, OVERSCOPED)
            told[kind] = answer
            if answer.status != _UNKNOWN and answer.slug != "customer-unknown":
                self.found["cross-tenant"].append(
                    f"{operation.key}, {kind} {ids}: {answer.status} {answer.slug}"
                )
        for kind, answer in told.items():
            if answer.status >= 400 and answer.said != told["guessed"].said:
                self.found["told apart"].append(f"{operation.key}, {kind}: {answer.said}")
        theirs = await self.ask(operation, foreign["another's"], "crm")
        self.controls += theirs.status < 300


_PARTNER_SCOPES = {"pricing:read", "stock:read", "orders:write", "orders:read"}


async def _orders(caller: Caller, item: str, currencies: dict[str, str]) -> dict[str, str]:
    """Place an order for each partner, and one that is deleted later; answer their ids."""
    placed = {}
    for client, customer in _OWNERS.items():
        for name in (client, f"{client} deleted"):
            order = _goods(
                Ids(customer=customer, order="", item=item, currency=currencies[customer])
            )
            answer = await caller.ask("POST", "/sales/v1/orders", order, client=client)
            assert answer.status in (200, 201, 202), answer.body
            placed[name] = answer.json["id"]
    return placed


def _delete(stage: Stage, order: str) -> int:
    """Delete an order from the store, as an archive job would."""
    (path,) = (stage.folder / "data").glob("*.db")
    with sqlite3.connect(path, timeout=10) as store:
        store.execute("PRAGMA foreign_keys = OFF")
        return store.execute("DELETE FROM process WHERE id = ?", (order,)).rowcount


async def _listed(matrix: Matrix, caller: Caller, placed: dict[str, str]) -> None:
    """No list, however it is narrowed or continued, shows another's order."""
    queries = ["", "?limit=1", *(f"?reference=SEC-{n}" for n in range(1, 8)), "?po=PO-1"]
    cursor = (await caller.ask("GET", "/sales/v1/orders?limit=1", client="partner-globex")).json
    if cursor.get("cursor"):
        queries.append(f"?cursor={cursor['cursor']}")
    for query in queries:
        answer = await caller.ask("GET", f"/sales/v1/orders{query}", client="partner-acme")
        matrix.asked += 1
        shown = [each["id"] for each in answer.json.get("orders", ())]
        if {placed["partner-globex"], placed["partner-globex deleted"]} & set(shown):
            matrix.found["cross-tenant"].append(f"find_orders{query} showed another's")


async def attempt(
    folder: Path, *, rounds: int, seed: int, defect: str = "sound"
) -> tuple[dict[str, list[str]], int, int]:
    """Walk the matrix; violations, questions, and how many controls were answered."""
    chance = random.Random(seed)
    async with system(folder, defect) as stage:
        caller = Caller(stage)
        catalog = await caller.catalog()
        item = f"bc:{catalog['items']['good']['number']}"
        currencies = {}
        for customer in (OWN, OTHER):
            view = await caller.ask("GET", f"/sales/v1/customers/{customer}", client="crm")
            assert view.status == 200, view.body
            currencies[customer] = view.json["customer"]["currency"]
        placed = await _orders(caller, item, currencies)
        await asyncio.sleep(1.0)
        assert _delete(stage, placed["partner-acme deleted"]) == 1
        matrix = Matrix(caller, chance)
        own = Ids(customer=OWN, order=placed["partner-acme"], item=item, currency=currencies[OWN])
        for _ in range(rounds):
            foreign = _foreign(placed, item, currencies[OTHER], chance)
            rows = list(operations())
            chance.shuffle(rows)
            for each in rows:
                if each.internal:
                    await matrix.internal(each, own)
                elif each.key in RULES:
                    await matrix.channel(each, own, foreign)
        await _listed(matrix, caller, placed)
    return matrix.found, matrix.asked, matrix.controls


def _foreign(
    placed: dict[str, str], item: str, currency: str, chance: random.Random
) -> dict[str, Ids]:
    order = placed["partner-globex"]
    guess = "".join(chance.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in order[4:])
    near = order[:-1] + chance.choice([c for c in "0123456789ABCDEF" if c != order[-1]])
    never = f"cust_{chance.randrange(90_000, 99_999)}"
    kinds = {
        "another's": (OTHER, order),
        "guessed": (never, order[:4] + guess),
        "guessed next to another's": (f"bc:{never[5:]}", near),
        "another's by the ERP's number": (f"bc:{OTHER[5:]}", order),
        "deleted": (never, placed["partner-acme deleted"]),
    }
    return {
        kind: Ids(customer=customer, order=one, item=item, currency=currency)
        for kind, (customer, one) in kinds.items()
    }


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    found, asked, controls = await attempt(folder / "sound", rounds=_ROUNDS[size], seed=seed)
    caught = {}
    wrong, _, _ = await attempt(folder / "wrong", rounds=1, seed=seed, defect="nobody-looks")
    for name, red in _DEFECTS.items():
        caught[name] = bool(wrong[red])
    every = list(operations())
    result = Result(
        campaign="B5",
        what="every operation with own, another's, guessed and deleted ids, in every role",
        size=size,
        seed=seed,
        trials=asked,
        accepted=controls,
        faults={"operations": len(every), "of channels": sum(not e.internal for e in every)},
        evidence={"controls answered": controls},
        violations=found,
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
