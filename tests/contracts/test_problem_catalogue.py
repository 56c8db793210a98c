"""Every problem a caller can read about can happen, and every one that happens is written down."""

import ast
from pathlib import Path

import pytest

from contracts.problems import CATALOGUE

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime", "system_apis", "process_apis", "experience_apis", "gateway", "deploy")
NAMERS = {"refuse", "problem", "refused"}
"""What names a problem by its slug as the first argument."""


def product():
    yield ROOT / "contracts" / "outcomes.py"
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "sandbox" not in path.parts:  # vendors have refusals of their own
                yield path


def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in product()}


def test_every_row_is_used():
    """A row that nothing raises would be documentation of a refusal that never comes."""
    said = {
        node.value
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(CATALOGUE) - said == set()


def test_every_problem_named_has_a_row():
    """Found here and not by the first caller that it happens to."""
    unknown = {
        f"{path.relative_to(ROOT)}:{call.lineno} {call.args[0].value}"
        for path, tree in trees().items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split(".")[-1] in NAMERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and " " not in str(call.args[0].value)  # words for a person, not a slug
        and call.args[0].value not in CATALOGUE
    }
    assert unknown == set()


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.slug)
def test_every_row_says_what_to_do(row):
    """A title is no sentence with a full stop; a remedy is one, and more than a word."""
    assert not row.title.endswith(".")
    assert row.remedy.endswith(".")
    assert len(row.remedy.split()) > 2
