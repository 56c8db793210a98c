"""`crossdock lanes`: what is due, at work and waiting, and who has still to be told."""

from typing import Any

import click

from deploy.commands.operating import asked, operated, path, print_json, span, table

__all__ = ["command"]


@click.command(name="lanes", epilog="Example: crossdock lanes")
@operated
def command(*, as_json: bool, client: str, secret: str | None) -> None:
    """Show each lane's queue, and the queue of everybody who is told what happens."""

    async def ask(gateway: Any) -> tuple[Any, Any]:
        return await gateway.get(path("lanes")), await gateway.get(path("subscribers"))

    lanes, subscribers = asked(client, secret, ask)
    if as_json:
        print_json({**lanes, **subscribers})
        return
    table(
        ("lane", "due", "at work", "timed", "parked", "excepted", "oldest due"),
        [
            (
                each["lane"], each["due"], each["atWork"], each["timed"], each["parked"],
                each["excepted"], span(each["oldestDueSeconds"]),
            )
            for each in lanes["lanes"]
        ],
    )  # fmt: skip
    click.echo()
    table(
        ("subscriber", "waiting", "set aside", "oldest", "last reason"),
        [
            (
                each["subscriber"], each["waiting"], each["setAside"],
                span(each["oldestSeconds"]), each["lastReason"],
            )
            for each in subscribers["subscribers"]
        ],
    )  # fmt: skip
    aside = [each["subscriber"] for each in subscribers["subscribers"] if each["setAside"]]
    if aside:
        click.echo(f"\nSend again what was set aside: crossdock redeliver {aside[0]} --note ...")
