"""`crossdock sandbox`: the vendor simulators alone."""

import os
from pathlib import Path

import click

from deploy.addresses import Addresses
from deploy.launching import is_listening

__all__ = ["command"]


@click.command(name="sandbox", epilog="Example: crossdock sandbox --limits off --port 8090")
@click.option(
    "--orders-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take catalogue and customers from this order file instead of the seeded world.",
)
@click.option(
    "--limits",
    type=click.Choice(["on", "off"]),
    help="Act out the vendors' documented limits or not [default: on].",
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port [default: 8090].")
def command(orders_file: Path | None, limits: str | None, port: int | None) -> None:
    """Run Business Central, Salesforce and ShipHero as simulators until stopped.

    They speak the vendors' own protocols below http://127.0.0.1:8090/<vendor>/. What they were
    told is kept in the data directory. What no vendor gives is at /_sandbox: catalog, ledger,
    faults.
    """
    from deploy.sandbox.process import run, settings_from  # noqa: PLC0415  # start-up time

    addresses = Addresses.from_environment(sandbox_port=port)
    if is_listening(addresses.sandbox_port):
        raise click.ClickException(
            f"Port {addresses.sandbox_port} is in use. Give another with --port."
        )
    arguments = []
    if orders_file is not None:
        arguments += ["--orders-file", str(orders_file)]
    if limits is not None:
        arguments += ["--limits", limits]
    settings = settings_from(arguments, {**os.environ, **addresses.as_environment()})
    click.echo(
        f"Sandbox vendors at {addresses.sandbox}/ (try {addresses.sandbox}/_sandbox/catalog)"
    )
    click.echo("Stop with Ctrl-C.")
    run(settings)
