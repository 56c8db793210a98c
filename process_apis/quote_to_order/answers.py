"""What is asked of orders: one, its story, many, the exceptions, the sums."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from contracts.canonical.ids import CustomerId, ExternalReference
from contracts.canonical.order import Order, Timeline
from contracts.context import CallContext
from contracts.ports.binding import Reply
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.quote_to_order import (
    ExceptionPage,
    ExceptionQuery,
    ExceptionView,
    OrderPage,
    OrderQuery,
    Totals,
    TotalsQuery,
)
from contracts.problems import refuse
from process_apis.quote_to_order import remedies, story
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.records import KINDS
from process_apis.quote_to_order.sums import Sums
from process_apis.quote_to_order.views import view_of
from runtime.journal.faults import UnknownIncident, UnknownProcess, UnreadableProcess
from runtime.journal.incidents import Category, OpenedIncident
from runtime.journal.journal import Journal
from runtime.journal.process import Process
from runtime.store.faults import StoreUnavailable


class OrderAnswers:
    """Answers questions; changes nothing. All refuse store-unavailable while the store is away."""

    def __init__(self, *, pricing: PricingCredit, journal: Journal, queries: OrderQueries) -> None:
        self._pricing = pricing
        self._journal = journal
        self._queries = queries
        self._sums = Sums(journal.store, journal.types)

    async def visible(self, order: str, call: CallContext) -> Process[Any]:
        """Answer an order or a credit; refuses not-found, also for another account's."""
        try:
            with durably():
                process = await self._journal.get(order)
        except UnknownProcess:
            raise refuse("not-found") from None
        if process.kind not in KINDS or not call.may_act_for(process.data.customer):
            raise refuse("not-found")
        return process

    async def _customer_asked_for(self, query: OrderQuery, call: CallContext) -> str | None:
        """Whose orders are wanted; another account's customer is as unknown as none."""
        if query.customer is None:
            return None
        customer = (await self._pricing.get_customer(query.customer)).customer.id
        if not call.may_act_for(customer):
            raise refuse("customer-unknown")
        return customer

    def _asked_for(
        self, query: OrderQuery, customer: str | None, call: CallContext
    ) -> tuple[str | None, Sequence[str]]:
        """Which business ids narrow a search the most."""
        if query.reference is not None:
            return "reference", (query.reference,)
        if customer is not None:
            return "customer", (customer,)
        if query.po is not None:
            return "po", (query.po,)
        if call.accounts is not None:
            return "customer", call.accounts
        return None, ()

    async def timeline(self, order: str, call: CallContext) -> Timeline:
        """Tell an order's story; another account's is not found."""
        process = await self.visible(order, call)
        with durably():
            entries = await self._journal.timeline(process.id)
        return story.told(process, entries)

    async def search(self, query: OrderQuery, call: CallContext) -> OrderPage:
        """Find orders and credits, newest first; of other accounts none is shown.

        What cannot be read is left out: its exception is where it shows.
        """
        customer = await self._customer_asked_for(query, call)
        kind, values = self._asked_for(query, customer, call)
        orders: list[Order] = []
        cursor = query.cursor
        while True:
            with durably():
                if kind is None:
                    page = await self._queries.latest(cursor, query.limit + 1)
                else:
                    page = await self._queries.by_term(kind, values, cursor, query.limit + 1)
            for process in page.processes:
                if not call.may_act_for(process.data.customer):
                    continue
                if customer is not None and process.data.customer != customer:
                    continue
                if query.po is not None and process.data.po_number != query.po:
                    continue
                if len(orders) == query.limit:
                    return OrderPage(orders=tuple(orders), cursor=cursor)
                orders.append(view_of(process))
                cursor = process.id
            if page.cursor is None:
                return OrderPage(orders=tuple(orders))
            cursor = page.cursor

    async def exceptions(self, query: ExceptionQuery, call: CallContext) -> ExceptionPage:
        """List exceptions, the oldest first; of other accounts none is shown."""
        category = None if query.category is None else _category_of(query.category)
        with durably():
            found = await self._queries.exceptions(
                open_only=query.open,
                category=category,
                accounts=call.accounts,
                cursor=query.cursor,
                limit=query.limit,
            )
        views = tuple(
            ExceptionView(
                exception=remedies.shown(
                    incident=row.id,
                    category=row.category,
                    says=row.says,
                    opened_at=row.opened_at,
                    remedies=() if row.unread else None,
                ),
                order=row.process,
                reference=row.reference,
                customer=row.customer,
                closed_at=row.closed_at,
            )
            for row in found
            if _may_see(row.customer, call)  # it may have been another's before it was amended
        )
        more = len(found) == query.limit
        return ExceptionPage(exceptions=views, cursor=found[-1].id if more else None)

    async def exception(self, exception: str, call: CallContext) -> ExceptionView:
        """Answer one exception; refuses not-found, also for another account's."""
        try:
            with durably():
                incident = await self._journal.incident(exception)
        except UnknownIncident:
            raise refuse("not-found") from None
        try:
            process = await self.visible(incident.process_id, call)
        except UnreadableProcess:
            return await self._unread(incident, call)
        shown = remedies.exception_of(process)
        if shown is None or shown.id != incident.id:
            shown = remedies.shown(
                incident=incident.id,
                category=incident.category,
                says=incident.says,
                opened_at=incident.opened_at,
                remedies=(),
            )
        return ExceptionView(
            exception=shown,
            order=process.id,
            reference=process.reference,
            customer=process.data.customer,
            closed_at=incident.closed_at,
        )

    async def _unread(self, incident: OpenedIncident, call: CallContext) -> ExceptionView:
        """Show the exception of an order that cannot be read; nothing mends it but its record."""
        with durably():
            customer = await self._queries.found_by(incident.process_id)
        if not _may_see(customer, call):
            raise refuse("not-found")
        return ExceptionView(
            exception=remedies.shown(
                incident=incident.id,
                category=incident.category,
                says=incident.says,
                opened_at=incident.opened_at,
                remedies=(),
            ),
            order=incident.process_id,
            reference=ExternalReference(incident.reference),
            customer=customer,
            closed_at=incident.closed_at,
        )

    async def totals(self, query: TotalsQuery, call: CallContext) -> Totals:
        """Add up a channel, from what changed since it was last asked.

        Refuses insufficient-scope to who acts for some accounts only: the sums are over all.
        """
        if call.accounts is not None:
            raise refuse("insufficient-scope", detail="These sums are over every customer.")
        with durably():
            sums = await self._sums.of(query.channel)
        return Totals(
            channel=query.channel,
            unreadable=sums.unreadable,
            orders=sums.orders,
            confirmed=sums.confirmed,
            credits=sums.credits,
            credited=sums.credited,
            exceptions=sums.exceptions,
            net_ordered={code: str(amount) for code, amount in sums.net_ordered.items()},
            net_credited={code: str(amount) for code, amount in sums.net_credited.items()},
        )


def _may_see(customer: CustomerId | None, call: CallContext) -> bool:
    """Tell whether a caller may see what concerns a customer; nobody's is for everybody's eyes."""
    return call.accounts is None if customer is None else call.may_act_for(customer)


def _category_of(name: str) -> Category:
    return next(each for each in Category if remedies.category_name(each) == name)


def location_of(order: str) -> str:
    """Answer where an order is found in this API."""
    return f"/process/quote-to-order/v1/orders/{order}"


def reply_of(process: Process[Any], status: int) -> Reply[Order]:
    """Answer with an order as it stands."""
    return Reply(
        body=view_of(process),
        status=status,
        location=location_of(process.id) if status in {201, 202} else None,
        etag=str(process.revision),
    )


@contextmanager
def durably() -> Iterator[None]:
    """Say that the store is away as the caller must hear it."""
    try:
        yield
    except StoreUnavailable:
        raise refuse("store-unavailable", retry_after=1) from None
