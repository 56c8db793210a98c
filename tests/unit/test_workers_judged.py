"""The benchmark of several workers would notice work that is done twice."""

import pytest

from tests.benchmarks.journal_workers import judge

STEP = "begun p1 s0 {0} 0\ndone p1 s0 {0} 0\n"


@pytest.mark.parametrize(
    ("ledger", "found"),
    [
        (STEP.format("one"), {"steps": 1, "twice": 0, "besideEachOther": 0}),
        (STEP.format("one") * 2, {"steps": 2, "twice": 1, "besideEachOther": 0}),
        (
            "begun p1 s0 one 0\nbegun p1 s1 two 0\ndone p1 s0 one 0\ndone p1 s1 two 0\n",
            {"steps": 2, "twice": 0, "besideEachOther": 1},
        ),
    ],
    ids=["done once", "done again", "done by two at once"],
)
def test_doubled_work_is_seen(tmp_path, ledger, found):
    """A step that ran again, or beside another of its order, is counted."""
    path = tmp_path / "ledger"
    path.write_text(ledger)
    assert judge(path) == found
