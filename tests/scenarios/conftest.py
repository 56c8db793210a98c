"""The world of the stories."""

import pytest

from tests.scenarios.stage import opened
from tests.scenarios.world import World


@pytest.fixture
async def world(tmp_path):
    """A distributor with everything running."""
    distributor = World(tmp_path)
    await distributor.opens()
    yield distributor
    await distributor.closes()


@pytest.fixture(scope="session")
async def house(tmp_path_factory):
    """The assembled system in its sandbox profile, for stories that leave it as they found it."""
    async with opened(tmp_path_factory.mktemp("house")) as outside:
        yield outside


IMPATIENT = """
[orders]
deal_poll_every = "PT1S"
settle_before_undo = "PT2S"

[pricing]
refresh_every = 1.0
refresh_overlap = 5.0
customers = { firm_for = 1.0, size = 10000 }
items = { firm_for = 1.0, size = 10000 }
prices = { firm_for = 1.0, size = 10000 }
credit = { firm_for = 1.0, size = 10000 }
rates = { firm_for = 1.0, size = 10000 }
"""


@pytest.fixture(scope="session")
async def impatient(tmp_path_factory):
    """A system with a `crossdock.toml`, in which what takes minutes elsewhere takes seconds.

    Its tokens expire after five seconds (and five of leeway), its copies count as firm for one.
    """
    folder = tmp_path_factory.mktemp("impatient")
    async with opened(folder, config=IMPATIENT, token_seconds=5) as outside:
        outside.first_token = await outside.token("crm")
        yield outside
