"""sales/v1: thin over the processes. It knows channels, accounts and addresses."""

from typing import Final

import msgspec

from contracts.canonical.order import Order, OrderRequest, Timeline
from contracts.context import current
from contracts.ports.binding import Reply
from contracts.ports.pricing_credit import (
    AvailabilityAnswer,
    AvailabilityCheck,
    CreditAnswer,
    CreditCheck,
    CustomerView,
    PriceAnswer,
    PriceCheck,
    PricingCredit,
    QuoteCheck,
    QuoteValidation,
    TaxAnswer,
    TaxCheck,
)
from contracts.ports.quote_to_order import (
    Approval,
    Cancellation,
    CreditRequest,
    OrderPage,
    OrderQuery,
    PlaceOrder,
    QuoteToOrder,
)
from contracts.problems import refuse
from experience_apis.sales.settings import SalesSettings

ORDERS: Final = "/sales/v1/orders/"


class SalesApi:
    """Implements `contracts.ports.sales.Sales`."""

    def __init__(
        self, *, pricing: PricingCredit, orders: QuoteToOrder, settings: SalesSettings
    ) -> None:
        self._pricing = pricing
        self._orders = orders
        self._settings = settings

    async def check_prices(self, body: PriceCheck) -> PriceAnswer:
        """Price lines for a customer the consumer may act for."""
        await self._own(body.customer)
        return await self._pricing.check_prices(body)

    async def check_credit(self, body: CreditCheck) -> CreditAnswer:
        """Decide whether a customer may owe one more amount."""
        await self._own(body.customer)
        return await self._pricing.check_credit(body)

    async def check_availability(self, body: AvailabilityCheck) -> AvailabilityAnswer:
        """Tell what can be shipped now."""
        return await self._pricing.check_availability(body)

    async def check_tax(self, body: TaxCheck) -> TaxAnswer:
        """Work out the tax of a sale."""
        await self._own(body.customer)
        return await self._pricing.check_tax(body)

    async def validate_quote(self, body: QuoteCheck) -> QuoteValidation:
        """Check everything about a quote in parallel."""
        await self._own(body.customer)
        return await self._pricing.validate_quote(body)

    async def place_order(self, body: OrderRequest) -> Reply[Order]:
        """Place an order on the consumer's channel; the process checks the account."""
        channel = self._settings.channel_of(current())
        return _here(await self._orders.place(PlaceOrder(order=body, channel=channel)))

    async def get_order(self, order: str) -> Reply[Order]:
        """Answer an order by its id."""
        return _here(await self._orders.get(order))

    async def find_orders(self, query: OrderQuery) -> OrderPage:
        """Find the consumer's orders, newest first."""
        if query.customer is not None:
            await self._own(query.customer)
        return await self._orders.search(query)

    async def order_timeline(self, order: str) -> Timeline:
        """Tell where an order is and why."""
        return await self._orders.timeline(order)

    async def cancel_order(self, order: str, body: Cancellation) -> Reply[Order]:
        """Take an order back before it is shipped."""
        return _here(await self._orders.cancel(order, body))

    async def approve_order(self, order: str, body: Approval) -> Reply[Order]:
        """Approve or refuse a price below the ERP's."""
        return _here(await self._orders.approve(order, body))

    async def credit_order(self, body: OrderRequest) -> Reply[Order]:
        """Give back against earlier orders."""
        channel = self._settings.channel_of(current())
        return _here(await self._orders.credit(CreditRequest(request=body, channel=channel)))

    async def get_customer(self, reference: str) -> CustomerView:
        """Answer a customer; one of another account looks the same as none."""
        view = await self._pricing.get_customer(reference)
        if not current().may_act_for(view.customer.id):
            raise refuse("customer-unknown")
        return view

    async def _own(self, customer: str) -> None:
        """Refuse a customer the consumer may not act for, as if there were none."""
        call = current()
        if call.accounts is None or call.may_act_for(customer):
            return
        view = await self._pricing.get_customer(customer)
        if not call.may_act_for(view.customer.id):
            raise refuse("customer-unknown")


def _here(reply: Reply[Order]) -> Reply[Order]:
    """The same answer, with this API's address for the order."""
    if reply.location is None:
        return reply
    return msgspec.structs.replace(reply, location=ORDERS + reply.body.id)
