"""How Business Central says no: one envelope, a code of a known family, a correlation id.

Source: dynamics-error-codes of the vendor's web-service reference; texts of the API pages' own
labels.
"""

from deploy.sandbox.business_central.guids import new_guid
from deploy.sandbox.faults import Fault
from deploy.sandbox.wire import Reply, json_reply

__all__ = [
    "BusinessCentralError",
    "bad_request",
    "dialog",
    "entity_changed",
    "error_reply",
    "fault_reply",
    "not_found",
    "not_implemented",
    "token_missing",
    "wrong_method",
]


class BusinessCentralError(Exception):
    """A refusal: an HTTP status, an error code and the sentence a person may read."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def dialog(message: str) -> BusinessCentralError:
    """A business rule said no in its own words."""
    return BusinessCentralError(400, "Application_DialogException", message)


def bad_request(message: str, kind: str = "") -> BusinessCentralError:
    """The request itself is wrong; ``kind`` is the part after ``BadRequest_``."""
    return BusinessCentralError(400, f"BadRequest_{kind}" if kind else "BadRequest", message)


def not_found(what: str = "The requested resource does not exist.") -> BusinessCentralError:
    """No such record under this key."""
    return BusinessCentralError(404, "Internal_RecordNotFound", what)


def not_implemented(message: str) -> BusinessCentralError:
    """An OData feature that the server does not have."""
    return BusinessCentralError(501, "BadRequest_MethodNotImplemented", message)


def wrong_method(entity_set: str, does: str) -> BusinessCentralError:
    """The page does not allow this: reading a write-only, writing a read-only one."""
    return BusinessCentralError(
        400, "BadRequest_MethodNotAllowed", f"Entity set {entity_set} does not support {does}."
    )


def token_missing() -> BusinessCentralError:
    """A change without ``If-Match``."""
    return bad_request(
        "Could not validate the client concurrency token required by the service. "
        "The service requires the client to send the concurrency token in the If-Match header.",
        "InvalidToken",
    )


def entity_changed() -> BusinessCentralError:
    """A change with an ``If-Match`` that is not the current one."""
    return BusinessCentralError(
        409, "Request_EntityChanged", "Another user has already changed the record."
    )


def error_reply(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Reply:
    """The envelope; the correlation id is appended to the text as the vendor does."""
    correlation = new_guid()
    body = {"error": {"code": code, "message": f"{message}  CorrelationId:  {correlation}."}}
    return json_reply(status, body, *headers)


_BY_STATUS = {
    400: ("BadRequest", "Bad Request - Error in query syntax."),
    401: (
        "Authentication_InvalidCredentials",
        "The server has rejected the client credentials.",
    ),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Internal_RecordNotFound", "The requested resource does not exist."),
    408: ("Unknown", "The request took longer than the operational limit allows."),
    409: ("Request_EntityChanged", "Another user has already changed the record."),
    500: ("Internal_ServerError", "An unexpected error occurred."),
    503: ("Internal_TenantUnavailable", "The service is temporarily unavailable."),
    504: ("Unknown", "The gateway did not receive a response within the specified time period."),
}


def fault_reply(fault: Fault) -> Reply:
    """An injected fault in the vendor's words; the fault's own code and message win."""
    status = 429 if fault.kind == "throttle" else fault.status
    if status == 429:  # noqa: PLR2004  # HTTP's own number
        words = (
            "Application_TooManyRequests",
            "Too many requests reached. Actual (101). Maximum (100).",
        )
    else:
        words = _BY_STATUS.get(status, _BY_STATUS[500])
    wait: tuple[tuple[bytes, bytes], ...] = ()
    if fault.retry_after is not None:
        wait = ((b"retry-after", f"{fault.retry_after:g}".encode()),)
    return error_reply(status, fault.code or words[0], fault.message or words[1], *wait)
