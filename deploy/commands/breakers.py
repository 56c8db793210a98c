"""`crossdock breakers`: whether vendors and tiers answer, and tripping or resetting by hand.

Those towards the vendors (`erp.write`) are of operations/v1, those of the gateway towards the tiers
that are served apart (`sales.v1.reads`) of gateway/v1; no two have the same name.
"""

from typing import Any, Final
from urllib.parse import quote

import click

from deploy.commands.operating import (
    API,
    Listing,
    asked,
    key,
    note_option,
    operated,
    path,
    print_json,
    span,
    table,
)
from deploy.gateway_client import RefusedError

__all__ = ["command"]

_GATEWAY: Final = "/gateway/v1/circuits"


@click.group(name="breakers", cls=Listing, epilog="Example: crossdock breakers")
def command() -> None:
    """Show the circuit breakers towards vendors and tiers; trip or reset one."""


@command.command(name="list", epilog="Example: crossdock breakers list --json")
@operated
def list_(*, as_json: bool, client: str, secret: str | None) -> None:
    """Show every breaker."""

    async def ask(gateway: Any) -> tuple[list[Any], RefusedError | None]:
        tiers = (await gateway.get(_GATEWAY))["circuits"]
        try:
            vendors = (await gateway.get(path("breakers")))["circuits"]
        except RefusedError as refusal:  # a tier is away, which the gateway's own breakers show
            return tiers, refusal
        return [*vendors, *tiers], None

    circuits, refusal = asked(client, secret, ask)
    if as_json:
        print_json({"circuits": circuits})
    else:
        _show(circuits)
    if refusal is not None:
        raise click.ClickException(str(refusal))


def _change(action: str, breaker: str, note: str, client: str, secret: str | None) -> Any:
    async def act(gateway: Any) -> Any:
        tiers = {each["name"] for each in (await gateway.get(_GATEWAY))["circuits"]}
        place = _GATEWAY if breaker in tiers else f"{API}/breakers"
        body = {"action": action, "note": note}
        return await gateway.post(f"{place}/{quote(breaker, safe='')}/changes", body, key=key())

    return asked(client, secret, act)


@command.command(
    name="trip",
    epilog='Example: crossdock breakers trip erp.write --note "The ERP is being upgraded"',
)
@click.argument("breaker")
@note_option
@operated
def trip(*, breaker: str, note: str, as_json: bool, client: str, secret: str | None) -> None:
    """Keep BREAKER open until it is reset: nothing is sent there, from any process."""
    told = _change("trip", breaker, note, client, secret)
    print_json(told) if as_json else _show([told])


@command.command(
    name="reset", epilog='Example: crossdock breakers reset erp.write --note "The ERP is back"'
)
@click.argument("breaker")
@note_option
@operated
def reset(*, breaker: str, note: str, as_json: bool, client: str, secret: str | None) -> None:
    """Close BREAKER and give it back to its own judgement."""
    told = _change("reset", breaker, note, client, secret)
    print_json(told) if as_json else _show([told])


def _show(circuits: list[Any]) -> None:
    table(
        ("breaker", "state", "failures", "tries in", "tripped by"),
        [
            (
                each["name"], each["state"], each["failures"], span(each["retryInSeconds"]),
                each["reason"],
            )
            for each in circuits
        ],
    )  # fmt: skip
