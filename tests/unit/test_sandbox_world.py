"""The distributor's world: the same from the same seed, and of a distributor's size and variety."""

import gzip
import time
from decimal import Decimal
from pathlib import Path

import pytest
from stdnum import ean
from stdnum.eu import vat

from deploy.sandbox.app import build_sandbox
from deploy.sandbox.catalog import catalog
from deploy.sandbox.order_file import OrderFileError
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.world import World

WHOLESALER = Path(__file__).parents[3] / "shared" / "data" / "online-retail"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@pytest.fixture(scope="module")
def world():
    return World.seeded()


def test_the_same_seed_gives_the_same_world_and_another_one_another(world):
    assert World.seeded(seed=7) == world
    assert World.seeded(seed=8) != world


def test_it_has_a_distributors_size_and_every_kind_of_trouble(world):
    assert (len(world.items), len(world.customers), len(world.warehouses)) == (4000, 4000, 3)
    assert len(world.deals) == 300
    customers = world.customers.values()
    assert {c.blocked for c in customers} == {"", "Ship", "Invoice", "All"}
    assert {c.currency for c in customers} == {"GBP", "EUR", "USD", "SEK", "PLN", "CHF"}
    assert len({c.state for c in customers if c.country == "US"}) >= 5
    assert any(c.credit_limit and c.balance > c.credit_limit for c in customers)
    assert any(c.overdue for c in customers)
    items = world.items.values()
    assert any(i.blocked for i in items)
    assert any(i.discontinued for i in items)
    assert any(not any(i.stock.values()) for i in items)
    assert {i.tax_group for i in items} == {"STANDARD", "REDUCED", "ZERO"}
    assert all(ean.is_valid(i.gtin) for i in items)


def test_vat_ids_validate_and_some_european_customers_have_none(world):
    with_id = [c.vat_id for c in world.customers.values() if c.vat_id]
    assert len(with_id) > 1000
    assert [number for number in with_id if not vat.is_valid(number)] == []
    assert any(c.tax_area == f"EU-{c.country}" for c in world.customers.values())


def test_deals_carry_the_price_that_the_lists_give_that_customer(world):
    deal = next(d for d in world.deals.values() if world.customers[d.customer].price_group == "KEY")
    line = deal.lines[0]
    item = world.items[line.item]
    rate = world.currencies[deal.currency].gbp_per_unit
    assert line.unit_price <= (item.unit_price / rate).quantize(Decimal("0.01"))
    for deal in world.deals.values():
        customer = world.customers[deal.customer]
        assert not customer.blocked
        assert deal.currency == customer.currency


def test_the_catalogue_shows_one_of_each_kind(world):
    shown = catalog(world)
    assert {"good", "nearCreditLimit", "reverseCharge", "unitedStates", "blockedAll"} <= set(
        shown["customers"]
    )
    assert {"good", "withQuantityBreaks", "outOfStock", "blocked"} <= set(shown["items"])
    near = shown["customers"]["nearCreditLimit"]
    assert near["creditLimit"] * Decimal("0.97") <= near["balance"] < near["creditLimit"]
    assert len(shown["deals"]) == 10


def test_an_order_file_names_items_by_majority_and_leaves_services_out(tmp_path):
    path = tmp_path / "orders.csv.gz"
    rows = [
        "1,85123a,HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom",
        "1,85123A,HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom",
        "1,85123A,wet?,1,2010-12-01 08:26:00,9.99,17850,EIRE",
        "1,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,12583,France",
        "2,22222,FREE,1,2010-12-01 08:26:00,0,12583,France",
        "2,M,Manual,1,2010-12-01 08:26:00,5,,France",
    ]
    path.write_bytes(gzip.compress((HEADER + "\n".join(rows) + "\n").encode()))
    world = World.from_order_file(path)

    assert list(world.items) == ["85123A"]
    item = world.items["85123A"]
    assert (item.name, item.unit_price) == ("HEART HOLDER", Decimal("2.55"))
    assert set(item.stock.values()) == {1_000_000}
    assert {c.number: c.country for c in world.customers.values()} == {"17850": "GB", "12583": "FR"}
    assert {c.credit_limit for c in world.customers.values()} == {Decimal(0)}


def test_a_file_of_another_layout_is_refused_by_name(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(OrderFileError, match="no column Description, Quantity"):
        World.from_order_file(path)


@pytest.mark.skipif(not WHOLESALER.exists(), reason="the wholesaler's file is not on this machine")
def test_the_wholesalers_file_becomes_a_world_in_two_seconds():
    started = time.process_time()
    world = World.from_order_file(next(WHOLESALER.glob("*.csv.gz")))
    assert time.process_time() - started < 2.0
    assert (len(world.items), len(world.customers)) == (3115, 2189)
    assert "85123A" in world.items
    assert not {"POST", "DOT", "M", "D", "AMAZONFEE"} & set(world.items)


@pytest.mark.anyio
async def test_a_running_sandbox_takes_the_catalogue_of_an_order_file(tmp_path):
    """Items and customers are added once, keep what happened, and survive a restart."""
    orders = tmp_path / "orders.csv"
    orders.write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123a,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
        "536366,POST,POSTAGE,1,2010-12-01 08:28:00,18.00,17851,France\n"
    )
    settings = SandboxSettings(data=tmp_path / "data", items=10, customers=20)
    sandbox = build_sandbox(settings)

    first = sandbox.add(World.from_order_file(orders))
    again = sandbox.add(World.from_order_file(orders))
    await sandbox.close()
    restarted = build_sandbox(settings)

    assert (first, again) == ((1, 2), (0, 0))
    assert restarted.context.world.items["85123A"].name == "WHITE HEART"
    assert len(restarted.context.world.customers) == 22
    restarted.reset()
    assert len(restarted.context.world.customers) == 20
    await restarted.close()
