"""What holds whatever is asked, and what an order may cost."""

import time
from collections import Counter
from decimal import Decimal
from random import Random

import msgspec
import pytest

from deploy.sandbox.business_central.document_sets import document_sets
from deploy.sandbox.business_central.master_sets import master_sets

pytestmark = pytest.mark.anyio

SETS = {**master_sets(), **document_sets()}
HEADERS = ("salesOrders", "salesQuotes", "salesInvoices", "salesCreditMemos")
ODD = [None, 1, "x", [], {}, True, -1, 1e30, "é" * 200]
PLAIN = {
    "code": ["20001", "10001", "GBP", "EUR", ""],
    "text": ["", "x", "Y" * 60],
    "dec": [0, 1, 2.5, -1, 10, 99_999_999, 0.001],
    "int": [0, 10_000],
    "bool": [True, False],
    "date": ["2026-11-22", "0001-01-01", "9999-12-31", "2026-02-30"],
    "stamp": ["2026-11-22T00:00:00Z"],
}


class Wanderer:
    """Asks for anything at random: mostly well-formed, often senseless."""

    def __init__(self, erp, seed):
        self.erp = erp
        self.chance = Random(seed)
        self.ids = {}
        self.seen = Counter()

    async def wanders(self):
        """One request."""
        chance = self.chance
        names = [*SETS, *HEADERS * 4]
        entity_set = SETS[chance.choice(names)]
        known = self.ids.get(entity_set.name) or ["00000000-0000-0000-0000-00000000beef"]
        path = f"{entity_set.name}({chance.choice(known)})"
        match chance.randrange(6):
            case 0 | 1:
                answer = await self.erp.post(entity_set.name, self.body(entity_set))
            case 2:
                answer = await self.erp.patch(path, self.body(entity_set))
            case 3 if entity_set.actions:
                action = chance.choice(sorted(entity_set.actions))
                answer = await self.erp.post(f"{path}/Microsoft.NAV.{action}")
            case 4 if chance.random() < 0.3:
                answer = await self.erp.delete(path)
            case _:
                expand = ",".join(entity_set.navigations)
                order = chance.choice(list(entity_set.properties))
                query = f"$orderby={order}" + (f"&$expand={expand}" if expand else "")
                answer = await self.erp.get(f"{entity_set.name}?{query}")
        self.seen[answer.status_code] += 1
        if answer.status_code in {200, 201} and answer.content:
            found = answer.json()
            for row in found.get("value", [found])[-5:]:
                self.ids.setdefault(entity_set.name, []).append(row["id"])

    def body(self, entity_set):
        """A body with some of the set's properties, and for documents mostly lines."""
        chance = self.chance
        count = chance.randint(0, min(5, len(entity_set.properties)))
        body = {}
        for prop in chance.sample(list(entity_set.properties.values()), k=count):
            if not prop.read_only or chance.random() < 0.05:
                body[prop.name] = self.value(prop)
        if entity_set.name in HEADERS:
            body = {name: value for name, value in body.items() if "ustomer" not in name}
            body["customerNumber"] = "20001"
            for name, navigation in entity_set.navigations.items():
                lines = SETS[navigation.entity_set]
                body[name] = [self.line(lines) for _ in range(chance.randint(0, 3))]
        return body

    def line(self, entity_set):
        """A line that sells something, with something odd about it."""
        keep = ("quantity", "unitPrice", "discountPercent", "shipQuantity", "invoiceQuantity")
        body = self.body(entity_set)
        body = {name: value for name, value in body.items() if name in keep}
        return {"quantity": 3, **body, "lineObjectNumber": self.chance.choice(["10001", "10002"])}

    def value(self, prop):
        """A value of the property's kind, or one that is not."""
        if self.chance.random() < 0.05:
            return self.chance.choice(ODD)
        if prop.kind == "guid":
            known = [identity for some in self.ids.values() for identity in some[-3:]]
            return self.chance.choice(known or ["00000000-0000-0000-0000-000000000000"])
        return self.chance.choice(prop.values or PLAIN[prop.kind])


