"""The distributor as its CRM knows it: customers, catalogue, price book, and open deals with lines.

Derived anew from the world at each start, so every id and date is a function of the world.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from deploy.sandbox.credentials import ORGANIZATION_ID as ORGANIZATION
from deploy.sandbox.identifiers import salesforce_id
from deploy.sandbox.salesforce.change import money
from deploy.sandbox.salesforce.opportunities import expected_revenue, stage_fields
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.vault import Record
from deploy.sandbox.world import Deal, DealLine, World, WorldCustomer, WorldItem

__all__ = ["INTEGRATION_USER", "ORGANIZATION", "SALES_USER", "STANDARD_BOOK", "plant"]

INTEGRATION_USER = salesforce_id("005", 100_001)
SALES_USER = salesforce_id("005", 100_002)
STANDARD_BOOK = salesforce_id("01s", 100_001)
_STAMP = "2026-01-05T08:00:00.000+0000"
_FIRST_CLOSE = date(2026, 12, 1)
_STAMPS = {
    "IsDeleted": False,
    "CreatedDate": _STAMP,
    "CreatedById": SALES_USER,
    "LastModifiedDate": _STAMP,
    "LastModifiedById": SALES_USER,
    "SystemModstamp": _STAMP,
}


def plant(org: Org, world: World) -> None:
    """Load the world into the org's tables."""
    org.load("Organization", [_organization()])
    org.load("User", _users())
    org.load("Account", (_account(customer) for customer in world.customers.values()))
    org.load("Pricebook2", [_standard_book()])
    products = {number: salesforce_id("01t", 100_000 + at) for at, number in enumerate(world.items)}
    org.load("Product2", (_product(products[i.number], i) for i in world.items.values()))
    entries = _Entries(world, products)
    deals: list[Record] = []
    lines: list[Record] = []
    for at, deal in enumerate(world.deals.values()):
        deals.append(_opportunity(deal, world.customers[deal.customer], at))
        lines.extend(entries.line(deal, line, at * 100 + n) for n, line in enumerate(deal.lines))
    org.load("PricebookEntry", entries.records.values())
    org.load("Opportunity", deals)
    org.load("OpportunityLineItem", lines)


class _Entries:
    """Standard prices: in GBP for every item, in another currency where a deal needs one."""

    def __init__(self, world: World, products: dict[str, str]) -> None:
        self._world = world
        self._products = products
        self.records: dict[tuple[str, str], Record] = {}
        for item in world.items.values():
            self._enter(item, "GBP", item.unit_price)

    def line(self, deal: Deal, line: DealLine, serial: int) -> Record:
        """A line of a deal, on its entry."""
        item = self._world.items[line.item]
        entry = self.records.get((item.number, deal.currency))
        if entry is None:
            entry = self._enter(item, deal.currency, line.unit_price)
        total = money(line.unit_price * line.quantity)
        return {
            "Id": salesforce_id("00k", 100_000 + serial),
            "OpportunityId": deal.id,
            "PricebookEntryId": entry["Id"],
            "Product2Id": entry["Product2Id"],
            "ProductCode": item.number,
            "Name": f"{deal.name} {item.name}"[:376],
            "Quantity": float(line.quantity),
            "UnitPrice": money(line.unit_price),
            "ListPrice": entry["UnitPrice"],
            "Subtotal": total,
            "TotalPrice": total,
            "SortOrder": serial % 100 + 1,
            "CurrencyIsoCode": deal.currency,
            **_STAMPS,
        }

    def _enter(self, item: WorldItem, currency: str, price: Decimal) -> Record:
        record = {
            "Id": salesforce_id("01u", 100_000 + len(self.records)),
            "Name": item.name,
            "ProductCode": item.number,
            "Pricebook2Id": STANDARD_BOOK,
            "Product2Id": self._products[item.number],
            "UnitPrice": money(price),
            "IsActive": not item.blocked,
            "UseStandardPrice": False,
            "CurrencyIsoCode": currency,
            **_STAMPS,
        }
        self.records[item.number, currency] = record
        return record


def _organization() -> Record:
    return {
        "Id": ORGANIZATION,
        "Name": "Crossdock Trading",
        "IsSandbox": True,
        "InstanceName": "LOCAL",
        "OrganizationType": "Developer Edition",
        **_STAMPS,
    }


def _users() -> Iterable[Record]:
    for user_id, username, name in (
        (INTEGRATION_USER, "integration@crossdock.example", "Integration"),
        (SALES_USER, "sales@crossdock.example", "Sales Desk"),
    ):
        yield {
            "Id": user_id,
            "Username": username,
            "Name": name,
            "Email": username,
            "IsActive": True,
            **_STAMPS,
        }


def _account(customer: WorldCustomer) -> Record:
    record = {
        "Id": customer.salesforce_account_id,
        "Name": customer.name[:255],
        "AccountNumber": customer.number,
        "Type": "Customer - Direct",
        "Phone": customer.phone,
        "BillingStreet": customer.street,
        "BillingCity": customer.city,
        "BillingState": customer.state,
        "BillingPostalCode": customer.postcode,
        "BillingCountry": customer.country,
        "OwnerId": SALES_USER,
        "CurrencyIsoCode": customer.currency,
        "ERP_Customer_No__c": customer.number,
        **_STAMPS,
    }
    return {name: value for name, value in record.items() if value != ""}


def _standard_book() -> Record:
    return {
        "Id": STANDARD_BOOK,
        "Name": "Standard Price Book",
        "IsActive": True,
        "IsStandard": True,
        **_STAMPS,
    }


def _product(product_id: str, item: WorldItem) -> Record:
    return {
        "Id": product_id,
        "Name": item.name[:255] or item.number,
        "ProductCode": item.number,
        "IsActive": not item.blocked,
        "Family": item.category,
        "QuantityUnitOfMeasure": item.unit_of_measure,
        "StockKeepingUnit": item.gtin,
        "CurrencyIsoCode": "GBP",
        **_STAMPS,
    }


def _opportunity(deal: Deal, customer: WorldCustomer, at: int) -> Record:
    record = {
        "Id": deal.id,
        "Name": deal.name[:120],
        "AccountId": customer.salesforce_account_id,
        "StageName": deal.stage,
        "CloseDate": (_FIRST_CLOSE + timedelta(days=at % 90)).isoformat(),
        "Amount": money(sum((x.unit_price * x.quantity for x in deal.lines), Decimal(0))),
        "TotalOpportunityQuantity": float(sum(line.quantity for line in deal.lines)),
        "HasOpportunityLineItem": bool(deal.lines),
        "Pricebook2Id": STANDARD_BOOK,
        "OwnerId": SALES_USER,
        "CurrencyIsoCode": deal.currency,
        "PO_Number__c": deal.po_number,
        "Type": "Existing Business",
        **stage_fields(deal.stage),
        **_STAMPS,
    }
    return {**record, "ExpectedRevenue": expected_revenue(record)}
