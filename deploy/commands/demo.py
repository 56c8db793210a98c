"""`crossdock demo`: the demonstration, drawn in the terminal."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import msgspec

from deploy.addresses import Addresses
from deploy.commands.calling import secret_of, silent
from deploy.commands.naming import program
from deploy.demo import CLIENT, Demo, DemoError, Figures, Stage, Told, plain_step
from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError, http_client
from deploy.launching import is_listening
from runtime.clock import SystemClock

__all__ = ["command"]


@click.command(name="demo", epilog="Example: crossdock demo --json | tail -n 1")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON line of the figures.")
@click.option("--then-stay", is_flag=True, hidden=True, help="Say that the system stays up.")
def command(*, as_json: bool, then_stay: bool) -> None:
    """Close a deal in the CRM and follow it to the ERP and the warehouse.

    Needs a running system (`crossdock up`). Each run closes the next open deal of the sandbox's
    CRM; when all are closed it closes one again, which must not make a second order.
    """
    addresses = Addresses.from_environment()
    if not is_listening(addresses.port):
        raise silent(addresses)
    try:
        figures = asyncio.run(_play(addresses))
    except DemoError as stuck:
        raise click.ClickException(str(stuck)) from None
    except NoAnswerError as silence:
        raise click.ClickException(f"{silence}. Is the system still up?") from None
    except RefusedError as refusal:
        raise click.ClickException(str(refusal)) from None
    for line in _what_next(addresses, figures, stays=then_stay):
        click.echo(line)
    if as_json:
        click.echo(msgspec.json.encode(figures))


async def _play(addresses: Addresses) -> Figures:
    clock = SystemClock()
    http = http_client()
    gateway = GatewayClient(
        http=http, url=addresses.gateway, client=CLIENT, secret=secret_of(CLIENT), clock=clock
    )
    stage: Stage = _Terminal() if sys.stdout.isatty() else _Lines()
    async with gateway:
        demo = Demo(gateway, http, sandbox=addresses.sandbox, clock=clock, stage=stage)
        return await demo.play()


class _Lines:
    """A stage for pipes and logs: a line a step."""

    @asynccontextmanager
    async def step(self, doing: str) -> AsyncIterator[Told]:
        async with plain_step(click.echo, doing) as told:
            yield told

    def say(self, line: str = "") -> None:
        click.echo(line)


class _Terminal:
    """A stage for people: the step under way turns, the done ones are ticked off."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  # start-up time

        self._console = Console(highlight=False, soft_wrap=True)

    @asynccontextmanager
    async def step(self, doing: str) -> AsyncIterator[Told]:
        from rich.markup import escape  # noqa: PLC0415  # start-up time

        told = Told()
        try:
            with self._console.status(escape(doing)):
                yield told
        except BaseException:
            self._console.print(f"[red]✗[/red] {escape(doing)}")
            raise
        found = f"  [dim]{escape(told.found)}[/dim]" if told.found else ""
        self._console.print(f"[green]✓[/green] {escape(doing)}{found}")

    def say(self, line: str = "") -> None:
        from rich.markup import escape  # noqa: PLC0415  # start-up time

        self._console.print(escape(line))


def _what_next(addresses: Addresses, figures: Figures, *, stays: bool) -> list[str]:
    base, order, here = addresses.gateway, figures.order, program()
    lines = [
        "",
        "To try next, in another terminal:" if stays else "To try next:",
        f"  {here} orders show {figures.reference}",
        f"  TOKEN=$({here} token crm)",
        f'  curl -s -H "Authorization: Bearer $TOKEN" {base}/sales/v1/orders/{order}/timeline',
        f"  curl -s '{addresses.sandbox}/_sandbox/ledger?system=business_central'",
        f"  {here} demo",
    ]
    if stays:
        lines += ["", f"Crossdock stays up at {base}; Ctrl-C here stops it."]
    return lines
