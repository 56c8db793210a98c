"""An order known by its shipments alone amounts to what it amounted to, to the penny."""

from decimal import Decimal

import pytest

from contracts.canonical.money import money
from system_apis.erp.business_central import mapping, wire


def a_shipment(*lines):
    return wire.Shipment(
        id="s", number="S-SHPT1", order_number="S-ORD1", customer_number="1",
        sales_shipment_lines=[
            wire.DocumentLine(
                quantity=Decimal(quantity), unit_price=Decimal(price),
                discount_percent=Decimal(discount), tax_percent=Decimal(tax),
            )
            for quantity, price, discount, tax in lines
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "net", "gross"),
    [
        ([("3", "0.335", "0", "20"), ("3", "0.335", "0", "20")], "2.02", "2.42"),
        ([("1", "0.99", "5", "0")], "0.94", "0.94"),
        (
            [("1", "0.12", "0", "20"), ("1", "0.12", "0", "20"), ("1", "9", "0", "5")],
            "9.24",
            "9.74",
        ),
    ],
    ids=["each line is rounded", "so is its discount", "tax is rounded for each rate"],
)
def test_lines_are_rounded_as_the_erp_rounds_them(lines, net, gross):
    """A penny of difference would stop an order that was placed as agreed."""
    order = mapping.order_of_shipments([a_shipment(*lines)], "INV-1", "GBP")

    assert (order.net_amount, order.gross_amount) == (money(net, "GBP"), money(gross, "GBP"))
