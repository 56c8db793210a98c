"""The world of the stories."""

import pytest

from tests.scenarios.world import World


@pytest.fixture
async def world(tmp_path):
    """A distributor with everything running."""
    distributor = World(tmp_path)
    await distributor.opens()
    yield distributor
    await distributor.closes()
