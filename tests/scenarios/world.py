"""A small distributor: an ERP, a warehouse, a CRM and a tax table behind the real ports.

Each vendor is a few honest lines that keep what was done to them in a ledger, and can be told to
be away, to lose an answer, or to refuse. Everything between them is the product.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import msgspec

from contracts.canonical.credit import CreditPosition
from contracts.canonical.documents import (
    CreditMemo,
    Invoice,
    Payment,
    Quote,
    Shipment,
    ShippedLine,
)
from contracts.canonical.ids import CustomerId, SystemId, customer_id, item_id
from contracts.canonical.item import Item
from contracts.canonical.money import line_amount, money
from contracts.canonical.order import OrderLineRequest, OrderRequest
from contracts.canonical.party import Address, Customer
from contracts.canonical.pricing import PriceLadder, PriceStep
from contracts.canonical.stock import StockAt, StockPosition
from contracts.canonical.tax import TaxAssessment, TaxLine
from contracts.context import CallContext, calling
from contracts.events.taxonomy import HoldChanged
from contracts.outcomes import CallFailedError, Rejected, Throttled, Unavailable
from contracts.ports.crm import (
    AccountLink,
    ProductLink,
    ProductLinks,
    ReportResult,
    ReportResults,
    WonDeals,
)
from contracts.ports.erp import (
    Cancelled,
    CustomerPage,
    ErpOrder,
    ExchangeRate,
    ItemPage,
    PostedShipment,
    PriceLadders,
)
from contracts.ports.pricing_credit import PriceCheck, QuoteCheck, WantedLine
from contracts.ports.quote_to_order import (
    Cancellation,
    CreditRequest,
    ExceptionQuery,
    PlaceOrder,
    Remedy,
    TotalsQuery,
)
from contracts.ports.wms import ReleaseCancelled, StockPositions, WarehouseOrder
from experience_apis.operations.api import OperationsApi
from experience_apis.sales.api import SalesApi
from experience_apis.sales.settings import SalesSettings
from process_apis.inventory.api import InventoryApi
from process_apis.inventory.settings import InventorySettings
from process_apis.journal.api import JournalApi
from process_apis.pricing_credit.api import PricingCreditApi
from process_apis.pricing_credit.promises import Promises
from process_apis.pricing_credit.records import Records
from process_apis.pricing_credit.settings import PricingSettings
from process_apis.quote_to_order.book import OrderBook
from process_apis.quote_to_order.build import QuoteToOrder
from process_apis.quote_to_order.reports import CrmTeller
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.quote_to_order.shared_exposure import exposure_over
from process_apis.quote_to_order.signals import (
    GOODS_SHIPPED,
    HOLD_CHANGED,
    INVOICE_PAID,
    INVOICE_POSTED,
)
from process_apis.reconciliation.api import ReconciliationApi
from process_apis.reconciliation.settings import ReconciliationSettings
from runtime.budget import BudgetBroker
from runtime.journal.crash_points import CrashPoints
from runtime.journal.journal import Journal
from runtime.journal.process import ProcessType
from runtime.journal.worker import Worker
from runtime.store.engine import Store
from system_apis.accounts.api import AccountsApi

PATIENCE = 10.0
"""Seconds a story waits for what must happen; far longer than it takes."""


class RunningClock:
    """The machine's clock, which a story can put forward."""

    def __init__(self):
        self._ahead = timedelta()

    def now(self):
        return datetime.now(UTC) + self._ahead

    def monotonic(self):
        return asyncio.get_running_loop().time() + self._ahead.total_seconds()

    def forward(self, **by):
        self._ahead += timedelta(**by)


