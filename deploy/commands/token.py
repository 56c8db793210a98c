"""`crossdock token`: an access token for a client."""

import click

from deploy.addresses import Addresses
from deploy.commands.calling import calling, secret_of

__all__ = ["command"]


@click.command(
    name="token",
    epilog='Example: curl -H "Authorization: Bearer $(crossdock token crm)" '
    "http://127.0.0.1:8080/sales/v1/orders?po=PO-1",
)
@click.argument("client")
@click.option(
    "--secret",
    envvar="CROSSDOCK_CLIENT_SECRET",
    help="The client's secret [default: that of the development client].",
)
def command(client: str, secret: str | None) -> None:
    """Print an access token for CLIENT, and nothing else.

    Development clients of the sandbox profile: crm, partner-acme, partner-globex, operator,
    order-file. The token is valid for some minutes.
    """
    addresses = Addresses.from_environment()
    click.echo(
        calling(addresses, client, secret or secret_of(client), lambda gateway: gateway.token())
    )
