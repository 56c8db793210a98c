"""`crossdock orders`: import an order file; tell the story of one order."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from deploy.addresses import Addresses
from deploy.commands.calling import calling, secret_of

__all__ = ["command"]

OPERATOR = "operator"


@click.group(name="orders", epilog="Example: crossdock orders show 536365")
def command() -> None:
    """Import an order file, or tell the story of one order."""


@command.command(
    name="import", epilog="Example: crossdock orders import orders-2010-12.csv.gz --json"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="End with one JSON line of all figures.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 512),
    default=32,
    show_default=True,
    help="How many customers' documents are under way at once.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="Seconds without any answer, or any progress, before giving up.",
)
@click.option(
    "--limits",
    type=click.Choice(["on", "off"]),
    help="The sandbox vendors' limits, if this command has to start the system [default: on].",
)
@click.option(
    "--secret",
    envvar="CROSSDOCK_CLIENT_SECRET",
    help="Secret of the client order-file [default: the development one].",
)
def import_(
    *,
    file: Path,
    as_json: bool,
    concurrency: int,
    patience: float,
    limits: str | None,
    secret: str | None,
) -> None:
    """Submit a wholesaler's order file (csv or csv.gz) through the gateway, and reconcile it.

    Columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice (GBP), CustomerID.
    Each invoice becomes one order at the prices given; a cancellation (C...) becomes a credit
    against an earlier order. Rows that cannot be used are set aside with a reason.

    It may be interrupted and run again at any time: the invoice number is the idempotency key, so
    nothing is ever ordered twice. Starts the system for the import when none is running.

    Exit code 0: everything came to an end and file, journal and ERP agree to the penny.
    """
    from deploy.commands.order_import import ImportCommand  # noqa: PLC0415  # start-up time

    ImportCommand(
        Addresses.from_environment(),
        file,
        concurrency=concurrency,
        patience=patience,
        limits=limits,
        secret=secret,
    ).run(as_json=as_json)


@command.command(name="show", epilog="Example: crossdock orders show 536365")
@click.argument("order")
@click.option("--as", "client", default=OPERATOR, show_default=True, help="Client to ask as.")
def show(order: str, client: str) -> None:
    """Tell where ORDER is and why: by order id, reference (invoice number) or PO number."""
    addresses = Addresses.from_environment()

    from deploy.gateway_client import RefusedError  # noqa: PLC0415  # start-up time

    async def ask(gateway: Any) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        for field in ("reference", "po"):
            page = await gateway.get(f"/operations/v1/orders?{field}={quote(order[:35], safe='')}")
            if page["orders"]:
                found = page["orders"][0]
                return found, await gateway.get(f"/operations/v1/orders/{found['id']}/timeline")
        try:
            named = quote(order, safe="")
            return None, await gateway.get(f"/operations/v1/orders/{named}/timeline")
        except RefusedError as refusal:
            if refusal.slug != "not-found":
                raise
            raise click.ClickException(
                f"No order is known by {order!r}: not as an id, a reference or a PO number."
            ) from None

    found, timeline = calling(addresses, client, secret_of(client), ask)
    for line in _story(found, timeline):
        click.echo(line)


def _story(order: dict[str, Any] | None, timeline: dict[str, Any]) -> list[str]:
    lines = [f"Order {timeline['order']}"]
    if order is not None:
        worth = f"{order['netAmount']['amount']} {order['netAmount']['currency']} net"
        known = ", ".join(f"{each['system']} {each['id']}" for each in order["knownAs"])
        lines += [
            f"  {order['reference']} of {order['customerName'] or order['customer']}, {worth}",
            f"  known as {known or 'nothing yet'}",
        ]
    lines += ["", timeline["summary"], f"Next: {timeline['next']}", ""]
    for entry in timeline["entries"]:
        at = entry["at"][:19].replace("T", " ")
        who = entry.get("system") or entry.get("actor") or ""
        lines.append(f"  {at}  {who:<17} {entry['says']}".rstrip())
    return lines
