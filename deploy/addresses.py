"""Where things are on this machine: the ports and the data directory, from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import click

__all__ = ["Addresses", "handed_in"]

_LARGEST_PORT = 65_535


class Addresses:
    """The gateway's and the sandbox's address, and the data directory.

    No msgspec here: every command reads this first, and `--help` must not wait for it.
    """

    __slots__ = ("data", "port", "sandbox_port")

    def __init__(self, *, port: int, sandbox_port: int, data: Path) -> None:
        self.port = port
        self.sandbox_port = sandbox_port
        self.data = data

    @property
    def gateway(self) -> str:
        """The gateway's base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox(self) -> str:
        """The sandbox's base address."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def sandbox_log(self) -> Path:
        """Where a sandbox started from here writes what it has to say."""
        return self.data / "sandbox.log"

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        sandbox_port: int | None = None,
    ) -> Self:
        """Read `CROSSDOCK_PORT`, `CROSSDOCK_SANDBOX_PORT` and `CROSSDOCK_DATA`; options win.

        Raises:
            click.UsageError: a value is no port.
        """
        given = os.environ if environment is None else environment
        return cls(
            port=port or _port(given, "CROSSDOCK_PORT", 8080),
            sandbox_port=sandbox_port or _port(given, "CROSSDOCK_SANDBOX_PORT", 8090),
            data=Path(given.get("CROSSDOCK_DATA") or ".crossdock").absolute(),
        )

    def as_environment(self) -> dict[str, str]:
        """Say the same to a process started from here."""
        return {
            "CROSSDOCK_PORT": str(self.port),
            "CROSSDOCK_SANDBOX_PORT": str(self.sandbox_port),
            "CROSSDOCK_DATA": str(self.data),
        }


_FIRST_HANDED: Final = 3
"""The first descriptor after the standard ones."""


def handed_in(environment: Mapping[str, str], pid: int) -> int | None:
    """Answer the listening socket that this very process was handed, as sd_listen_fds(3) has it.

    Raises:
        click.UsageError: there are several; which of them to listen on is not for us to guess.
    """
    if environment.get("LISTEN_PID") != str(pid):
        return None
    number = environment.get("LISTEN_FDS", "0")
    if number not in {"0", "1"}:
        raise click.UsageError(f"LISTEN_FDS is {number!r}: one socket is listened on.")
    return _FIRST_HANDED if number == "1" else None


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _LARGEST_PORT:
        raise click.UsageError(f"{name} is {text!r}: a port from 1 to {_LARGEST_PORT} is needed.")
    return int(text)
