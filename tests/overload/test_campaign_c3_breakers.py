"""Campaign C3 in its smoke size: a table of moves, and one trial for four gateways."""

import pytest

from runtime.guard import Breaker, BreakerSettings
from tests.overload.breakers import run
from tests.sandbox_callers import TurnedClock

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]

SETTINGS = BreakerSettings(failures=3, window=10, minimum=8, open_seconds=2.0, trials=2)

CLOSED, OPEN, HALF = "closed", "open", "half-open"
TABLE = {
    # f fails, s succeeds, c is cancelled, w waits as long as it is open, T R by hand,
    # O C what other nodes saw, p postpones, x is refused (said as a check of the move before)
    CLOSED: (
        "", "s", "f", "ff", "c", "ffc", "fcfc", "ffs", "ffsff", "sff", "sss", "fsfsf", "cccccccccc",
        "R", "ffR", "ffRff", "C", "ffC", "p", "ps", "TR", "TwR", "OR", "TOCR",
        "fffwss", "fffwsscff", "fffwfwss", "fffwscs", "fffwccss", "fffwsCff", "OC", "OwC", "Owss",
        "fffC", "fffwC", "fffwR",
    ),
    OPEN: (
        "fff", "ffcf", "fffx", "fffxxx", "ffsfff", "fsfsfsff", "fssffssf", "T", "Tw", "Twx", "TC",
        "TO", "TOC", "TwC", "fffT", "fffwT", "O", "Ox", "OO", "fffO", "fffwf", "fffwsf", "fffwcf",
        "fffwfx", "fffwsCfff", "Owf", "Ofx", "RT", "fffCfff", "fffwO",
    ),
    HALF: ("fffws", "fffwc", "fffwsc", "fffwcs", "Ows", "Owc", "fffwfws"),
}  # fmt: skip


def walked(moves: str) -> Breaker:
    """Make the moves one after the other."""
    clock = TurnedClock()
    breaker = Breaker("erp", clock=clock, settings=SETTINGS)
    for move in moves:
        match move:
            case "w":
                clock.turn(breaker.standing().retry_after)
            case "T":
                breaker.trip()
            case "R":
                breaker.reset()
            case "O":
                breaker.open_for(1.0)
            case "C":
                breaker.close_as_seen()
            case "p":
                breaker.postpone(1.0)
            case "x":
                assert breaker.admit() is None
            case _:
                permit = breaker.admit()
                if permit is not None:
                    {"f": permit.failed, "s": permit.succeeded, "c": permit.released}[move]()
    return breaker


@pytest.mark.parametrize(
    ("moves", "state"), [(moves, state) for state, all_of in TABLE.items() for moves in all_of]
)
def test_the_moves_lead_to_the_state_of_the_table(moves, state):
    assert walked(moves).state == state


def test_the_table_is_as_long_as_it_should_be():
    assert sum(map(len, TABLE.values())) >= 60


async def test_four_gateways_make_one_trial_for_each_half_open(tmp_path):
    """Two hundred callers at once, some cancelled; the well upstream is never refused."""
    found = await run(tmp_path, openings=6, seed=5)

    assert found.clean, found


async def test_the_campaign_catches_gateways_that_try_without_a_permit(tmp_path):
    found = await run(tmp_path, openings=2, seed=5, defect="no-permit")

    assert found.most_trials_at_once > 1
