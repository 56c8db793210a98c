"""The ERP port on Business Central.

One healthy order is one call. Whatever may have happened without our knowing is found by its
external reference before anything is created again; creates of one reference never overlap within
this process, and one that had to wait for another looks first.
"""

import asyncio
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from contracts.canonical.credit import CreditPosition
from contracts.canonical.documents import CreditMemo, CreditMemoRequest
from contracts.canonical.ids import CustomerId, number_of
from contracts.canonical.item import Item
from contracts.canonical.party import Customer
from contracts.canonical.pricing import PriceLadder
from contracts.outcomes import CallFailedError, Rejected
from contracts.ports.changes import Changes
from contracts.ports.erp import (
    CancelErpOrder,
    Cancelled,
    CustomerPage,
    DocumentPage,
    ErpOrder,
    ErpOrderPage,
    ExchangeRate,
    ItemPage,
    OrderDocuments,
    PlaceCreditMemo,
    PlaceErpOrder,
    PostedShipment,
    PostShipment,
    PriceEnquiry,
    PriceLadders,
)
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard, Turns
from runtime.http import HttpClient
from runtime.http.client import Decoder
from system_apis.erp.business_central import mapping, wire
from system_apis.erp.business_central.company import Company, refused
from system_apis.erp.business_central.failures import SYSTEM
from system_apis.erp.business_central.posted import Posted
from system_apis.erp.business_central.settings import BusinessCentralSettings

__all__ = ["BusinessCentral"]

T = TypeVar("T")
PREFIX: Final = "bc:"
ITEMS_A_CALL: Final = 80
"""Keeps the filter of one request below 4 kB of URL."""
ENQUIRY: Final = "PRICE-ENQUIRY"
"""The reference of drafted quotes, by which any that outlived its enquiry can be swept."""


