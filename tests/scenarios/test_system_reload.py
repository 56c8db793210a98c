"""An operator edits the file and sends SIGHUP: what it says holds, or nothing has changed."""

import asyncio
import os
import signal

import pytest

from tests.scenarios.apart import opened_apart
from tests.scenarios.edited import Edited
from tests.scenarios.stage import eventually, made, opened

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage(tmp_path_factory):
    async with opened(tmp_path_factory.mktemp("reload"), config="") as stage:
        yield stage


@pytest.fixture
async def edited(stage):
    edited = Edited(stage)
    yield edited
    await edited.reload(edited.good)


async def asked(stage, client):
    return (await stage.call("GET", "/sales/v1/orders/none", client=client)).status


async def test_a_client_that_is_disabled_in_the_file_is_refused_from_the_reload_on(edited):
    """Its token is still good for a quarter of an hour; it helps no more."""
    stage = edited.stage
    assert await asked(stage, "crm") == 404

    await edited.reload(edited.disabled("crm"))
    assert await asked(stage, "crm") == 401
    assert await asked(stage, "operator") == 404

    await edited.reload(edited.good)
    assert await asked(stage, "crm") == 404


async def test_a_broken_file_changes_nothing_and_every_fault_is_logged(edited):
    stage = edited.stage
    broken = edited.disabled("crm").replace("enabled = true", 'enabled = "yes"')
    broken += '[order]\n[clients.shop]\nplan = "none"\n'

    await edited.reload(broken, becomes="configuration_refused")
    places = {fault["place"] for fault in edited.told("configuration_fault_found")}
    assert places >= {"gateway.issuer.enabled", "order", "clients.shop.plan"}
    assert all(fault["remedy"] for fault in edited.told("configuration_fault_found"))
    assert await asked(stage, "crm") == 404

    await edited.reload("[gateway\n", becomes="configuration_refused")
    assert await asked(stage, "crm") == 404

    edited.file.unlink()
    os.kill(stage.system.pids[-1], signal.SIGHUP)

    async def refused_again():
        return len(edited.told("configuration_refused")) == 3

    await eventually(refused_again, "a file that is gone is refused")
    assert await asked(stage, "crm") == 404


async def test_calls_under_way_end_and_none_is_lost(edited):
    """Orders that are placed while the configuration changes are each placed once."""
    stage = edited.stage
    keys = [stage.a_key("reload") for _ in range(12)]
    placing = [asyncio.create_task(stage.place(stage.an_order(), key, wait=20)) for key in keys]
    for _ in range(3):
        await edited.reload(edited.good + "\n")
    answers = await asyncio.gather(*placing)

    assert {answer.status for answer in answers} <= {201, 202}
    for key in keys:
        await stage.reached(key, commercial="confirmed")
        assert made(await stage.erp(key))["salesOrders.create"] == 1


async def test_what_only_a_start_can_change_is_named(edited):
    await edited.reload(edited.good + "\n[pricing]\npromise_seconds = 77\n")

    assert edited.told("configuration_waits_for_a_start")[-1]["sections"] == ["pricing"]


async def test_the_gateway_alone_reloads_as_well(tmp_path):
    """Served apart from its tiers, it keeps their connections over the reload."""
    async with opened_apart(tmp_path, workers=0) as apart:
        edited = Edited(apart, node="gateway")
        assert await asked(apart, "crm") == 404
        await edited.reload(edited.disabled("crm"))
        assert await asked(apart, "crm") == 401
        assert await asked(apart, "operator") == 404
