"""What a campaign found, as it is kept: enough to run it again and to know what it is worth.

A full run is kept in `docs/campaigns/` by `python -m tests.crash ID --keep`; the table of
`docs/campaigns.md` is drawn from those files.
"""

import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "campaigns"

Size = Literal["smoke", "full"]


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One run. `violations` names every case found, by invariant; an empty list is a promise kept.

    A run without evidence (no fault met an order in flight, or nothing was accepted) is void: it
    proves nothing, whatever else it found.
    """

    campaign: str
    what: str
    size: Size
    seed: int
    trials: int
    accepted: int
    faults: dict[str, int]
    evidence: dict[str, int]
    violations: dict[str, list[str]]
    measures: dict[str, float] = {}
    defects: dict[str, bool] = {}
    """Planted defects, and whether the campaign caught each."""
    seconds: float = 0.0
    revision: str = ""
    versions: dict[str, str] = {}

    @property
    def verdict(self) -> Literal["passed", "failed", "void"]:
        """Passed only with evidence, no violation, and every planted defect caught."""
        if not self.accepted or not all(self.evidence.values()):
            return "void"
        if any(self.violations.values()) or not all(self.defects.values()):
            return "failed"
        return "passed"

    @property
    def bound(self) -> str:
        """The true rate of violations this run speaks for, at 95 %."""
        return f"3/{self.trials}"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far."""
        return round(time.monotonic() - self._started, 1)


def whole(result: Result, *, defects: Mapping[str, bool], seconds: float) -> Result:
    """The result with what is known only at the end: defects, time, revision, versions."""
    return msgspec.structs.replace(
        result,
        defects=dict(defects),
        seconds=seconds,
        revision=revision(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("granian", "sqlalchemy", "litestar", "redis")},
        },
    )


def revision() -> str:
    """The commit the tree stands at, marked when the tree has changes."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() or "unknown"


_MOST = 20
"""Cases of one violation that are named; the rest is counted."""


def shown(result: Result) -> bytes:
    """One JSON document, with the verdict."""
    told = msgspec.to_builtins(result)
    for name, cases in told["violations"].items():
        if len(cases) > _MOST:
            told["violations"][name] = [*cases[:_MOST], f"and {len(cases) - _MOST} more"]
    return msgspec.json.format(
        msgspec.json.encode({"verdict": result.verdict, "bound": result.bound, **told}), indent=1
    )


def keep(result: Result) -> Path:
    """Keep a full run's result file."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{result.campaign}.json"
    path.write_bytes(shown(result) + b"\n")
    return path