class BusinessCentral:
    """One company of Business Central as the ERP (`contracts.ports.erp.Erp`)."""

    def __init__(
        self,
        settings: BusinessCentralSettings,
        *,
        http: HttpClient,
        broker: BudgetBroker,
        clock: Clock,
        guard: Guard | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.guard = guard or Guard(SYSTEM, clock=clock)
        self._company = Company(settings, http=http, broker=broker, clock=clock, guard=self.guard)
        self._posted = Posted(self._company, local_currency=settings.local_currency)
        self._creating = Turns()
        self._has_price_page = self._has_credit_page = True

    # -- master data ------------------------------------------------------------------------

    async def get_customer(self, reference: str) -> Customer:
        """Answer a customer by canonical id or number; `customer-unknown` if there is none."""
        number = _number(reference)
        path = wire.query(
            wire.CUSTOMERS, filter=wire.equals("number", number), select=wire.CUSTOMER_FIELDS
        )
        page = await self._company.read(path, wire.customers_decoder)
        if not page.value:
            raise refused("customer-unknown")
        return mapping.customer(page.value[0], self._settings.local_currency)

    async def get_item(self, reference: str) -> Item:
        """Answer an item by canonical id or number; `item-unknown` if there is none."""
        number = _number(reference)
        path = wire.query(wire.ITEMS, filter=wire.equals("number", number), select=wire.ITEM_FIELDS)
        page = await self._company.read(path, wire.items_decoder)
        if not page.value:
            raise refused("item-unknown")
        return mapping.item(page.value[0], self._settings.local_currency)

    async def list_customers(self, query: Changes) -> CustomerPage:
        """List customers by time of change, a page at a time."""
        page = await self._company.page(
            wire.CUSTOMERS, query, wire.customers_decoder, select=wire.CUSTOMER_FIELDS
        )
        local = self._settings.local_currency
        return CustomerPage(
            customers=tuple(mapping.customer(found, local) for found in page.value),
            cursor=self._company.cursor(page.next_link),
        )

    async def list_items(self, query: Changes) -> ItemPage:
        """List items by time of change, a page at a time."""
        page = await self._company.page(
            wire.ITEMS, query, wire.items_decoder, select=wire.ITEM_FIELDS
        )
        local = self._settings.local_currency
        return ItemPage(
            items=tuple(mapping.item(found, local) for found in page.value),
            cursor=self._company.cursor(page.next_link),
        )

    async def exchange_rate(self, currency: str) -> ExchangeRate:
        """Answer what one unit of a currency is worth in the company's own, as of today.

        `currency-mismatch` when the ERP knows no rate.
        """
        row = await self._latest_rate(currency)
        rate = mapping.exchange_rate(row, currency)
        through = row.relational_currency_code
        if through in {"", self._settings.local_currency}:
            return rate
        worth = mapping.exchange_rate(await self._latest_rate(through), through)
        return msgspec.structs.replace(rate, rate=rate.rate * worth.rate)

    async def _latest_rate(self, currency: str) -> wire.ExchangeRate:
        today = self._clock.now().date().isoformat()
        path = wire.query(
            wire.EXCHANGE_RATES,
            filter=f"{wire.equals('currencyCode', currency)} and startingDate le {today}",
            orderby="startingDate desc",
            top="1",
        )
        page = await self._company.read_if_there(path, wire.rates_decoder)
        if page is None or not page.value:
            raise refused("currency-mismatch")
        return page.value[0]

    # -- prices and credit ------------------------------------------------------------------

    async def price_ladders(self, body: PriceEnquiry) -> PriceLadders:
        """Answer the prices the vendor itself would put on the lines.

        From the tenant's price page, or from a drafted quote when it has none, which is found out
        once and remembered.
        """
        numbers = list(dict.fromkeys(number_of(item) for item in body.items))
        chunks = [numbers[at : at + ITEMS_A_CALL] for at in range(0, len(numbers), ITEMS_A_CALL)]
        customer = number_of(body.customer)
        if self._has_price_page:
            pages = await asyncio.gather(*(self._net_prices(customer, some) for some in chunks))
            rows = [row for page in pages if page is not None for row in page]
            if all(page is not None for page in pages):
                found = mapping.ladders(
                    rows, body.customer, self._settings.local_currency, self._clock.now()
                )
                return PriceLadders(ladders=found)
            self._has_price_page = False
        ladders: list[PriceLadder] = []
        for some in chunks:
            ladders += await self._draft_prices(body.customer, some)
        return PriceLadders(ladders=tuple(ladders))

    async def _net_prices(self, customer: str, numbers: list[str]) -> list[wire.NetPrice] | None:
        wanted = wire.equals("customerNumber", customer)
        items = " or ".join(wire.equals("itemNumber", number) for number in numbers)
        path = wire.query(wire.NET_PRICES, filter=f"{wanted} and ({items})")
        page = await self._company.read_if_there(path, wire.prices_decoder, custom=True)
        return None if page is None else await self._rest_of(page, wire.prices_decoder)

    async def _draft_prices(self, who: CustomerId, numbers: list[str]) -> tuple[PriceLadder, ...]:
        """Let the vendor price a quote of every item in some quantities, and delete it."""
        items = " or ".join(wire.equals("number", number) for number in numbers)
        path = wire.query(wire.ITEMS, filter=items, select=wire.ITEM_FIELDS)
        known = await self._company.read(path, wire.items_decoder)
        lines = [
            wire.item_line(item.number, Decimal(quantity))
            for item in await self._rest_of(known, wire.items_decoder)
            if not item.blocked
            for quantity in self._settings.probe_quantities
        ]
        if not lines:
            return ()
        draft = wire.NewQuote(
            external_document_number=ENQUIRY,
            customer_number=number_of(who),
            sales_quote_lines=lines,
        )
        path = wire.query(wire.QUOTES, expand=wire.QUOTE_LINES)
        answer = await self._company.write("POST", path, body=wire.encode(draft))
        quote = self._company.decoded(wire.quote_decoder, answer, safe=False)
        try:
            priced = quote.sales_quote_lines
            if priced is None:
                path = f"{wire.QUOTES}({quote.id})/{wire.QUOTE_LINES}"
                page = await self._company.read(path, wire.quote_lines_decoder)
                priced = await self._rest_of(page, wire.quote_lines_decoder)
        finally:
            await self._company.write("DELETE", f"{wire.QUOTES}({quote.id})")
        currency = quote.currency_code or self._settings.local_currency
        return mapping.ladders_of_quote(priced, who, currency, self._clock.now())

    async def credit_position(self, reference: str) -> CreditPosition:
        """Answer a customer's limit, balance, overdue amount and what is on order.

        As of the instant it was asked for: an order created while the vendor answers may be
        missing from it, and must not be taken as included.
        """
        number, asked_at = _number(reference), self._clock.now()
        path = wire.query(
            wire.CUSTOMERS,
            filter=wire.equals("number", number),
            select=wire.CREDIT_FIELDS,
            expand=wire.FINANCIAL_DETAIL,
        )
        page, amounts = await asyncio.gather(
            self._company.read(path, wire.customers_decoder), self._open_orders(number)
        )
        if not page.value:
            raise refused("customer-unknown")
        return mapping.credit_position(
            page.value[0], amounts, self._settings.local_currency, asked_at
        )

    async def _open_orders(self, customer: str) -> wire.OpenOrderAmounts:
        """Answer what is on order, from the tenant's credit page or by summing the order book."""
        wanted = wire.equals("customerNumber", customer)
        if self._has_credit_page:
            path = wire.query(wire.OPEN_ORDERS, filter=wanted)
            page = await self._company.read_if_there(path, wire.open_orders_decoder, custom=True)
            if page is not None:
                return page.value[0] if page.value else wire.OpenOrderAmounts()
            self._has_credit_page = False
        path = wire.query(wire.ORDERS, filter=wanted, expand=wire.ORDER_LINES)
        book = await self._company.read(path, wire.orders_decoder)
        waiting = shipped = Decimal(0)
        for order in await self._rest_of(book, wire.orders_decoder):
            rate = await self._rate(order.currency_code)
            still_open, not_invoiced = mapping.outstanding(order)
            waiting += still_open * rate
            shipped += not_invoiced * rate
        return wire.OpenOrderAmounts(outstanding_orders=waiting, shipped_not_invoiced=shipped)

    async def _rate(self, currency: str) -> Decimal:
        if currency in {"", self._settings.local_currency}:
            return Decimal(1)
        return (await self.exchange_rate(currency)).rate

    async def _rest_of(self, page: wire.Page[T], decoder: Decoder[wire.Page[T]]) -> list[T]:
        """Answer a page's records and those of every page after it."""
        found = page.value
        while page.next_link is not None:
            page = await self._company.follow(page.next_link, decoder)
            found = found + page.value
        return found

    # -- orders -----------------------------------------------------------------------------

    async def place_order(self, body: PlaceErpOrder) -> ErpOrder:
        """Create an order once per reference; one call unless an earlier try is in doubt."""
        reference = mapping.reference_on_wire(body.reference).upper()
        async with self._creating.turn(reference) as waited:
            if body.in_doubt or waited:
                found = await self._find(number_of(body.customer), body.reference)
                if found is not None:
                    return found
            answer = await self._company.write(
                "POST", wire.ORDERS, body=wire.encode(mapping.new_order(body))
            )
        created = self._company.decoded(wire.order_decoder, answer, safe=False)
        return mapping.order(
            created, body.reference, self._settings.local_currency, was_there=False
        )

    async def find_order(self, customer: str, reference: str) -> ErpOrder:
        """Answer the order that carries this reference, posted or not; `not-found` if none does."""
        found = await self._find(_number(customer), reference)
        if found is None:
            raise refused("not-found")
        return found

    async def cancel_order(self, body: CancelErpOrder) -> Cancelled:
        """Delete an order that has not been posted; `order-not-cancellable` if it has."""
        number = number_of(body.customer)
        drafts = await self._orders(number, body.reference)
        for draft in drafts:
            await self._company.write(
                "DELETE", f"{wire.ORDERS}({draft.id})", headers={"if-match": draft.etag}
            )
        if not drafts and await self._find(number, body.reference) is not None:
            raise refused("order-not-cancellable", "erp-business-rule")
        return Cancelled(was_there=bool(drafts))

    async def order_documents(self, number: str) -> OrderDocuments:
        """Answer everything posted for an order number so far."""
        return await self._posted.of_order(number)

    async def post_shipment(self, body: PostShipment) -> PostedShipment:
        """Post what has left the warehouse as shipped; repeating it finds nothing to post."""
        return await self._posted.ship(body, self._find)

    async def documents_since(self, query: Changes) -> DocumentPage:
        """List posted shipments and invoices by time of change, a page of each at a time."""
        return await self._posted.since(query)

    async def list_orders(self, query: Changes) -> ErpOrderPage:
        """List the order book by time of change, a page at a time."""
        return self._book(
            await self._company.page(
                wire.ORDERS, query, wire.orders_decoder, select=wire.ORDER_FIELDS
            )
        )

    async def list_orders_in_review(self, query: Changes) -> ErpOrderPage:
        """List what of the order book is under approval, a page at a time."""
        return self._book(
            await self._company.page(
                wire.ORDERS,
                query,
                wire.orders_decoder,
                condition=wire.equals("status", wire.IN_REVIEW),
                select=wire.ORDER_FIELDS,
            )
        )

    def _book(self, page: wire.Page[wire.Order]) -> ErpOrderPage:
        local = self._settings.local_currency
        return ErpOrderPage(
            orders=tuple(mapping.listed_order(found, local) for found in page.value),
            cursor=self._company.cursor(page.next_link),
        )

    # -- credit memos -----------------------------------------------------------------------

    async def create_credit_memo(self, body: PlaceCreditMemo) -> CreditMemo:
        """Create and post a credit memo once per reference.

        Both steps find what an earlier try left: a draft is posted, a posted memo is answered.
        """
        memo = body.memo
        async with self._creating.turn(mapping.reference_on_wire(memo.reference).upper()) as waited:
            found = await self._find_memo(memo) if body.in_doubt or waited else None
            if found is None:
                draft = wire.encode(mapping.new_credit_memo(memo))
                answer = await self._company.write("POST", wire.CREDIT_MEMOS, body=draft)
                found = self._company.decoded(wire.credit_memo_decoder, answer, safe=False)
            if found.status == wire.DRAFT:
                found = await self._post_memo(found.id)
        return mapping.credit_memo(found, memo)

    async def _post_memo(self, draft: str) -> wire.CreditMemo:
        path = f"{wire.CREDIT_MEMOS}({draft})"
        try:
            await self._company.write("POST", f"{path}/{wire.POST_ACTION}")
        except CallFailedError as error:
            if isinstance(error.failure, Rejected):
                await self._company.write(
                    "DELETE", path
                )  # else the next try would find it and stop too
            raise
        return await self._company.read(path, wire.credit_memo_decoder)

    async def _find_memo(self, memo: CreditMemoRequest) -> wire.CreditMemo | None:
        path = wire.query(
            wire.CREDIT_MEMOS,
            filter=wire.carries(
                number_of(memo.customer), mapping.reference_on_wire(memo.reference)
            ),
        )
        page = await self._company.read(path, wire.credit_memos_decoder)
        posted = [found for found in page.value if found.status != wire.DRAFT]
        return next(iter(posted or page.value), None)

    async def keep_subscribed(self, url: str) -> int:
        """Have changes of customers and items told to `url`; answer how many had to be made.

        With the first of the webhook secrets. To be called every few hours, once the address is
        served: the vendor asks it for a handshake.
        """
        secret = self._settings.webhook_secrets[0]
        return await self._company.keep_subscribed(url, secret, self._clock.now())

    # -- looking up by reference ------------------------------------------------------------

    async def _find(self, number: str, reference: str) -> ErpOrder | None:
        """Look in the order book, then among what was posted: an order only ever moves that way."""
        local = self._settings.local_currency
        orders = await self._orders(number, reference)
        if orders:
            return mapping.order(orders[0], reference, local, was_there=True)
        wanted = wire.carries(number, mapping.reference_on_wire(reference))
        invoices = await self._company.read(
            wire.query(wire.INVOICES, filter=wanted), wire.invoices_decoder
        )
        if invoices.value:
            return mapping.order_of_invoices(invoices.value, reference, local)
        shipments = await self._company.read(
            wire.query(wire.SHIPMENTS, filter=wanted, expand=wire.SHIPMENT_LINES),
            wire.shipments_decoder,
        )
        if shipments.value:
            return mapping.order_of_shipments(shipments.value, reference, local)
        return None

    async def _orders(self, number: str, reference: str) -> list[wire.Order]:
        path = wire.query(
            wire.ORDERS,
            filter=wire.carries(number, mapping.reference_on_wire(reference)),
            select=wire.ORDER_FIELDS,
        )
        return (await self._company.read(path, wire.orders_decoder)).value


def _number(reference: str) -> str:
    """Answer the ERP's number of a canonical id, of `bc:number`, or of a number itself."""
    if reference.startswith(PREFIX):
        return reference[len(PREFIX) :].upper()
    return number_of(reference) or reference.upper()
