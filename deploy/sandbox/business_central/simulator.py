"""Business Central as a vendor of the sandbox: admission, identity, faults, API."""

from deploy.sandbox.business_central.addresses import Address, parse_address
from deploy.sandbox.business_central.batch import Batch
from deploy.sandbox.business_central.books import Books
from deploy.sandbox.business_central.custom_pages import CustomPages
from deploy.sandbox.business_central.desk import Desk
from deploy.sandbox.business_central.document_sets import document_sets
from deploy.sandbox.business_central.documents import SalesDocuments
from deploy.sandbox.business_central.errors import (
    BusinessCentralError,
    error_reply,
    fault_reply,
)
from deploy.sandbox.business_central.finance import Finance
from deploy.sandbox.business_central.guids import seed_etag, seed_guid
from deploy.sandbox.business_central.identity import Identity
from deploy.sandbox.business_central.limits import Admission
from deploy.sandbox.business_central.master_sets import master_sets
from deploy.sandbox.business_central.schema import EntitySet, properties
from deploy.sandbox.business_central.seeds import SEEDED_AT
from deploy.sandbox.business_central.service import Call, Service
from deploy.sandbox.business_central.subscriptions import Subscriptions
from deploy.sandbox.business_central.tenant import Tenant
from deploy.sandbox.business_central.transaction import SYSTEM, Transactions
from deploy.sandbox.faults import Fault
from deploy.sandbox.vault import Record
from deploy.sandbox.vendor import VendorContext
from deploy.sandbox.wire import (
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    read_request,
    send_reply,
    serve,
)

__all__ = ["BusinessCentral"]

_COMPANY = """
    id:guid! systemVersion:text! timestamp:int! name:text! displayName:text! businessProfileId:text!
    systemCreatedAt:stamp! systemCreatedBy:guid! systemModifiedAt:stamp! systemModifiedBy:guid!
"""


class BusinessCentral:
    """The vendor: one tenant with one company."""

    name = SYSTEM
    path = "business_central"

    def __init__(self, context: VendorContext, tenant: Tenant) -> None:
        self._context = context
        self._tenant = tenant
        self._vault = context.vault(SYSTEM)
        self._identity = Identity(tenant, self._vault, context.clock)
        self._admission = Admission(tenant, context.limits, context.clock, self._identity)
        sets = {"companies": _companies(), **master_sets(), **document_sets()}
        company = _company(tenant)
        self._subscriptions = Subscriptions(context, self._vault, company["id"], sets)
        transactions = Transactions(self._vault, context.ledger, self._subscriptions.announce)
        books = Books(
            world=context.world,
            vault=self._vault,
            clock=context.clock,
            transactions=transactions,
        )
        documents = SalesDocuments(books, sets)
        self._service = Service(
            books=books,
            documents=documents,
            company=company,
            sets=sets,
            custom=CustomPages(books) if tenant.custom_pages else None,
            filters_blocked=tenant.filters_blocked,
        )
        self.desk = Desk(self._service)
        self.finance = Finance(books, self.desk)
        self._batch = Batch(self._service, transactions, context.faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request, inside the limits of the user it comes from."""
        api = _address(scope).api
        if api == "desk":
            await self._serve_desk(scope, receive, send)
            return
        # Entra is another service: asking for a token costs nothing of the allowance
        admitted = None if api == "token" else await self._admission.enter(scope)
        if isinstance(admitted, Reply):
            await send_reply(send, admitted)
            request = Request(scope, b"")
            self._context.requests.note(
                SYSTEM,
                self.operation(request),
                request,
                status=admitted.status,
                seconds=0.0,
                fault=None,
            )
            return
        try:
            await serve(
                scope,
                receive,
                send,
                vendor=self,
                faults=self._context.faults,
                journal=self._context.requests,
            )
        finally:
            self._admission.leave(admitted)

    def operation(self, request: Request) -> str:
        """``<entity set>.<verb>``, ``token`` or ``batch``."""
        return _address(request.scope).operation(request.method)

    async def answer(self, request: Request) -> Reply:
        """Do the work of one request."""
        address = _address(request.scope)
        try:
            match address.api:
                case "token":
                    return self._identity.token(request, address.tenant)
                case "desk" | "nowhere":
                    raise _nowhere()
            self._identity.principal(request.headers.get("authorization", ""))
            self._check_environment(address)
            return await self._dispatch(self._call(request, address))
        except BusinessCentralError as refusal:
            return error_reply(refusal.status, refusal.code, refusal.message)

    def refusal(self, request: Request, fault: Fault) -> Reply:
        """An injected fault in the words of whoever would refuse."""
        if _address(request.scope).api == "token":
            return self._identity.refused_for(fault)
        return fault_reply(fault)

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    async def _serve_desk(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Operators act on the company itself: no token, no limit, no fault is in their way."""
        request = await read_request(scope, receive)
        if request is None:
            return
        try:
            reply = self.desk.answer(request)
        except BusinessCentralError as refusal:
            reply = error_reply(refusal.status, refusal.code, refusal.message)
        await send_reply(send, reply)

    async def _dispatch(self, call: Call) -> Reply:
        first = call.address.steps[0][0] if call.address.steps else ""
        if first == "$batch":
            return await self._batch.answer(call)
        if first == "subscriptions":
            return await self._subscriptions.answer(call)
        if call.address.api == "runtime":
            return self._subscriptions.supported(call)
        return self._service.answer(call)

    def _call(self, request: Request, address: Address) -> Call:
        scope = request.scope
        host = request.headers.get("host", "127.0.0.1")
        return Call(
            method=request.method,
            address=address,
            query=request.query,
            headers=request.headers,
            body=request.body,
            base=f"{scope.get('scheme', 'http')}://{host}/{self.path}",
        )

    def _check_environment(self, address: Address) -> None:
        tenant = self._tenant
        if address.tenant.lower() not in {tenant.tenant_id, tenant.domain}:
            raise BusinessCentralError(
                401,
                "Authentication_InvalidCredentials",
                "The server has rejected the client credentials.",
            )
        if address.environment.lower() not in tenant.environments:
            raise BusinessCentralError(404, "NoEnvironment", "Environment does not exist.")


def _address(scope: Scope) -> Address:
    """The address of a request, parsed once and kept in its scope."""
    found: Address | None = scope.get("business_central.address")
    if found is None:
        found = scope["business_central.address"] = parse_address(scope["path"])
    return found


def _companies() -> EntitySet:
    return EntitySet(
        name="companies",
        entity="company",
        properties=properties(_COMPANY),
        insert=False,
        modify=False,
        delete=False,
    )


def _company(tenant: Tenant) -> Record:
    identity = seed_guid("companies", tenant.company_name)
    creator = seed_guid("users", "administrator")
    return {
        "@odata.etag": seed_etag(identity),
        "id": identity,
        "systemVersion": "29.0.0.0",
        "timestamp": 100_000,
        "name": tenant.company_name,
        "displayName": tenant.company_name,
        "businessProfileId": "",
        "systemCreatedAt": SEEDED_AT,
        "systemCreatedBy": creator,
        "systemModifiedAt": SEEDED_AT,
        "systemModifiedBy": creator,
    }


def _nowhere() -> BusinessCentralError:
    return BusinessCentralError(404, "BadRequest_NotFound", "Bad Request - Error in query syntax.")
