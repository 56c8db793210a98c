"""Draws the table of `docs/campaigns.md` from the result files that full runs left.

python -m tests.crash.table
"""

import re
from typing import Any

import msgspec

from tests.crash.result import KEPT, ROOT

PAGE = ROOT / "docs" / "campaigns.md"
COLUMNS = (
    "campaign", "what is done", "trials", "accepted", "faults met", "violations",
    "defects caught", "verdict", "seed", "revision",
)  # fmt: skip
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


def drawn() -> str:
    """The rows of the table, one a result file, by name."""
    files = sorted(KEPT.glob("*.json"), key=_by_number)
    rows = [_row(msgspec.json.decode(path.read_bytes())) for path in files]
    head = f"| {' | '.join(COLUMNS)} |"
    return "\n".join([head, "|---" * len(COLUMNS) + "|", *rows]) + "\n"


def _by_number(path: Any) -> tuple[str, int, str]:
    letter, number, rest = re.match(r"([A-Z])(\d+)(.*)", path.stem).groups()  # type: ignore[union-attr]  # every result file is named so
    return letter, int(number), rest


def _row(one: dict[str, Any]) -> str:
    found = sum(len(cases) for cases in one["violations"].values())
    caught = sum(one["defects"].values())
    cells = (
        one["campaign"], one["what"], f"{one['trials']:,}", f"{one['accepted']:,}",
        f"{sum(one['faults'].values()):,}", str(found), f"{caught} of {len(one['defects'])}",
        one["verdict"], str(one["seed"]), one["revision"],
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page, with its table as the result files are now."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{drawn()}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
