"""What an environment adds to the contracts: `crossdock.toml`, checked whole before the start.

Secrets stand in it only as hashes (`sha256:<hex>`) or references (`env:NAME`, `file:/path`).
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from contracts.problems import Fault
from gateway.call import ConfigFault
from gateway.faults import Checker
from gateway.policies.guard import GuardLimits
from gateway.resilience import (
    CacheSettings,
    CircuitSettings,
    ContractGuardSettings,
    ShedSettings,
    UpgradeSettings,
)
from gateway.services import Service

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
_SCOPE_PATTERN = r"^[!#-\[\]-~]+$"
"""RFC 6749, section 3.3."""
NotEmpty = Annotated[str, msgspec.Meta(min_length=1)]
ORIGIN_PATTERN: Final = r"^https?://[^/?#@\s]+$"


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `quota` calls in any `seconds` on end."""

    quota: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a consumer may call, by limit class; several windows hold at once, none: unlimited."""

    checks: tuple[Window, ...] = ()
    orders: tuple[Window, ...] = ()
    reads: tuple[Window, ...] = ()
    webhooks: tuple[Window, ...] = ()
    operations: tuple[Window, ...] = ()
    services: tuple[Window, ...] = ()


BUILT_IN = "built-in"
MOST_KEYS = 2


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key of a client, as `crossdock key` prints it: its id, and its hash or a reference.

    `scopes` may narrow those of the client.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[a-z2-7]{12}$")]
    secret: str
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    scopes: tuple[str, ...] | None = None


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A consumer, as its `issuer` names it (`built-in`, or a name under `issuers`).

    `accounts` are the canonical customer ids it may act for, or `*` for an internal channel. Two
    `secrets` of a built-in client, or two `keys` of any, are valid at once while they are being
    rotated. `certificates` are those a trusted hop may vouch for: `sha256:<hex>` of one
    certificate, or a name an authority gave (`uri:`, `dns:`, `subject:`). `scopes`, where given,
    bound what any credential of the client may do. A `disabled` client is refused whatever it has.
    """

    issuer: str = BUILT_IN
    secrets: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_KEYS)] = ()
    keys: Annotated[tuple[ApiKey, ...], msgspec.Meta(max_length=MOST_KEYS)] = ()
    certificates: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    disabled: bool = False
    scopes: tuple[str, ...] = ()
    accounts: Literal["*"] | tuple[str, ...] = ()
    plan: str = "standard"


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID or OAuth issuer whose access tokens are accepted.

    Keys come from `jwks_uri`, else from the document that `discovery` names (OpenID Connect
    Discovery 1.0, or RFC 8414 for `oauth`). They are fetched again after `fresh_seconds`, used for
    `stale_seconds` while the issuer is down, and for unknown key names asked for at most every
    `cooldown_seconds`.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^?#]+$")]
    audience: NotEmpty
    algorithms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    token_type: NotEmpty = "at+jwt"  # noqa: S105  a media type, RFC 9068 section 2.1
    jwks_uri: str | None = None
    discovery: Literal["openid", "oauth"] = "openid"
    fresh_seconds: Annotated[float, msgspec.Meta(ge=10, le=86_400)] = 600.0
    stale_seconds: Annotated[float, msgspec.Meta(ge=60, le=604_800)] = 86_400.0
    cooldown_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 1.0
    leeway_seconds: Annotated[float, msgspec.Meta(ge=0, le=120)] = 30.0
    scope_claim: NotEmpty = "scope"
    consumer_claim: NotEmpty = "client_id"
    plan: str = "standard"


class BuiltInIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The development issuer; off unless a profile turns it on."""

    enabled: bool = False
    token_seconds: Annotated[int, msgspec.Meta(ge=5, le=86_400)] = 900


class AttemptLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failed authentications at the token endpoint within `seconds` before more are put off.

    By one client from one address, from one address, and by one client from all addresses that
    have not proven its secret lately.
    """

    seconds: Seconds = 60.0
    client_from_address: Positive = 10
    address: Positive = 30
    client: Positive = 100


class IdempotencySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long answers are replayed, and how long a repeat waits for the first call."""

    keep_days: Annotated[float, msgspec.Meta(gt=0, le=90)] = 7.0
    wait_seconds: Seconds = 30.0


class ShieldSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Concurrent calls per upstream and limit class, and the longest budget a caller may ask."""

    concurrency: Positive = 256
    longest_budget_ms: Positive = 60_000
    breaker: CircuitSettings = CircuitSettings()


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway itself."""

    public_url: Annotated[str, msgspec.Meta(pattern=ORIGIN_PATTERN)] = "http://127.0.0.1:8080"
    audience: NotEmpty = "crossdock"
    instances: Positive = 1
    redis: str | None = None
    trusted_hops: tuple[str, ...] = ()
    """Addresses, networks or `unix`: hops that end TLS for us and tell callers' addresses and
    certificates. Nobody else is believed."""
    metrics_scope: Annotated[str, msgspec.Meta(pattern=_SCOPE_PATTERN)] | None = None
    """The scope that `/metrics` asks for, which names consumers; without one it is open."""
    attempts: AttemptLimits = AttemptLimits()
    drain_seconds: Seconds = 10.0
    guard: GuardLimits = GuardLimits()
    issuer: BuiltInIssuer = BuiltInIssuer()
    idempotency: IdempotencySettings = IdempotencySettings()
    shield: ShieldSettings = ShieldSettings()
    shed: ShedSettings = ShedSettings()
    cache: CacheSettings = CacheSettings()
    contract_guard: ContractGuardSettings = ContractGuardSettings()
    upgrades: UpgradeSettings = UpgradeSettings()


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `crossdock.toml` that the gateway reads."""

    gateway: GatewaySettings = GatewaySettings()
    issuers: dict[str, Issuer] = {}
    plans: dict[str, Plan] = msgspec.field(default_factory=lambda: {"standard": Plan()})
    clients: dict[str, Client] = {}
    services: dict[str, Service] = {}


class ConfigError(ValueError):
    """A configuration that cannot be used; carries every fault."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def json_schema() -> dict[str, Any]:
    """Answer the published JSON Schema (draft 2020-12) of the configuration."""
    schema = msgspec.json.schema(GatewayConfig)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "crossdock.toml"
    return schema


@cache
def _checker() -> Checker:
    return Checker(json_schema())


def from_document(document: Mapping[str, Any]) -> GatewayConfig:
    """Read an already parsed document; raise `ConfigError` with every fault of its form."""
    told = plain(dict(document))
    faults = _checker().faults(told)
    if faults:
        raise ConfigError(_formal(fault) for fault in faults)
    return msgspec.convert(told, GatewayConfig)


def plain(node: Any) -> Any:
    """Write TOML's own dates and times as JSON would: the schema knows strings only."""
    match node:
        case date() | time():
            return node.isoformat()
        case dict():
            return {name: plain(each) for name, each in node.items()}
        case list() | tuple():
            return [plain(each) for each in node]
        case _:
            return node


def _formal(fault: Fault) -> ConfigFault:
    place = fault.pointer.strip("/").replace("/", ".") or "crossdock.toml"
    return ConfigFault(
        place=place,
        value=fault.detail,
        allowed=fault.allowed or "see the published schema",
        nearest=fault.nearest,
        remedy="Correct or remove the line.",
    )


_SHA256_HEX = 64


def secret_faults(place: str, secret: str) -> list[ConfigFault]:
    """Secrets are hashed or referred to; the value itself is never repeated."""
    scheme, _, rest = secret.partition(":")
    match scheme:
        case "sha256" if len(rest) == _SHA256_HEX and all(c in "0123456789abcdef" for c in rest):
            return []
        case "env" if rest in os.environ:
            return []
        case "file" if is_there(rest):
            return []
        case "env" | "file":
            value, remedy = f"{secret} does not exist", "Set it before the start."
        case "sha256":
            value = "a hash that is not written in 64 lower-case hex digits (not shown)"
            remedy = "Write it as `crossdock key` prints it, in lower-case hex."
        case _:
            value, remedy = "a secret in the clear", "Put its hash or a reference here."
    return [
        ConfigFault(
            place=place,
            value=value,
            allowed="sha256:<64 lower-case hex digits>, env:NAME, file:/path",
            remedy=remedy,
        )
    ]


def is_there(path: str) -> bool:
    """Tell whether a file is there; what can be no path is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def secret_digest(secret: str) -> bytes:
    """Answer the SHA-256 digest a configured secret stands for; read a reference if it is one."""
    scheme, _, rest = secret.partition(":")
    match scheme:
        case "sha256":
            return bytes.fromhex(rest)
        case "env":
            return hashlib.sha256(os.environ[rest].encode()).digest()
        case "file":
            return hashlib.sha256(Path(rest).read_bytes().strip()).digest()
        case _:
            raise ConfigError(secret_faults("secrets", secret))


def reference(value: str) -> str:
    """Answer what `env:NAME` or `file:/path` refers to; anything else stands for itself."""
    scheme, _, rest = value.partition(":")
    match scheme:
        case "env":
            return os.environ[rest]
        case "file":
            return Path(rest).read_text(encoding="utf-8").strip()
        case _:
            return value


def hashed(secret: str) -> str:
    """Answer the configured form of a secret: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
