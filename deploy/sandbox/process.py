"""The sandbox as a process: its command line, its server, its end."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import msgspec

from deploy.sandbox.app import Sandbox, build_sandbox
from deploy.sandbox.settings import SandboxSettings

__all__ = ["main", "run", "settings_from"]

COLLECT_AFTER = 50_000  # records live long: looking for garbage every 700 of them finds none


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop (SIGINT or SIGTERM)."""
    run(settings_from(sys.argv[1:] if arguments is None else arguments, dict(os.environ)))


def run(settings: SandboxSettings) -> None:
    """Build the sandbox and serve it in this process, in this thread, on one loop."""
    import uvloop  # noqa: PLC0415  # a process that is only asked for --help need not load it

    gc.disable()
    sandbox = build_sandbox(settings)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)
    gc.enable()
    uvloop.run(_serve(sandbox))


def settings_from(arguments: list[str], environment: dict[str, str]) -> SandboxSettings:
    """Settings of the environment, overridden by the command line; exits with words if unclear."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox",
        description="Business Central, Salesforce and ShipHero as simulators on one port.",
    )
    try:
        default = SandboxSettings.from_environment(environment)
    except ValueError as unclear:
        parser.error(str(unclear))
    parser.add_argument("--port", type=int, help=f"default {default.port}")
    parser.add_argument("--data", type=Path, help="directory of vaults and ledger; none: memory")
    parser.add_argument("--seed", type=int, help=f"of the seeded world, default {default.seed}")
    parser.add_argument("--orders-file", type=Path, help="take items and customers from this file")
    parser.add_argument("--limits", choices=("on", "off"), help="the vendors' documented limits")
    parser.add_argument("--webhooks", help=f"base URL of pushes, default {default.webhook_base}")
    parser.add_argument("--webhook-delay", type=float, help="seconds before a push leaves")
    given = parser.parse_args(arguments)
    settings = msgspec.structs.replace(
        default,
        port=default.port if given.port is None else given.port,
        data=given.data or default.data,
        seed=default.seed if given.seed is None else given.seed,
        orders_file=given.orders_file or default.orders_file,
        limits=default.limits if given.limits is None else given.limits == "on",
        webhook_base=given.webhooks or default.webhook_base,
        webhook_delay=(
            default.webhook_delay if given.webhook_delay is None else given.webhook_delay
        ),
    )
    if settings.orders_file is not None and not settings.orders_file.is_file():
        parser.error(f"--orders-file: there is no file {settings.orders_file}")
    return settings


async def _serve(sandbox: Sandbox) -> None:
    from granian.constants import Interfaces  # noqa: PLC0415  # start-up time
    from granian.server.embed import Server  # noqa: PLC0415  # start-up time

    settings = sandbox.context.settings
    server = Server(
        sandbox,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        backlog=1024,
    )
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, server.stop)
    warming = loop.run_in_executor(None, sandbox.vendors.warm)
    await server.serve()
    await warming
    await sandbox.close()
