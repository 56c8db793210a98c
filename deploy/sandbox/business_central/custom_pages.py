"""The company's own API pages, publisher crossdock, group pricing, version v1.0.

``netPrices`` is the price list resolved for one customer; ``openOrderAmounts`` the part of the
credit exposure that the standard API does not show. Both are read-only and want a customer number
in ``$filter``.
"""

from collections.abc import Iterator
from typing import Any

from deploy.sandbox.business_central.amounts import exact
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.errors import bad_request
from deploy.sandbox.business_central.filters import Filter, Row, equalities
from deploy.sandbox.business_central.guids import seed_etag
from deploy.sandbox.business_central.prices import LCY, Buyer
from deploy.sandbox.business_central.schema import EntitySet, properties
from deploy.sandbox.vault import Record

__all__ = ["CustomPages"]

_NET_PRICES = """
    customerNumber:code20! itemNumber:code20! currencyCode:code10! unitOfMeasureCode:code10!
    minimumQuantity:dec! unitPrice:dec! lineDiscountPercent:dec! priceListCode:code20!
    listUnitPrice:dec! lastModifiedDateTime:stamp!
"""
_OPEN_ORDER_AMOUNTS = """
    customerNumber:code20! outstandingOrdersLCY:dec! shippedNotInvoicedLCY:dec!
"""


class CustomPages:
    """Rows of the two pages."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.sets = {
            name: EntitySet(
                name=name,
                entity=name[:-1],
                properties=properties(table),
                insert=False,
                modify=False,
                delete=False,
            )
            for name, table in (
                ("netPrices", _NET_PRICES),
                ("openOrderAmounts", _OPEN_ORDER_AMOUNTS),
            )
        }

    def rows(self, name: str, condition: Filter | None) -> Iterator[Row]:
        """The rows for the customers that the filter names; unknown ones have none.

        Raises:
            BusinessCentralError: 400, the filter names no customer.
        """
        named = dict(equalities(condition))
        numbers = named.get("customerNumber")
        if not numbers:
            raise bad_request("You must specify a customerNumber.", "RequiredParamNotProvided")
        found = (self._books.find("customers", "number", number) for number in numbers)
        customers = [customer for customer in found if customer is not None]
        if name == "openOrderAmounts":
            return (self._amounts(customer) for customer in customers)
        items = named.get("itemNumber")
        return (row for customer in customers for row in self._prices(customer, items))

    def _amounts(self, customer: Record) -> Row:
        sums = self._books.sums(customer["number"])
        return {
            "@odata.etag": seed_etag(f"{customer['number']}/{sums}"),
            "customerNumber": customer["number"],
            "outstandingOrdersLCY": sums.outstanding / 100,
            "shippedNotInvoicedLCY": sums.not_invoiced / 100,
        }

    def _prices(self, customer: Record, items: tuple[Any, ...] | None) -> Iterator[Row]:
        books = self._books
        number = customer["number"]
        seed = books.world.customers.get(number)
        currency = customer["currencyCode"] or LCY
        buyer = Buyer(number, seed.price_group if seed is not None else "", currency)
        today = books.today()
        for item in self._items(items):
            card = exact(item["unitPrice"])
            listed = books.prices.converted(card, currency)
            for price in books.prices.breaks(item["number"], card, buyer, today):
                yield {
                    "@odata.etag": item["@odata.etag"],
                    "customerNumber": number,
                    "itemNumber": item["number"],
                    "currencyCode": currency,
                    "unitOfMeasureCode": item["baseUnitOfMeasureCode"],
                    "minimumQuantity": float(price.minimum_quantity),
                    "unitPrice": float(price.unit_price),
                    "lineDiscountPercent": 0.0,
                    "priceListCode": price.list_code,
                    "listUnitPrice": float(listed),
                    "lastModifiedDateTime": item["lastModifiedDateTime"],
                }

    def _items(self, numbers: tuple[Any, ...] | None) -> Iterator[Record]:
        if numbers is None:
            yield from self._books.table("items").values()
            return
        for number in numbers:
            item = self._books.find("items", "number", number)
            if item is not None:
                yield item
