"""`crossdock check`: every fault of a configuration at once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.needs import PARTS

if TYPE_CHECKING:
    from deploy.needs import Part
    from deploy.profile import Settings

__all__ = ["command", "configured_file", "faults_in", "refuse_faulty"]

_HERE = Path("crossdock.toml")


@click.command(name="check", epilog="Example: crossdock check crossdock.toml")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead.")
@click.option(
    "--part",
    type=click.Choice(list(PARTS)),
    help="Judge it as this part does at its start, with the secrets that it needs here.",
)
def command(file: Path | None, *, schema: bool, part: "Part | None") -> None:
    """Check a configuration file and name every fault in it.

    Each fault is told with its place, what stands there, what may stand there, the nearest name,
    and what to do. Without FILE: what CROSSDOCK_CONFIG names, else ./crossdock.toml, else the
    sandbox profile. Nothing is started and nothing is changed.

    Without --part the file is judged by the whole of it. In a split system each machine has the
    secrets of its own part only: one that is not here is no fault then, and is told beside.
    """
    if schema:
        from deploy.schema import document  # noqa: PLC0415  # start-up time

        click.echo(document(), nl=False)
        return
    chosen = file or configured_file()
    if chosen is not None and not chosen.is_file():
        raise click.ClickException(f"There is no file {chosen}.")
    settings = _settings(chosen, part)
    faults = _faults(settings, thorough=True)
    name = chosen or "the sandbox profile"
    for fault in faults:
        click.echo(fault)
    if faults:
        one = "is 1 fault" if len(faults) == 1 else f"are {len(faults)} faults"
        raise click.ClickException(f"There {one} in {name}; it cannot be used.")
    if part is None:
        from deploy.checking import absent_here  # noqa: PLC0415  # start-up time

        for said in absent_here(settings):
            click.echo(f"Note: {said}", err=True)
    click.echo(f"{name}: no fault found.")


def configured_file() -> Path | None:
    """The file in use: what CROSSDOCK_CONFIG names, else ./crossdock.toml, else none."""
    named = os.environ.get("CROSSDOCK_CONFIG")
    if named:
        return Path(named)
    return _HERE if _HERE.is_file() else None


def faults_in(
    file: Path | None, *, thorough: bool = False, part: "Part | None" = None
) -> list[str]:
    """Answer every fault of a file, or of the sandbox profile; with `part`, those that part has.

    `thorough` also compiles the gateway; a start does that anyway.

    Raises:
        click.ClickException: the file cannot be read.
    """
    return _faults(_settings(file, part), thorough=thorough)


def _settings(file: Path | None, part: "Part | None") -> "Settings":
    from deploy.profile import Settings  # noqa: PLC0415  # start-up time

    return Settings.from_environment(config=file, part=part)


def _faults(settings: "Settings", *, thorough: bool) -> list[str]:
    from deploy.checking import faults_of  # noqa: PLC0415  # start-up time

    try:
        return [str(fault) for fault in faults_of(settings, thorough=thorough)]
    except OSError as error:
        raise click.ClickException(
            f"{settings.config} cannot be read: {error.strerror}."
        ) from None  # fmt: skip


def refuse_faulty(consequence: str, *, part: "Part | None" = None) -> None:
    """Refuse to go on with a file that CROSSDOCK_CONFIG names and that cannot be used for `part`.

    Raises:
        click.ClickException: there are faults, each told on standard error, or there is no file.
    """
    file = os.environ.get("CROSSDOCK_CONFIG")
    if not file:
        return
    faults = faults_in(Path(file), part=part)
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.ClickException(f"{file} cannot be used; {consequence}.")
