"""How ShipHero says no.

Nearly everything is HTTP 200 with ``errors``; a missing or stale token is HTTP 401. Code 30 and its
fields are documented. The other codes are not published: 3 and 10 here are an inference, so a
connector should classify by code 30, by ``data`` being null, and by words only as a last resort.
"""

import math

import msgspec

from deploy.sandbox.wire import Reply, json_reply

__all__ = [
    "Refusal",
    "cannot_exceed",
    "graphql_reply",
    "invalid",
    "not_enough_credits",
    "not_found",
    "too_many_requests",
    "unauthorized",
]

NOT_FOUND = 3
INVALID = 10
NOT_ENOUGH_CREDITS = 30


class Refusal(Exception):  # noqa: N818  # the vendor's refusal of one field, not a fault of ours
    """One operation is refused; the rest of the document still runs."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def is_absence(self) -> bool:
        """Whether something is refused because it is not there."""
        return self.code == NOT_FOUND

    def error(self, operation: str, request_id: str) -> dict[str, object]:
        """The entry for ``errors``."""
        return {
            "code": self.code,
            "message": self.message,
            "operation": operation,
            "request_id": request_id,
            "path": [operation],
        }


def not_found(entity: str, given: str) -> Refusal:
    """There is no such record."""
    return Refusal(NOT_FOUND, f"{entity} not found: {given}")


def invalid(message: str) -> Refusal:
    """The data makes no sense to the warehouse."""
    return Refusal(INVALID, message)


def not_enough_credits(
    *, operation: str, request_id: str, required: int, remaining: int, seconds: float
) -> dict[str, object]:
    """The documented throttle: wait ``time_remaining`` and the credits will be there."""
    wait = f"{math.ceil(seconds)} seconds"
    return {
        "code": NOT_ENOUGH_CREDITS,
        "message": (
            "There are not enough credits to perform the requested operation, which requires "
            f"{required} credits, but there are only {remaining} left. "
            f"In {wait} you will have enough credits to perform the operation"
        ),
        "operation": operation,
        "request_id": request_id,
        "required_credits": required,
        "remaining_credits": remaining,
        "time_remaining": wait,
    }


def cannot_exceed(
    *, operation: str, request_id: str, required: int, most: int
) -> dict[str, object]:
    """More than the bucket ever holds: waiting does not help, asking for less does."""
    return {
        "code": NOT_ENOUGH_CREDITS,
        "message": (
            f"The operation requires {required} credits, and no operation can exceed {most} credits"
        ),
        "operation": operation,
        "request_id": request_id,
        "required_credits": required,
        "remaining_credits": most,
        "time_remaining": None,
    }


def graphql_reply(
    data: object = msgspec.UNSET, errors: list[dict[str, object]] | None = None
) -> Reply:
    """The GraphQL envelope, always HTTP 200."""
    body: dict[str, object] = {}
    if errors:
        body["errors"] = errors
    if data is not msgspec.UNSET:
        body["data"] = data
    return json_reply(200, body)


def unauthorized(code: str, description: str) -> Reply:
    """401 for a missing, unknown or expired token (its body is an inference)."""
    return json_reply(401, {"code": code, "description": description})


def too_many_requests(seconds: float) -> Reply:
    """The request limit, which is documented without its answer; 429 is an inference."""
    wait = str(math.ceil(seconds)).encode()
    return json_reply(429, {"code": 429, "message": "Too many requests"}, (b"retry-after", wait))
