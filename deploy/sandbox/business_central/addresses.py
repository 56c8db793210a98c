"""What a URL addresses: which API of which environment, which company, which record, which action.

``/v2.0/{tenant}/{environment}/api/v2.0/companies({id})/salesOrders({id})/Microsoft.NAV.shipAndInvoice``,
custom pages under ``/api/{publisher}/{group}/{version}``. Nothing here raises: an address that
leads nowhere is one that the service refuses.
"""

from typing import Literal
from urllib.parse import unquote

import msgspec

__all__ = ["ACTION", "Address", "parse_address"]

Api = Literal["token", "desk", "standard", "pricing", "runtime", "nowhere"]
ACTION = "Microsoft.NAV."
_SERVICE_DEPTH = 4  # /v2.0/{tenant}/{environment}/api
_VERBS = {"POST": "create", "PATCH": "update", "PUT": "update", "DELETE": "delete"}
_VERSIONS: dict[str, tuple[Api, int]] = {
    "v2.0": ("standard", 1),
    "crossdock/pricing/v1.0": ("pricing", 3),
    "microsoft/runtime/beta": ("runtime", 3),
}


class Address(msgspec.Struct, frozen=True):
    """A parsed path. ``root`` ends with the API version; ``steps`` are names with their keys."""

    api: Api
    tenant: str = ""
    environment: str = ""
    root: str = ""
    company: str | None = None
    steps: tuple[tuple[str, str | None], ...] = ()

    def operation(self, method: str) -> str:  # noqa: PLR0911  # one return per kind of address
        """What the fault switch and the journal call a request to it."""
        if self.api in {"token", "desk", "nowhere"}:
            return self.api
        if not self.steps:
            verb = "list" if self.company is None else "get"
            return f"companies.{verb if method == 'GET' else _VERBS.get(method, method.lower())}"
        name, key = self.steps[-1]
        if name == "$count" and len(self.steps) > 1:
            return f"{self.steps[-2][0]}.list"
        if name[0] == "$":
            return name[1:]
        if name.lower().startswith(ACTION.lower()) and len(self.steps) > 1:
            return f"{self.steps[-2][0]}.{name[len(ACTION) :]}"
        if method == "GET":
            return f"{name}.{'list' if key is None else 'get'}"
        return f"{name}.{_VERBS.get(method, method.lower())}"


def parse_address(path: str) -> Address:
    """The address of a path that starts where the vendor is mounted."""
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] == "_sandbox":
        return Address("desk", steps=tuple((part, None) for part in parts[1:]))
    if parts[1:] == ["oauth2", "v2.0", "token"]:
        return Address("token", tenant=parts[0])
    if len(parts) <= _SERVICE_DEPTH or parts[0] != "v2.0" or parts[3] != "api":
        return Address("nowhere")
    for version, (api, depth) in _VERSIONS.items():
        if "/".join(parts[_SERVICE_DEPTH : _SERVICE_DEPTH + depth]) == version:
            at = _SERVICE_DEPTH + depth
            root = "/" + "/".join(parts[:at])
            return _within(Address(api, parts[1], parts[2], root), parts[at:])
    return Address("nowhere", parts[1], parts[2])


def relative(address: Address, url: str) -> Address:
    """The address of a URL inside a batch: absolute, or relative to the API."""
    path = unquote(url)
    _, found, absolute = path.partition("/api/")
    if found and path.startswith(("http", "/")):
        head = address.root.partition("/api/")[0]
        return parse_address(f"{head}/api/{absolute}")
    return parse_address(f"{address.root}/{path.lstrip('/')}")


def _within(address: Address, parts: list[str]) -> Address:
    steps = tuple(_step(part) for part in parts)
    company = None
    if steps and steps[0][0] == "companies":
        company, steps = steps[0][1], steps[1:]
    return msgspec.structs.replace(address, company=company, steps=steps)


def _step(part: str) -> tuple[str, str | None]:
    name, bracket, key = part.partition("(")
    if not bracket or not key.endswith(")"):
        return part, None
    return name, key[:-1].strip("'").lower()
