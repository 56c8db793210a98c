"""`crossdock up`: the sandbox as its own process, the system in this one."""

import asyncio
import contextlib
import os
import sys
import time

import click

from deploy.addresses import Addresses, handed_in
from deploy.collecting import collect_seldom, starting
from deploy.commands.check import refuse_faulty
from deploy.commands.naming import program
from deploy.launching import (
    Launched,
    is_listening,
    sandbox_answers,
    sandbox_limits,
    sandbox_pid,
    start_sandbox,
)

__all__ = ["command"]


@click.command(name="up", epilog="Example: crossdock up --demo")
@click.option("--demo", is_flag=True, help="Once ready, close a deal and show what becomes of it.")
@click.option("--no-sandbox", is_flag=True, help="Start no vendor simulators.")
@click.option(
    "--limits",
    type=click.Choice(["on", "off"]),
    help="The sandbox vendors' documented limits [default: on].",
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Gateway port [default: 8080].")
@starting()
def command(*, demo: bool, no_sandbox: bool, limits: str | None, port: int | None) -> None:
    """Start everything and stay up until stopped (Ctrl-C, SIGTERM).

    The vendor simulators run as a process of their own: one that already answers at the sandbox
    port is used and left alone, one started here is stopped with the system. Orders, tokens' keys
    and logs are kept in the data directory, and picked up again by the next start.
    """
    begun = time.monotonic()
    addresses = Addresses.from_environment(port=port)
    os.environ.update(addresses.as_environment())
    _prepare(addresses)
    if handed_in(os.environ, os.getpid()) is None and is_listening(addresses.port):
        raise click.ClickException(
            f"Port {addresses.port} is in use; Crossdock may be running there already. "
            "Stop it, or give another port with --port."
        )
    sandbox = None if no_sandbox else _sandbox(addresses, limits)
    if sandbox is None:
        # What a running sandbox does is what counts: budgets that do not fit it would draw 429s.
        limits = sandbox_limits(addresses.sandbox_port) or limits
    if limits is not None:
        os.environ["CROSSDOCK_SANDBOX_LIMITS"] = limits
    try:
        import uvloop  # noqa: PLC0415  # the sandbox starts meanwhile

        uvloop.run(_System(addresses, sandbox, begun=begun, demo=demo).run())
    finally:
        if sandbox is not None:
            sandbox.stop()
    click.echo("Stopped.")


def _prepare(addresses: Addresses) -> None:
    """Refuse what would stop the system later, before anything is started."""
    try:
        addresses.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"The data directory {addresses.data} cannot be made ({error.strerror}). "
            "Set CROSSDOCK_DATA to one that can."
        ) from None
    refuse_faulty("nothing was started", part="up")


def _sandbox(addresses: Addresses, limits: str | None) -> Launched | None:
    """Start the sandbox unless one answers already."""
    if not sandbox_answers(addresses.sandbox_port):
        return start_sandbox(addresses, limits=limits, orders_file=None)
    kept = sandbox_limits(addresses.sandbox_port)
    note = "" if limits in {None, kept} else f" Its limits are {kept}, and stay so."
    pid = sandbox_pid(addresses)
    how = f" (kill {pid} stops it)" if pid is not None else ""
    click.echo(
        f"Using the sandbox that answers at {addresses.sandbox}; "
        f"it stays when this ends{how}.{note}"
    )
    return None


class _System:
    """The system in this process, what it says when it is ready, and the demo beside it."""

    def __init__(
        self, addresses: Addresses, sandbox: Launched | None, *, begun: float, demo: bool
    ) -> None:
        self._addresses = addresses
        self._sandbox = sandbox
        self._begun = begun
        self._demo = demo
        self._beside: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until told to stop."""
        from deploy.assembly import serve  # noqa: PLC0415  # the sandbox starts meanwhile
        from deploy.profile import Settings  # noqa: PLC0415  # the sandbox starts meanwhile
        from runtime.store.faults import StoreInUse, StoreUnavailable  # noqa: PLC0415  # the same

        try:
            await serve(Settings.from_environment(), on_ready=self._ready)
        except StoreInUse:
            raise click.ClickException(
                f"Another Crossdock works in {self._addresses.data}. "
                "Stop it, or set CROSSDOCK_DATA to another directory."
            ) from None
        except StoreUnavailable as fault:
            raise click.ClickException(
                f"The store cannot be opened ({fault}). Start the database, or correct store.url."
            ) from None
        finally:
            if self._beside is not None:
                self._beside.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._beside

    def _ready(self) -> None:
        collect_seldom()
        seconds = time.monotonic() - self._begun
        addresses = self._addresses
        click.echo(
            f"Crossdock is up at {addresses.gateway} after {seconds:.1f} s. Ctrl-C stops it."
        )
        if self._sandbox is not None:
            click.echo(
                f"  vendors   {addresses.sandbox}/_sandbox/catalog (log: {self._sandbox.log})"
            )
        click.echo(f"  data      {addresses.data}")
        if self._demo:
            self._beside = asyncio.get_running_loop().create_task(self._play())
        else:
            click.echo(f"  next      {program()} demo")

    async def _play(self) -> None:
        """Play the demo as a process of its own: drawing must not hold up serving."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", "demo", "--then-stay"
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
