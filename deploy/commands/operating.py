"""What the commands of operators share: how they ask, and how they show.

Each is a thin client of operations/v1, and `breakers` of gateway/v1: whatever it does, a call of
that API does too. With `--json` it prints the API's own answer.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import click

from deploy.addresses import Addresses
from deploy.commands.calling import calling, secret_of
from deploy.gateway_client import GatewayClient

__all__ = [
    "API",
    "Listing",
    "asked",
    "at",
    "counted",
    "key",
    "note_option",
    "operated",
    "path",
    "print_json",
    "span",
    "table",
]

API: Final = "/operations/v1"
OPERATOR: Final = "operator"
_LONGEST_CELL: Final = 60
_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3_600
_MINUTE_SECONDS: Final = 60

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Listing(click.Group):
    """A group that lists when no other command of it is named: `exceptions --category time-out`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before what names no command."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def operated(function: F) -> F:
    """Add the options that every command of an operator has."""
    for option in (
        click.option(
            "--secret",
            envvar="CROSSDOCK_CLIENT_SECRET",
            help="That client's secret [default: that of the development client].",
        ),
        click.option(
            "--as", "client", default=OPERATOR, show_default=True, help="Client to act as."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON."),
    ):
        function = option(function)
    return function


def note_option(function: F) -> F:
    """Add the reason that every act of an operator needs."""
    option = click.option(
        "--note", required=True, help="Why; it goes into the audit trail with your name."
    )
    return option(function)


def asked(client: str, secret: str | None, call: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """Ask the gateway as a client; a failure is one sentence that says what to do."""
    addresses = Addresses.from_environment()
    return calling(addresses, client, secret or secret_of(client), call)


def key() -> str:
    """An Idempotency-Key nobody has used."""
    return f"cli-{secrets.token_hex(12)}"


def path(place: str, **query: object) -> str:
    """The path of an operation with what of the query was given."""
    given = {name: _said(value) for name, value in query.items() if value not in (None, False, ())}
    return f"{API}/{place}?{urlencode(given)}" if given else f"{API}/{place}"


def _said(value: object) -> str:
    return "true" if value is True else str(value)


def print_json(answer: object) -> None:
    """Print what the API answered."""
    import msgspec  # noqa: PLC0415  # start-up time

    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings; numbers to the right, the last column as long as it is."""
    shown = [[_cell(value) for value in row] for row in rows]
    widths = [
        min(_LONGEST_CELL, max(len(row[index]) for row in [list(columns), *shown]))
        for index in range(len(columns))
    ]
    right = [
        bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        for index in range(len(columns))
    ]
    for number, row in enumerate([[name.upper() for name in columns], *shown]):
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        click.secho("  ".join(cells).rstrip(), bold=number == 0)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def at(instant: str | None) -> str:
    """Show an instant of the API to the second."""
    return "-" if instant is None else instant[:19].replace("T", " ")


def span(seconds: float | None) -> str:
    """Show how long something takes or took, in the unit a person would choose."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE_SECONDS:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  # two digits are enough
    if seconds < _HOUR_SECONDS:
        return f"{seconds / _MINUTE_SECONDS:.0f} min"
    if seconds < _DAY_SECONDS:
        return f"{seconds / _HOUR_SECONDS:.1f} h"
    return f"{timedelta(seconds=seconds).days} days"


def counted(numbers: Mapping[str, int]) -> str:
    """Show counts by name, the most first."""
    most = sorted(numbers.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{number:,} {name}" for name, number in most) or "none"