class Vendor:
    """What every vendor can be told to do wrong."""

    def __init__(self, name, clock):
        self.name = name
        self.clock = clock
        self.ledger: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.away = False
        self.loses_answers = 0
        self.refuses: deque[Rejected | Throttled] = deque()
        self.takes_seconds = 0.0

    async def asked(self, operation):
        self.calls.append(operation)
        if self.takes_seconds:
            await asyncio.sleep(self.takes_seconds)
        if self.away:
            raise CallFailedError(
                Unavailable(system=self.name, may_have_happened=False, because="away")
            )

    def obeys(self):
        if self.refuses:
            raise CallFailedError(self.refuses.popleft())

    def did(self, operation, reference):
        """Something happened for good; whether the caller hears of it is another matter."""
        self.ledger.append((operation, reference))
        if self.loses_answers:
            self.loses_answers -= 1
            raise CallFailedError(
                Unavailable(system=self.name, may_have_happened=True, because="no answer")
            )

    def unknown(self, reason):
        return CallFailedError(Rejected(system=self.name, reason=reason, detail="there is none"))


class Erp(Vendor):
    def __init__(self, clock):
        super().__init__("business_central", clock)
        self.customers: dict[str, Customer] = {}
        self.items: dict[str, Item] = {}
        self.prices: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.balances: dict[str, Decimal] = {}
        self.overdue: dict[str, Decimal] = {}
        self.orders: dict[str, ErpOrder] = {}
        self.memos: dict[str, CreditMemo] = {}
        self.shipped: dict[str, dict] = {}
        self.shipments = 0
        self.adds_to_amounts = Decimal(0)
        self.adds_to_memos = Decimal(0)

    def orders_for(self, reference):
        """Every order the ERP created under a reference."""
        return [ref for op, ref in self.ledger if op == "order" and ref == reference]

    async def get_customer(self, reference):
        await self.asked("customer")
        if reference not in self.customers:
            raise self.unknown("customer-unknown")
        return self.customers[reference]

    async def list_customers(self, query):
        await self.asked("customers")
        return CustomerPage(customers=tuple(self.customers.values()))

    async def get_item(self, reference):
        await self.asked("item")
        if reference not in self.items:
            raise self.unknown("item-unknown")
        return self.items[reference]

    async def list_items(self, query):
        await self.asked("items")
        since = query.since
        return ItemPage(
            items=tuple(
                item for item in self.items.values() if since is None or item.changed_at > since
            )
        )

    async def price_ladders(self, body):
        await self.asked("prices")
        if body.customer not in self.customers:
            raise self.unknown("customer-unknown")
        return PriceLadders(
            ladders=tuple(
                self._ladder(body.customer, item) for item in body.items if item in self.items
            )
        )

    def _ladder(self, customer, item):
        own = self.customers[customer].currency
        list_price = self.items[item].list_price.amount
        breaks = self.prices.get((customer, item), [("0", str(list_price))])
        return PriceLadder(
            customer=customer,
            item=item,
            unit_of_measure=self.items[item].unit_of_measure,
            list_price=money(list_price, own),
            steps=tuple(
                PriceStep(
                    minimum_quantity=Decimal(least),
                    unit_price=money(price, own),
                    basis="customer" if (customer, item) in self.prices else "list",
                )
                for least, price in breaks
            ),
            as_of=self.clock.now(),
        )

    async def credit_position(self, reference):
        await self.asked("credit")
        if reference not in self.customers:
            raise self.unknown("customer-unknown")
        customer = self.customers[reference]
        mine = (o for o in self.orders.values() if o.customer == reference)
        owing = sum((o.gross_amount.amount for o in mine), Decimal(0))
        return CreditPosition(
            customer=customer.id,
            limit=customer.credit_limit,
            balance=money(self.balances.get(reference, Decimal(0)), "GBP"),
            overdue=money(self.overdue.get(reference, Decimal(0)), "GBP"),
            open_orders=money(owing, "GBP"),
            shipped_not_invoiced=money(0, "GBP"),
            blocked=customer.blocked,
            as_of=self.clock.now(),
        )

    async def exchange_rate(self, currency):
        await self.asked("rate")
        if currency == "XTS":  # ISO 4217's code for tests: nobody trades in it
            raise self.unknown("currency-mismatch")
        return ExchangeRate(currency=currency, rate=Decimal("0.85"), as_of=self.clock.now())

    async def place_order(self, body):
        await self.asked("place in doubt" if body.in_doubt else "place")
        self.obeys()
        if body.reference in self.orders:
            return msgspec.structs.replace(self.orders[body.reference], found=True)
        net = sum(
            (line_amount(x.quantity, x.unit_price.amount, body.currency) for x in body.lines),
            Decimal(0),
        )
        total = money(net + self.adds_to_amounts, body.currency)
        self.words[body.reference] = [line.description for line in body.lines]
        self.orders[body.reference] = ErpOrder(
            id=f"id-{body.reference}",
            number=f"S-ORD{101000 + len(self.orders)}",
            reference=body.reference,
            customer=body.customer,
            net_amount=total,
            gross_amount=money(total.amount * Decimal("1.2"), body.currency),
            found=False,
            state="open",
        )
        self.did("order", body.reference)
        return self.orders[body.reference]

    async def cancel_order(self, body):
        await self.asked("cancel")
        self.obeys()
        there = self.orders.pop(body.reference, None) is not None
        if there:
            self.did("cancel", body.reference)
        return Cancelled(was_there=there)

    async def post_shipment(self, body):
        await self.asked("post in doubt" if body.in_doubt else "post")
        self.obeys()
        if body.reference not in self.orders:
            raise self.unknown("not-found")
        wanted = {line.item: line.quantity for line in body.lines}
        posted = self.shipped.setdefault(body.reference, {})
        number = None
        if any(quantity > posted.get(item, 0) for item, quantity in wanted.items()):
            posted.update(wanted)
            self.shipments += 1
            number = f"S-SHPT{107000 + self.shipments}"
        order = self.orders[body.reference].number
        if number is not None:
            self.did("shipment", body.reference)
        return PostedShipment(number=number, order_number=order, complete=False)

    async def create_credit_memo(self, body):
        await self.asked("memo")
        self.obeys()
        memo = body.memo
        if memo.reference not in self.memos:
            net = sum((line.net_amount.amount for line in memo.lines), Decimal(0))
            self.memos[memo.reference] = CreditMemo(
                number=f"S-CM{1000 + len(self.memos)}",
                reference=memo.reference,
                customer=memo.customer,
                net_amount=money(net + self.adds_to_memos, memo.currency),
            )
            self.did("memo", memo.reference)
        return self.memos[memo.reference]


