"""One company of Business Central: where the connector's requests go, and what comes back.

Token, company id, paths, paging and the reading of answers; the port itself is in `connector.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from contracts.outcomes import CallFailedError, Category, Malformed, Rejected
from contracts.ports.changes import Changes
from runtime.budget import BudgetBroker
from runtime.clock import Clock
from runtime.guard import Guard
from runtime.http import (
    Channel,
    Exchange,
    HttpAnswer,
    HttpClient,
    Token,
    TokenSource,
    decode,
)
from runtime.http.client import Decoder
from system_apis.erp.business_central import odata, wire, wire_filters, wire_subscriptions
from system_apis.erp.business_central.failures import SYSTEM, failure_of
from system_apis.erp.business_central.settings import BusinessCentralSettings

__all__ = ["Company", "refused"]

T = TypeVar("T")
MISSING: Final = 404
RENEW_BEFORE: Final = timedelta(days=1)
"""Subscriptions live for three days."""
_JSON: Final = {"accept": "application/json", "content-type": "application/json"}
_NONE: Final[Mapping[str, str]] = {}


class Company:
    """Reads and writes under one company."""

    def __init__(
        self,
        settings: BusinessCentralSettings,
        *,
        http: HttpClient,
        broker: BudgetBroker,
        clock: Clock,
        guard: Guard,
    ) -> None:
        self._settings = settings
        host = f"{settings.base_url}/v2.0/{settings.tenant}/{settings.environment}/api"
        self._api = f"{host}/v2.0"
        self._pricing_api = f"{host}/{wire.PRICING_API}"
        self._channel = Channel(
            account=settings.account,
            http=http,
            guard=guard,
            broker=broker,
            judge=failure_of,
            tokens=TokenSource(self._fetch_token, clock=clock),
        )
        self._id: str | None = None
        self._finding = asyncio.Lock()

    async def read(self, path: str, decoder: Decoder[T], *, custom: bool = False) -> T:
        """Read a path under the company; `not-found` when the vendor knows no such record."""
        found = await self.read_if_there(path, decoder, custom=custom)
        if found is None:
            raise refused("not-found")
        return found

    async def read_if_there(
        self, path: str, decoder: Decoder[T], *, custom: bool = False
    ) -> T | None:
        """Read a path under the company; None when the vendor knows no such thing."""
        answer = await self._get(await self._under_company(path, custom=custom))
        if answer.status == MISSING:
            return None
        return self.decoded(decoder, answer, safe=True)

    async def write(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> HttpAnswer:
        """Change something under the company; `not-found` when there is no such record."""
        answer = await self._channel.send(
            Exchange(
                method=method,
                url=await self._under_company(path),
                headers={**_JSON, **headers},
                timeout=self._settings.write_timeout,
                safe=False,
                body=body,
            )
        )
        if answer.status == MISSING:
            raise refused("not-found")
        return answer

    async def batch(self, operations: Sequence[odata.BatchOperation]) -> HttpAnswer:
        """Do up to a hundred changes under the company in one request, each by itself."""
        root = await self._under_company("")
        path = root[root.index("/companies(") + 1 :]
        wanted = [msgspec.structs.replace(one, url=f"{path}{one.url}") for one in operations]
        body = wire.encode(odata.BatchRequest(requests=wanted))
        return await self._channel.send(self._under_api("POST", odata.BATCH, body=body))

    async def keep_subscribed(self, url: str, secret: str, now: datetime) -> int:
        """Have changes of master data told to `url`; answer how many subscriptions were made.

        Those that end within a day are renewed; both ask `url` for a handshake. To be called every
        few hours: the vendor drops all subscriptions of an address that once answered badly.
        """
        listed = await self._channel.send(self._under_api("GET", wire_subscriptions.SUBSCRIPTIONS))
        page = self.decoded(wire_subscriptions.subscriptions_decoder, listed, safe=True)
        company = await self._under_company("")
        root = company[company.index("/api/v2.0/") :]
        made = 0
        for entity_set in wire.TOLD:
            resource = f"{root}{entity_set}"
            known = [
                one
                for one in page.value
                if one.notification_url == url
                and one.resource.strip("/").endswith(resource.partition("/companies")[2])
            ]
            if not known:
                wanted = wire_subscriptions.NewSubscription(
                    notification_url=url, resource=resource, client_state=secret
                )
                await self._channel.send(
                    self._under_api(
                        "POST", wire_subscriptions.SUBSCRIPTIONS, body=wire.encode(wanted)
                    )
                )
                made += 1
            for one in known:
                if datetime.fromisoformat(one.expiration_date_time) - now < RENEW_BEFORE:
                    await self._channel.send(
                        self._under_api(
                            "PATCH",
                            f"{wire_subscriptions.SUBSCRIPTIONS}('{one.subscription_id}')",
                            body=wire.encode(wire_subscriptions.Renewal(client_state=secret)),
                            etag=one.etag,
                        )
                    )
        return made

    def _under_api(
        self, method: str, path: str, *, body: bytes | None = None, etag: str | None = None
    ) -> Exchange:
        return Exchange(
            method=method,
            url=f"{self._api}/{path}",
            headers={**_JSON, "if-match": etag} if etag else _JSON,
            timeout=self._settings.write_timeout,
            safe=method == "GET",
            body=body,
        )

    def decoded(self, decoder: Decoder[T], answer: HttpAnswer, *, safe: bool) -> T:
        """Read an answer, or raise `Malformed`."""
        return decode(decoder, answer, system=SYSTEM, safe=safe)

    async def _get(self, url: str, prefer: str | None = None) -> HttpAnswer:
        return await self._channel.send(
            Exchange(
                method="GET",
                url=url,
                headers={**_JSON, "prefer": prefer} if prefer else _JSON,
                timeout=self._settings.read_timeout,
                safe=True,
            )
        )

    async def page(
        self,
        entity_set: str,
        query: Changes,
        decoder: Decoder[odata.Page[T]],
        *,
        condition: str | None = None,
        **options: str,
    ) -> odata.Page[T]:
        """Read one page of a set: the first since an instant, or the one a cursor names.

        `options` are the query options of the first page, such as `select` and `expand`.
        """
        if query.cursor is not None:
            root = await self._under_company("")
            if not query.cursor.startswith(f"{entity_set}?"):
                raise refused(
                    "not-found"
                )  # a cursor of ours names the set; the rest is the vendor's
            answer = await self._get(root + query.cursor, self._page_size())
        else:
            conditions = [condition] if condition else []
            if query.since is not None:
                conditions.append(wire_filters.changed_after(query.since))
            options["orderby"] = wire_filters.CHANGED_AT
            if conditions:
                options["filter"] = " and ".join(conditions)
            path = await self._under_company(odata.query(entity_set, **options))
            answer = await self._get(path, self._page_size())
        return self.decoded(decoder, answer, safe=True)

    def _page_size(self) -> str:
        return f"odata.maxpagesize={self._settings.page_size}"

    async def follow(self, link: str, decoder: Decoder[T]) -> T:
        """Read the page a link of the vendor names; it must lead back to this vendor."""
        if not link.startswith(self._settings.base_url + "/"):
            raise _elsewhere()
        return self.decoded(decoder, await self._get(link), safe=True)

    async def rest_of(self, page: odata.Page[T], decoder: Decoder[odata.Page[T]]) -> list[T]:
        """Answer a page's records and those of every page after it."""
        found = page.value
        while page.next_link is not None:
            page = await self.follow(page.next_link, decoder)
            found = found + page.value
        return found

    def cursor(self, next_link: str | None) -> str | None:
        """Turn a link into a cursor that can lead nowhere but back to this company."""
        if next_link is None:
            return None
        root = f"{self._api}/companies({self._id})/"
        if not next_link.startswith(root):
            raise _elsewhere()
        return next_link[len(root) :]

    async def _under_company(self, path: str, *, custom: bool = False) -> str:
        if self._id is None:
            async with self._finding:
                if self._id is None:
                    self._id = await self._find_id()
        root = self._pricing_api if custom else self._api
        return f"{root}/companies({self._id})/{path}"

    async def _find_id(self) -> str:
        answer = await self._get(f"{self._api}/companies")
        wanted = self._settings.company
        for company in self.decoded(wire.companies_decoder, answer, safe=True).value:
            if wanted in (company.name, company.id):
                return company.id
        raise refused("not-found", "contract-violation")

    async def _fetch_token(self) -> Token:
        told = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": told.client_id,
            "client_secret": told.client_secret,
            "scope": wire.SCOPE,
        }
        answer = await self._channel.send_for_token(
            Exchange(
                method="POST",
                url=f"{told.token_url}/{told.tenant}/oauth2/v2.0/token",
                headers={"content-type": "application/x-www-form-urlencoded"},
                timeout=told.read_timeout,
                safe=True,
                body=urlencode(form).encode(),
            )
        )
        token = self.decoded(wire.token_decoder, answer, safe=True)
        return Token(value=token.access_token, lifetime=token.expires_in)


def _elsewhere() -> CallFailedError:
    return CallFailedError(
        Malformed(system=SYSTEM, may_have_happened=False, detail="next link elsewhere")
    )


def refused(reason: str, category: Category = "master-data-mismatch") -> CallFailedError:
    """Say that the vendor has not got what was asked for, or not in a state that would do."""
    return CallFailedError(
        Rejected(system=SYSTEM, reason=reason, detail=_DETAILS[reason], category=category)
    )


_DETAILS: Final = {
    "customer-unknown": "The ERP has no customer of this number.",
    "item-unknown": "The ERP has no item of this number.",
    "currency-mismatch": "The ERP has no rate for this currency.",
    "order-not-cancellable": "The ERP has posted the order.",
    "not-found": "The ERP has no such record.",
}
