"""The fault switch in Salesforce's words."""

from deploy.sandbox.faults import Fault
from deploy.sandbox.salesforce.call import read_json
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.oauth import oauth_error
from deploy.sandbox.salesforce.record_collections import lock_row_results
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["as_fault"]

_WORDS = {
    "INVALID_SESSION_ID": "Session expired or invalid",
    "QUERY_TIMEOUT": "Your query request was running for too long.",
    "REQUEST_LIMIT_EXCEEDED": "TotalRequests Limit exceeded.",
    "SERVER_UNAVAILABLE": "Server unavailable. Please try again later.",
    "UNABLE_TO_LOCK_ROW": "unable to obtain exclusive access to this record or 1 records",
    "UNKNOWN_EXCEPTION": "An unexpected error occurred. Please include this ErrorId if you contact "
    "support: 1847302956-44021 (-1482105730)",
}
_CODES = {
    400: "UNABLE_TO_LOCK_ROW",
    401: "INVALID_SESSION_ID",
    403: "REQUEST_LIMIT_EXCEEDED",
    408: "QUERY_TIMEOUT",
    500: "UNKNOWN_EXCEPTION",
}
_STATUS = {"UNABLE_TO_LOCK_ROW": 400, "REQUEST_LIMIT_EXCEEDED": 403, "QUERY_TIMEOUT": 400}


def as_fault(request: Request, operation: str, fault: Fault) -> Reply:
    """A throttle, an outage or an error. A fault's own code and message win over the usual ones.

    UNABLE_TO_LOCK_ROW on a collection is each record's error in a 200, as on the real wire.
    """
    code = fault.code
    if code is None:
        throttled = fault.kind == "throttle"
        code = "REQUEST_LIMIT_EXCEEDED" if throttled else _CODES.get(fault.status)
    code = code or "SERVER_UNAVAILABLE"
    default_status = 503
    status = fault.status
    if status in {0, default_status} or fault.kind == "throttle":
        status = _STATUS.get(code, default_status)
    message = fault.message or _WORDS.get(code, "An unexpected error occurred.")
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if fault.retry_after is not None:
        headers = ((b"retry-after", f"{fault.retry_after:g}".encode()),)
    if operation == "token":
        reply = oauth_error(_oauth_code(status), message, status)
        return Reply(reply.status, reply.body, (*reply.headers, *headers))
    if code == "UNABLE_TO_LOCK_ROW" and operation.startswith("collections."):
        return json_reply(200, lock_row_results(_body(request)), *headers)
    return json_reply(status, Refusal(code, message, status=status).as_body(), *headers)


def _oauth_code(status: int) -> str:
    return "server_error" if status >= 500 else "login_rate_exceeded"  # noqa: PLR2004  # HTTP


def _body(request: Request) -> object:
    try:
        return read_json(request.body)
    except Refusal:
        return None
