"""What the system is run with: the environment, and `crossdock.toml` or the sandbox profile.

`Settings` are the few things a process must know before it can read anything. `Configuration` is
everything else, in the sections of `crossdock.toml`; the sandbox profile is the same document, made
here, with development clients and the addresses of the vendor simulators.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from deploy.addresses import Addresses, handed_in
from deploy.needs import PROMISE_KEY, SECRETS, Part, needed
from experience_apis.sales.settings import SalesSettings
from gateway.config import ConfigError, GatewayConfig, from_document, hashed, plain
from gateway.config import reference as resolve
from process_apis.inventory.settings import InventorySettings
from process_apis.pricing_credit.settings import PricingSettings
from process_apis.propagation.settings import PropagationSettings
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.reconciliation.settings import ReconciliationSettings
from runtime.budget import Allowance, Bucket, Window
from runtime.tracing import TelemetrySettings
from system_apis.crm.salesforce.settings import SalesforceSettings
from system_apis.erp.business_central.settings import BusinessCentralSettings
from system_apis.wms.shiphero.settings import ShipHeroSettings

BUSINESS_CENTRAL: Final = Allowance(
    windows=(Window(limit=6000, seconds=300, ahead_seconds=1.0),), concurrency=5
)
"""Per user: 6,000 requests in any five minutes, five running at once."""
SHIPHERO: Final = Allowance(
    windows=(Window(limit=7000, seconds=300),), bucket=Bucket(capacity=4004, restore=60)
)
"""Per account: 4,004 credits restored at 60 a second, and 7,000 requests in any five minutes."""
SALESFORCE: Final = Allowance(daily=100_000, concurrency=25)
"""Per org: the 24-hour allocation, which the answers' own header corrects, and 25 long calls."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told by its environment and command line."""

    port: int = 8080
    sandbox_port: int = 8090
    data: Path = Path(".crossdock")
    config: Path | None = None
    """A `crossdock.toml`; without one the sandbox profile is run."""
    limits: bool = True
    """Whether the documented limits of the sandbox's vendors are kept."""
    store_url: str | None = None
    """Where the journal is, whatever the configuration says."""
    redis_url: str | None = None
    """Where what processes share for a while is, whatever the configuration says."""
    host: str = "127.0.0.1"
    """The address listened at."""
    descriptor: int | None = None
    """A listening socket that was handed in, which counts instead of address and port."""
    node: str = "crossdock"
    """Names this process among others on one store, and its audit chain."""
    crash_at: str | None = None
    """For campaigns: `point:n`, where the process kills itself."""
    part: Part | None = None
    """What this process runs, once that is known: it needs the secrets of no other part."""

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Read `CROSSDOCK_*`; what is given here wins over it."""
        addresses = Addresses.from_environment()
        config = os.environ.get("CROSSDOCK_CONFIG")
        told: dict[str, Any] = {
            "port": addresses.port,
            "sandbox_port": addresses.sandbox_port,
            "data": addresses.data,
            "config": Path(config) if config else None,
            "limits": os.environ.get("CROSSDOCK_SANDBOX_LIMITS", "on") != "off",
            "store_url": os.environ.get("CROSSDOCK_STORE_URL"),
            "redis_url": os.environ.get("CROSSDOCK_REDIS_URL"),
            "host": os.environ.get("CROSSDOCK_HOST", "127.0.0.1"),
            "descriptor": handed_in(os.environ, os.getpid()),
            "node": os.environ.get("CROSSDOCK_NODE", "crossdock"),
            "crash_at": os.environ.get("CROSSDOCK_CRASH_AT"),
        }
        return cls(**told | {key: value for key, value in overrides.items() if value is not None})


class Systems(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The systems behind the company's tiers, and what each account allows."""

    business_central: BusinessCentralSettings
    salesforce: SalesforceSettings
    shiphero: ShipHeroSettings
    allowances: Mapping[str, Allowance] = msgspec.field(
        default_factory=lambda: {
            "business_central": BUSINESS_CENTRAL,
            "salesforce": SALESFORCE,
            "shiphero": SHIPHERO,
        }
    )


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the journal is kept. Without `url`, in SQLite in the data directory.

    `url` holds no password: one that does is referred to (`env:NAME`, `file:/path`).
    """

    url: str | None = None


class Tiers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the tiers are that run as processes of their own, as `http://host:port`.

    A tier without an address is part of the process that needs it.
    """

    system: str | None = None
    process: str | None = None
    experience: str | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the system is run with. Secrets are resolved; it is never logged."""

    gateway: GatewayConfig
    systems: Systems | None = None
    """May be missing where `tiers.system` says that the connectors are in another process."""
    store: StoreSettings = StoreSettings()
    tiers: Tiers = Tiers()
    promise_key: str | None = None
    """Signs promises; all processes that take or give them need the same. A reference; without one
    each data directory has a key of its own."""
    pricing: PricingSettings = PricingSettings()
    inventory: InventorySettings = InventorySettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    orders: OrderSettings = OrderSettings()
    propagation: PropagationSettings = PropagationSettings()
    sales: SalesSettings = SalesSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    def __repr__(self) -> str:
        return f"<Configuration of {self.gateway.gateway.public_url}>"

    def connected(self) -> Systems:
        """Answer the systems, for whoever has their connectors and cannot do without.

        Raises:
            gateway.config.ConfigError: there are none.
        """
        if self.systems is None:
            from deploy.faults import missing_systems  # noqa: PLC0415  # it reads the schema of us

            raise ConfigError(missing_systems({}, "system"))
        return self.systems

    @property
    def warehouse_secrets(self) -> tuple[str, ...]:
        """What the warehouse's messages are signed with, as far as it is configured."""
        return () if self.systems is None else self.systems.shiphero.webhook_secrets