@pytest.mark.parametrize("seed", [1, 3])
async def test_nothing_that_can_be_asked_breaks_the_company(erp, seed):
    """No failure inside, and the sums by customer are what its open orders add up to."""
    wanderer = Wanderer(erp, seed)

    for _ in range(500):
        await wanderer.wanders()

    assert set(wanderer.seen) <= {200, 201, 204, 400, 404}
    assert min(wanderer.seen[200], wanderer.seen[201], wanderer.seen[400]) > 20
    gross = Counter()
    for order in await erp.rows("salesOrders?$expand=salesOrderLines"):
        rate = erp.context.world.currencies[order["currencyCode"]].gbp_per_unit
        amount = sum(
            Decimal(str(line["netAmountIncludingTax"]))
            * (1 - Decimal(str(line["shippedQuantity"])) / Decimal(str(line["quantity"])))
            for line in order["salesOrderLines"]
            if line["quantity"]
        )
        gross[order["customerNumber"]] += amount * rate
    for number, amount in gross.items():
        path = f"openOrderAmounts?$filter=customerNumber eq '{number}'"
        [sums] = await erp.rows(path, "crossdock/pricing/v1.0")
        assert sums["outstandingOrdersLCY"] == pytest.approx(float(amount), abs=1.0)


async def test_however_an_order_is_split_its_invoices_add_up_to_it(erp):
    """Random parts shipped and invoiced in random order: net and tax to the cent per order."""
    chance = Random(11)
    for at in range(15):
        lines = [
            {
                "lineObjectNumber": "10001",
                "quantity": chance.randint(1, 9),
                "unitPrice": chance.randint(1, 9999) / 100,
                "discountPercent": chance.choice([0, 0, 2.5]),
            }
            for _ in range(chance.randint(1, 4))
        ]
        order = await erp.orders(f"SPLIT-{at}", salesOrderLines=lines, discountAmount=0.05)
        path = f"salesOrders({order['id']})"
        while (await erp.get(path)).status_code == 200:
            for line in await erp.rows(f"{path}/salesOrderLines"):
                left = int(line["quantity"] - line["shippedQuantity"])
                ship = chance.randint(0, left)
                await erp.patch(f"salesOrderLines({line['id']})", {"shipQuantity": ship})
                waiting = int(line["shippedQuantity"] - line["invoicedQuantity"]) + ship
                part = {"invoiceQuantity": chance.randint(0, waiting)}
                await erp.patch(f"salesOrderLines({line['id']})", part)
            await erp.post(f"{path}/Microsoft.NAV.shipAndInvoice")

        invoices = await erp.rows(f"salesInvoices?$filter=orderNumber eq '{order['number']}'")
        net = sum(Decimal(str(one["totalAmountExcludingTax"])) for one in invoices)
        assert net == Decimal(str(order["totalAmountExcludingTax"])), order["number"]
    [sums] = await erp.rows(
        "openOrderAmounts?$filter=customerNumber eq '20001'", "crossdock/pricing/v1.0"
    )
    assert (sums["outstandingOrdersLCY"], sums["shippedNotInvoicedLCY"]) == (0, 0)


async def test_an_order_of_twenty_lines_costs_at_most_four_milliseconds(erp):
    """CPU time of the simulator alone, lines priced by it and sent back expanded."""
    lines = [{"lineObjectNumber": "10001", "quantity": at + 1} for at in range(20)]
    body = msgspec.json.encode({"customerNumber": "20001", "salesOrderLines": lines})
    token = erp.http.headers["authorization"].encode()
    statuses = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        statuses.append(message.get("status", 201))

    started = time.process_time()
    for _ in range(50):
        scope = {
            "type": "http",
            "method": "POST",
            "path": erp.url("salesOrders"),
            "raw_path": b"",
            "query_string": b"$expand=salesOrderLines",
            "headers": [(b"authorization", token), (b"host", b"sandbox.test")],
        }
        await erp.vendor(scope, receive, send)

    assert (time.process_time() - started) / 50 < 0.004
    assert set(statuses) == {201}
