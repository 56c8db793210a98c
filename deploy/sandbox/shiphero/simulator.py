"""ShipHero over HTTP: sign-in, and the GraphQL endpoint with its credits."""

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from deploy.sandbox.faults import Fault
from deploy.sandbox.limits import CreditBucket, SlidingWindow
from deploy.sandbox.shiphero import refusals
from deploy.sandbox.shiphero.floor import Floor
from deploy.sandbox.shiphero.pickers import Pickers
from deploy.sandbox.shiphero.refusals import Refusal, graphql_reply
from deploy.sandbox.shiphero.tokens import Tokens
from deploy.sandbox.shiphero.warehouse import Warehouse
from deploy.sandbox.vendor import VendorContext
from deploy.sandbox.wire import Receive, Reply, Request, Scope, Send, json_reply, serve

if TYPE_CHECKING:  # documents load graphql-core, which a start-up need not wait for
    from deploy.sandbox.shiphero.documents import Library, Plan, RootField, Run

__all__ = ["ShipHero"]

MOST_CREDITS = 4004
CREDITS_PER_SECOND = 60
MOST_REQUESTS = 7000
WINDOW_SECONDS = 300.0
THROTTLED_SECONDS = 18.0  # what a throttle fault says when it names no wait of its own
# what faults and journal call the read side of stock, whichever query it is
OPERATIONS = {"warehouse_products": "inventory", "product": "inventory"}
_HTML = ((b"content-type", b"text/html"),)


class _Asked(msgspec.Struct):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815  # GraphQL over HTTP names it so


class _Credentials(msgspec.Struct):
    """The body of a sign-in or a refresh."""

    username: str = ""
    password: str = ""
    refresh_token: str = ""


class _Read(msgspec.Struct):
    """What was found out about a request: its plan, or what is wrong with it."""

    plan: "Plan | None" = None
    variables: dict[str, Any] = {}
    errors: list[dict[str, object]] = []
    operation: str = "graphql"