class Wms(Vendor):
    def __init__(self, clock):
        super().__init__("shiphero", clock)
        self.stock_of: dict[str, dict[str, int]] = {}
        self.releases: dict[str, WarehouseOrder] = {}
        self.asked_to_ship = {}
        self.held: set[str] = set()
        self.gone: set[str] = set()

    async def stock(self, body):
        await self.asked("stock")
        return StockPositions(
            positions=tuple(
                StockPosition(
                    item=item,
                    places=tuple(
                        StockAt(
                            warehouse=w,
                            on_hand=Decimal(n),
                            available=max(Decimal(0), Decimal(n) - self.allocated(w, item)),
                        )
                        for w, n in self.stock_of[item].items()
                    ),
                    as_of=self.clock.now(),
                )
                for item in body.items
                if item in self.stock_of
            )
        )

    def allocated(self, warehouse, item):
        """What living fulfilment orders of a warehouse take of an item."""
        return sum(
            (
                line.quantity
                for reference, order in self.asked_to_ship.items()
                if order.warehouse == warehouse and reference in self.releases
                for line in order.lines
                if line.item == item
            ),
            Decimal(0),
        )

    def lines_of(self, reference):
        """What a fulfilment order asks for, as (item number, quantity), and from where."""
        order = self.asked_to_ship[reference]
        lines = [(line.item.removeprefix("item_"), int(line.quantity)) for line in order.lines]
        return order.warehouse, lines

    async def release(self, body):
        await self.asked("release in doubt" if body.in_doubt else "release")
        self.obeys()
        if body.reference in self.releases:
            return msgspec.structs.replace(self.releases[body.reference], found=True)
        self.words[body.reference] = [line.description for line in body.lines]
        self.asked_to_ship[body.reference] = body
        self.releases[body.reference] = WarehouseOrder(
            id=f"w-{body.reference}",
            number=f"W{len(self.releases) + 1:06}",
            reference=body.reference,
            state="pending",
            found=False,
        )
        self.did("release", body.reference)
        return self.releases[body.reference]

    async def hold_release(self, body):
        await self.asked("hold" if body.held else "let go")
        self.obeys()
        if body.reference not in self.releases:
            raise self.unknown("not-found")
        if body.reference in self.gone:
            raise CallFailedError(
                Rejected(system=self.name, reason="business-rule", detail="it has shipped")
            )
        if body.held is not (body.reference in self.held):
            (self.held.add if body.held else self.held.discard)(body.reference)
            self.did("hold" if body.held else "let go", body.reference)
        return self.releases[body.reference]

    async def cancel_release(self, body):
        await self.asked("cancel")
        self.obeys()
        if body.reference in self.gone:
            raise CallFailedError(
                Rejected(system=self.name, reason="order-not-cancellable", detail="it has shipped")
            )
        there = self.releases.pop(body.reference, None) is not None
        if there:
            self.did("cancel", body.reference)
        return ReleaseCancelled(was_there=there)


