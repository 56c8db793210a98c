"""The processes of a campaign: the sandbox with its ledgers, and the system under test.

The system runs as its users run it, as a process of its own; a campaign starts it, kills it with
SIGKILL and starts it again. The sandbox is the world outside: it is never killed by these.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from tests.crash.provisions import fill_shelves, grant_credit
from tests.postgres_server import a_postgresql_database
from tests.serving import free_port

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One process of the campaign and the address that says whether it is ready."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path, ready: str):
        self._command = list(command)
        self._environment = dict(environment)
        self._log = log
        self._ready = ready
        self._popen: subprocess.Popen[bytes] | None = None
        self.pids: list[int] = []

    def start(self) -> None:
        """Start it in a session of its own, so that a kill reaches it alone."""
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.pids.append(self._popen.pid)

    async def ready(self, client: Client, *, within: float = 20.0) -> float:
        """Wait until it answers; return the seconds that took. Raises with its log if it dies."""
        started = time.monotonic()
        while time.monotonic() - started < within:
            with contextlib.suppress(PyreqwestError):
                response = await client.get(self._ready).build().send()
                if response.status == 200:
                    return time.monotonic() - started
            if not self.running:
                raise AssertionError(f"{self._command[-3:]} died:\n{self.log_tail()}")
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self._ready} did not answer in {within} s:\n{self.log_tail()}")

    def dies_at(self, point: str | None) -> None:
        """From the next start on, kill itself at the n-th passing of a named point (`name:n`)."""
        self._environment.pop("CROSSDOCK_CRASH_AT", None)
        if point is not None:
            self._environment["CROSSDOCK_CRASH_AT"] = point

    async def dead(self, *, within: float) -> bool:
        """Whether it ends by itself within so many seconds."""
        started = time.monotonic()
        while time.monotonic() - started < within:
            if not self.running:
                return True
            await asyncio.sleep(0.01)
        return False

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._popen is not None and self._popen.poll() is None

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGKILL)
            self._popen.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it does not listen."""
        if self._popen is not None and self.running:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def log_tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


Store = Literal["sqlite", "postgresql"]


class Stage:
    """Sandbox, system and a client, on ports of their own and a data directory of their own.

    On PostgreSQL `workers` more processes carry orders on beside the system.
    """

    def __init__(
        self,
        folder: Path,
        *,
        launcher: Sequence[str],
        extra: dict[str, str],
        store: Store = "sqlite",
        workers: int = 0,
    ):
        self.port, self.sandbox_port = free_port(), free_port()
        self.gateway = f"http://127.0.0.1:{self.port}"
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        self.folder = folder
        self.environment = {
            **os.environ,
            "CROSSDOCK_PORT": str(self.port),
            "CROSSDOCK_SANDBOX_PORT": str(self.sandbox_port),
            "CROSSDOCK_DATA": str(folder / "data"),
            **({"CROSSDOCK_STORE_URL": a_postgresql_database()} if store == "postgresql" else {}),
            **extra,
        }
        self.store = store
        self.vendors = Process(
            [sys.executable, "-m", "deploy.sandbox", "--limits", "off"],
            self.environment, folder / "sandbox.log", f"{self.sandbox}/_sandbox/healthz",
        )  # fmt: skip
        self.system = Process(
            [sys.executable, *launcher], self.environment, folder / "system.log",
            f"{self.gateway}/readyz",
        )  # fmt: skip
        self.workers = [self._worker(number, launcher) for number in range(workers)]
        self.client = ClientBuilder().build()

    def _worker(self, number: int, launcher: Sequence[str]) -> Process:
        """A worker beside the system; planted defects are its own, too."""
        port = free_port()
        module = (
            ["-m", "tests.crash.launch", launcher[2], "--worker"]
            if launcher[1:2] == ("tests.crash.launch",)
            else ["-m", "deploy.cli", "worker", "--port", str(port)]
        )
        environment = {
            **self.environment,
            "CROSSDOCK_NODE": f"worker-{number}",
            "CROSSDOCK_PORT": str(port),
            "CROSSDOCK_DATA": str(self.folder / f"worker-{number}"),
        }
        return Process(
            [sys.executable, *module], environment, self.folder / f"worker-{number}.log",
            f"http://127.0.0.1:{port}/readyz",
        )  # fmt: skip

    async def provide(self) -> None:
        """Credit and stock enough for whatever a campaign orders."""
        told = await self.client.get(f"{self.sandbox}/_sandbox/catalog").build().send()
        catalog = await told.json()
        numbers = [catalog["customers"][why]["number"] for why in ("good", "keyAccount")]
        await grant_credit(self.client, self.sandbox, numbers)
        await fill_shelves(self.client, self.sandbox, catalog)

    async def ledger_since(self, sequence: int) -> list[dict]:
        """Every row of all vendors' ledgers after a sequence number, oldest first."""
        url = f"{self.sandbox}/_sandbox/ledger?since={sequence}"
        content = (await (await self.client.get(url).build().send()).bytes()).to_bytes()
        return [msgspec.json.decode(line) for line in content.splitlines() if line]

    async def ledger(self, system: str) -> list[dict]:
        """Every row of a vendor's ledger: what really happened there."""
        response = (
            await self.client.get(f"{self.sandbox}/_sandbox/ledger?system={system}").build().send()
        )
        content = (await response.bytes()).to_bytes()
        return [msgspec.json.decode(line) for line in content.splitlines() if line]

    async def fault(self, **fault: object) -> None:
        """Arm one fault of the sandbox's switch."""
        request = self.client.post(f"{self.sandbox}/_sandbox/faults").body_json(fault)
        response = await request.build().send()
        assert response.status < 300, await response.text()

    async def clear_faults(self) -> None:
        """Switch every fault off."""
        await self.client.delete(f"{self.sandbox}/_sandbox/faults").build().send()


@contextlib.asynccontextmanager
async def staged(
    folder: Path,
    *,
    launcher: Sequence[str] = ("-m", "deploy.cli", "up", "--no-sandbox"),
    extra: dict[str, str] | None = None,
    store: Store = "sqlite",
    workers: int = 0,
) -> AsyncIterator[Stage]:
    """Start sandbox, system and workers, and stop all however the block ends."""
    stage = Stage(folder, launcher=launcher, extra=extra or {}, store=store, workers=workers)
    try:
        stage.vendors.start()
        await stage.vendors.ready(stage.client)
        await stage.provide()
        stage.system.start()
        await stage.system.ready(stage.client)
        for worker in stage.workers:
            worker.start()
            await worker.ready(stage.client)
        yield stage
    finally:
        for worker in stage.workers:
            worker.stop()
        stage.system.stop()
        stage.vendors.stop()
        await stage.client.close()
