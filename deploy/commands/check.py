"""`crossdock check`: every fault of a configuration at once."""

import os
from pathlib import Path

import click

__all__ = ["command"]

_HERE = Path("crossdock.toml")


@click.command(name="check", epilog="Example: crossdock check crossdock.toml")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def command(file: Path | None) -> None:
    """Check a configuration file and name every fault in it.

    Each fault is told with its place, what stands there, what may stand there, the nearest name,
    and what to do. Without FILE: what CROSSDOCK_CONFIG names, else ./crossdock.toml, else the
    sandbox profile. Nothing is started and nothing is changed.
    """
    chosen = file or _configured()
    if chosen is not None and not chosen.is_file():
        raise click.ClickException(f"There is no file {chosen}.")
    faults = _faults(chosen)
    name = chosen or "the sandbox profile"
    for fault in faults:
        click.echo(fault)
    if faults:
        one = "is 1 fault" if len(faults) == 1 else f"are {len(faults)} faults"
        raise click.ClickException(f"There {one} in {name}; it cannot be used.")
    click.echo(f"{name}: no fault found.")


def _configured() -> Path | None:
    named = os.environ.get("CROSSDOCK_CONFIG")
    if named:
        return Path(named)
    return _HERE if _HERE.is_file() else None


def _faults(file: Path | None) -> list[str]:
    """Answer the faults of form, or where there are none, those that the contracts show."""
    import tomllib  # noqa: PLC0415  # start-up time

    import msgspec  # noqa: PLC0415  # start-up time

    from contracts.governance.openapi import blessed  # noqa: PLC0415  # start-up time
    from contracts.versions import supported  # noqa: PLC0415  # start-up time
    from deploy.profile import Settings, configuration  # noqa: PLC0415  # start-up time
    from gateway.config import ConfigError, check  # noqa: PLC0415  # start-up time
    from gateway.routes import compile_documents  # noqa: PLC0415  # start-up time

    try:
        made = configuration(Settings.from_environment(config=file))
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"{file}: {error}"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{file}: a reference to a secret cannot be followed: {error}"]
    documents = [blessed(api) for api in supported()]
    return [str(fault) for fault in check(made.gateway, compile_documents(documents))]
