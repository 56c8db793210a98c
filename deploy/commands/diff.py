"""`crossdock diff`: which recorded calls another configuration would answer otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.addresses import Addresses
from deploy.commands.check import configured_file, faults_in

if TYPE_CHECKING:
    from deploy.profile import Configuration
    from deploy.replaying import Replayed
    from gateway.records import AccessRecord

__all__ = ["command"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_CHANGED = 1


@click.command(name="diff", epilog="Example: crossdock diff new.toml --log access.log")
@click.argument("new", type=_FILE)
@click.option("--old", type=_FILE, help="Compared with this one [default: the one in use].")
@click.option("--log", type=_FILE, help="The access log [default: the data directory's].")
def command(new: Path, *, old: Path | None, log: Path | None) -> None:
    """Show which recorded calls the configuration NEW would answer otherwise.

    Every record of the access log is put to the policies that both configurations compile to:
    where its method and path lead, who may call what, and how often, window by window at the times
    of the record. Ends with 1 when a call would be told something else. What records do not show
    is named, not guessed: bodies, ids, tokens that hold fewer scopes than their client, the calls
    of other gateways, and what a service is sent or told ("Differs too").
    """
    before = old or configured_file()
    for file in (before, new):
        if file is not None and not file.is_file():
            raise click.ClickException(f"There is no file {file}.")
        faults = faults_in(file, thorough=True, part="gateway")
        for fault in faults:
            click.echo(fault, err=True)
        if faults:
            raise click.ClickException(f"{file or 'The sandbox profile'} cannot be used.")
    recorded = log or Addresses.from_environment().data / "access.log"
    if not recorded.is_file():
        raise click.ClickException(f"There is no access log {recorded}; name one with --log.")
    was, becomes = _read(before), _read(new)

    from deploy.differing import untold  # noqa: PLC0415  # start-up time
    from deploy.replaying import Replay, changes  # noqa: PLC0415  # start-up time

    records, others = _records(recorded)
    if not records:
        raise click.ClickException(f"No line of {recorded} is an access record.")
    old_replay = Replay(was.gateway, made_under=was.gateway)
    new_replay = Replay(becomes.gateway, made_under=was.gateway)
    found = changes(records, old_replay, new_replay)
    _show(found)
    if others:
        click.echo(f"{others} could not be replayed: no access record.")
    for place in untold(was, becomes, found):
        click.echo(f"Differs too, and no record shows what it changes: {place}")
    if found.changed:
        raise click.exceptions.Exit(_CHANGED)


def _show(found: "Replayed") -> None:
    rows = sorted(found.changed.items(), key=lambda row: (-row[1], row[0]))
    for (consumer, operation, before, after), count in rows:
        click.echo(f"{count:>8}  {consumer}  {operation}  {before} -> {after}")
    changed = sum(found.changed.values())
    click.echo(f"{changed} of {found.replayed} recorded calls would be told something else.")
    for lack, count in sorted(found.unreplayed.items()):
        click.echo(f"{count} could not be replayed: {lack}.")


def _read(file: Path | None) -> "Configuration":
    from deploy.profile import Settings, configuration  # noqa: PLC0415  # start-up time

    return configuration(Settings.from_environment(config=file, part="gateway"))


def _records(log: Path) -> "tuple[list[AccessRecord], int]":
    """Answer the access records of a file, and how many of its lines are none."""
    import msgspec  # noqa: PLC0415  # start-up time

    from gateway.records import AccessRecord  # noqa: PLC0415  # start-up time

    decode = msgspec.json.Decoder(AccessRecord).decode
    found, others = [], 0
    with log.open("rb") as lines:
        for line in lines:
            try:
                found.append(decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                others += 1
    return found, others
