"""`crossdock redrive`: look at what working off exceptions would do, do it at a rate, follow it."""

import asyncio
import sys
from typing import Any, Final
from urllib.parse import quote

import click

from deploy.commands.exceptions import CATEGORIES
from deploy.commands.operating import (
    API,
    asked,
    at,
    counted,
    key,
    note_option,
    operated,
    path,
    print_json,
    span,
    table,
)

__all__ = ["command"]

_LOOKED_EVERY: Final = 0.5
_UNDER_WAY: Final = frozenset({"running"})
_SOME: Final = "01K9ZQ4T5V6W7X8Y9Z0A1B2C3D"
"""Looks like the id of a redrive, for examples."""


@click.group(
    name="redrive",
    invoke_without_command=True,
    epilog="Example: crossdock redrive --category time-out --preview; "
    'crossdock redrive --category time-out --rate 20 --note "The ERP is back"',
)
@click.option("--category", type=click.Choice(CATEGORIES), help="Exceptions of this category.")
@click.option("--kind", type=click.Choice(("order", "credit")), help="Of this kind of process.")
@click.option("--consumer", help="Of what this client placed.")
@click.option("--opened-after", metavar="TIME", help="As 2026-11-22T09:00:00Z.")
@click.option("--opened-before", metavar="TIME", help="As 2026-11-22T09:00:00Z.")
@click.option("--exception", "exceptions", multiple=True, help="This one; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Every open exception.")
@click.option(
    "--action",
    type=click.Choice(("retry", "amend", "cancel")),
    default="retry",
    show_default=True,
    help="What is done to each.",
)
@click.option("--amendment", metavar="JSON", help="With `amend`: a merge patch of each order.")
@click.option(
    "--rate",
    type=click.FloatRange(0.001, 1000),
    default=10.0,
    show_default=True,
    help="Exceptions a second.",
)
@click.option("--note", help="Why; it goes into the audit trail with your name.")
@click.option("--preview", is_flag=True, help="Show what it would do, and do nothing.")
@click.option("--detach", is_flag=True, help="Begin it, and do not wait for its end.")
@operated
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Work off exceptions at a rate; each is acted on once, however many redrive it."""
    if context.invoked_subcommand is not None:
        return
    body = _body(given)
    if given["preview"]:
        _preview(body, given)
        return
    if not given["note"]:
        raise click.UsageError("Say why with --note, or look first with --preview.")
    _start(body, given)


def _body(given: dict[str, Any]) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415  # start-up time

    selection = {
        name: given[option]
        for name, option in (
            ("category", "category"), ("kind", "kind"), ("consumer", "consumer"),
            ("openedAfter", "opened_after"), ("openedBefore", "opened_before"),
            ("exceptions", "exceptions"),
        )
        if given[option]
    }  # fmt: skip
    if not selection and not given["every"]:
        raise click.UsageError(
            "Say which exceptions: --category, --exception, another condition, or --all."
        )
    body: dict[str, Any] = {
        "selection": selection,
        "action": given["action"],
        "rate": given["rate"],
        "note": given["note"] or "",
    }
    if (given["action"] == "amend") != (given["amendment"] is not None):
        raise click.UsageError("`--action amend` needs --amendment; nothing else does.")
    if given["amendment"] is not None:
        try:
            body["amendment"] = msgspec.json.decode(given["amendment"])
        except msgspec.DecodeError as error:
            raise click.UsageError(f"--amendment is not JSON: {error}.") from None
    return body


def _preview(body: dict[str, Any], given: dict[str, Any]) -> None:
    async def ask(gateway: Any) -> Any:
        return await gateway.post(f"{API}/redrive-previews", body)

    told = asked(given["client"], given["secret"], ask)
    if given["as_json"]:
        print_json(told)
        return
    if not told["exceptions"]:
        click.echo("Nothing would be done: no open exception fits.")
        return
    more = ", the oldest of more" if told["more"] else ""
    click.secho(f"{told['exceptions']:,} exceptions to {body['action']}{more}", bold=True)
    for name, value in (
        ("by category", counted(told["byCategory"])),
        ("oldest", at(told["oldest"])),
        ("looked up first", _some(told["lookedUpFirst"], "which may have reached a system")),
        ("not done twice", counted(told["standingEffects"])),
        ("prices checked again", _some(told["stalePrices"], "one that moved stops again")),
        ("vendor calls, about", counted(told["vendorCalls"])),
        ("takes at least", f"{span(told['seconds'])}, set by {_slowest(told, body)}"),
    ):
        click.echo(f"  {name:<22} {value}")
    for why, number in told["withoutEffect"].items():
        click.echo(f"  {'without effect':<22} {number:,}: {why}")
    if told["notAllowed"]:
        click.echo(f"  {'left out':<22} {told['notAllowed']:,}, which do not offer this action")


def _some(number: int, what: str) -> str:
    return f"{number:,}: {what}" if number else "none"


def _slowest(told: dict[str, Any], body: dict[str, Any]) -> str:
    if told["slowest"] == "rate":
        return f"the rate of {body['rate']:g} a second"
    return f"what {told['slowest']} allows"


def _start(body: dict[str, Any], given: dict[str, Any]) -> None:
    given_key = key()

    async def act(gateway: Any) -> Any:
        started = await gateway.post(f"{API}/redrives", body, key=given_key)
        if given["detach"] or started["state"] not in _UNDER_WAY:
            return started
        return await _followed(gateway, started, quiet=given["as_json"])

    _show(asked(given["client"], given["secret"], act), as_json=given["as_json"])


async def _followed(gateway: Any, started: Any, *, quiet: bool) -> Any:
    """Follow a redrive to its end; whoever interrupts this does not interrupt the redrive."""
    if not quiet:
        click.echo(
            f"Redrive {started['id']}: Ctrl-C only stops watching; "
            f"crossdock redrive cancel {started['id']} ends it.",
            err=True,
        )
    told = started
    bar: Any = click.progressbar(
        length=started["selected"], label="acted on", file=sys.stderr,
        show_pos=True, hidden=quiet,
    )  # fmt: skip
    with bar:
        while told["state"] in _UNDER_WAY:
            await asyncio.sleep(_LOOKED_EVERY)
            told = await gateway.get(f"{API}/redrives/{started['id']}")
            bar.update(_done(told) - bar.pos)
    return told


def _done(told: dict[str, Any]) -> int:
    done: int = told["applied"] + told["skipped"] + told["failed"]
    return done


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    click.echo(
        f"Redrive {told['id']} is {told['state']}: {_done(told):,} of {told['selected']:,} "
        f"({told['applied']:,} applied, {told['skipped']:,} seen to by others, "
        f"{told['failed']:,} failed)."
    )


@command.command(name="list", epilog="Example: crossdock redrive list")
@operated
def list_(*, as_json: bool, client: str, secret: str | None) -> None:
    """List the latest redrives, newest first."""

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("redrives"))

    told = asked(client, secret, ask)
    if as_json:
        print_json(told)
        return
    table(
        ("redrive", "state", "action", "who", "started", "done", "of", "skipped", "failed", "why"),
        [
            (
                each["id"], each["state"], each["action"], each["actor"], at(each["startedAt"]),
                _done(each), each["selected"], each["skipped"], each["failed"], each["note"],
            )
            for each in told["redrives"]
        ],
    )  # fmt: skip


@command.command(name="show", epilog=f"Example: crossdock redrive show {_SOME}")
@click.argument("redrive")
@operated
def show(*, redrive: str, as_json: bool, client: str, secret: str | None) -> None:
    """Show how far REDRIVE is, and what it could not act on."""
    place = f"{API}/redrives/{quote(redrive, safe='')}"

    async def ask(gateway: Any) -> tuple[Any, list[Any]]:
        told = await gateway.get(place)
        missed = [
            item
            for outcome in ("skipped", "failed")
            for item in (await gateway.get(f"{place}/items?outcome={outcome}"))["items"]
        ]
        return told, missed

    told, missed = asked(client, secret, ask)
    if as_json:
        print_json({**told, "notApplied": missed})
        return
    _show(told, as_json=False)
    if missed:
        table(
            ("exception", "process", "outcome", "why"),
            [(each["exception"], each["process"], each["outcome"], each["reason"])
             for each in missed],
        )  # fmt: skip


def _changing(action: str, says: str, why: str) -> None:
    example = f'Example: crossdock redrive {action} {_SOME} --note "{why}"'

    @command.command(name=action, help=says, epilog=example)
    @click.argument("redrive")
    @note_option
    @operated
    def change(*, redrive: str, note: str, as_json: bool, client: str, secret: str | None) -> None:
        place = f"{API}/redrives/{quote(redrive, safe='')}/changes"

        async def act(gateway: Any) -> Any:
            return await gateway.post(place, {"action": action, "note": note}, key=key())

        _show(asked(client, secret, act), as_json=as_json)


_changing("pause", "Act on no more until REDRIVE is resumed.", "The ERP slows down")
_changing("resume", "Go on with REDRIVE.", "The ERP is well again")
_changing("cancel", "End REDRIVE where it is; what it has acted on stays.", "Prices changed")
