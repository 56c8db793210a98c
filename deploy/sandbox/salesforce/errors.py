"""How Salesforce says no: an array of ``{message, errorCode, fields}`` and an HTTP status.

Source: REST API guide, status codes and error responses; inside collections the same error carries
``statusCode`` instead of ``errorCode``.
"""

from typing import Any

__all__ = ["Refusal", "naming_hint", "no_such_record", "not_found"]

_STATUS = {
    "ENTITY_IS_DELETED": 404,
    "INVALID_SESSION_ID": 401,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_FOUND": 404,
    "INVALID_QUERY_LOCATOR": 400,
    "PRECONDITION_FAILED": 412,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "SERVER_UNAVAILABLE": 503,
    "UNKNOWN_EXCEPTION": 500,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "URI_TOO_LONG": 414,
}


class Refusal(Exception):  # noqa: N818  # what a vendor says is an answer, not an error of ours
    """One refusal. ``extra`` is merged into the error (``duplicateResut``)."""

    def __init__(
        self,
        code: str,
        message: str,
        fields: tuple[str, ...] = (),
        *,
        status: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.fields = fields
        self.status = status if status is not None else _STATUS.get(code, 400)
        self.extra = extra

    def as_body(self) -> list[dict[str, Any]]:
        """The body of a refused request; ``fields`` only where a record was judged."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.status == 400:  # noqa: PLR2004  # the record was judged
            error["fields"] = list(self.fields)
        if self.extra:
            error = {**self.extra, **error}
        return [error]

    def as_record_error(self) -> dict[str, Any]:
        """The same inside the reply of a collection, under ``statusCode``."""
        error: dict[str, Any] = {
            "statusCode": self.code,
            "message": self.message,
            "fields": list(self.fields),
        }
        return {**self.extra, **error} if self.extra else error


def not_found(message: str = "The requested resource does not exist") -> Refusal:
    """404 for an address that leads nowhere."""
    return Refusal("NOT_FOUND", message)


def no_such_record() -> Refusal:
    """404 for a well-formed id of nothing that lives."""
    return Refusal("NOT_FOUND", "The requested resource does not exist")


def naming_hint(kind: str, suffix: str, of: str) -> str:
    """What Salesforce adds when it does not know a name."""
    return (
        f"If you are attempting to use a custom {kind}, be sure to append the '{suffix}' after the "
        f"{of} name. Please reference your WSDL or the describe call for the appropriate names."
    )
