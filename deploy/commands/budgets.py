"""`crossdock budgets`: what each vendor account allows, and when it would be used up."""

from typing import Any

import click

from deploy.commands.operating import asked, operated, path, print_json, span, table

__all__ = ["command"]


@click.command(name="budgets", epilog="Example: crossdock budgets --json")
@operated
def command(*, as_json: bool, client: str, secret: str | None) -> None:
    """Show what each vendor account allows and what of it is used."""

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("budgets"))

    budgets = asked(client, secret, ask)
    if as_json:
        print_json(budgets)
        return
    table(
        (
            "account", "serves", "used", "of", "credits", "running", "waiting", "paused",
            "used up in", "counted",
        ),
        [
            (
                each["account"], "+".join(each["serves"]), each["used"], each["limit"],
                None if each["creditsLeft"] is None else int(each["creditsLeft"]),
                each["running"], each["waiting"], span(each["pausedSeconds"] or None),
                span(each["exhaustedInSeconds"]), _counted(each),
            )
            for each in budgets["accounts"]
        ],
    )  # fmt: skip


def _counted(account: dict[str, Any]) -> str:
    if account["degraded"]:
        return "own share: Redis is gone"
    if account["shared"]:
        return "together"
    return "no limits" if account["limit"] is None and account["creditsLeft"] is None else "alone"
