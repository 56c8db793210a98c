"""Start the system as `crossdock up --no-sandbox` does, with the campaigns' clients in it.

    python -m tests.security.launch sound|DEFECT

Beside the development clients there is one with every scope, and one that may act for one account
and was given every scope by mistake. Defects live here, never in the product.
"""

import asyncio
import logging
import sys
from typing import Any

import msgspec

from contracts import context
from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy import profile
from deploy.assembly import serve
from deploy.profile import Settings
from deploy.tiers import Parts
from gateway.call import PASS, Step
from gateway.policies.authorize import Authorize
from gateway.policies.correlate import Correlate
from gateway.policies.guard import _replayed
from gateway.policies.validate import Validate
from runtime.http import HttpClient

log = logging.getLogger("planted")
OVERSCOPED = "partner-overscoped"
EVERYTHING = "everything"


def every_scope() -> tuple[str, ...]:
    """Every scope any contract names."""
    found = set()
    for api in supported():
        for item in blessed(api)["paths"].values():
            for operation in item.values():
                for each in operation.get("security", ()) if isinstance(operation, dict) else ():
                    found.update(scope for scopes in each.values() for scope in scopes)
    return tuple(sorted(found - {"orders:agreed-prices"}))


class EverybodysOrders:
    """Looks an order up by its id alone."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def asked(*arguments: Any, **named: Any) -> Any:
            call = msgspec.structs.replace(context.current(), accounts=None)
            with context.calling(call):
                return await method(*arguments, **named)

        return asked


def _nothing(self: Any, operation: Any) -> tuple[Any, ...]:
    return ()


class DropsUnknown(Validate):
    """Leaves out what the contract does not name, and says nothing of it."""

    def compile(self, operation: Any) -> tuple[Any, ...]:
        reference = (operation.body_schema or {}).get("$ref", "").rpartition("/")[2]
        schema = operation.components.get("schemas", {}).get(reference, {})
        known = schema.get("properties", {})

        def ask(call: Any) -> Any:
            if call.body and known:
                document = msgspec.json.decode(call.body)
                kept = {name: each for name, each in document.items() if name in known}
                call.document, call.body = kept, msgspec.json.encode(kept)
                call.receive = _replayed(call.body, call.receive)
            return PASS

        return (Step("validate", ask=ask),)


def logging_calls(record: Any) -> Any:
    """An access log that says it all, in words."""

    def logged(self: Any, call: Any, *rest: Any) -> None:
        log.warning(f"{call.method} {call.path}?{call.scope['query_string']} {call.fields}")  # noqa: G004  the defect
        print(call.path, flush=True)
        record(self, call, *rest)

    return logged


def logging_vendors(send: Any) -> Any:
    """A client that logs what vendors answered badly."""

    async def logged(self: Any, *arguments: Any, **named: Any) -> Any:
        answer = await send(self, *arguments, **named)
        if answer.status >= 400:
            log.warning("vendor_refused", extra={"said": answer.body.decode("utf-8", "replace")})
        return answer

    return logged


def _plant(defect: str) -> Parts:
    match defect:
        case "nobody-looks":
            Authorize.compile = _nothing  # type: ignore[method-assign]  # the planted defect
            return Parts(orders=EverybodysOrders)
        case "bodies-unread":
            Validate.compile = _nothing  # type: ignore[method-assign]  # the planted defect
        case "unknown-dropped":
            Validate.compile = DropsUnknown.compile  # type: ignore[method-assign]  # the planted defect
        case "logs-everything":
            Correlate._record = logging_calls(Correlate._record)  # type: ignore[method-assign]  # as above
            HttpClient.send = logging_vendors(HttpClient.send)  # type: ignore[method-assign]  # as above
        case "sound":
            pass
        case _:
            raise SystemExit(f"no defect is named {defect}")
    return Parts()


if __name__ == "__main__":
    profile.CLIENTS = {  # type: ignore[misc]  # of this process alone
        **profile.CLIENTS,
        OVERSCOPED: {"scopes": every_scope(), "accounts": ("cust_20001",), "plan": "unlimited"},
        EVERYTHING: {"scopes": every_scope(), "accounts": "*", "plan": "unlimited"},
        "partner-acme": {**profile.CLIENTS["partner-acme"], "plan": "unlimited"},
        "partner-globex": {**profile.CLIENTS["partner-globex"], "plan": "unlimited"},
        "crm": {**profile.CLIENTS["crm"], "plan": "unlimited"},
        "operator": {**profile.CLIENTS["operator"], "plan": "unlimited"},
    }
    asyncio.run(serve(Settings.from_environment(), parts=_plant(sys.argv[1])))
