"""Campaign B3 in its smoke size: whatever the issuer does, right tokens go on being right."""

import pytest

from tests.security.keydefects import DEFECTS
from tests.security.keys import SCENES, campaign

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


@pytest.mark.parametrize("scene", SCENES)
async def test_no_right_token_is_refused_and_the_issuer_is_asked_no_more_than_it_must(
    tmp_path, scene
):
    """The scene's own docstring says what the issuer does."""
    found = await campaign(tmp_path, seed=20261122, scenes=(scene,))

    assert not found.violations, found
    assert found.right > 0


@pytest.mark.parametrize("defect", sorted(DEFECTS))
async def test_the_campaign_turns_red_on_a_key_source_that_is_wrong(tmp_path, defect):
    """Each defect is one that key caches have had."""
    scene, verifier = DEFECTS[defect]
    found = await campaign(tmp_path, seed=3, scenes=(scene,), verifier=verifier)

    assert found.violations, found
