"""Starting what is not running yet: the sandbox and the system, each as a process of its own.

The sandbox stands for other companies' systems, so it gets its own session: a `kill -9` of the
system leaves it alive, as it would leave Salesforce alive, and the next start finds it again.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from deploy.addresses import Addresses

__all__ = [
    "Launched",
    "gateway_answers",
    "is_listening",
    "sandbox_answers",
    "sandbox_limits",
    "sandbox_pid",
    "start_sandbox",
    "start_system",
]

_STOPPING_SECONDS: Final = 15.0
_STARTING_SECONDS: Final = 60.0
_LOOK_EVERY: Final = 0.02
_LAST_LINES: Final = 5


class Launched:
    """A process started from here, and the file it writes to."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self._process.returncode}"
        return f"<Launched {self.name} pid {self.pid} {state}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready.

        Raises:
            click.ClickException: it ended, or is not ready after a minute; the end of its log is
                in the message.
        """
        give_up = time.monotonic() + _STARTING_SECONDS
        while not ready():
            if not self.running or time.monotonic() > give_up:
                end = "ended at once" if not self.running else "is not ready after a minute"
                raise click.ClickException(f"The {self.name} {end}. {_last_words(self.log)}")
            time.sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """End it: politely, and after a while for good. Nothing happens when it has ended."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_sandbox(
    addresses: Addresses, *, limits: str | None, orders_file: Path | None
) -> Launched:
    """Start the vendor simulators; they may not be ready yet. Their log is `sandbox.log`.

    Raises:
        click.ClickException: something else listens at the sandbox port.
    """
    if is_listening(addresses.sandbox_port):
        raise click.ClickException(
            f"Port {addresses.sandbox_port} is taken by something that is not the sandbox. "
            "Stop it, or set CROSSDOCK_SANDBOX_PORT to a free port."
        )
    arguments = ["-m", "deploy.sandbox"]
    if limits is not None:
        arguments += ["--limits", limits]
    if orders_file is not None:
        arguments += ["--orders-file", str(orders_file)]
    launched = _launch("sandbox", arguments, addresses, addresses.sandbox_log)
    _pid_file(addresses).write_text(str(launched.pid), encoding="ascii")
    return launched


def sandbox_pid(addresses: Addresses) -> int | None:
    """Answer the process id of a sandbox that was started with this data directory and lives."""
    try:
        pid = int(_pid_file(addresses).read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"deploy.sandbox" in words else None


def _pid_file(addresses: Addresses) -> Path:
    return addresses.data / "sandbox.pid"


def start_system(addresses: Addresses, *, limits: str | None) -> Launched:
    """Start the system without a sandbox; it may not be ready yet. Its log is `system.log`."""
    arguments = ["-m", "deploy.cli", "up", "--no-sandbox"]
    if limits is not None:
        arguments += ["--limits", limits]
    return _launch("system", arguments, addresses, addresses.data / "system.log")


def _launch(name: str, arguments: Sequence[str], addresses: Addresses, log: Path) -> Launched:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter, our own module
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **addresses.as_environment()},
            start_new_session=True,
        )
    return Launched(name, process, log)


def is_listening(port: int) -> bool:
    """Tell whether anything accepts connections at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def gateway_answers(port: int) -> bool:
    """Tell whether a gateway is ready at a port; False while it starts or when it is another's."""
    return _answers(port, "/readyz") == 200  # noqa: PLR2004  # RFC 9110, section 15.3.1


def sandbox_answers(port: int) -> bool:
    """Tell whether a sandbox answers at a port; False also when something else does."""
    return is_listening(port) and _answers(port, "/_sandbox/healthz") == 200  # noqa: PLR2004  # RFC 9110, section 15.3.1


def sandbox_limits(port: int) -> str | None:
    """Answer whether the sandbox at a port keeps its vendors' limits, `on` or `off`.

    None: no sandbox answers.
    """
    _, body = _get(port, "/_sandbox/limits")
    if b'"limits"' not in body:
        return None
    return "off" if b'"off"' in body.partition(b'"limits"')[2][:12] else "on"


def _answers(port: int, path: str) -> int | None:
    """Answer the status of a GET, None when there is no whole answer."""
    return _get(port, path)[0]


def _get(port: int, path: str) -> tuple[int | None, bytes]:
    """Answer status and body of a GET, None and nothing when there is no whole answer."""
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  # start-up time

    connection = HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(65_536)
    except (OSError, HTTPException):
        return None, b""
    finally:
        connection.close()


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        lines = []
    said = "\n  ".join(lines)
    return f"The end of {log}:\n  {said}" if said else f"See {log}."
