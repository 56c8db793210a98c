"""``$batch``: up to a hundred operations in one request.

Each is its own transaction, unless ``Isolation: snapshot`` puts them all in one. Then a failure
rolls back everything since the last posting (posting commits), and the answers do not say so: what
had worked still reads 201 with a GUID. If the first operation fails only its answer comes back.
Source: OData batch requests of the vendor's web-service reference, and what a live tenant showed.
"""

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from deploy.sandbox.business_central.addresses import relative
from deploy.sandbox.business_central.errors import (
    BusinessCentralError,
    bad_request,
    error_reply,
    fault_reply,
    not_implemented,
)
from deploy.sandbox.business_central.service import Call, Service
from deploy.sandbox.business_central.transaction import SYSTEM, Transactions
from deploy.sandbox.faults import Fault, FaultSwitch
from deploy.sandbox.wire import Reply, json_reply

__all__ = ["Batch"]

LARGEST = 100
_BEFORE = frozenset({"error_before", "throttle", "outage", "reset"})
_POSTING = frozenset({"shipandinvoice", "post", "postandsend", "cancel", "cancelandsend"})


class _Rollback(Exception):  # noqa: N818  # control flow, not an error anybody sees
    """Leaves a snapshot without committing it."""


class _Operation(msgspec.Struct):
    number: Any
    call: Call
    fault: Fault | None


class Batch:
    """Runs batches against the service."""

    def __init__(self, service: Service, transactions: Transactions, faults: FaultSwitch) -> None:
        self._service = service
        self._transactions = transactions
        self._faults = faults

    async def answer(self, call: Call) -> Reply:
        """All operations in order; the fault switch is asked about each before any of them runs.

        Raises:
            BusinessCentralError: the batch is too long or cannot be read.
        """
        requests = call.decoded().get("requests")
        if call.method != "POST" or not isinstance(requests, list):
            raise bad_request("A batch is a POST with a list of requests.")
        if len(requests) > LARGEST:
            raise BusinessCentralError(
                500,
                "Internal_ServerError",
                f"The batch holds {len(requests)} operations; the maximum is {LARGEST}.",
            )
        operations = []
        for request in requests:
            inner = _inner(call, request)
            name = inner.address.operation(inner.method)
            fault = await self._faults.before(SYSTEM, name)
            operations.append(_Operation(request.get("id"), inner, fault))
        if call.headers.get("isolation", "").lower() == "snapshot":
            replies = self._snapshot(operations)
        else:
            replies = [self._one(operation) for operation in operations]
        answered = zip(operations, replies, strict=False)
        return json_reply(200, {"responses": [_shown(one, reply) for one, reply in answered]})

    def _snapshot(self, operations: list[_Operation]) -> list[Reply]:
        """One transaction from posting to posting; the answers are those of the operations."""
        replies: list[Reply] = []
        waiting = list(operations)
        while waiting:
            try:
                with self._transactions.one():
                    self._until_committed(waiting, replies)
            except _Rollback:
                break
        if replies and replies[0].status >= 400:  # noqa: PLR2004  # an error status
            return replies[:1]
        return replies

    def _until_committed(self, waiting: list[_Operation], replies: list[Reply]) -> None:
        failed = False
        while waiting:
            operation = waiting.pop(0)
            reply = self._one(operation)
            replies.append(reply)
            failed = failed or reply.status >= 400  # noqa: PLR2004  # an error status
            action = operation.call.address.operation("POST").rpartition(".")[2].lower()
            if action in _POSTING and not failed:
                return
        if failed:
            raise _Rollback

    def _one(self, operation: _Operation) -> Reply:
        fault = operation.fault
        if fault is not None and fault.kind in _BEFORE:
            return fault_reply(fault)
        address = operation.call.address
        first = address.steps[0][0] if address.steps else ""
        try:
            if address.api not in {"standard", "pricing"} or first in {"$batch", "subscriptions"}:
                raise not_implemented("This request is not supported inside a batch.")
            reply = self._service.answer(operation.call)
        except BusinessCentralError as refusal:
            return error_reply(refusal.status, refusal.code, refusal.message)
        return reply if fault is None else fault_reply(fault)


def _inner(outer: Call, request: Any) -> Call:
    """One operation of a batch as a call of its own."""
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise bad_request("Every request of a batch needs a method and a url.")
    path, _, query = request["url"].partition("?")
    sent = request.get("headers") or {}
    if not isinstance(sent, dict):
        raise bad_request("The headers of a request are an object.")
    headers = {str(name).lower(): str(value) for name, value in sent.items()}
    headers.setdefault("company", outer.query.get("company", outer.headers.get("company", "")))
    if not headers["company"]:
        del headers["company"]
    body = request.get("body")
    return Call(
        method=str(request.get("method", "GET")).upper(),
        address=relative(outer.address, path),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body if isinstance(body, dict) else b"",
        base=outer.base,
    )


def _shown(operation: _Operation, reply: Reply) -> dict[str, Any]:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    shown: dict[str, Any] = {
        "id": operation.number,
        "status": reply.status,
        "headers": headers,
    }
    if reply.body:
        text = reply.headers[0][1]
        shown["body"] = msgspec.Raw(reply.body) if b"json" in text else reply.body.decode()
    return shown