_GATEWAY_SECTIONS: Final = frozenset(GatewayConfig.__struct_encode_fields__)


def configuration(settings: Settings) -> Configuration:
    """Read the whole configuration, with the secrets that the part of these settings needs.

    Those it does not need are empty, whatever the file refers to.

    Raises:
        gateway.config.ConfigError: the gateway's sections are faulty; it carries every fault.
        msgspec.ValidationError: another section is faulty; the message names the place.
    """
    document = (
        tomllib.loads(settings.config.read_text(encoding="utf-8"))
        if settings.config is not None
        else sandbox(settings)
    )
    document = plain(located(document, settings))
    gateway = {key: value for key, value in document.items() if key in _GATEWAY_SECTIONS}
    if settings.redis_url is not None:
        gateway["gateway"] = {**gateway.get("gateway", {}), "redis": settings.redis_url}
    rest = {key: value for key, value in document.items() if key not in _GATEWAY_SECTIONS}
    names = needed(settings.part, document)
    if isinstance(rest.get("systems"), dict):
        rest["systems"] = {k: _resolved(section, names) for k, section in rest["systems"].items()}
    if settings.store_url is not None:
        rest["store"] = {**rest.get("store", {}), "url": settings.store_url}
    store = rest.get("store")
    if isinstance(store, dict) and isinstance(store.get("url"), str):
        rest["store"] = {**store, "url": resolve(store["url"])}
    if PROMISE_KEY not in names:
        rest.pop(PROMISE_KEY, None)
    elif isinstance(rest.get(PROMISE_KEY), str):
        rest[PROMISE_KEY] = resolve(rest[PROMISE_KEY])
    return msgspec.convert({**rest, "gateway": from_document(gateway)}, Configuration, strict=True)


