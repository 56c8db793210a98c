"""The ERP port on Business Central.

One healthy order is one call. Whatever may have happened without our knowing is found by its
external reference before anything is created again; creates of one reference never overlap within
this process, and one that had to wait for another looks first.
"""

from typing import Final

from contracts.canonical.credit import CreditPosition
from contracts.canonical.documents import CreditMemo, CreditMemoRequest
from contracts.canonical.ids import number_of
from contracts.canonical.item import Item
from contracts.canonical.party import Customer
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
from system_apis.erp.business_central import mapping, odata, wire, wire_filters
from system_apis.erp.business_central.company import Company, refused
from system_apis.erp.business_central.credit import Credit
from system_apis.erp.business_central.failures import SYSTEM
from system_apis.erp.business_central.posted import Posted
from system_apis.erp.business_central.prices import Prices
from system_apis.erp.business_central.rates import Rates
from system_apis.erp.business_central.settings import BusinessCentralSettings

__all__ = ["BusinessCentral"]

PREFIX: Final = "bc:"


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
        local = settings.local_currency
        self._posted = Posted(self._company, local_currency=local)
        self._rates = Rates(self._company, local_currency=local, clock=clock)
        self._prices = Prices(
            self._company, local_currency=local, probes=settings.probe_quantities, clock=clock
        )
        self._credit = Credit(self._company, self._rates, local_currency=local, clock=clock)
        self._creating = Turns()

    # -- master data ------------------------------------------------------------------------

    async def get_customer(self, reference: str) -> Customer:
        """Answer a customer by canonical id or number; `customer-unknown` if there is none."""
        number = _number(reference)
        path = odata.query(
            wire.CUSTOMERS, filter=wire_filters.numbered(number), select=wire.CUSTOMER_FIELDS
        )
        page = await self._company.read(path, wire.customers_decoder)
        if not page.value:
            raise refused("customer-unknown")
        return mapping.customer(page.value[0], self._settings.local_currency)

    async def get_item(self, reference: str) -> Item:
        """Answer an item by canonical id or number; `item-unknown` if there is none."""
        number = _number(reference)
        path = odata.query(
            wire.ITEMS, filter=wire_filters.numbered(number), select=wire.ITEM_FIELDS
        )
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

    # -- prices and credit ------------------------------------------------------------------

    async def exchange_rate(self, currency: str) -> ExchangeRate:
        """Answer what one unit of a currency is worth in the company's own, as of today."""
        return await self._rates.of(currency)

    async def price_ladders(self, body: PriceEnquiry) -> PriceLadders:
        """Answer the prices the vendor itself would put on the lines."""
        return await self._prices.ladders(body)

    async def credit_position(self, reference: str) -> CreditPosition:
        """Answer a customer's limit, balance, overdue amount and what is on order."""
        return await self._credit.position(_number(reference))

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
                condition=wire_filters.in_review(),
                select=wire.ORDER_FIELDS,
            )
        )

    def _book(self, page: odata.Page[wire.Order]) -> ErpOrderPage:
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
        path = odata.query(
            wire.CREDIT_MEMOS,
            filter=wire_filters.carries(
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
        wanted = wire_filters.carries(number, mapping.reference_on_wire(reference))
        invoices = await self._company.read(
            odata.query(wire.INVOICES, filter=wanted), wire.invoices_decoder
        )
        if invoices.value:
            return mapping.order_of_invoices(invoices.value, reference, local)
        shipments = await self._company.read(
            odata.query(wire.SHIPMENTS, filter=wanted, expand=wire.SHIPMENT_LINES),
            wire.shipments_decoder,
        )
        if shipments.value:
            return mapping.order_of_shipments(shipments.value, reference, local)
        return None

    async def _orders(self, number: str, reference: str) -> list[wire.Order]:
        path = odata.query(
            wire.ORDERS,
            filter=wire_filters.carries(number, mapping.reference_on_wire(reference)),
            select=wire.ORDER_FIELDS,
        )
        return (await self._company.read(path, wire.orders_decoder)).value


def _number(reference: str) -> str:
    """Answer the ERP's number of a canonical id, of `bc:number`, or of a number itself."""
    if reference.startswith(PREFIX):
        return reference[len(PREFIX) :].upper()
    return number_of(reference) or reference.upper()
