"""The CRM port on Salesforce: the only file that awaits the vendor."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from contracts.canonical.documents import Quote
from contracts.canonical.ids import number_of
from contracts.outcomes import CallFailedError, Failure, Rejected
from contracts.ports.changes import Changes
from contracts.ports.crm import (
    AccountLink,
    DocumentReports,
    ProductEnquiry,
    ProductLinks,
    ReportEnquiry,
    ReportPage,
    ReportResults,
    Reports,
    ShownReports,
    WonDeals,
    WonSince,
)
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard
from runtime.http import Channel, Exchange, HttpAnswer, HttpClient, Token, TokenSource, decode
from runtime.http.client import Decoder
from system_apis.crm.salesforce import mapping, wire
from system_apis.crm.salesforce.documents import Documents, has_no_parent
from system_apis.crm.salesforce.failures import SYSTEM, failure_of, usage_of
from system_apis.crm.salesforce.settings import SalesforceSettings

__all__ = ["Salesforce"]

T = TypeVar("T")
MISSING: Final = 404
MOST_LINKS: Final = 50_000
"""Links remembered at most; the oldest goes first."""
_ID: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


class Salesforce:
    """One org of Salesforce as the CRM (`contracts.ports.crm.Crm`)."""

    def __init__(
        self,
        settings: SalesforceSettings,
        *,
        http: HttpClient,
        broker: BudgetBroker,
        clock: Clock,
        local_currency: str = "GBP",
        guard: Guard | None = None,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._clock = clock
        self._local_currency = local_currency
        self.guard = guard or Guard(SYSTEM, clock=clock)
        self._channel = Channel(
            account=settings.account,
            http=http,
            guard=self.guard,
            broker=broker,
            judge=self._judged,
            tokens=TokenSource(self._fetch_token, clock=clock),
        )
        self._headers = {
            "accept": "application/json",
            "content-type": "application/json",
            wire.CALL_OPTIONS: f"client={settings.client_name}",
            wire.QUERY_OPTIONS: f"batchSize={settings.page_size}",
        }
        self._documents = Documents(self._upsert, self._query)
        self._links: dict[str, tuple[float, AccountLink]] = {}

    async def get_deal(self, reference: str) -> Quote:
        """Answer a deal with its lines, in one call; `not-found` if there is none."""
        found = await self._query(wire.deal_query(_id(reference)), wire.deals_decoder)
        if not found.records:
            raise _unknown("not-found", "The CRM has no such deal.")
        return await self._deal(found.records[0])

    async def won_deals(self, query: WonSince) -> WonDeals:
        """List won deals by time of change, with an overlap before the instant asked for."""
        if query.cursor is not None:
            if not query.cursor.startswith(f"{wire.QUERY_PATH}/"):
                raise _unknown("not-found", "The CRM has no such page.")
            found = await self._get(query.cursor, wire.deals_decoder)
        else:
            instant = self._from(query.since)
            found = await self._query(wire.won_query(instant), wire.deals_decoder)
        deals = [await self._deal(deal) for deal in found.records]
        return WonDeals(deals=tuple(deals), cursor=found.nextRecordsUrl)

    async def report_orders(self, body: Reports) -> ReportResults:
        """Upsert the row of each order, in one call; each row succeeds or fails alone.

        A row whose account the CRM does not have is written once more without it: an order is
        shown even before its customer is.
        """
        records = [mapping.order_record(report) for report in body.reports]
        results = await self._upsert(wire.UPSERT_ORDERS_PATH, records)
        orphans = [at for at, result in enumerate(results) if has_no_parent(result)]
        if orphans:
            alone = [mapping.without_account(records[at]) for at in orphans]
            again = await self._upsert(wire.UPSERT_ORDERS_PATH, alone)
            for at, result in zip(orphans, again, strict=True):
                results[at] = result
        return ReportResults(
            results=tuple(
                mapping.report_result(report.reference, result)
                for report, result in zip(body.reports, results, strict=True)
            )
        )

    async def list_reports(self, query: Changes) -> ReportPage:
        """List the rows of orders by time of change; rows that are not ours are left out."""
        if query.cursor is not None:
            if not query.cursor.startswith(f"{wire.QUERY_PATH}/"):
                raise _unknown("not-found", "The CRM has no such page.")
            found = await self._get(query.cursor, wire.shown_decoder)
        else:
            soql = wire.reports_query(self._from(query.since) if query.since else None)
            found = await self._query(soql, wire.shown_decoder)
        reports = (mapping.shown_report(row, self._local_currency) for row in found.records)
        return ReportPage(
            reports=tuple(report for report in reports if report is not None),
            cursor=found.nextRecordsUrl,
        )

    async def find_reports(self, body: ReportEnquiry) -> ShownReports:
        """Answer the rows of these orders; rows that are not ours are left out."""
        found = await self._query(wire.shown_query(body.references), wire.shown_decoder)
        reports = (mapping.shown_report(row, self._local_currency) for row in found.records)
        return ShownReports(reports=tuple(each for each in reports if each is not None))

    async def report_documents(self, body: DocumentReports) -> ReportResults:
        """Upsert the row of each document; one that the CRM has newer is left as it is.

        Each row succeeds or fails alone; one whose order the CRM does not have yet may succeed
        later. Of several reports of one document in a call the newest is written.
        """
        return ReportResults(results=await self._documents.tell(body.reports))

    async def customer_of(self, reference: str) -> AccountLink:
        """Answer the customer of an account (`sf:001...`), or the account of a customer.

        `customer-unknown` when either side is missing. Links are remembered for a while.
        """
        now = self._clock.monotonic()
        known = self._links.get(reference)
        if known is not None and known[0] > now:
            return known[1]
        if reference.startswith(mapping.PREFIX):
            field, value = "Id", _id(reference)
        else:
            field, value = "ERP_Customer_No__c", number_of(reference) or _bare(reference)
        found = await self._query(wire.account_query(field, value), wire.accounts_decoder)
        link = mapping.account_link(found.records[0]) if found.records else None
        if link is None:
            raise _unknown("customer-unknown", "The CRM has no account of this customer.")
        self._remember(reference, link, now)
        return link

    async def items_of(self, body: ProductEnquiry) -> ProductLinks:
        """Answer the items of products, in one call; a short id is given back as it was asked."""
        asked = {_id(product): product for product in body.products}
        found = await self._query(wire.products_query(asked), wire.products_decoder)
        links = [mapping.product_link(row) for row in found.records]
        return ProductLinks(
            links=tuple(
                msgspec.structs.replace(link, product=_asked_as(link.product, asked))
                for link in links
                if link is not None
            )
        )

    # -- the wire ---------------------------------------------------------------------------

    def _from(self, since: datetime) -> str:
        """How an instant to look back to is written, with the overlap before it."""
        since = since.astimezone(UTC) - timedelta(seconds=self._settings.poll_overlap)
        return since.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _remember(self, reference: str, link: AccountLink, now: float) -> None:
        until = now + self._settings.link_seconds
        for key in (reference, link.account, link.customer):
            self._links.pop(key, None)
            self._links[key] = (until, link)
        while len(self._links) > MOST_LINKS:
            del self._links[next(iter(self._links))]

    async def _deal(self, found: wire.Deal) -> Quote:
        """Map a deal, first reading the rest of its lines if they come in pages of their own."""
        rows = found.OpportunityLineItems
        lines = list(rows.records) if rows is not None else []
        while rows is not None and rows.nextRecordsUrl is not None:
            rows = await self._get(rows.nextRecordsUrl, wire.lines_decoder)
            lines += rows.records
        return mapping.deal(found, lines, self._local_currency)

    async def _upsert(self, path: str, records: Sequence[msgspec.Struct]) -> list[wire.RowResult]:
        body = wire.encode(wire.Upsert(records=list(records)))
        answer = await self._send("PATCH", path, body=body)
        results = decode(wire.results_decoder, answer, system=SYSTEM, safe=False)
        if len(results) != len(records):
            raise _unknown("business-rule", "The CRM answered for other rows than it was sent.")
        return results

    async def _query(self, soql: str, decoder: Decoder[T]) -> T:
        return await self._get(f"{wire.QUERY_PATH}?{urlencode({'q': soql})}", decoder)

    async def _get(self, path: str, decoder: Decoder[T]) -> T:
        answer = await self._send("GET", path)
        if answer.status == MISSING:
            raise _unknown("not-found", "The CRM has no such record.")
        return decode(decoder, answer, system=SYSTEM, safe=True)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        """Send a request.

        An upsert by external id may be repeated at will, so its unknown end leaves no doubt.
        """
        told = self._settings
        return await self._channel.send(
            Exchange(
                method=method,
                url=told.base_url + path,
                headers=self._headers,
                timeout=told.read_timeout if body is None else told.write_timeout,
                safe=True,
                body=body,
                operation_class="read" if body is None else "write",
            )
        )

    def _judged(self, answer: HttpAnswer, safe: bool) -> Failure | None:  # noqa: FBT001  # a `Judge`
        """Judge an answer; every one, refusals too, tells the day's count."""
        usage = usage_of(answer)
        if usage is not None:
            self._broker.observed_usage(self._settings.account, *usage)
        return failure_of(answer, safe)

    async def _fetch_token(self) -> Token:
        told = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": told.client_id,
            "client_secret": told.client_secret,
        }
        answer = await self._channel.send_for_token(
            Exchange(
                method="POST",
                url=told.base_url + wire.TOKEN_PATH,
                headers={"content-type": "application/x-www-form-urlencoded"},
                timeout=told.read_timeout,
                safe=True,
                body=urlencode(form).encode(),
            )
        )
        token = decode(wire.token_decoder, answer, system=SYSTEM, safe=True)
        return Token(value=token.access_token, lifetime=None)


def _id(reference: str) -> str:
    """Answer the record id of `sf:006...`; what cannot be one is not asked for."""
    record = reference.removeprefix(mapping.PREFIX)
    if not _ID.fullmatch(record):
        raise _unknown("not-found", "The CRM has no such record.")
    return record


def _asked_as(product: str, asked: Mapping[str, str]) -> str:
    """Answer the reference a caller used: ids of 15 characters come back with their checksum."""
    record = product.removeprefix(mapping.PREFIX)
    return asked.get(record) or asked.get(record[:15]) or product


def _bare(reference: str) -> str:
    return reference.partition(":")[2] or reference


def _unknown(reason: str, detail: str) -> CallFailedError:
    return CallFailedError(
        Rejected(system=SYSTEM, reason=reason, detail=detail, category="master-data-mismatch")
    )