class ShipHero:
    """The vendor: built from a context, mounted at ``/shiphero``."""

    name = "wms"
    path = "shiphero"

    def __init__(self, context: VendorContext) -> None:
        self._context = context
        self._vault = context.vault(self.name)
        self._tokens = Tokens(self._vault, context.clock, context.settings.seed)
        self._warehouse = Warehouse(self._vault, context)
        self._roots = self._warehouse.roots()
        self._library: Library | None = None
        self._loading = threading.Lock()
        self._bucket = CreditBucket(
            capacity=MOST_CREDITS,
            restore_per_second=CREDITS_PER_SECOND,
            monotonic=context.clock.monotonic,
        )
        self._window = SlidingWindow(
            limit=MOST_REQUESTS, seconds=WINDOW_SECONDS, monotonic=context.clock.monotonic
        )
        self._requests = 0
        self.floor = Floor(self._vault, self._warehouse, self._tokens)
        self.pickers = Pickers(self._warehouse.orders.table, self.floor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        context = self._context
        await serve(
            scope, receive, send, vendor=self, faults=context.faults, journal=context.requests
        )

    def library(self) -> "Library":
        """The compiled documents; the first call loads graphql-core (a third of a second)."""
        with self._loading:
            if self._library is None:
                from deploy.sandbox.shiphero.documents import Library  # noqa: PLC0415  # start-up

                self._library = Library(self._warehouse.resolvers())
            return self._library

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    def operation(self, request: Request) -> str:
        """``token``, or the first root field of the document (``inventory`` for stock queries)."""
        if request.path.startswith("/auth/"):
            return "token"
        if request.path != "/graphql":
            return "unknown"
        read = request.memo = self._read(request)
        return read.operation

    def refusal(self, request: Request, fault: Fault) -> Reply:
        """ShipHero's own throttle; other errors are the load balancer's page or a stale token."""
        if fault.kind == "throttle":
            if request.memo is None:
                return refusals.too_many_requests(fault.retry_after or THROTTLED_SECONDS)
            required = self._price(request.memo) or 1
            throttle = refusals.not_enough_credits(
                operation=request.memo.operation,
                request_id=self._request_id(),
                required=required,
                remaining=0,
                seconds=fault.retry_after or THROTTLED_SECONDS,
            )
            return graphql_reply(errors=[throttle])
        if fault.status == 401:  # noqa: PLR2004  # HTTP's own number
            return refusals.unauthorized("token_expired", "Token is expired")
        reason = fault.message or "Service Temporarily Unavailable"
        title = f"{fault.status} {reason}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return Reply(fault.status, page.encode(), _HTML)

    async def answer(self, request: Request) -> Reply:
        """Sign in, or run a document."""
        limits = self._context.limits
        if limits.enabled:
            wait = self._window.admit()
            if wait is not None:
                limits.drew_throttle(self.name, "requests")
                return refusals.too_many_requests(wait)
        if request.memo is not None:
            return self._graphql(request)
        if request.method == "POST" and request.path == "/auth/token":
            return self._sign_in(request)
        if request.method == "POST" and request.path == "/auth/refresh":
            return self._refresh(request)
        return json_reply(404, {"message": "Not Found"})

    def _sign_in(self, request: Request) -> Reply:
        given = _credentials(request)
        with self._vault.batch():
            tokens = self._tokens.sign_in(given.username, given.password)
        if tokens is None:
            words = "Wrong email or password."
            return json_reply(401, {"error": "invalid_grant", "error_description": words})
        return json_reply(200, tokens)

    def _refresh(self, request: Request) -> Reply:
        tokens = self._tokens.refresh(_credentials(request).refresh_token)
        if tokens is None:
            words = "Unknown or invalid refresh token."
            return json_reply(401, {"error": "invalid_grant", "error_description": words})
        return json_reply(200, tokens)

    def _read(self, request: Request) -> _Read:
        try:
            asked = msgspec.json.decode(request.body, type=_Asked)
        except msgspec.MsgspecError:
            return _Read(errors=[{"message": "POST body sent invalid JSON."}])
        variables = asked.variables or {}
        plan = self.library().plan(asked.query, asked.operationName, variables)
        if isinstance(plan, list):
            return _Read(errors=[dict(error.formatted) for error in plan])
        operation = plan.fields[0].name if plan.fields else "introspection"
        return _Read(plan=plan, variables=variables, operation=OPERATIONS.get(operation, operation))

    def _graphql(self, request: Request) -> Reply:
        refused = self._tokens.check(request.headers.get("authorization"))
        if refused is not None:
            return refusals.unauthorized(*refused)
        if request.method != "POST":
            return json_reply(405, {"message": "GraphQL is asked by POST"})
        read: _Read = request.memo
        plan = read.plan
        if plan is None:
            return graphql_reply(errors=read.errors)
        if plan.introspection is not None:
            answer = self.library().introspect(plan.introspection, read.variables)
            return json_reply(200, answer)
        run = plan.start(self._request_id(), read.variables)
        if isinstance(run, list):
            return graphql_reply(errors=[dict(error.formatted) for error in run])
        return self._run(plan, run)

    def _run(self, plan: "Plan", run: "Run") -> Reply:
        """Charge the whole document, then run its fields in order; each mutation stands alone."""
        asked = [(field, field.arguments(run), field.price(run)) for field in plan.fields]
        cost = sum(price for _, given, price in asked if not given.get("analyze"))
        throttled = self._charge(plan.fields[0].name, cost, run.request_id)
        if throttled is not None:
            return graphql_reply(errors=[throttled])
        data: dict[str, object] = {}
        errors: list[dict[str, object]] = []
        for field, given, price in asked:
            run.complexity = price
            try:
                with self._vault.batch():
                    data[field.key] = field.project(self._resolve(field, given, run), run)
            except Refusal as refusal:
                data[field.key] = None
                errors.append(refusal.error(field.name, run.request_id))
        return graphql_reply(data, errors)

    def _resolve(self, field: "RootField", given: dict[str, Any], run: "Run") -> dict[str, Any]:
        if given.get("analyze"):
            return {"request_id": run.request_id, "complexity": run.complexity, "data": None}
        if field.name == "user_quota":
            return {
                "is_expired": False,
                "credits_remaining": int(self._bucket.remaining()),
                "max_available": MOST_CREDITS,
                "increment_rate": CREDITS_PER_SECOND,
            }
        if field.name == "__typename":
            return {}
        return self._roots[field.name](given, run)

    def _charge(self, operation: str, cost: int, request_id: str) -> dict[str, object] | None:
        """Take the credits, or answer the throttle."""
        limits = self._context.limits
        if not limits.enabled:
            return None
        wait = self._bucket.take(cost)
        if wait is None:
            return None
        limits.drew_throttle(self.name, "credits")
        if cost > MOST_CREDITS:
            return refusals.cannot_exceed(
                operation=operation, request_id=request_id, required=cost, most=MOST_CREDITS
            )
        return refusals.not_enough_credits(
            operation=operation,
            request_id=request_id,
            required=cost,
            remaining=int(self._bucket.remaining()),
            seconds=wait,
        )

    def _price(self, read: _Read) -> int:
        """What a document would cost, 0 when it cannot run."""
        if read.plan is None:
            return 0
        run = read.plan.start("", read.variables)
        if isinstance(run, list):
            return 0
        return sum(field.price(run) for field in read.plan.fields)

    def _request_id(self) -> str:
        """24 hexadecimal digits, the moment first, never the same twice."""
        self._requests += 1
        moment = int(self._context.clock.now().timestamp())
        return f"{moment:08x}{self._requests:016x}"


def _credentials(request: Request) -> _Credentials:
    try:
        return msgspec.json.decode(request.body, type=_Credentials)
    except msgspec.MsgspecError:
        return _Credentials()
