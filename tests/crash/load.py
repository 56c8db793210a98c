"""A caller who writes down what it asked for and what it was told: half of the oracle.

Every line of its journal is fsynced before the next thing happens, so that it survives whatever
the campaign does. It repeats a call with the same key until it is answered, as a CRM would.
"""

import asyncio
import hashlib
import os
import random
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
from pyreqwest.exceptions import PyreqwestError

from tests.crash.processes import Stage


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one key was answered in the end; `status` 0 means never.

    `amount` is empty where no price was told: of an order accepted on last known data (provisional)
    a line that nobody can price yet says nought, and is priced when it is checked again.
    """

    key: str
    amount: str
    status: int
    body: bytes
    attempts: int
    seconds: float = 0.0


class Caller:
    """Places orders through the gateway as the client `crm`."""

    def __init__(self, stage: Stage, journal: Path, chance: random.Random):
        self._stage = stage
        self._chance = chance
        self._file = journal.open("ab")
        self._token: str | None = None
        self.told: dict[str, Told] = {}
        self.in_flight = 0
        self.statuses: Counter[int] = Counter()
        self.no_time_given: list[str] = []
        """Keys that were told to come back (503) and not when."""
        self._items: list[dict] = []
        self._customers: list[dict] = []

    async def look_around(self) -> None:
        """Pick customers and items from the sandbox's catalogue."""
        response = (
            await self._stage.client.get(f"{self._stage.sandbox}/_sandbox/catalog").build().send()
        )
        catalog = await response.json()
        self._customers = [catalog["customers"]["good"], catalog["customers"]["keyAccount"]]
        items = catalog["items"]
        found = items.values() if isinstance(items, dict) else items
        self._items = [one for one in found if not one.get("blocked") and one.get("stock")]

    def an_order(self) -> dict:
        """A small order at the prices the ERP will find; one or two lines, few pieces."""
        customer = self._chance.choice(self._customers)
        chosen = self._chance.sample(self._items, k=min(2, len(self._items)))
        return {
            "customer": f"bc:{customer['number']}",
            "currency": customer["currency"],
            "lines": [
                {"item": f"bc:{item['number']}", "quantity": str(self._chance.randint(1, 3))}
                for item in chosen
            ],
        }

    async def place(
        self,
        key: str,
        *,
        payload: bytes | None = None,
        give_up_after: float = 30.0,
        wait: int = 0,
    ) -> Told:
        """Place one order under a key, repeating it until answered or the patience ends."""
        payload = payload or msgspec.json.encode(self.an_order())
        self._write(event="asked", key=key, payload=hashlib.sha256(payload).hexdigest())
        started, attempts = time.monotonic(), 0
        self.in_flight += 1
        try:
            while time.monotonic() - started < give_up_after:
                attempts += 1
                answer = await self._once(key, payload, wait)
                if answer is not None:
                    seconds = time.monotonic() - started
                    return self._remember(key, answer, attempts, seconds)
                await asyncio.sleep(0.02 + self._chance.random() * 0.05)
            return self._remember(key, (0, b""), attempts)
        finally:
            self.in_flight -= 1

    async def _once(self, key: str, payload: bytes, wait: int) -> tuple[int, bytes] | None:
        try:
            if self._token is None:
                self._token = await self._sign_in()
            request = self._stage.client.post(f"{self._stage.gateway}/sales/v1/orders").headers(
                {
                    "authorization": f"Bearer {self._token}",
                    "idempotency-key": key,
                    "content-type": "application/json",
                    **({"prefer": f"wait={wait}"} if wait else {}),
                }
            )
            response = await request.body_bytes(payload).build().send()
            body = (await response.bytes()).to_bytes()
        except (PyreqwestError, KeyError):
            return None
        self.statuses[response.status] += 1
        if response.status == 503 and response.headers.get("retry-after") is None:
            self.no_time_given.append(key)
        if response.status == 401:
            self._token = None
            return None
        if response.status in (429, 500, 502, 503, 504) or b"idempotency-in-flight" in body:
            self._write(event="retryable", key=key, status=response.status)
            return None
        return response.status, body

    async def cancels(self, order: str, key: str) -> int | None:
        """Ask once for an order to be taken back; None when the answer says to ask again."""
        if self._token is None:
            self._token = await self._sign_in()
        url = f"{self._stage.gateway}/sales/v1/orders/{order}/cancellations"
        request = self._stage.client.post(url).headers(
            {"authorization": f"Bearer {self._token}", "idempotency-key": key}
        )
        response = await request.body_json({"reason": "The campaign wants it"}).build().send()
        body = await response.text()
        if response.status in (429, 500, 502, 503, 504) or "idempotency-in-flight" in body:
            return None
        return response.status

    async def head_of(self, key: str, payload: bytes) -> bytes:
        """The bytes before the body of an order's call, for whoever writes them to a socket."""
        if self._token is None:
            self._token = await self._sign_in()
        return (
            f"POST /sales/v1/orders HTTP/1.1\r\nhost: 127.0.0.1:{self._stage.port}\r\n"
            f"authorization: Bearer {self._token}\r\nidempotency-key: {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        ).encode()

    async def _sign_in(self) -> str:
        request = self._stage.client.post(f"{self._stage.gateway}/oauth/token").form(
            {
                "grant_type": "client_credentials",
                "client_id": "crm",
                "client_secret": "crm-dev-secret",
            }
        )
        response = await request.build().send()
        return (await response.json())["access_token"]

    def _remember(
        self, key: str, answer: tuple[int, bytes], attempts: int, seconds: float = 0.0
    ) -> Told:
        status, body = answer
        amount = ""
        if status in (200, 201, 202):
            amount = _amount_of(msgspec.json.decode(body))
        told = Told(
            key=key, amount=amount, status=status, body=body, attempts=attempts, seconds=seconds
        )
        self._write(event="told", key=key, status=status, amount=amount, attempts=attempts)
        self.told[key] = told
        return told

    def _write(self, **line: object) -> None:
        self._file.write(msgspec.json.encode({**line, "at": time.time()}) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the journal."""
        self._file.close()


def _amount_of(order: dict) -> str:
    unpriced = any(Decimal(line["unitPrice"]["amount"]) == 0 for line in order["lines"])
    if order["commercial"] == "provisional" and unpriced:
        return ""
    return str(order["netAmount"]["amount"])


class Operator:
    """Works the exception queue through the gateway as the client `operator`."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self._token: str | None = None
        self._keys = 0

    async def exceptions(self) -> list[str]:
        """The ids of every open exception."""
        found: list[str] = []
        cursor = ""
        while True:
            page = await self.call("GET", f"/operations/v1/exceptions?limit=200{cursor}")
            found += [one["exception"]["id"] for one in page["exceptions"]]
            if not page.get("cursor"):
                return found
            cursor = f"&cursor={page['cursor']}"

    async def remedies(self, exception: str, action: str) -> None:
        """Apply a remedy; one that somebody else applied already is none of ours."""
        self._keys += 1
        path = f"/operations/v1/exceptions/{exception}/remedies"
        body = {"action": action, "note": "The campaign is over"}
        await self.call("POST", path, body, key=f"remedy-{id(self)}-{self._keys}")

    async def state(self, order: str) -> str:
        """How an order stands on the commercial axis."""
        return (await self.call("GET", f"/sales/v1/orders/{order}"))["commercial"]

    async def call(self, method: str, path: str, body: object = None, key: str = "") -> dict:
        """Call the gateway as the operator; the body of the answer."""
        if self._token is None:
            self._token = await self._sign_in()
        request = self._stage.client.request(method, self._stage.gateway + path).headers(
            {"authorization": f"Bearer {self._token}", **({"idempotency-key": key} if key else {})}
        )
        if body is not None:
            request = request.body_json(body)
        return await (await request.build().send()).json()

    async def _sign_in(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": "operator",
            "client_secret": "operator-dev-secret",
        }
        url = f"{self._stage.gateway}/oauth/token"
        response = await self._stage.client.post(url).form(form).build().send()
        return (await response.json())["access_token"]
