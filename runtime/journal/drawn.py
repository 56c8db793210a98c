"""The tables of `docs/journal.md`, drawn from the code: `python -m runtime.journal.drawn PAGE`.

A page holds each table between `<!-- drawn: name -->` and `<!-- end -->`; everything else of it is
prose and left alone. Every drawing must be asked for once.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runtime.journal.advancing import ATTEMPTS_BEFORE_INCIDENT
from runtime.journal.crash_points import MEANINGS
from runtime.journal.incidents import REMEDIES
from runtime.journal.process import Again, Ignore, Lane, Move, Wait
from runtime.journal.worker import CONCURRENCY
from runtime.store.schema import metadata

_SECTION = re.compile(r"(<!-- drawn: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_LANES: Mapping[Lane, str] = MappingProxyType(
    {
        Lane.CAPTURE: "order capture, reservation, shipment confirmation",
        Lane.STATUS: "what people wait to see",
        Lane.SYNC: "copies kept in step",
        Lane.BULK: "imports, sweeps, whatever may take its time",
    }
)

_TRIED = f"Again, in doubt; from attempt {ATTEMPTS_BEFORE_INCIDENT} on with an incident."
_HANDLED: Mapping[str, str] = MappingProxyType(
    {
        Move.__name__: "Committed in one transaction, then the next step at once. Ends all doubt.",
        Again.__name__: "Later, with backoff and jitter, never before a vendor's retry-after. If it"
        " says `in_doubt`, the next run looks before it acts.",
        Wait.__name__: "Nothing until a signal or that time.",
        Ignore.__name__: "Only a signal's function may say so: the signal is used up.",
        "an exception": _TRIED,
        "no answer in time": "Cut off at its budget; again after as long once more, in doubt.",
        "a crash": "The lease lapses; another worker runs it in doubt, after the time to settle.",
        "what cannot be written": _TRIED + " If even that cannot be written, the process is"
        " set aside.",
        "what cannot be read": "The process is set aside with an incident; nothing else waits.",
    }
)

_TABLES: Mapping[str, str] = MappingProxyType(
    {
        "process": "one row a process: where it is, what it knows, who holds it until when",
        "entry": "the timeline: at least one line for each change of state",
        "seal": "one row a commit: its lines' numbers and digest, linked to the seal before",
        "term": "business ids a process is found by",
        "signal": "what happened outside, once for each dedupe key",
        "incident": "what needs a person; at most one is open for a process",
        "redrive": "one action on many incidents, at a rate",
        "redrive_item": "each incident of a redrive, and what became of it",
        "delivery": "each event for each subscriber",
        "inbox": "messages taken, so that each is taken once",
        "idempotency": "what the first call of a key was answered",
        "audit": "calls with an effect and acts of operators, each linked to the one before",
        "note": "small durable values, such as a poller's watermark or an operator's act",
        "claim": "what accepted work takes of something limited, such as credit or stock",
    }
)


def crash_points() -> str:
    """Every named point, and why a crash there is harmless."""
    return _table(("crash", "what is true, and what follows"), list(MEANINGS.items()))


def outcomes() -> str:
    """How each end of a step is handled."""
    return _table(("a step ends with", "what becomes of it"), list(_HANDLED.items()))


def lanes() -> str:
    """The lanes and their room."""
    rows = [(lane.name.lower(), str(CONCURRENCY[lane]), _LANES[lane]) for lane in Lane]
    return _table(("lane", "steps at once in a worker", "for"), rows)


def categories() -> str:
    """Every category of incident, who acts, and what they may do."""
    rows = []
    for category, remedy in REMEDIES.items():
        page = f"[{category.value}]({remedy.runbook.removeprefix('docs/')})"
        actions = ", ".join(sorted(remedy.actions))
        rows.append((page, remedy.who_acts, actions))
    return _table(("category", "who acts", "what they may do"), rows)


def tables() -> str:
    """Every table of the store with its columns; keys in bold."""
    rows = []
    for table in sorted(metadata.tables.values(), key=lambda one: list(_TABLES).index(one.name)):
        columns = [f"**{c.name}**" if c.primary_key else c.name for c in table.columns]
        rows.append((table.name, _TABLES[table.name], ", ".join(columns)))
    return _table(("table", "holds", "columns"), rows)


DRAWINGS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "crash points": crash_points,
        "outcomes": outcomes,
        "lanes": lanes,
        "categories": categories,
        "tables": tables,
    }
)


def redrawn(page: str) -> str:
    """The page with its tables drawn anew. Raises ValueError unless it asks for each once."""
    asked = [match[2] for match in _SECTION.finditer(page)]
    if sorted(asked) != sorted(DRAWINGS):
        raise ValueError(f"a page asks for {sorted(DRAWINGS)}, each once; this one for {asked}")
    return _SECTION.sub(_draw, page)


def _draw(match: re.Match[str]) -> str:
    return f"{match[1]}{DRAWINGS[match[2]]()}{match[3]}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(redrawn(page.read_text()))
