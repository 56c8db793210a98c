"""`crossdock find`: a process by any number a person has for it."""

from typing import Any

import click

from deploy.commands.operating import asked, at, operated, path, print_json, table

__all__ = ["command"]


@click.command(
    name="find",
    epilog="Example: crossdock find SO-1042",
)
@click.argument("number")
@operated
def command(*, number: str, as_json: bool, client: str, secret: str | None) -> None:
    """Find what NUMBER belongs to: any business id.

    A reference, PO, ERP order, fulfilment order, shipment, tracking or invoice number, deal,
    customer, exception, or the caller's key. `crossdock orders show` tells the story of the
    reference that is found.
    """

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("processes", id=number))

    page = asked(client, secret, ask)
    if as_json:
        print_json(page)
        return
    if not page["processes"]:
        raise click.ClickException(
            f"Nothing is known by {number!r}: no order, deal, document, exception or key."
        )
    table(
        ("reference", "kind", "state", "lane", "consumer", "changed", "exception", "id"),
        [
            (
                each["reference"], each["kind"], each["state"], each["lane"], each["consumer"],
                at(each["updatedAt"]), each["exception"], each["id"],
            )
            for each in page["processes"]
        ],
    )  # fmt: skip
    if page["cursor"]:
        click.echo("There are more; narrow it down with another number.", err=True)
