"""Load on a program over HTTP/1.1 keep-alive: as fast as it goes (h2load), or at a rate.

h2load has a rate of its own, but starts all its connections in the same moment, which then call in
step: what was measured would be a queue of sixteen, not the program.
"""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tests.benchmarks.debian import Programs
from tests.benchmarks.paced import Asked, Told

_WAITING = 32
_MICRO = 1e6
_FEW_REFUSED = 1_000
"""On a machine that others keep busy, a call in so many may be shed; it counts as not made."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one program did in one turn: calls answered well, seconds, and its own CPU seconds."""

    calls: int
    seconds: float
    cpu_seconds: float

    @property
    def a_second(self) -> float:
        """Calls a second, as the callers saw it; others on the machine take from it."""
        return self.calls / self.seconds

    @property
    def cpu_micros(self) -> float:
        """Microseconds of CPU a call: one core divided by it is what the program can do."""
        return self.cpu_seconds / self.calls * _MICRO


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from sending to the answer, at a rate that does not wait for answers."""

    a_second: float
    p50: float
    p99: float


def flat_out(
    programs: Programs, url: str, token: str, *, core: int, seconds: float, body: Path | None = None
) -> int:
    """Call over 32 connections, each as soon as it is answered; answer the calls that went well."""
    flat = ["-c", str(_WAITING), "-D", f"{seconds:g}", *_posting(body)]
    said = _h2load(programs, url, token, core, flat)
    return _well(said)


def at_a_rate(
    url: str, token: str, *, core: int, rate: float, seconds: float, body: Path | None = None
) -> Latencies:
    """Call at a rate, whatever is answered; answer how long each took from when it was due."""
    parts = urlsplit(url)
    asked = Asked(
        host=str(parts.hostname), port=parts.port or 80, request=_request(url, token, body),
        rate=rate, seconds=seconds, seed=int(rate),
    )  # fmt: skip
    done = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-m", "tests.benchmarks.paced"],
        input=msgspec.json.encode(asked) + b"\n", capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"paced: {done.stderr.decode()[-500:]}")
    told = msgspec.json.decode(done.stdout, type=Told)
    if told.refused > len(told.milliseconds) / _FEW_REFUSED:
        raise SystemExit(f"not every call was answered well: {told.refused} were refused")
    took = sorted(told.milliseconds)
    return Latencies(a_second=len(took) / seconds, p50=_at(took, 0.5), p99=_at(took, 0.99))


def _request(url: str, token: str, body: Path | None) -> bytes:
    parts = urlsplit(url)
    content = b"" if body is None else body.read_bytes()
    said = [f"{'GET' if body is None else 'POST'} {parts.path} HTTP/1.1", f"host: {parts.netloc}",
            f"authorization: Bearer {token}"]  # fmt: skip
    if content:
        said += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*said, "", ""]).encode() + content


def _at(took: list[float], share: float) -> float:
    return took[min(len(took) - 1, int(len(took) * share))]


def _posting(body: Path | None) -> list[str]:
    return [] if body is None else ["-d", str(body), "-H", "content-type: application/json"]


def _h2load(
    programs: Programs, url: str, token: str, core: int, arguments: list[str]
) -> dict[str, str]:
    command = [
        "taskset", "-c", str(core), programs.h2load, "--h1", "-t", "1", *arguments,
        "-H", f"authorization: Bearer {token}", url,
    ]  # fmt: skip
    done = subprocess.run(
        command, env=dict(programs.environment()), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"h2load: {done.stderr[-500:]}")
    lines = (line.partition(":") for line in done.stdout.splitlines())
    return {name: rest.strip() for name, _, rest in lines}


def _well(said: dict[str, str]) -> int:
    """The calls answered 2xx; many other answers would make the figure a lie."""
    counts = {part.split()[1]: int(part.split()[0]) for part in said["status codes"].split(",")}
    if counts["4xx"] + counts["5xx"] > counts["2xx"] / _FEW_REFUSED:
        raise SystemExit(f"not every call was answered well: {said['status codes']}")
    return counts["2xx"]
