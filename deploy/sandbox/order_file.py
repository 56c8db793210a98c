"""A world taken from a wholesaler's order file: its catalogue and customers, as the rows show them.

Layout: ``InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country``, plain
or gzipped. An item is a stock code (upper case) that was ever sold at a positive price; its name
and list price are the most frequent ones. Postage, fees, discounts and manual corrections are not
items.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from deploy.sandbox.geography import CURRENCIES, WAREHOUSES, tax_area
from deploy.sandbox.identifiers import gtin, salesforce_id
from deploy.sandbox.words import SURNAMES
from deploy.sandbox.world import World, WorldCustomer, WorldItem

__all__ = ["COLUMNS", "SERVICE_CODES", "OrderFileError", "world_from_order_file"]

Value = TypeVar("Value", str, Decimal)

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
SERVICE_CODES = frozenset(
    {"POST", "DOT", "M", "C2", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "ADJUST"}
    | {"ADJUST2", "TEST001", "TEST002"}
)
PLENTY = 1_000_000
CUSTOMER_DIGITS = 5
# country as the file writes it -> ISO 3166 code, city, postcode, region
COUNTRIES = {
    "United Kingdom": ("GB", "London", "SE1 9GF", "UK-SOUTH"),
    "EIRE": ("IE", "Dublin", "D02 X285", "EU-WEST"),
    "Germany": ("DE", "Hamburg", "20457", "EU-CENTRAL"),
    "France": ("FR", "Paris", "75011", "EU-WEST"),
    "Spain": ("ES", "Madrid", "28012", "EU-SOUTH"),
    "Netherlands": ("NL", "Utrecht", "3511 LX", "EU-CENTRAL"),
    "Belgium": ("BE", "Gent", "9000", "EU-CENTRAL"),
    "Portugal": ("PT", "Lisboa", "1100-148", "EU-SOUTH"),
    "Switzerland": ("CH", "Basel", "4051", "EU-CENTRAL"),
    "Australia": ("AU", "Melbourne", "3000", "OVERSEAS"),
    "Cyprus": ("CY", "Nicosia", "1010", "EU-SOUTH"),
    "Finland": ("FI", "Helsinki", "00100", "NORDICS"),
    "Italy": ("IT", "Milano", "20121", "EU-SOUTH"),
    "Channel Islands": ("JE", "Saint Helier", "JE2 3AB", "UK-SOUTH"),
    "Norway": ("NO", "Oslo", "0150", "NORDICS"),
    "Japan": ("JP", "Osaka", "530-0001", "OVERSEAS"),
    "Sweden": ("SE", "Stockholm", "111 20", "NORDICS"),
    "Poland": ("PL", "Warszawa", "00-001", "EU-CENTRAL"),
    "Iceland": ("IS", "Reykjavík", "101", "NORDICS"),
    "Denmark": ("DK", "København", "1050", "NORDICS"),
    "Hong Kong": ("HK", "Hong Kong", "000000", "OVERSEAS"),
    "Singapore": ("SG", "Singapore", "049315", "OVERSEAS"),
    "Greece": ("GR", "Athina", "105 57", "EU-SOUTH"),
    "Austria": ("AT", "Wien", "1010", "EU-CENTRAL"),
    "Lebanon": ("LB", "Beirut", "1107", "OVERSEAS"),
    "Lithuania": ("LT", "Vilnius", "01100", "EU-CENTRAL"),
    "Israel": ("IL", "Haifa", "3303138", "OVERSEAS"),
    "United Arab Emirates": ("AE", "Dubai", "00000", "OVERSEAS"),
    "Czech Republic": ("CZ", "Praha", "110 00", "EU-CENTRAL"),
    "Saudi Arabia": ("SA", "Riyadh", "11564", "OVERSEAS"),
    "Canada": ("CA", "Toronto", "M5H 2N2", "OVERSEAS"),
    "Bahrain": ("BH", "Manama", "317", "OVERSEAS"),
    "USA": ("US", "Boston", "02110", "US-EAST"),
    "Brazil": ("BR", "Santos", "11010-000", "OVERSEAS"),
    "Malta": ("MT", "Valletta", "VLT 1117", "EU-SOUTH"),
    "RSA": ("ZA", "Cape Town", "8001", "OVERSEAS"),
}
ELSEWHERE = COUNTRIES["United Kingdom"]  # "Unspecified" and the like: the seller's own country


class OrderFileError(ValueError):
    """The file is not an order file of the known layout."""


def world_from_order_file(path: Path) -> World:
    """Read the whole file once.

    Raises:
        OrderFileError: columns are missing, or it is no readable text or gzip file.
    """
    sold: Counter[tuple[str, str, str]] = Counter()
    buyers: Counter[tuple[str, str]] = Counter()
    try:
        for code, description, price, customer, country in _rows(path):
            sold[code, description, price] += 1
            buyers[customer, country] += 1
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as unreadable:
        raise OrderFileError(
            f"{path} cannot be read as csv or csv.gz: {unreadable}"
        ) from unreadable
    return World(
        source=path.name,
        items={item.number: item for item in _items(sold)},
        customers={customer.number: customer for customer in _customers(buyers)},
        price_rules={},
        warehouses=WAREHOUSES,
        currencies=CURRENCIES,
        deals={},
    )


def _rows(path: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Stock code, description, unit price, customer and country of each row, as written."""
    with path.open("rb") as probe:
        gzipped = probe.read(2) == b"\x1f\x8b"
    opened = gzip.open if gzipped else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        header = next(reader, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise OrderFileError(f"{path} has no column {', '.join(missing)}")
        wanted = ("StockCode", "Description", "UnitPrice", "CustomerID", "Country")
        code, description, price, customer, country = (header.index(name) for name in wanted)
        for row in reader:
            if len(row) == len(header):
                yield row[code], row[description], row[price], row[customer], row[country]


def _items(sold: Counter[tuple[str, str, str]]) -> Iterator[WorldItem]:
    names: dict[str, Counter[str]] = {}
    prices: dict[str, Counter[Decimal]] = {}
    for (written, description, price), count in sold.items():
        code = written.strip().upper()
        amount = _positive(price)
        if not code or code in SERVICE_CODES or amount is None:
            continue
        prices.setdefault(code, Counter())[amount] += count
        if description.strip():
            names.setdefault(code, Counter())[description.strip()] += count
    for at, code in enumerate(sorted(prices)):
        list_price = _most_frequent(prices[code].items())
        yield WorldItem(
            number=code,
            name=_most_frequent(names[code].items()) if code in names else code,
            category="GIFTS",
            unit_price=list_price,
            unit_cost=(list_price * 55 / 100).quantize(Decimal("0.0001")),
            gtin=gtin(2_000_001 + at),
            stock=dict.fromkeys(WAREHOUSES, PLENTY),
        )


def _customers(buyers: Counter[tuple[str, str]]) -> Iterator[WorldCustomer]:
    """Five-digit ids only; a customer seen under two countries lives in the more frequent one."""
    countries: dict[str, Counter[str]] = {}
    for (customer, country), count in buyers.items():
        number = customer.strip().removesuffix(".0")
        if len(number) == CUSTOMER_DIGITS and number.isdigit():
            countries.setdefault(number, Counter())[country] += count
    for at, number in enumerate(sorted(countries)):
        written = _most_frequent(countries[number].items())
        country, city, postcode, region = COUNTRIES.get(written, ELSEWHERE)
        surname = SURNAMES[int(number) % len(SURNAMES)]
        yield WorldCustomer(
            number=number,
            name=f"{surname} Gifts {number}",
            country=country,
            city=city,
            street=f"{int(number) % 180 + 1} Market Street",
            postcode=postcode,
            currency="GBP",
            tax_area=tax_area(country, "", None),
            email=f"orders.{number}@{surname.lower()}.example",
            phone=f"+44 20 7{int(number):07d}",
            region=region,
            salesforce_account_id=salesforce_id("001", 300_000 + at),
        )


def _most_frequent(counted: Iterable[tuple[Value, int]]) -> Value:
    """The most frequent value; of equally frequent ones the smallest, whatever the rows' order."""
    return min(counted, key=lambda pair: (-pair[1], pair[0]))[0]


def _positive(price: str) -> Decimal | None:
    try:
        amount = Decimal(price)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount > 0 else None
