"""`crossdock key`: a new API key for a client, told once."""

import click

__all__ = ["command"]


@click.command(
    name="key",
    epilog="Example: crossdock key partner-acme; with its lines in the configuration, "
    'curl -H "X-API-Key: $KEY" http://127.0.0.1:8080/sales/v1/orders?po=PO-1',
)
@click.argument("client")
@click.option("--expires", metavar="DATE", help="When it ends, as 2027-06-30T00:00:00Z.")
def command(client: str, expires: str | None) -> None:
    """Make an API key for CLIENT; print it, and the lines for its configuration.

    The key is told here and nowhere else: the configuration keeps its hash. A client may have two
    keys at once, so that a new one is in use before the old one is taken out.
    """
    from gateway.apikeys import mint  # noqa: PLC0415  # start-up time

    minted = mint()
    click.echo(minted.key)
    click.echo(f"\n[[clients.{client}.keys]]", err=True)
    click.echo(f'id = "{minted.id}"\nsecret = "{minted.secret}"', err=True)
    if expires is not None:
        click.echo(f'expires = "{expires}"', err=True)