class Crm(Vendor):
    def __init__(self, clock):
        super().__init__("salesforce", clock)
        self.deals: dict[str, Quote] = {}
        self.accounts: dict[str, str] = {}
        self.products: dict[str, str] = {}
        self.told: dict[str, list] = {}
        self.documents: dict[str, dict] = {}

    async def get_deal(self, reference):
        await self.asked("deal")
        return self.deals[reference]

    async def won_deals(self, query):
        await self.asked("won deals")
        return WonDeals(deals=tuple(deal for deal in self.deals.values() if deal.won))

    async def customer_of(self, reference):
        await self.asked("account")
        if reference not in self.accounts:
            raise self.unknown("customer-unknown")
        return AccountLink(account=reference, customer=CustomerId(self.accounts[reference]))

    async def items_of(self, body):
        await self.asked("products")
        known = [one for one in body.products if one in self.products]
        links = tuple(ProductLink(product=one, item=item_id(self.products[one])) for one in known)
        return ProductLinks(links=links)

    async def report_orders(self, body):
        await self.asked("reports")
        for report in body.reports:
            self.told.setdefault(report.reference, []).append(report)
        return ReportResults(
            results=tuple(ReportResult(reference=r.reference, done=True) for r in body.reports)
        )

    async def report_documents(self, body):
        await self.asked("documents")
        for report in body.reports:
            self.documents.setdefault(report.reference, {})[report.number] = report
        return ReportResults(
            results=tuple(ReportResult(reference=r.reference, done=True) for r in body.reports)
        )

    def shows(self, reference):
        """What a sales rep reads on the order now."""
        return self.told[reference][-1]


class Tax(Vendor):
    async def assess(self, body):
        await self.asked("tax")
        net = sum((line.net_amount.amount for line in body.lines), Decimal(0))
        tax = money(net * Decimal("0.2"), body.currency)
        rate = TaxLine(
            rate=Decimal("0.2"),
            taxable=money(net, body.currency),
            tax=tax,
            jurisdiction="GB",
            regime="domestic-vat",
        )
        return TaxAssessment(regime="domestic-vat", lines=(rate,), total=tax)


