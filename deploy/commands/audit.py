"""`crossdock audit`: who did what, and whether the record of it is whole."""

from pathlib import Path
from typing import Any

import click

from deploy.commands.operating import API, Listing, asked, at, operated, path, print_json, table

__all__ = ["command"]

_SHOWN = 20
_TOLD_ELSEWHERE = frozenset({"act", "actor", "consumer", "pauseMicros"})


@click.group(name="audit", cls=Listing, epilog="Example: crossdock audit --actor operator")
def command() -> None:
    """Show who did what; verify that the record of it is whole."""


@command.command(name="list", epilog="Example: crossdock audit list --actor operator")
@click.option("--actor", help="Only what this person or client did.")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many."
)
@operated
def list_(*, actor: str | None, limit: int, as_json: bool, client: str, secret: str | None) -> None:
    """Show the latest records, newest first."""

    async def ask(gateway: Any) -> Any:
        return await gateway.get(path("audit", actor=actor, limit=limit))

    page = asked(client, secret, ask)
    if as_json:
        print_json(page)
        return
    table(
        ("at", "chain", "number", "who", "what"),
        [
            (at(each["at"]), each["chain"], each["sequence"], *_said(each["record"]))
            for each in page["entries"]
        ],
    )


def _said(record: dict[str, Any]) -> tuple[str, str]:
    """Who did what, of a call that the gateway recorded or of an act of an operator."""
    if "act" in record:
        told = {**(record.get("amendment") or {}), **record}
        rest = [
            f"{name}={value}"
            for name, value in told.items()
            if name not in _TOLD_ELSEWHERE and isinstance(value, str | int)
        ]
        return str(record.get("actor")), " ".join([str(record["act"]), *rest])
    return str(record.get("consumer")), f"{record.get('target')} -> {record.get('outcome')}"


@command.command(
    name="verify",
    epilog="Example: crossdock audit verify --export checkpoints.json",
)
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with checkpoints kept from an earlier time.",
)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write checkpoints of all chains here, if the record is whole.",
)
@operated
def verify(
    *, checkpoints: Path | None, export: Path | None, as_json: bool, client: str,
    secret: str | None,
) -> None:  # fmt: skip
    """Verify every chain and every line of every timeline. Exit code 1: the record is not whole.

    Keep checkpoints where nobody who can write the store can write.
    """
    import msgspec  # noqa: PLC0415  # start-up time

    body: dict[str, Any] = {}
    if checkpoints is not None:
        try:
            body["checkpoints"] = msgspec.json.decode(checkpoints.read_bytes())
        except msgspec.DecodeError as error:
            raise click.UsageError(f"{checkpoints} is not JSON: {error}.") from None

    async def ask(gateway: Any) -> Any:
        return await gateway.post(f"{API}/audit-verdicts", body)

    verdict = asked(client, secret, ask)
    if export is not None and verdict["whole"]:
        export.write_bytes(msgspec.json.format(msgspec.json.encode(verdict["ends"])) + b"\n")
    if as_json:
        print_json(verdict)
    else:
        _show(verdict)
    if not verdict["whole"]:
        raise click.exceptions.Exit(1)


def _show(verdict: dict[str, Any]) -> None:
    chains = len(verdict["ends"])
    if verdict["whole"]:
        click.echo(f"Whole: {verdict['records']:,} links of {chains} chains, and every line.")
        return
    click.secho(f"Not whole: {len(verdict['faults']):,} faults.", bold=True)
    for fault in verdict["faults"][:_SHOWN]:
        click.echo(f"  {fault}")
    if len(verdict["faults"]) > _SHOWN:
        click.echo(f"  and {len(verdict['faults']) - _SHOWN:,} more (--json)")
    click.echo("Keep a copy of the store as it is; then docs/runbooks/README.md, escalation.")