def located(document: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Let the contracts of services be found from where the configuration file is."""
    services = document.get("services")
    if settings.config is None or not isinstance(services, dict):
        return dict(document)
    here = settings.config.parent

    def found(section: Any) -> Any:
        if not isinstance(section, dict) or not isinstance(section.get("contract"), str):
            return section  # refused with its place
        return {**section, "contract": str(here / section["contract"])}

    return {**document, "services": {name: found(each) for name, each in services.items()}}


def _resolved(section: Any, names: frozenset[str]) -> Any:
    """Replace references of the secrets with these names by what they refer to, others by none."""
    if not isinstance(section, dict):
        return section  # refused with its place when all is read
    made = dict(section)
    for name in SECRETS:
        value = made.get(name)
        if isinstance(value, str):
            made[name] = resolve(value) if name in names else ""
        elif isinstance(value, list):
            made[name] = [resolve(each) for each in value if name in names]
    return made


# -- the sandbox profile --------------------------------------------------------------------------

_SALES: Final = (
    "pricing:read", "credit:read", "tax:read", "stock:read", "quotes:validate",
    "orders:write", "orders:read", "customers:read",
)  # fmt: skip
_PARTNER: Final = ("pricing:read", "stock:read", "orders:write", "orders:read")
_INNER: Final = (
    "process:pricing-credit", "process:inventory:read", "process:inventory:write",
    "process:reconciliation:read", "process:reconciliation:write",
    "process:journal:read", "process:journal:write",
    "process:orders:read", "process:orders:write", "process:orders:approve", "system:erp:read",
    "system:erp:write", "system:crm:read", "system:crm:write", "system:wms:read",
    "system:wms:write", "system:tax:read",
    "system:accounts:read", "system:accounts:write",
)  # fmt: skip
_OPERATIONS: Final = ("operations:read", "operations:write", "orders:approve")
CLIENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "crm": {"scopes": _SALES, "accounts": "*", "plan": "internal"},
    "partner-acme": {"scopes": _PARTNER, "accounts": ("cust_20001",), "plan": "partner"},
    "partner-globex": {"scopes": _PARTNER, "accounts": ("cust_20005",), "plan": "partner"},
    "operator": {"scopes": (*_SALES, *_OPERATIONS, *_INNER), "accounts": "*", "plan": "internal"},
    "order-file": {
        "scopes": ("orders:write", "orders:read", "orders:agreed-prices", "operations:read"),
        "accounts": "*",
        "plan": "unlimited",
    },
}
"""The development clients; each one's secret is `<client>-dev-secret`."""


def sandbox(settings: Settings) -> dict[str, Any]:
    """Make the sandbox profile: what a `crossdock.toml` for the simulators would say."""
    from deploy.sandbox import credentials  # noqa: PLC0415  # only this profile knows a simulator

    vendors = f"http://127.0.0.1:{settings.sandbox_port}"
    return {
        "gateway": {
            "public_url": f"http://127.0.0.1:{settings.port}",
            "issuer": {"enabled": True},
        },
        "plans": {
            "internal": _plan(20_000),
            "partner": _plan(600),
            "unlimited": {},
            "standard": _plan(600),
        },
        "clients": {name: _client(name, said) for name, said in CLIENTS.items()},
        "systems": {
            "business_central": {
                "base_url": f"{vendors}/business_central",
                "token_url": f"{vendors}/business_central",
                "tenant": credentials.TENANT_ID,
                "environment": credentials.ENVIRONMENT,
                "company": "Crossdock Trading",
                "client_id": credentials.APP_ID,
                "client_secret": credentials.APP_SECRET,
                "webhook_secrets": [credentials.CLIENT_SECRET],
            },
            "salesforce": {
                "base_url": f"{vendors}/salesforce",
                "client_id": credentials.CLIENT_ID,
                "client_secret": credentials.CLIENT_SECRET,
                "organization_id": credentials.ORGANIZATION_ID,
            },
            "shiphero": {
                "base_url": f"{vendors}/shiphero",
                "username": credentials.CLIENT_ID,
                "password": credentials.CLIENT_SECRET,
                "webhook_secrets": [credentials.CLIENT_SECRET],
            },
            **({} if settings.limits else {"allowances": {}}),
        },
    }


def _plan(a_minute: int) -> dict[str, Any]:
    """A plan of so many calls a minute in each class, spread by a tenth of it in any second."""
    windows = [{"quota": a_minute, "seconds": 60}, {"quota": max(a_minute // 10, 60), "seconds": 1}]
    return dict.fromkeys(("checks", "orders", "reads", "operations", "services"), windows)


def _client(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    accounts = said["accounts"]
    return {
        "secrets": [hashed(f"{name}-dev-secret")],
        "scopes": list(said["scopes"]),
        "accounts": accounts if accounts == "*" else list(accounts),
        "plan": said["plan"],
    }
