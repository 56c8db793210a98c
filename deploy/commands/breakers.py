"""`crossdock breakers`: whether the vendors' systems answer, and tripping or resetting by hand."""

from typing import Any
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

__all__ = ["command"]


@click.group(name="breakers", cls=Listing)
def command() -> None:
    """Show the circuit breakers towards the vendors; trip or reset one."""


@command.command(name="list")
@operated
def list_(*, as_json: bool, client: str, secret: str | None) -> None:
    """Show every breaker."""

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("breakers"))

    told = asked(client, secret, ask)
    if as_json:
        print_json(told)
        return
    _show(told["circuits"])


def _change(action: str, breaker: str, note: str, client: str, secret: str | None) -> Any:
    place = f"{API}/breakers/{quote(breaker, safe='')}/changes"

    async def act(gateway: Any) -> Any:
        return await gateway.post(place, {"action": action, "note": note}, key=key())

    return asked(client, secret, act)


@command.command(name="trip")
@click.argument("breaker")
@note_option
@operated
def trip(*, breaker: str, note: str, as_json: bool, client: str, secret: str | None) -> None:
    """Keep BREAKER open until it is reset: nothing is sent there, orders wait."""
    told = _change("trip", breaker, note, client, secret)
    print_json(told) if as_json else _show([told])


@command.command(name="reset")
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
