"""`crossdock redeliver`: try again what a subscriber refused for good."""

from typing import Any
from urllib.parse import quote

import click

from deploy.commands.operating import API, asked, key, note_option, operated, print_json

__all__ = ["command"]


@click.command(
    name="redeliver",
    epilog='Example: crossdock redeliver crm-orders --note "The CRM accepts our user again"',
)
@click.argument("subscriber")
@note_option
@operated
def command(*, subscriber: str, note: str, as_json: bool, client: str, secret: str | None) -> None:
    """Send SUBSCRIBER again what it refused for good and was set aside.

    The subscribers are shown by `crossdock lanes`.
    """
    place = f"{API}/subscribers/{quote(subscriber, safe='')}/redeliveries"

    async def act(gateway: Any) -> Any:
        return await gateway.post(place, {"note": note}, key=key())

    done = asked(client, secret, act)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done['deliveries']:,} are due again.")
