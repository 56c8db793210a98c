"""`crossdock sweeps`: whether CRM, ERP and warehouse hold what was accepted."""

from typing import Any
from urllib.parse import quote

import click

from deploy.commands.operating import (
    API,
    Listing,
    asked,
    at,
    counted,
    key,
    note_option,
    operated,
    path,
    print_json,
    table,
)

__all__ = ["command"]


@click.group(name="sweeps", cls=Listing, epilog="Example: crossdock sweeps")
def command() -> None:
    """Show what the systems disagree on; begin to compare them now."""


@command.command(name="list", epilog="Example: crossdock sweeps list --json")
@operated
def list_(*, as_json: bool, client: str, secret: str | None) -> None:
    """List the latest sweeps, newest first."""

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("sweeps"))

    told = asked(client, secret, ask)
    if as_json:
        print_json(told)
        return
    if not told["sweeps"]:
        click.echo("No sweep yet: crossdock sweeps start --since 2026-11-22T09:00:00Z")
        return
    table(
        ("sweep", "state", "since", "until", "differences", "statement"),
        [
            (
                each["id"], each["state"], at(each["since"]), at(each["until"]),
                each["differences"], each["says"],
            )
            for each in told["sweeps"]
        ],
    )  # fmt: skip


@command.command(name="show", epilog="Example: crossdock sweeps show 01K9ZQ4T5V6W7X8Y9Z0A1B2C3D")
@click.argument("sweep")
@operated
def show(*, sweep: str, as_json: bool, client: str, secret: str | None) -> None:
    """Show the statement of SWEEP, and the differences it found."""
    place = f"{API}/sweeps/{quote(sweep, safe='')}"

    async def ask(gateway: Any) -> tuple[Any, Any]:
        return await gateway.get(place), await gateway.get(f"{place}/differences")

    told, page = asked(client, secret, ask)
    if as_json:
        print_json({**told, "found": page["differences"]})
        return
    click.secho(told["says"], bold=True)
    compared = ", ".join(f"{name} {number:,}" for name, number in told["compared"].items())
    click.echo(f"  compared: {compared or 'nothing yet'}; {counted(told['byKind'])} differ")
    if page["differences"]:
        click.echo()
        table(
            ("reference", "system", "kind", "who acts", "what"),
            [
                (each["reference"], each["system"], each["kind"], each["actor"], each["says"])
                for each in page["differences"]
            ],
        )
    if page["cursor"]:
        click.echo("There are more: --json and the API's cursor.", err=True)


@command.command(
    name="retell",
    epilog="Example: crossdock sweeps retell 01K9ZQ4T5V6W7X8Y9Z0A1B2C3D "
    '--note "The CRM was restored"',
)
@click.argument("sweep")
@click.option("--reference", "references", multiple=True, help="This order; may be repeated.")
@note_option
@operated
def retell(
    *,
    sweep: str,
    references: tuple[str, ...],
    note: str,
    as_json: bool,
    client: str,
    secret: str | None,
) -> None:
    """Tell the CRM again how the orders stand that SWEEP found it does not show so."""
    place = f"{API}/sweeps/{quote(sweep, safe='')}/retellings"

    async def act(gateway: Any) -> Any:
        return await gateway.post(place, {"note": note, "references": references}, key=key())

    told = asked(client, secret, act)
    if as_json:
        print_json(told)
        return
    click.echo(f"The CRM is told again of {told['orders']:,} orders.")
    for reference, why in told["notTold"].items():
        click.echo(f"  not of {reference}: {why}")


@command.command(
    name="start", epilog="Example: crossdock sweeps start --since 2026-11-22T09:00:00Z"
)
@click.option("--since", required=True, help="From when on, as 2026-11-22T09:00:00Z.")
@operated
def start(*, since: str, as_json: bool, client: str, secret: str | None) -> None:
    """Begin to compare every order that changed since then."""

    async def act(gateway: Any) -> Any:
        return await gateway.post(f"{API}/sweeps", {"since": since}, key=key())

    told = asked(client, secret, act)
    if as_json:
        print_json(told)
        return
    click.echo(f"Sweep {told['id']} compares; see crossdock sweeps show {told['id']}")
