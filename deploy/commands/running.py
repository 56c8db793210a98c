"""Running one part of the system in this process, and saying so."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from deploy.addresses import Addresses, handed_in
from deploy.collecting import collect_seldom, starting
from deploy.commands.check import refuse_faulty
from deploy.launching import is_listening

if TYPE_CHECKING:
    from deploy.needs import Part

__all__ = ["LISTENING", "run"]

LISTENING = click.IntRange(1, 65_535)


@starting()
def run(part: "Part", name: str, *, port: int | None) -> None:
    """Run one part of the split system until it is stopped.

    Raises:
        click.ClickException: it cannot be started; the message says what to do.
    """
    begun = time.monotonic()
    addresses = Addresses.from_environment(port=port)
    refuse_faulty("nothing was started", part=part)
    if handed_in(os.environ, os.getpid()) is None and is_listening(addresses.port):
        raise click.ClickException(
            f"Port {addresses.port} is in use. Stop what listens there, or give another --port."
        )

    def ready() -> None:
        collect_seldom()
        seconds = time.monotonic() - begun
        click.echo(f"{name} is up at {addresses.gateway} after {seconds:.1f} s. Ctrl-C stops it.")

    import uvloop  # noqa: PLC0415  # faults are told without it

    uvloop.run(_run(part, addresses, ready))
    click.echo("Stopped.")


async def _run(part: "Part", addresses: Addresses, ready: Callable[[], None]) -> None:
    from deploy.apart import PARTS  # noqa: PLC0415  # faults are told without it
    from deploy.profile import Settings  # noqa: PLC0415  # the same
    from gateway.config import ConfigError  # noqa: PLC0415  # the same
    from runtime.store.faults import StoreInUse, StoreUnavailable  # noqa: PLC0415  # the same

    try:
        await PARTS[part](Settings.from_environment(port=addresses.port), on_ready=ready)
    except ConfigError as faulty:
        raise click.ClickException(str(faulty)) from None
    except StoreInUse:
        raise click.ClickException(
            f"Another process works in {addresses.data}. "
            "Stop it, or set CROSSDOCK_DATA to another directory."
        ) from None
    except StoreUnavailable as fault:
        raise click.ClickException(
            f"The store cannot be opened ({fault}). Start the database, or correct store.url."
        ) from None
