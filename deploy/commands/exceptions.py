"""`crossdock exceptions`: what stopped orders, who must act, and acting on it."""

from typing import Any
from urllib.parse import quote

import click

from deploy.commands.operating import (
    API,
    Listing,
    asked,
    at,
    key,
    note_option,
    operated,
    path,
    print_json,
    table,
)

__all__ = ["CATEGORIES", "command"]

CATEGORIES = (
    "master-data-mismatch", "time-out", "throttled", "warehouse-rejection", "erp-business-rule",
    "pricing-mismatch", "credit-hold", "contract-violation", "rollback-incomplete",
)  # fmt: skip
ACTIONS = ("retry", "accept", "amend", "release", "cancel")


@click.group(
    name="exceptions", cls=Listing, epilog="Example: crossdock exceptions --category time-out"
)
def command() -> None:
    """List what stopped orders, show one, apply a remedy to one."""


@command.command(name="list", epilog="Example: crossdock exceptions list --category time-out")
@click.option("--category", type=click.Choice(CATEGORIES), help="Only these.")
@click.option("--all", "every", is_flag=True, help="Those that are over, too.")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many."
)
@operated
def list_(
    *, category: str | None, every: bool, limit: int, as_json: bool, client: str, secret: str | None
) -> None:
    """List exceptions, the oldest first."""

    async def ask(gateway: Any) -> Any:
        asked_for = {"category": category, "limit": limit, "open": "false" if every else "true"}
        return await gateway.get(path("exceptions", **asked_for))

    page = asked(client, secret, ask)
    if as_json:
        print_json(page)
        return
    if not page["exceptions"]:
        click.echo("No exceptions." if every or category else "No order is stopped.")
        return
    table(
        ("exception", "reference", "category", "opened", "who acts", "remedies", "what"),
        [
            (
                each["exception"]["id"], each["reference"], each["exception"]["category"],
                at(each["exception"]["openedAt"]), each["exception"]["actor"],
                "closed" if each["closedAt"] else "|".join(each["exception"]["remedies"]),
                each["exception"]["detail"],
            )
            for each in page["exceptions"]
        ],
    )  # fmt: skip
    if page["cursor"]:
        click.echo(f"There are more than {limit}: --limit, or --category.", err=True)


@command.command(
    name="show", epilog="Example: crossdock exceptions show 01K9ZQ4T5V6W7X8Y9Z0A1B2C3D"
)
@click.argument("exception")
@operated
def show(*, exception: str, as_json: bool, client: str, secret: str | None) -> None:
    """Tell what EXCEPTION is, what may be done, and the page to follow."""

    async def ask(gateway: Any) -> tuple[Any, Any]:
        found = await gateway.get(f"{API}/exceptions/{quote(exception, safe='')}")
        return found, await gateway.get(f"{API}/orders/{found['order']}/timeline")

    view, timeline = asked(client, secret, ask)
    if as_json:
        print_json({**view, "timeline": timeline})
        return
    told = view["exception"]
    click.secho(f"{told['title']}: {view['reference']}", bold=True)
    click.echo(f"  {told['detail']}")
    click.echo(
        f"  category {told['category']}, opened {at(told['openedAt'])}, {told['actor']} acts"
    )
    if view["closedAt"]:
        click.echo(f"  closed {at(view['closedAt'])}")
    else:
        click.echo(f"  remedies: {', '.join(told['remedies']) or 'none'}")
    click.echo(f"  runbook: {told['runbook']}")
    click.echo(f"\n{timeline['summary']}\nNext: {timeline['next']}\n")
    for entry in timeline["entries"][-8:]:
        click.echo(f"  {at(entry['at'])}  {entry['says']}")


@command.command(
    name="remedy",
    epilog="Example: crossdock exceptions remedy 01K9ZQ4T5V6W7X8Y9Z0A1B2C3D retry "
    '--note "The ERP is back"',
)
@click.argument("exception")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option(
    "--order",
    type=click.File("rb"),
    help="With `amend`: a file with the corrected order as JSON (- for standard input).",
)
@note_option
@operated
def remedy(
    *, exception: str, action: str, order: Any, note: str, as_json: bool, client: str,
    secret: str | None,
) -> None:  # fmt: skip
    """Apply the remedy ACTION to EXCEPTION; repeating it changes nothing."""
    import msgspec  # noqa: PLC0415  # start-up time

    body: dict[str, Any] = {"action": action, "note": note}
    if (action == "amend") != (order is not None):
        raise click.UsageError("`amend` needs --order with the corrected order; nothing else does.")
    if order is not None:
        try:
            body["amended"] = msgspec.json.decode(order.read())
        except msgspec.DecodeError as error:
            raise click.UsageError(f"--order is not JSON: {error}.") from None
    place = f"{API}/exceptions/{quote(exception, safe='')}/remedies"

    async def act(gateway: Any) -> Any:
        return await gateway.post(place, body, key=key())

    done = asked(client, secret, act)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done['reference']} is {done['commercial']}, {done['fulfilment']}.")
    if done["exception"] is not None:
        click.echo(f"  {done['exception']['title']}: {done['exception']['detail']}")
