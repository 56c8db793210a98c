"""An import at the terminal: a system to talk to, progress, summary, exit code."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import click
import msgspec

from deploy.addresses import Addresses
from deploy.commands.calling import secret_of
from deploy.commands.import_display import Bars, Lines
from deploy.commands.naming import program
from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError, http_client
from deploy.launching import (
    Launched,
    gateway_answers,
    is_listening,
    sandbox_answers,
    start_sandbox,
    start_system,
)
from deploy.order_files.documents import OrderFile, OrderFileError
from deploy.order_files.importing import CHANNEL, Import, ImportSettings
from deploy.order_files.reading import read
from deploy.order_files.submitting import GatewayLostError
from deploy.order_files.summary import Summary, sentences
from runtime.clock import SystemClock

__all__ = ["ImportCommand"]

_LOOK_EVERY = 0.5
_LONGEST_PAUSE = 10.0


class ImportCommand:
    """One run of `crossdock orders import`."""

    def __init__(
        self,
        addresses: Addresses,
        path: Path,
        *,
        concurrency: int,
        patience: float,
        limits: str | None,
        secret: str | None,
    ) -> None:
        self._addresses = addresses
        self._path = path
        self._concurrency = concurrency
        self._patience = patience
        self._limits = limits
        self._secret = secret or secret_of(CHANNEL)
        self._own: Launched | None = None
        self._own_sandbox: Launched | None = None

    def run(self, *, as_json: bool) -> None:
        """Import, print the summary, and end with 0 when all is well, else with 1.

        Raises:
            click.ClickException: it could not be carried through; the message says what to do.
        """
        try:
            summary = self._imported()
        except OrderFileError as fault:
            raise click.ClickException(str(fault)) from None
        except (GatewayLostError, NoAnswerError) as lost:
            raise click.ClickException(f"{lost}. {self._how_to_resume()}") from None
        except RefusedError as refusal:
            raise click.ClickException(
                f"{refusal} The import uses the client {CHANNEL}; give its secret with --secret."
            ) from None
        except (KeyboardInterrupt, asyncio.CancelledError):
            click.echo(f"\nInterrupted. {self._how_to_resume()}", err=True)
            raise click.Abort from None
        for line in sentences(summary):
            click.echo(line)
        if as_json:
            click.echo(msgspec.json.encode(summary))
        if not summary.good:
            raise click.exceptions.Exit(1)

    def _how_to_resume(self) -> str:
        return (
            "What was accepted is safe. Run the same command again to go on: "
            f"{program()} orders import {self._path}"
        )

    def _imported(self) -> Summary:
        file = read(self._path)
        if not file.documents:
            raise OrderFileError(f"{self._path} holds no usable row.")
        try:
            if not is_listening(self._addresses.port):
                self._start()
            return asyncio.run(self._import(file))
        finally:
            self._stop()

    def _start(self) -> None:
        click.echo(
            f"Nothing answers at {self._addresses.gateway}: "
            "starting the system for this import ...",
            err=True,
        )
        if not sandbox_answers(self._addresses.sandbox_port):
            self._own_sandbox = start_sandbox(
                self._addresses, limits=self._limits, orders_file=None
            )
        self._own = start_system(self._addresses, limits=self._limits)
        self._own.wait_until(lambda: gateway_answers(self._addresses.port))
        if self._own_sandbox is not None:
            self._own_sandbox.wait_until(lambda: sandbox_answers(self._addresses.sandbox_port))

    def _stop(self) -> None:
        if self._own is not None:
            click.echo("Stopping the system that was started for this import.", err=True)
            self._own.stop()
        if self._own_sandbox is not None:
            self._own_sandbox.stop()

    async def _import(self, file: OrderFile) -> Summary:
        this = asyncio.current_task()
        if this is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        clock = SystemClock()
        http = http_client(connections=self._concurrency + 8)
        gateway = GatewayClient(
            http=http,
            url=self._addresses.gateway,
            client=CHANNEL,
            secret=self._secret,
            clock=clock,
        )
        sandbox = self._addresses.sandbox if sandbox_answers(self._addresses.sandbox_port) else None
        settings = ImportSettings(
            concurrency=self._concurrency, patience=self._patience, sandbox=sandbox
        )
        with Bars() if sys.stderr.isatty() else Lines(clock) as progress:
            async with gateway, self._kept_alive(progress):
                return await Import(
                    file, gateway, http, settings=settings, clock=clock, progress=progress
                ).run()

    @asynccontextmanager
    async def _kept_alive(self, progress: Bars | Lines) -> AsyncIterator[None]:
        """Start the system again if it is ours and dies: accepted work goes on where it was."""
        keeper = asyncio.create_task(self._restart_when_dead(progress))
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _restart_when_dead(self, progress: Bars | Lines) -> None:
        pause = _LOOK_EVERY
        while self._own is not None:
            await asyncio.sleep(pause)
            if self._own.running:
                pause = _LOOK_EVERY
            else:
                pause = min(pause * 2, _LONGEST_PAUSE)
                progress.note("The system has died; starting it again.")
                self._own = start_system(self._addresses, limits=self._limits)
