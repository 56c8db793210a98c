"""The fault switch: a caller sees the fault, and the ledger shows what really happened."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest

from deploy.sandbox.faults import FaultRule, FaultSwitch
from tests.sandbox_callers import (
    ORDER_CREATE,
    WarehouseCaller,
    a_sandbox,
    an_http_client,
    an_order,
)
from tests.serving import free_port, serving

pytestmark = pytest.mark.anyio

ANNOUNCED = b"content-length: "


async def test_a_rule_holds_for_its_count_and_a_clear_ends_it():
    switch = FaultSwitch(["wms", "salesforce"], Random(1))
    switch.arm(FaultRule(system="wms", kind="error_before", operation="order_*", count=2))
    kinds = [await switch.before("wms", "order_create") for _ in range(3)]
    assert [fault and fault.kind for fault in kinds] == ["error_before", "error_before", None]
    assert await switch.before("wms", "orders") is None

    switch.arm(FaultRule(system="wms", kind="outage"))
    assert (await switch.before("wms", "token")).kind == "outage"
    assert await switch.before("salesforce", "token") is None
    assert await switch.before("wms", "push") is None, "an outage is about calls, not pushes"
    assert switch.clear("salesforce") == 0
    assert switch.clear("wms") == 2
    assert await switch.before("wms", "token") is None
    assert {"system": "wms", "operation": "token", "kind": "outage", "count": 1} in (
        switch.acted_out()
    )


async def test_latency_adds_to_another_fault_and_a_share_meets_its_part():
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    switch = FaultSwitch(["wms"], Random(1), sleep)
    switch.arm(FaultRule(system="wms", kind="latency", latency=0.25))
    switch.arm(FaultRule(system="wms", kind="throttle", retry_after=5))
    fault = await switch.before("wms", "orders")
    assert (fault.kind, fault.retry_after, slept) == ("throttle", 5, [0.25])

    switch.clear()
    switch.arm(FaultRule(system="wms", kind="lost_push", share=0.3))
    lost = [await switch.before("wms", "push") for _ in range(1000)]
    assert 250 < sum(fault is not None for fault in lost) < 350


async def test_an_unclear_request_is_refused_with_what_is_allowed():
    async with an_http_client(a_sandbox()) as http:
        for body in (
            {"system": "wsm", "kind": "outage"},
            {"system": "wms", "kind": "explode"},
            {"system": "wms", "kind": "outage", "cuont": 3},
            {"system": "wms", "kind": "outage", "count": 0},
            {"system": "wms", "kind": "error_before", "status": 200},
        ):
            answer = await http.post("/_sandbox/faults", json=body)
            assert answer.status_code == 400, body
            assert "wms" in answer.json()["systems"]
            assert "drop_after" in answer.json()["kinds"]
        assert (await http.get("/_sandbox/faults")).json()["rules"] == []


@pytest.mark.parametrize(
    ("kind", "status", "happened"),
    [
        ("error_before", 502, False),
        ("error_after", 502, True),
        ("outage", 503, False),
        ("throttle", 200, False),
        ("truncated_json", 200, True),
    ],
)
async def test_an_answered_fault_is_in_the_vendors_words_and_the_ledger_knows(
    kind, status, happened
):
    async with an_http_client(a_sandbox()) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        rule = {"system": "wms", "operation": "order_create", "kind": kind, "count": 1}
        await http.post(
            "/_sandbox/faults", json={**rule, "status": status if status > 200 else 503}
        )
        answer = await http.post(
            "/shiphero/graphql", content=create_body("R1"), headers=caller.headers
        )
        assert answer.status_code == status
        if kind == "throttle":
            assert answer.json()["errors"][0]["code"] == 30
        if kind == "truncated_json":
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(answer.content)
        assert [row["externalReference"] for row in await caller.ledger()] == ["R1"] * happened
        assert (await caller.created(("10001", 1), number="R2"))["order_number"] == "R2"


@pytest.mark.parametrize("kind", ["drop_after", "half_answer", "outage", "reset"])
async def test_a_dropped_connection_is_a_dropped_connection_on_the_socket(kind):
    """Neither a status line with a whole body nor a well-ended chunked answer ever arrives."""
    sandbox = a_sandbox()
    async with serving(sandbox) as address, httpx.AsyncClient(base_url=address) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        rule = {"system": "wms", "kind": kind, "status": 0 if kind == "outage" else 503}
        await http.post("/_sandbox/faults", json={**rule, "operation": "order_create", "count": 1})

        received = await asyncio.to_thread(
            raw_post, address, create_body("R1"), caller.headers["authorization"]
        )
        assert not is_whole(received)
        assert bool(received) == (kind == "half_answer")

        happened = kind in {"drop_after", "half_answer"}
        assert len(await caller.ledger()) == happened
        journal = (await http.get("/_sandbox/requests?system=wms")).json()["requests"]
        assert [entry["fault"] for entry in journal if entry["status"] == 0] == [kind]
        assert is_whole(
            await asyncio.to_thread(
                raw_post, address, create_body("R2"), caller.headers["authorization"]
            )
        )


async def test_a_slow_answer_arrives_whole_after_its_time():
    async with serving(a_sandbox()) as address, httpx.AsyncClient(base_url=address) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        rule = {"system": "wms", "operation": "order_create", "kind": "slow_answer"}
        await http.post("/_sandbox/faults", json={**rule, "latency": 0.3, "count": 1})
        started = time.monotonic()
        order = await caller.created(("10001", 1))
        assert time.monotonic() - started >= 0.3
        assert order["order_number"] == "PO-1"


def test_a_killed_sandbox_process_comes_back_with_all_that_it_answered(tmp_path: Path):
    """kill -9 between two orders: tokens, orders, stock and ledger are as they were."""
    port = free_port()
    with a_process(port, tmp_path) as process:
        token, first = create_over_socket(port, None, "R1")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=5)
    with a_process(port, tmp_path):
        _, second = create_over_socket(port, token, "R2")
        assert second["legacy_id"] == first["legacy_id"] + 1
        ledger = httpx.get(f"http://127.0.0.1:{port}/_sandbox/ledger?system=wms").text
        rows = [msgspec.json.decode(line) for line in ledger.splitlines()]
        assert [row["externalReference"] for row in rows] == ["R1", "R2"]
        assert rows[0]["entity"] == first["id"]


def create_body(number: str) -> bytes:
    data = an_order(("10001", 2), number=number)
    return msgspec.json.encode({"query": ORDER_CREATE, "variables": {"data": data}})


def raw_post(address: str, body: bytes, authorization: str) -> bytes:
    """Everything that the socket gives until it ends."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as wire:
        head = (
            f"POST /shiphero/graphql HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
            f"authorization: {authorization}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        wire.sendall(head.encode() + body)
        received = b""
        try:
            while piece := wire.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def is_whole(received: bytes) -> bool:
    """Whether these bytes are a complete HTTP answer."""
    head, ended, body = received.partition(b"\r\n\r\n")
    if not ended:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = head.lower().split(ANNOUNCED)[1].split(b"\r\n")[0]
    return len(body) == int(length)


class a_process:  # noqa: N801  # reads as a phrase
    """The sandbox as the process that users start."""

    def __init__(self, port: int, data: Path) -> None:
        self.command = [
            *(sys.executable, "-m", "deploy.sandbox", "--port", str(port)),
            *("--data", str(data), "--webhook-delay", "0"),
        ]
        self.port = port

    def __enter__(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(self.command)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self.process
        raise TimeoutError("the sandbox did not start")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(timeout=5)


def create_over_socket(port: int, token: str | None, number: str) -> tuple[str, dict]:
    base = f"http://127.0.0.1:{port}/shiphero"
    if token is None:
        given = {"username": "crossdock", "password": "crossdock-sandbox-secret"}
        token = httpx.post(f"{base}/auth/token", json=given).json()["access_token"]
    answer = httpx.post(
        f"{base}/graphql",
        content=create_body(number),
        headers={"authorization": f"Bearer {token}"},
    )
    return token, answer.json()["data"]["order_create"]["order"]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_dropping_connections_costs_no_descriptors():
    """A campaign drops thousands: the sandbox must be there at its end."""
    sandbox = a_sandbox()
    async with serving(sandbox) as address, httpx.AsyncClient(base_url=address) as http:
        caller = WarehouseCaller(http)
        await caller.sign_in()
        rule = {"system": "wms", "kind": "drop_after", "operation": "order_create"}
        await http.post("/_sandbox/faults", json=rule)
        token = caller.headers["authorization"]
        await asyncio.to_thread(raw_post, address, create_body("R0"), token)
        before = descriptors()

        for number in range(1, 9):
            await asyncio.to_thread(raw_post, address, create_body(f"R{number}"), token)

        assert descriptors() <= before + 3
    await sandbox.close()
