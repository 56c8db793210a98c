"""Campaign B1 in its smoke size: nothing that is wrong in any one way is believed."""

import pytest

from runtime.clock import SystemClock
from tests.security.defects import DEFECTS
from tests.security.tokens import Issuers, campaign

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


@pytest.fixture(scope="module")
def issuers():
    return Issuers(int(SystemClock().now().timestamp()))


async def test_no_wrong_token_or_key_is_believed_and_all_are_told_the_same(tmp_path, issuers):
    """Several hundred vectors, seventy keys, ninety ways round; the right ones all get through."""
    found = await campaign(tmp_path, seed=20261122, full=False, issuers=issuers)

    assert found.clean, found
    assert found.vectors > 900
    assert found.keys >= 70
    assert found.attacks >= 75


@pytest.mark.parametrize("defect", sorted(DEFECTS))
async def test_the_campaign_turns_red_on_a_verifier_that_is_wrong(tmp_path, issuers, defect):
    """A defect that real verifiers have had; a campaign that stays green on it shows nothing."""
    found = await campaign(tmp_path, seed=3, full=False, verifier=DEFECTS[defect], issuers=issuers)

    assert not found.clean
    assert found.accepted, found
