"""Installs the products compared with, each at one version, in a folder of the user's cache."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DBOS = "dbos==3.4.0"
RESTATE_SDK = ("restate-sdk[serde]==1.3.0", "hypercorn==0.18.0")
RESTATE_SERVER = "@restatedev/restate-server@1.7.12"


class NotInstalled(Exception):  # noqa: N818  # says what is, as an outcome of its own
    """A product could not be installed here; the message says why."""


def cache() -> Path:
    """The folder of these installations, kept from run to run."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = user if os.access(user if user.exists() else user.parent, os.W_OK) else None
    return (place or Path(tempfile.gettempdir())) / "crossdock-benchmarks"


def dbos_python() -> Path:
    """The Python of an environment that has DBOS. Raises `NotInstalled`."""
    return _environment(DBOS)


def restate_python() -> Path:
    """The Python of an environment that has Restate's SDK. Raises `NotInstalled`."""
    return _environment(*RESTATE_SDK)


def restate_server() -> Path:
    """Restate's server: a program of its own inside its npm package. Raises `NotInstalled`."""
    folder = cache() / RESTATE_SERVER.replace("/", "-").replace("@", "")
    found = _server_in(folder)
    if found is None:
        npm = shutil.which("npm")
        if npm is None:
            raise NotInstalled("Restate: there is no npm on this machine")
        folder.mkdir(parents=True, exist_ok=True)
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder),
              RESTATE_SERVER])  # fmt: skip
        found = _server_in(folder)
    if found is None:
        raise NotInstalled("Restate: its npm package has no server for this machine")
    return found


def _server_in(folder: Path) -> Path | None:
    found = folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server")
    return next(iter(found), None)


def _environment(*packages: str) -> Path:
    name = packages[0].partition("[")[0].partition("=")[0]
    folder = cache() / f"{name}-{'-'.join(p.rpartition('=')[2] for p in packages)}"
    python = folder / "bin" / "python"
    if (folder / "installed").exists():
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    (folder / "installed").write_text(json.dumps(packages))
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
