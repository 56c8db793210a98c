"""The same system in several processes: a gateway, three tiers and workers on one PostgreSQL."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.sandbox import credentials
from tests.crash.processes import Process
from tests.postgres_server import a_postgresql_database
from tests.scenarios.stage import Outside, config_file
from tests.serving import free_port

TIERS = ("system", "process", "experience")


class Apart(Outside):
    """A stage whose `system` process is the gateway alone; the rest stands behind it."""

    def __init__(self, folder: Path, *, workers: int, more: str = "") -> None:
        super().__init__(folder)
        ports = {tier: free_port() for tier in TIERS}
        tiers = "\n".join(f'{tier} = "http://127.0.0.1:{port}"' for tier, port in ports.items())
        path = folder / "crossdock.toml"
        store = folder / "store"
        store.write_text(a_postgresql_database(), encoding="utf-8")
        said = f'[store]\nurl = "file:{store}"\n\n[tiers]\n{tiers}\n{more}'
        said = f'promise_key = "file:{folder / "secret"}"\n' + config_file(self, said, 900)
        path.write_text(said, encoding="utf-8")
        self.environment |= {"CROSSDOCK_CONFIG": str(path), "ERP_SECRET": credentials.APP_SECRET}
        self.tiers = {
            tier: self._process(f"serve-{tier}", ["serve", tier], port)
            for tier, port in ports.items()
        }
        self.workers = [
            self._process(f"worker-{number}", ["worker"], free_port()) for number in range(workers)
        ]
        self.system = self._process("gateway", ["gateway"], self.port)

    @property
    def processes(self) -> list[Process]:
        """All of them, in the order they are started."""
        return [self.vendors, *self.tiers.values(), *self.workers, self.system]

    def _process(self, node: str, command: list[str], port: int) -> Process:
        environment = {
            **self.environment,
            "CROSSDOCK_NODE": node,
            "CROSSDOCK_DATA": str(self.folder / node),
        }
        return Process(
            [sys.executable, "-m", "deploy.cli", *command, "--port", str(port)],
            environment, self.folder / f"{node}.log", f"http://127.0.0.1:{port}/readyz",
        )  # fmt: skip


@contextlib.asynccontextmanager
async def opened_apart(folder: Path, *, workers: int = 2, more: str = "") -> AsyncIterator[Apart]:
    """Start every process, and stop all however the block ends."""
    apart = Apart(folder, workers=workers, more=more)
    try:
        for process in apart.processes:
            process.start()
            await process.ready(apart.client)
        apart.catalog = (await apart.sandbox_call("GET", "/_sandbox/catalog")).json
        yield apart
    finally:
        await asyncio.gather(*(asyncio.to_thread(p.stop) for p in reversed(apart.processes)))
        await apart.client.close()
