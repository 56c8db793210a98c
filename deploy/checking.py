"""Every fault of a configuration file at once, each with place, value, what is allowed, remedy.

The gateway's sections are checked against their published schema and the contracts; the other
sections name by name, so that a misspelt line is a fault and not a silent default.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.inspect import DictType, StructType, Type, UnionType, type_info

from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy.profile import SECRETS, Configuration, Settings, configuration, sandbox
from gateway.call import ConfigFault
from gateway.config import ConfigError, GatewayConfig, check, from_document
from gateway.routes import compile_documents

__all__ = ["faults_of"]

_GATEWAY: Final = frozenset(GatewayConfig.__struct_encode_fields__)


def faults_of(settings: Settings) -> list[ConfigFault]:
    """Answer every fault of the configuration that these settings name; none: it can be used.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        document = _document(settings)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [
            ConfigFault(
                place=str(settings.config),
                value=str(error),
                allowed="TOML 1.0 in UTF-8",
                remedy="Correct that line.",
            )
        ]
    faults = _gateway_faults({k: v for k, v in document.items() if k in _GATEWAY})
    rest = {key: value for key, value in document.items() if key not in _GATEWAY}
    faults += _unknown_names(rest, type_info(Configuration), "", also=_GATEWAY)
    if settings.config is not None:
        systems = rest.get("systems")
        faults += _secret_faults(systems if isinstance(systems, dict) else {})
    return faults or _last_faults(settings)


def _document(settings: Settings) -> dict[str, Any]:
    if settings.config is None:
        return sandbox(settings)
    return tomllib.loads(settings.config.read_text(encoding="utf-8"))


def _gateway_faults(document: Mapping[str, Any]) -> list[ConfigFault]:
    try:
        made = from_document(document)
    except ConfigError as error:
        return list(error.faults)
    return check(made, compile_documents([blessed(api) for api in supported()]))


def _unknown_names(
    value: Any, expected: Type, place: str, *, also: frozenset[str] = frozenset()
) -> list[ConfigFault]:
    """Compare names with those of the structs that the section is read into."""
    faults = []
    for kind in expected.types if isinstance(expected, UnionType) else (expected,):
        if isinstance(kind, DictType) and isinstance(value, dict):
            for name, each in value.items():
                faults += _unknown_names(each, kind.value_type, f"{place}{name}.")
        if isinstance(kind, StructType) and isinstance(value, dict):
            fields = {field.encode_name: field.type for field in kind.fields}
            for name, each in value.items():
                if name in fields:
                    faults += _unknown_names(each, fields[name], f"{place}{name}.")
                else:
                    faults.append(_unknown(f"{place}{name}", name, sorted({*fields, *also})))
    return faults


def _unknown(place: str, name: str, allowed: list[str]) -> ConfigFault:
    near = get_close_matches(name, allowed, n=1)
    return ConfigFault(
        place=place,
        value="no such name",
        allowed=", ".join(allowed),
        nearest=near[0] if near else None,
        remedy="Correct or remove it.",
    )


def _secret_faults(systems: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """Secrets are references that can be followed; their value is never repeated."""
    for system, section in systems.items():
        for name in [each for each in SECRETS if isinstance(section, dict) and each in section]:
            value = section[name]
            for reference in value if isinstance(value, list) else [value]:
                fault = _reference_fault(str(reference))
                if fault is not None:
                    yield ConfigFault(
                        place=f"systems.{system}.{name}",
                        value=fault,
                        allowed="env:NAME, file:/path",
                        remedy="Refer to a secret that is there before the start.",
                    )


def _reference_fault(reference: str) -> str | None:
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        return None if name in os.environ else f"{reference} is not set"
    if scheme == "file":
        return None if Path(name).is_file() else f"{reference} does not exist"
    return "a secret in the clear"


def _last_faults(settings: Settings) -> list[ConfigFault]:
    """What only reading it all shows: values of the wrong type, sections that are missing."""
    try:
        return _channel_faults(configuration(settings))
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at ")
        return [
            ConfigFault(
                place=place.strip("`").removeprefix("$.") or "the file",
                value=said,
                allowed="see docs/configuration.md",
                remedy="Add or correct it.",
            )
        ]


def _channel_faults(configured: Configuration) -> list[ConfigFault]:
    """A consumer may sell only through a channel whose policy is known."""
    sales, known = configured.sales, sorted(configured.orders.channels)
    named = {f"sales.channels.{consumer}": channel for consumer, channel in sales.channels.items()}
    named["sales.channel"] = sales.channel
    named["sales.agreed_prices_channel"] = sales.agreed_prices_channel
    return [
        ConfigFault(
            place=place,
            value=f"{channel!r} is no channel",
            allowed=", ".join(known),
            nearest=next(iter(get_close_matches(channel, known, n=1)), None),
            remedy="Name one of these, or describe it under orders.channels.",
        )
        for place, channel in named.items()
        if channel not in known
    ]
