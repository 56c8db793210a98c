"""Programs of Debian packages for the benchmarks: unpacked into the user's cache, never installed.

No root is needed and nothing of the machine is changed: `apt-get download`, `dpkg -x`.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.benchmarks.peers.installing import NotInstalled, cache

PACKAGES = (
    "haproxy", "liblua5.3-0", "libopentracing1", "libopentracing-c-wrapper0", "nginx",
    "nghttp2-client", "libnghttp2-14", "libev4", "libjemalloc2", "libc-ares2", "libjansson4",
)  # fmt: skip
"""The two proxies, h2load, and the libraries of theirs that a small machine lacks."""
_SECONDS = 300


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs are and how they are started."""

    folder: Path

    @property
    def haproxy(self) -> str:
        """The proxy compared with."""
        return str(self.folder / "usr/sbin/haproxy")

    @property
    def nginx(self) -> str:
        """The other one; also the backend of all."""
        return str(self.folder / "usr/sbin/nginx")

    @property
    def h2load(self) -> str:
        """The load."""
        return str(self.folder / "usr/bin/h2load")

    def environment(self) -> Mapping[str, str]:
        """The environment in which they find their libraries."""
        libraries = [str(each) for each in self.folder.glob("usr/lib/*-linux-gnu*")]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}

    def version(self, program: str, flag: str) -> str:
        """The first line in which a program says what it is."""
        done = subprocess.run(
            [program, flag], env=dict(self.environment()), capture_output=True, text=True,
            timeout=10, check=False,
        )  # fmt: skip
        return (done.stdout or done.stderr).strip().splitlines()[0]


def programs() -> Programs:
    """Unpack what is not there yet.

    Raises:
        NotInstalled: this is no Debian, or the packages cannot be had.
    """
    folder = cache() / "debian"
    if (folder / "unpacked").exists():
        return Programs(folder=folder)
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotInstalled("HAProxy and nginx: this machine has no apt-get")
    folder.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "--quiet", *PACKAGES], folder)
    for package in folder.glob("*.deb"):
        _run(["dpkg", "-x", package.name, "."], folder)
    found = Programs(folder=folder)
    for program in (found.haproxy, found.nginx, found.h2load):
        if not Path(program).exists():
            raise NotInstalled(f"{program} is in none of the packages")
    (folder / "unpacked").write_text("\n".join(PACKAGES))
    return found


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
