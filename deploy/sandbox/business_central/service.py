"""The API of one company: a parsed address and a body in, a reply out. Nothing here waits."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from deploy.sandbox.business_central.addresses import ACTION, Address
from deploy.sandbox.business_central.bodies import decode_body
from deploy.sandbox.business_central.books import DOCUMENTS, Books
from deploy.sandbox.business_central.custom_pages import CustomPages
from deploy.sandbox.business_central.documents import SalesDocuments
from deploy.sandbox.business_central.errors import (
    BusinessCentralError,
    bad_request,
    entity_changed,
    token_missing,
    wrong_method,
)
from deploy.sandbox.business_central.filters import Row
from deploy.sandbox.business_central.guids import is_guid
from deploy.sandbox.business_central.kinds import KINDS
from deploy.sandbox.business_central.masters import Masters
from deploy.sandbox.business_central.metadata import metadata_document
from deploy.sandbox.business_central.posting import Posting
from deploy.sandbox.business_central.query import (
    Options,
    next_link,
    page_of,
    page_size,
    parse_options,
    projected,
)
from deploy.sandbox.business_central.quotes import make_order, make_sales_invoice, send_quote
from deploy.sandbox.business_central.reading import Reading
from deploy.sandbox.business_central.schema import EntitySet
from deploy.sandbox.vault import Record
from deploy.sandbox.wire import Reply, json_reply

__all__ = ["Call", "Service"]

_NO_CONTENT = Reply(204, b"", ())
_POSTING = {
    "shipAndInvoice": Posting.ship_and_invoice,
    "salesInvoices.post": Posting.post_invoice,
    "salesInvoices.postAndSend": Posting.post_invoice,
    "salesInvoices.cancel": Posting.cancel_invoice,
    "salesInvoices.cancelAndSend": Posting.cancel_invoice,
    "salesCreditMemos.post": Posting.post_credit_memo,
    "salesCreditMemos.postAndSend": Posting.post_credit_memo,
    "salesCreditMemos.cancel": Posting.cancel_credit_memo,
    "salesCreditMemos.cancelAndSend": Posting.cancel_credit_memo,
}


class Call(msgspec.Struct, frozen=True):
    """One request to the API. ``base`` is the URL of the mount, ``/business_central`` included."""

    method: str
    address: Address
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | dict[str, Any]
    base: str

    def decoded(self) -> dict[str, Any]:
        """The JSON object of the body; a batch has decoded its parts already."""
        return self.body if isinstance(self.body, dict) else decode_body(self.body)


class Service:
    """Answers calls. Refusals are raised as ``BusinessCentralError``."""

    def __init__(
        self,
        *,
        books: Books,
        documents: SalesDocuments,
        company: Record,
        sets: Mapping[str, EntitySet],
        custom: CustomPages | None,
        filters_blocked: bool = True,
    ) -> None:
        self.company = company
        self.sets = sets
        self.books = books
        self.documents = documents
        self.posting = Posting(documents)
        self._masters = Masters(books, sets)
        self._reading = Reading(books, documents, sets)
        self._custom = custom
        self._filters_blocked = filters_blocked
        self._readable = sets if custom is None else {**custom.sets, **sets}

    def answer(self, call: Call) -> Reply:
        """Do one call.

        Raises:
            BusinessCentralError: whatever the vendor refuses it with.
        """
        steps = call.address.steps
        if steps and steps[0][0] == "$metadata":
            return metadata_document(self.sets)
        if not steps:
            return self._companies(call)
        if call.address.api == "pricing":
            return self._custom_page(call)
        self._check_company(call)
        entity_set = self._set(steps[0][0])
        key = _key(steps[0])
        if key is None:
            return self._of_set(call, entity_set)
        if len(steps) == 1:
            return self._of_entity(call, entity_set, key)
        return self._within(call, entity_set, key)

    def change_master(self, name: str, record: Record, **fields: Any) -> Record:
        """Change a master record as a person would on its card.

        Raises:
            BusinessCentralError: a value is none of the property's.
        """
        return self._masters.change(self.sets[name], record, fields)

    def _companies(self, call: Call) -> Reply:
        entity_set = self.sets["companies"]
        if call.method != "GET":
            raise wrong_method("companies", "this operation")
        if call.address.company is None:
            return self._page(call, entity_set, self._options(call, entity_set), [self.company])
        if call.address.company != self.company["id"]:
            raise _no_company()
        return self._entity(call, entity_set, self.company)

    def _custom_page(self, call: Call) -> Reply:
        if self._custom is None:
            raise _no_resource()
        self._check_company(call)
        name, key = call.address.steps[0]
        entity_set = self._custom.sets.get(name)
        if entity_set is None or key is not None or len(call.address.steps) > 1:
            raise _no_resource()
        if call.method != "GET":
            raise wrong_method(name, call.method)
        options = self._options(call, entity_set)
        return self._page(call, entity_set, options, self._custom.rows(name, options.where))

    def _of_set(self, call: Call, entity_set: EntitySet) -> Reply:
        if len(call.address.steps) == 2 and call.address.steps[1][0] == "$count":  # noqa: PLR2004  # set/$count
            options = self._options(call, entity_set)
            rows = self._reading.rows(entity_set, options.where)
            total = page_of(rows, options, 1).total
            return Reply(200, str(total).encode(), ((b"content-type", b"text/plain"),))
        if len(call.address.steps) > 1:
            raise _no_resource()
        if call.method == "GET":
            options = self._options(call, entity_set)
            rows = self._reading.rows(entity_set, options.where)
            return self._page(call, entity_set, options, rows)
        if call.method != "POST":
            raise wrong_method(entity_set.name, call.method)
        if not entity_set.insert:
            raise wrong_method(entity_set.name, "insert")
        body = call.decoded()
        kind = KINDS.get(entity_set.name)
        if kind is not None:
            record = self.documents.create(kind, body)
            return self._created(call, entity_set, record["header"])
        if entity_set.parent in DOCUMENTS:
            document = str(body.get("documentId", "")).lower()
            return self._add_line(call, entity_set, document, body)
        if entity_set.parent is not None:
            journal = str(body.get("journalId", "")).lower()
            return self._add_payment(call, entity_set, journal, body)
        return self._created(call, entity_set, self._masters.create(entity_set, body))

    def _of_entity(self, call: Call, entity_set: EntitySet, key: str) -> Reply:
        row = self._reading.row(entity_set, key)
        if call.method == "GET":
            return self._entity(call, entity_set, row)
        if call.method == "PATCH":
            if not entity_set.modify:
                raise wrong_method(entity_set.name, "modify")
            _check_tag(call, row, needed=True)
            return self._changed(call, entity_set, self._change(entity_set, row, call.decoded()))
        if call.method == "DELETE":
            if not entity_set.delete:
                raise wrong_method(entity_set.name, "delete")
            _check_tag(call, row, needed=False)
            self._delete(entity_set, row)
            return _NO_CONTENT
        raise wrong_method(entity_set.name, call.method)

    def _within(self, call: Call, entity_set: EntitySet, key: str) -> Reply:  # noqa: PLR0911  # one return per kind of target
        """What lies behind an entity: an action, a navigation, or one row of a navigation."""
        name, inner = call.address.steps[1]
        if len(call.address.steps) > 2:  # noqa: PLR2004  # entity, then one more
            raise _no_resource()
        row = self._reading.row(entity_set, key)
        if name.lower().startswith(ACTION.lower()):
            return self._act(call, entity_set, row, name[len(ACTION) :])
        navigation = entity_set.navigations.get(name)
        if navigation is None:
            raise _no_resource()
        target = self.sets[navigation.entity_set]
        if inner is not None:
            return self._of_entity(call, target, _key((name, inner)) or "")
        if call.method == "POST" and navigation.many and target.insert:
            if target.parent in DOCUMENTS:
                return self._add_line(call, target, key, call.decoded())
            return self._add_payment(call, target, key, call.decoded())
        if call.method != "GET":
            raise wrong_method(target.name, call.method)
        found = self._reading.related(entity_set, row, name)
        if isinstance(found, list):
            return self._page(call, target, self._options(call, target), found)
        if found is None:
            return _NO_CONTENT
        return self._entity(call, target, found)

    def _add_line(
        self, call: Call, entity_set: EntitySet, document: str, body: dict[str, Any]
    ) -> Reply:
        parent = entity_set.parent or ""
        record = self.books.table(parent).get(document)
        if record is None:
            raise bad_request("No document with the specified ID exists.")
        return self._created(call, entity_set, self.documents.add_line(KINDS[parent], record, body))

    def _add_payment(
        self, call: Call, entity_set: EntitySet, journal: str, body: dict[str, Any]
    ) -> Reply:
        found = self.books.table("customerPaymentJournals").get(journal)
        if found is None:
            raise bad_request("You must specify a journal batch ID or a journal ID.")
        payments = self.books.table("customerPayments").values()
        lines = [one["lineNumber"] for one in payments if one["journalId"] == journal]
        given = {
            "journalId": journal,
            "journalDisplayName": found["code"],
            "lineNumber": max(lines, default=0) + 10_000,
            "postingDate": self.books.today().isoformat(),
        }
        return self._created(call, entity_set, self._masters.create(entity_set, body, **given))

    def _change(self, entity_set: EntitySet, row: Row, body: dict[str, Any]) -> Row:
        kind = KINDS.get(entity_set.name)
        if kind is not None:
            record = self.books.document(kind.name, row["id"])
            header: Row = self.documents.change(kind, record, body)["header"]
            return header
        if entity_set.parent in KINDS:
            document, _ = self._reading.line(entity_set, row["id"])
            line = next(one for one in document["lines"] if one["id"] == row["id"])
            return self.documents.change_line(KINDS[entity_set.parent], document, line, body)
        return self._masters.change(entity_set, row, body)

    def _delete(self, entity_set: EntitySet, row: Row) -> None:
        kind = KINDS.get(entity_set.name)
        if kind is not None:
            self.documents.delete(kind, self.books.document(kind.name, row["id"]))
        elif entity_set.parent in KINDS:
            document, _ = self._reading.line(entity_set, row["id"])
            line = next(one for one in document["lines"] if one["id"] == row["id"])
            self.documents.delete_line(KINDS[entity_set.parent], document, line)
        else:
            self._masters.delete(entity_set, row)

    def _act(self, call: Call, entity_set: EntitySet, row: Row, asked: str) -> Reply:
        """A bound action; the vendor matches its name without regard to case."""
        name = next((one for one in entity_set.actions if one.lower() == asked.lower()), None)
        if name is None:
            raise _no_resource()
        if call.method != "POST":
            raise wrong_method(entity_set.name, call.method)
        _check_tag(call, row, needed=False)
        record = self.books.document(entity_set.name, row["id"])
        routine = _POSTING.get(name) or _POSTING.get(f"{entity_set.name}.{name}")
        if name.endswith("Send") and not record["header"]["email"]:
            raise bad_request("The send-to email is empty.")
        if routine is not None:
            routine(self.posting, record)
        elif name == "makeOrder":
            make_order(self.documents, record)
        elif name == "makeInvoice":
            make_sales_invoice(self.documents, record)
        elif name == "makeCorrectiveCreditMemo":
            self.posting.corrective_credit_memo(record)
        elif entity_set.name == "salesQuotes":
            send_quote(self.documents, record)
        elif not record["header"]["email"]:
            raise bad_request("The send-to email is empty.")
        return _NO_CONTENT

    def _options(self, call: Call, entity_set: EntitySet) -> Options:
        if (
            not self._filters_blocked
            and entity_set.name == "customers"
            and "blocked" in call.query.get("$filter", "")
        ):
            raise BusinessCentralError(
                400, "Application_FilterErrorException", "The filter on 'blocked' is not valid."
            )
        return parse_options(call.query, entity_set, self._readable)

    def _page(
        self, call: Call, entity_set: EntitySet, options: Options, rows: Iterable[Row]
    ) -> Reply:
        page = page_of(rows, options, page_size(call.headers.get("prefer", "")))
        expander = self._reading.expander(entity_set, options)
        body: dict[str, Any] = {"@odata.context": self._context(call, entity_set)}
        if options.count:
            body["@odata.count"] = page.total
        if options.select or options.expand:
            body["value"] = [projected(row, options, expander) for row in page.rows]
        else:
            body["value"] = page.rows
        if page.token is not None:
            address = f"{call.base}{call.address.root}/{self._path(call)}"
            body["@odata.nextLink"] = next_link(address, call.query, page.token)
        return json_reply(200, body)

    def _entity(
        self, call: Call, entity_set: EntitySet, row: Row, status: int = 200, *headers: Any
    ) -> Reply:
        options = self._options(call, entity_set)
        shown = projected(row, options, self._reading.expander(entity_set, options))
        context = f"{self._context(call, entity_set)}/$entity"
        return json_reply(status, {"@odata.context": context, **shown}, *headers)

    def _created(self, call: Call, entity_set: EntitySet, row: Row) -> Reply:
        address = f"{call.base}{call.address.root}/companies({self.company['id']})"
        location = (b"location", f"{address}/{entity_set.name}({row['id']})".encode())
        if _wants_nothing(call):
            return Reply(204, b"", (location,))
        return self._entity(call, entity_set, row, 201, location)

    def _changed(self, call: Call, entity_set: EntitySet, row: Row) -> Reply:
        return _NO_CONTENT if _wants_nothing(call) else self._entity(call, entity_set, row)

    def _context(self, call: Call, entity_set: EntitySet) -> str:
        root = f"{call.base}{call.address.root}/$metadata#"
        if entity_set.name == "companies":
            return f"{root}companies"
        return f"{root}companies({self.company['id']})/{entity_set.name}"

    def _path(self, call: Call) -> str:
        steps = (f"{name}({key})" if key else name for name, key in call.address.steps)
        company = call.address.company
        head = [] if company is None else [f"companies({company})"]
        return "/".join([*head, *steps]) or "companies"

    def _check_company(self, call: Call) -> None:
        wanted = call.address.company or call.query.get("company") or call.headers.get("company")
        if wanted is None:
            raise bad_request("You must choose a company.", "RequiredParamNotProvided")
        if wanted.lower() not in {self.company["id"], self.company["name"].lower()}:
            raise _no_company()

    def _set(self, name: str) -> EntitySet:
        found = self.sets.get(name)
        if found is None or name == "companies":
            raise _no_resource()
        return found


def _key(step: tuple[str, str | None]) -> str | None:
    key = step[1]
    if key is not None and not is_guid(key):
        raise BusinessCentralError(400, "Application_InvalidGUID", f"Invalid GUID '{key}'.")
    return key


def _check_tag(call: Call, row: Row, *, needed: bool) -> None:
    """Source: If-Match rules of the vendor's API; `*` stands for any version."""
    sent = call.headers.get("if-match")
    if sent is None:
        if needed:
            raise token_missing()
    elif sent.strip() != "*" and sent.strip() != row["@odata.etag"]:
        raise entity_changed()


def _wants_nothing(call: Call) -> bool:
    prefer = call.headers.get("prefer", "").lower()
    return "return=minimal" in prefer or "return-no-content" in prefer


def _no_company() -> BusinessCentralError:
    return BusinessCentralError(404, "Internal_CompanyNotFound", "The company cannot be found.")


def _no_resource() -> BusinessCentralError:
    return BusinessCentralError(
        404,
        "BadRequest_ResourceNotFound",
        "No HTTP resource was found that matches the request URI.",
    )