class World:
    """The vendors, the product between them, and the words in which stories are told."""

    def __init__(
        self, directory, *, url=None, orders=None, pricing=None, channels=None, allocates=False
    ):
        self.clock = RunningClock()
        self.erp = Erp(self.clock)
        self.wms = Wms(self.clock)
        self.crm = Crm(self.clock)
        self.tax = Tax("tax", self.clock)
        self._url = url or f"sqlite:///{directory}/journal.db"
        self.neighbours: list[ProcessType] = []
        self._orders = orders or OrderSettings()
        self._pricing = pricing or PricingSettings()
        self._channels = channels or {"importer": "order-file", "deals": "crm"}
        self._allocates = allocates
        self._keys = 0
        for number, name in (("10000", "Adatum"), ("20000", "Trey Research")):
            self.has_customer(number, name=name)
        for number, price in (("1896-S", "100.00"), ("1900-S", "25.50"), ("1908-S", "0.85")):
            self.has_item(number, price)

    async def opens(self):
        """Start the product, as after an installation or a restart."""
        self.store = Store(self._url)
        self.store.open()
        exposure = exposure_over(self.store, self.clock)
        self.records = Records(
            erp=self.erp, wms=self.wms, crm=self.crm, settings=self._pricing, clock=self.clock
        )
        promises = Promises(b"a key for stories only", valid_for=self._pricing.promise_seconds)
        random = Random(7)
        self.inventory = InventoryApi(
            wms=self.wms, store=self.store, clock=self.clock,
            settings=InventorySettings(fresh_for=0, allocation_seconds=0),
        )  # fmt: skip
        await self.inventory.open()
        self.pricing = PricingCreditApi(
            records=self.records,
            tax=self.tax,
            settings=self._pricing,
            clock=self.clock,
            promises=promises,
            nonce=lambda: f"{random.getrandbits(64):x}",
            exposure=exposure,
            reserved=self.inventory.reserved,
        )
        built = QuoteToOrder(
            pricing=self.pricing,
            erp=self.erp,
            wms=self.wms,
            crm=self.crm,
            store=self.store,
            settings=self._orders,
            clock=self.clock,
            exposure=exposure,
            promises=promises,
            inventory=self.inventory if self._allocates else None,
        )
        self.journal = Journal(
            store=self.store,
            types=[*built.types, *self.neighbours],
            subscribers=built.subscribers,
            clock=self.clock,
            random=random,
            node="stories",
            crash_points=CrashPoints(),
        )
        await self.journal.open()
        self.worker = Worker(self.journal)
        self.orders = built.over(self.journal)
        self.deal_watch = built.deal_watch(self.journal)
        self.sales = SalesApi(
            pricing=self.pricing,
            orders=self.orders,
            settings=SalesSettings(channels=self._channels),
        )
        reconciliation = ReconciliationApi(
            orders=OrderBook(self.store, self.journal.types),
            erp=self.erp, wms=self.wms, crm=self.crm, store=self.store, clock=self.clock,
            settings=ReconciliationSettings(), mint=self.journal.mint,
            teller=CrmTeller(self.journal),
        )  # fmt: skip
        broker = BudgetBroker({}, clock=self.clock)
        accounts = AccountsApi(lines=(), broker=broker, allowances={}, clock=self.clock)
        self.operations = OperationsApi(
            orders=self.orders,
            processes=JournalApi(journal=self.journal, accounts=accounts),
            reconciliation=reconciliation,
        )
        await self.orders.fill_exposure()
        await self.worker.start()

    async def closes(self):
        """Stop the product; the vendors go on."""
        await self.worker.drain(timedelta(seconds=2))
        self.store.close()

    async def restarts(self):
        await self.closes()
        await self.opens()

    # What there is.

    def has_customer(
        self, number, *, name="A customer", limit=None, blocked="none", currency="GBP"
    ):
        customer = Customer(
            id=customer_id(number),
            number=number,
            name=name,
            address=Address(street="1 High St", city="London", country="GB", postcode="N1"),
            currency=currency,
            blocked=blocked,
            credit_limit=None if limit is None else money(limit, "GBP"),
            known_as=(SystemId(system="bc", id=number),),
        )
        self.erp.customers[customer.id] = customer
        return customer

    def has_item(self, number, price, *, blocked=False, stock=1000, unit="PCS"):
        item = Item(
            id=item_id(number),
            number=number,
            name=f"Item {number}",
            list_price=money(price, "GBP"),
            unit_of_measure=unit,
            blocked=blocked,
            changed_at=self.clock.now(),
        )
        self.erp.items[item.id] = item
        self.wms.stock_of[item.id] = {"EAST": stock, "WEST": stock // 10}
        return item

    def has_deal(self, deal="006A000000AbCdEIAV", *, won=True, customer="bc:10000", **fields):
        quote = Quote(
            id=f"sf:{deal}",
            customer=customer,
            currency="GBP",
            lines=(OrderLineRequest(item="1896-S", quantity=Decimal(2)),),
            name="A deal",
            won=won,
            po_number="PO-DEAL",
            **fields,
        )
        self.crm.deals[quote.id] = quote
        return quote

    def time_passes(self, **by):
        """Put the clock forward, and let who sleeps by it look at it again."""
        self.clock.forward(**by)
        self.worker.wake()

    # What people do.

    def key(self):
        self._keys += 1
        return f"ORDER-{self._keys:04}"

    def call(self, *, consumer="shop", key=None, wait=PATIENCE, **fields):
        return calling(
            CallContext(
                correlation_id="story",
                consumer=consumer,
                idempotency_key=key,
                prefer_wait=wait,
                **fields,
            )
        )

    async def place(self, order, *, key=None, **fields):
        """Place an order through the sales API; waits until it has come as far as it can."""
        with self.call(key=key or self.key(), **fields):
            return await self.sales.place_order(order)

    async def credit(self, order, *, key=None, consumer="importer", **fields):
        with self.call(key=key or self.key(), consumer=consumer, **fields):
            return await self.sales.credit_order(order)

    async def order(self, order_id):
        return (await self.orders.get(order_id)).body

    async def story(self, order_id):
        return await self.orders.timeline(order_id)

    async def cancels(self, order_id, reason="the customer changed its mind"):
        with self.call(consumer="rep", key=self.key()):
            return await self.orders.cancel(order_id, Cancellation(reason=reason))

    # What the systems tell.

    async def hears(self, order_id, name, data, key):
        """A signal reaches an order; what it carries is told in the words of the contract."""
        await self.journal.signal(order_id, name, msgspec.to_builtins(data), key)

    async def ships(self, order, *lines, release=None, warehouse="EAST", package=None, **fields):
        """Goods leave a warehouse, and it tells so: (item, quantity) lines."""
        self._keys += 1
        reference = release or order.reference
        self.wms.gone.add(reference)
        shipment = Shipment(
            id=package or f"PACKAGE-{self._keys}",
            order=reference,
            warehouse=warehouse,
            lines=tuple(ShippedLine(item=item_id(i), quantity=Decimal(n)) for i, n in lines),
            shipped_at=fields.pop("shipped_at", None) or self.clock.now(),
            **fields,
        )
        await self.hears(order.id, GOODS_SHIPPED, shipment, f"shipped:{shipment.id}")
        return shipment

    async def bills(self, order, number, net, *, gross=None, remaining=None, key=None, **fields):
        """The ERP posts an invoice, or tells of one again."""
        gross = gross or net
        invoice = Invoice(
            number=number,
            order_number=None,
            customer=order.customer,
            lines=fields.pop("lines", ()),
            net_amount=money(net, "GBP"),
            gross_amount=money(gross, "GBP"),
            remaining=money(gross if remaining is None else remaining, "GBP"),
            state=fields.pop("state", "open"),
            invoice_date=fields.pop("invoice_date", None) or self.clock.now().date(),
            **fields,
        )
        await self.hears(order.id, INVOICE_POSTED, invoice, key or f"invoice:{number}")

    async def pays(self, order, number, amount, *, remaining=None, key=None):
        """Money comes in for an invoice."""
        payment = Payment(
            invoice=number,
            amount=money(amount, "GBP"),
            received_on=self.clock.now().date(),
            remaining=None if remaining is None else money(remaining, "GBP"),
        )
        await self.hears(order.id, INVOICE_PAID, payment, key or f"paid:{number}:{remaining}")

    async def holds(self, order, reason="30 days overdue", *, held=True, as_of=None, **fields):
        """Finance holds the order in the ERP, or lets go."""
        self._keys += 1
        change = HoldChanged(
            held=held,
            kind=fields.pop("kind", "order-in-review"),
            reason=reason,
            as_of=as_of or self.clock.now(),
            reference=order.reference,
        )
        await self.hears(order.id, HOLD_CHANGED, change, f"hold:{self._keys}")

    async def lets_go(self, order, **fields):
        await self.holds(order, held=False, reason="released", **fields)

    async def exceptions(self, **query):
        return (await self.operations.list_exceptions(ExceptionQuery(**query))).exceptions

    async def mends(self, order_id, action, amended=None):
        """Apply a remedy to the one exception of an order."""
        (view,) = [view for view in await self.exceptions() if view.order == order_id]
        with self.call(consumer="operator", subject="Mary", key=self.key()):
            return await self.operations.apply_remedy(
                view.exception.id, Remedy(action=action, note="seen to", amended=amended)
            )

    async def totals(self, channel):
        return await self.operations.totals(TotalsQuery(channel=channel))

    async def until(self, holds, *, what):
        """Wait until something holds; a story that waits in vain says what it waited for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = holds()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0.01)
        raise AssertionError(what)

    async def reaches(self, order_id, **axes):
        """Wait until an order's axes are as given."""
        process = await self.journal.wait_for(
            order_id,
            lambda p: _matches(p, axes),
            timedelta(seconds=PATIENCE),
        )
        order = await self.order(process.id)
        story = await self.story(process.id)
        assert {axis: getattr(order, axis) for axis in axes} == axes, story
        return order

    async def journal_state(self, order_id, state):
        """Wait until an order's process is in a state."""
        process = await self.journal.wait_for(order_id, {state}, timedelta(seconds=PATIENCE))
        assert process.state == state, await self.story(order_id)
        return process

    async def crm_shows(self, reference, words):
        await self.until(
            lambda: reference in self.crm.told and words in self.crm.shows(reference).message,
            what=f"the CRM to show {words!r} on {reference}",
        )
        return self.crm.shows(reference)


def _matches(process, axes):
    from process_apis.quote_to_order.views import view_of

    order = view_of(process)
    return all(getattr(order, axis) == value for axis, value in axes.items())


def an_order(*lines, customer="cust_10000", currency="GBP", **fields):
    """An order of (item, quantity[, unit price]) lines."""
    return OrderRequest(
        customer=customer,
        currency=currency,
        lines=tuple(_line(currency, *line) for line in lines or (("1896-S", 2),)),
        **fields,
    )


def _line(currency, item, quantity, price=None):
    return OrderLineRequest(
        item=item,
        quantity=Decimal(quantity),
        unit_price=None if price is None else money(price, currency),
    )


def a_quote(*lines, customer="cust_10000", **fields):
    return QuoteCheck(customer=customer, lines=an_order(*lines).lines, **fields)


def a_price_check(*lines, customer="cust_10000", **fields):
    return PriceCheck(
        customer=customer,
        lines=tuple(WantedLine(item=item, quantity=Decimal(n)) for item, n in lines),
        **fields,
    )


__all__ = [
    "CreditRequest",
    "PlaceOrder",
    "World",
    "a_price_check",
    "a_quote",
    "an_order",
]
