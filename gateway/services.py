"""A service that is not ours, as `crossdock.toml` and its own contract speak of it.

The section names contract and address and says what holds where the contract says nothing; what the
contract says with `x-crossdock` on an operation goes before it.
"""

from typing import Annotated, Final, Literal

import msgspec

from gateway.routes import CacheRule, Criticality, Idempotency, Lifecycle

SCOPE_PATTERN: Final = r"^[!#-\[\]-~]+$"
"""RFC 6749, section 3.3."""
ADDRESS_PATTERN: Final = r"^https?://[^?#]+$"
PREFIX_PATTERN: Final = r"^(/[a-z0-9._~-]+)+$"

Scope = Annotated[str, msgspec.Meta(pattern=SCOPE_PATTERN)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Told = Literal["consumer", "subject", "scopes", "accounts"]


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that is not ours, reached through the gateway by the contract it publishes.

    `contract` is its OpenAPI 3.0 or 3.1 document (JSON or YAML), found beside this file. The
    document's paths are appended to `url`, and to `prefix` towards our callers (`/<name>` without
    the line). `scopes` are what a caller needs for an operation that names none with `x-crossdock`;
    those in `public` need no credential at all, GETs in `websockets` may be upgraded. `identity` is
    what the service is told of the caller: nothing without the line. `headers` are sent with every
    call: what the service knows us by, as references (`env:NAME`, `file:/path`). `publish` shows
    the contract to everybody.
    """

    contract: str
    url: Annotated[str, msgspec.Meta(pattern=ADDRESS_PATTERN)]
    prefix: Annotated[str, msgspec.Meta(pattern=PREFIX_PATTERN)] | None = None
    scopes: tuple[Scope, ...] = ()
    public: tuple[str, ...] = ()
    limit: Literal["services", "reads", "operations"] = "services"
    criticality: Criticality = "sync"
    budget_ms: Positive = 10_000
    max_body_bytes: Positive = 262_144
    identity: tuple[Told, ...] = ()
    headers: dict[str, str] = {}
    websockets: tuple[str, ...] = ()
    publish: bool = False


class ServiceTerms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`x-crossdock` on an operation of such a contract; what is not said, the section says."""

    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """All of these are needed."""
    idempotency: Idempotency | msgspec.UnsetType = msgspec.UNSET
    limit: (
        Literal["checks", "orders", "reads", "webhooks", "operations", "services"]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    criticality: Criticality | msgspec.UnsetType = msgspec.UNSET
    budget_ms: Positive | msgspec.UnsetType = msgspec.UNSET
    max_body_bytes: Positive | msgspec.UnsetType = msgspec.UNSET
    cost: Positive | msgspec.UnsetType = msgspec.UNSET
    lifecycle: Lifecycle | msgspec.UnsetType = msgspec.UNSET
    cache: CacheRule | msgspec.UnsetType = msgspec.UNSET
    upgrade: Literal["websocket"] | msgspec.UnsetType = msgspec.UNSET
