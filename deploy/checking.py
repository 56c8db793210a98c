"""Every fault of a configuration file at once, each with place, value, what is allowed, remedy.

First the form, against the published schema (`deploy.schema`); then what the form cannot show:
names that name nothing, references that lead nowhere, settings that contradict each other or the
contracts. A fault of form does not hide the others: what is wrong is left out, the rest is judged.
"""

import copy
import tomllib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy.faults import formal, secret_faults
from deploy.profile import Settings, configuration, located, sandbox
from deploy.schema import schema
from experience_apis.sales.settings import SalesSettings
from gateway.call import ConfigFault
from gateway.config import ConfigError, GatewayConfig, check, from_document, plain
from gateway.faults import Checker, nearest
from gateway.mounting import mount
from gateway.routes import compile_documents
from process_apis.quote_to_order.settings import OrderSettings

__all__ = ["faults_of"]

_STORES: Final = ("postgresql+psycopg", "sqlite")
_GATEWAY: Final = frozenset(GatewayConfig.__struct_encode_fields__)


def faults_of(settings: Settings, *, thorough: bool = False) -> list[ConfigFault]:
    """Answer every fault of the configuration that these settings name; none: it can be used.

    `thorough` also compiles the gateway, as a start does, and asks every policy; it takes a second.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        told = plain(_document(settings))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [
            ConfigFault(
                place=str(settings.config),
                value=str(error),
                allowed="TOML 1.0 in UTF-8",
                remedy="Correct that line.",
            )
        ]
    whole = schema()
    found = Checker(whole).faults(told)
    faults = [formal(fault, told, whole) for fault in found]
    judged = located(_without(told, [fault.pointer for fault in found]), settings)
    faults += _gateway_faults({k: v for k, v in judged.items() if k in _GATEWAY})
    if settings.config is not None:
        faults += secret_faults(judged)
    faults += _channel_faults(judged)
    faults += _address_faults(judged)
    if not faults:
        faults = _last_faults(settings, thorough=thorough)
    return sorted(faults, key=lambda fault: fault.place)


def _document(settings: Settings) -> dict[str, Any]:
    if settings.config is None:
        return sandbox(settings)
    return tomllib.loads(settings.config.read_text(encoding="utf-8"))


def _without(told: Mapping[str, Any], pointers: list[str]) -> dict[str, Any]:
    """Leave out what is wrong, the last of a list first; what is missing is missing already."""
    kept: dict[str, Any] = copy.deepcopy(dict(told))
    for pointer in sorted(set(pointers), reverse=True):
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
        node: Any = kept
        for part in path[1:]:
            node = node[int(part)] if isinstance(node, list) else node.get(part, {})
        if isinstance(node, list):
            del node[int(last)]
        elif isinstance(node, dict):
            node.pop(last, None)
    return kept


def _gateway_faults(document: Mapping[str, Any]) -> list[ConfigFault]:
    try:
        made = from_document(document)
    except ConfigError:
        return []  # what is left lacks something that has been told already
    ours = compile_documents([blessed(api) for api in supported()])
    mounted = mount(made.services, ours)
    return [*mounted.faults, *check(made, (*ours, *mounted.operations), mounted.scopes)]


def _channel_faults(judged: Mapping[str, Any]) -> list[ConfigFault]:
    """A consumer may sell only through a channel whose policy is known."""
    try:
        known = sorted(msgspec.convert(judged.get("orders", {}), OrderSettings).channels)
        sales = msgspec.convert(judged.get("sales", {}), SalesSettings)
    except msgspec.ValidationError:
        return []  # told by its form
    named = {f"sales.channels.{consumer}": channel for consumer, channel in sales.channels.items()}
    named["sales.channel"] = sales.channel
    named["sales.agreed_prices_channel"] = sales.agreed_prices_channel
    return [
        ConfigFault(
            place=place,
            value=f"{channel!r} is no channel",
            allowed=", ".join(known),
            nearest=nearest(channel, known),
            remedy="Name one of these, or describe it under orders.channels.",
        )
        for place, channel in named.items()
        if channel not in known
    ]


def _address_faults(judged: Mapping[str, Any]) -> list[ConfigFault]:
    """Tiers and the store are found by addresses of a certain kind."""
    faults = [
        ConfigFault(
            place=f"tiers.{tier}",
            value=f"{address!r} is no address of a tier",
            allowed="http://host:port or https://host:port",
            remedy="Write where that tier is served (crossdock serve).",
        )
        for tier, address in judged.get("tiers", {}).items()
        if urlsplit(address).scheme not in {"http", "https"} or not urlsplit(address).netloc
    ]
    kind = str(judged.get("store", {}).get("url", "sqlite:")).partition(":")[0]
    if kind not in _STORES:
        faults.append(
            ConfigFault(
                place="store.url",
                value=f"an address of {kind}",
                allowed=" or ".join(f"{each}://..." for each in _STORES),
                nearest=nearest(kind, _STORES),
                remedy="Name a store of these kinds, or remove the line.",
            )
        )
    return faults


def _last_faults(settings: Settings, *, thorough: bool) -> list[ConfigFault]:
    """What only reading it all shows: values that a rule of their own refuses."""
    try:
        configured = configuration(settings)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at ")
        return [
            ConfigFault(
                place=place.strip("`").removeprefix("$.") or "the file",
                value=said,
                allowed="see docs/configuration.md",
                remedy="Correct it.",
            )
        ]
    return _compiled_faults(configured.gateway) if thorough else []


def _compiled_faults(configured: GatewayConfig) -> list[ConfigFault]:
    """What the policies say when they are compiled for the contracts there are."""
    from deploy.compiling import compiled  # noqa: PLC0415  # only the thorough check waits for it

    try:
        compiled(configured)
    except ConfigError as error:
        return list(error.faults)
    return []
