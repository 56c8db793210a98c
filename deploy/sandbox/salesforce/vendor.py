"""The org as an ASGI application: sign-in, session, allocation, route, answer."""

import msgspec

from deploy.sandbox.faults import Fault
from deploy.sandbox.salesforce.accounting import SYSTEM
from deploy.sandbox.salesforce.allocation import Allocation
from deploy.sandbox.salesforce.api import Api, versions
from deploy.sandbox.salesforce.call import ROOT, Answer, Call, caller_of, read_json, split_path
from deploy.sandbox.salesforce.errors import Refusal, not_found
from deploy.sandbox.salesforce.hooks import serve_hooks
from deploy.sandbox.salesforce.oauth import OAuth
from deploy.sandbox.salesforce.operations import operation_of
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.outbound import OutboundMessages
from deploy.sandbox.salesforce.refusing import as_fault
from deploy.sandbox.salesforce.sessions import Sessions
from deploy.sandbox.vendor import VendorContext
from deploy.sandbox.wire import (
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    json_reply,
    read_request,
    send_reply,
    serve,
)

__all__ = ["SalesforceVendor"]

_LONGEST_URI = (
    16_384  # bytes; a request's address and headers together, of which the address matters
)
_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json;charset=UTF-8")


class SalesforceVendor:
    """One Salesforce org; ``operation``, ``answer`` and ``refusal`` are for ``wire.serve``."""

    name = SYSTEM
    path = "salesforce"

    def __init__(
        self,
        *,
        context: VendorContext,
        org: Org,
        sessions: Sessions,
        allocation: Allocation,
        oauth: OAuth,
        outbound: OutboundMessages,
    ) -> None:
        self._context = context
        self._org = org
        self._sessions = sessions
        self._allocation = allocation
        self._oauth = oauth
        self._outbound = outbound
        self._api = Api(org, allocation)
        self._resumed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; an operator's hook meets neither faults nor limits."""
        if not self._resumed:  # what was owed when the process died
            self._resumed = True
            self._outbound.resume()
        if scope["path"].startswith("/_sandbox/"):
            request = await read_request(scope, receive)
            if request is not None:
                await send_reply(send, serve_hooks(self._org, self._sessions, request))
            return
        number = self._allocation.begin()
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
            self._allocation.end(number)

    def close(self) -> None:
        """Close the vault."""
        self._org.vault.close()

    def operation(self, request: Request) -> str:
        """What the fault switch and the journal call this request."""
        return operation_of(request, self._org.schema)

    def refusal(self, request: Request, fault: Fault) -> Reply:
        """A fault in Salesforce's words."""
        return as_fault(request, self.operation(request), fault)

    async def answer(self, request: Request) -> Reply:
        """Do the work and answer."""
        match request.path:
            case "/services/oauth2/token":
                return self._oauth.token(request)
            case "/services/oauth2/revoke":
                return self._oauth.revoke(request)
            case "/services/data" | "/services/data/":
                return json_reply(200, versions())
        counted = False
        try:
            if not request.path.startswith(f"{ROOT}/") and request.path != ROOT:
                raise not_found()  # one exit
            user_id = self._sessions.user_of(request.headers)
            self._allocation.check_long_calls()
            counted = True
            self._allocation.count()
            answer = self._api.route(_call(request, user_id))
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.as_body())
        return self._reply(request, answer, counted=counted)

    def _reply(self, request: Request, answer: Answer, *, counted: bool) -> Reply:
        headers = [
            (name.lower().encode(), value.encode()) for name, value in answer.headers.items()
        ]
        if counted:
            usage = f"api-usage={self._allocation.used()}/{self._allocation.most}"
            headers.append((b"sforce-limit-info", usage.encode()))
        body = b""
        if answer.body is not None and request.method != "HEAD":
            body = _encode(answer.body)
            headers.append(_JSON)
        return Reply(answer.status, body, tuple(headers))


def _call(request: Request, user_id: str) -> Call:
    """The call in a request.

    Raises:
        Refusal: the address is too long, or the body is no JSON.
    """
    if len(request.raw_path) + len(request.query_string) > _LONGEST_URI:
        raise Refusal("URI_TOO_LONG", "The URI of the request is too long")
    body = None
    if request.body:
        kind = request.headers.get("content-type", "application/json")
        if "json" not in kind:
            raise Refusal(
                "UNSUPPORTED_MEDIA_TYPE",
                f"Content-Type header specified in HTTP request is not supported: {kind}",
            )
        body = read_json(request.body)
    return Call(
        method=request.method,
        path=split_path(request.raw_path.removeprefix(ROOT)),
        query=request.query,
        headers=request.headers,
        body=body,
        caller=caller_of(user_id, request.headers),
    )
