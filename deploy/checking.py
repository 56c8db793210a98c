"""Every fault of a configuration file at once, each with place, value, what is allowed, remedy.

First the form, against the published schema (`deploy.schema`); then what the form cannot show:
names that name nothing, references that lead nowhere, settings that contradict each other or the
contracts. A fault of form does not hide the others: what is wrong is left out, the rest is judged.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import supported
from deploy.endpoints import address_faults, own_address_faults
from deploy.faults import elsewhere, formal, missing_systems, place_of, secret_faults
from deploy.legible import MOST_FAULTS, Legible, blanked, leaves, legible, path_of, unwritable
from deploy.profile import Settings, located, sandbox
from deploy.schema import schema
from experience_apis.sales.settings import SalesSettings
from gateway.addresses import without_passwords
from gateway.call import ConfigFault
from gateway.checking import check
from gateway.config import ConfigError, GatewayConfig, from_document, plain
from gateway.config import secret_faults as hashed_faults
from gateway.faults import Checker, nearest
from gateway.gaps import NO_GAPS, Gaps
from gateway.mounting import mount
from gateway.routes import Operation, compile_documents
from process_apis.quote_to_order.settings import OrderSettings

__all__ = ["absent_here", "faults_of"]

_GATEWAY: Final = frozenset(GatewayConfig.__struct_encode_fields__)


def faults_of(settings: Settings, *, thorough: bool = False) -> list[ConfigFault]:
    """Answer every fault of the configuration that these settings name; none: it can be used.

    `thorough` also compiles the gateway, as a start does, and asks every policy; it takes a second.
    With `settings.part` the file is judged for that part, which needs its own secrets alone;
    without, a secret of a part that may run elsewhere is no fault (`absent_here` tells of it).

    Raises:
        OSError: the file cannot be read.
    """
    try:
        written = _document(settings)
        odd = dict(unwritable(written))
    except (ValueError, RecursionError) as error:
        return [
            ConfigFault(
                place=str(settings.config),
                value=str(error),
                allowed="TOML 1.0 in UTF-8",
                remedy="Correct that line.",
            )
        ]
    told = plain(blanked(written, odd))
    whole, checker = _form()
    found = checker.faults(told, MOST_FAULTS)
    faults = [_odd(path, said, "64 bits, and 16 levels") for path, said in odd.items()]
    faults += [formal(each, told, whole) for each in found if path_of(each.pointer) not in odd]
    faults += missing_systems(told, settings.part)
    read = legible(located(told, settings), found, checker)
    faults += _meaning_faults(read, settings, thorough=thorough)
    if settings.config is not None:
        faults += secret_faults(told, settings.part)
    return sorted(dict.fromkeys(map(_discreet, faults)), key=lambda fault: fault.place)


@cache
def _form() -> tuple[dict[str, Any], Checker]:
    """The published schema, and itself compiled."""
    whole = schema()
    return whole, Checker(whole)


@cache
def _ours() -> tuple[Operation, ...]:
    """The operations of our own contracts."""
    return tuple(compile_documents([blessed(api) for api in supported()]))


def absent_here(settings: Settings) -> list[str]:
    """Answer, for a file without fault, which secrets only parts on other machines must have."""
    return list(elsewhere(_document(settings)))


def _document(settings: Settings) -> dict[str, Any]:
    if settings.config is None:
        return sandbox(settings)
    return tomllib.loads(settings.config.read_text(encoding="utf-8"))


def _discreet(fault: ConfigFault) -> ConfigFault:
    """What stands there is repeated, but no password of an address, wherever it was written."""
    return msgspec.structs.replace(
        fault,
        value=without_passwords(fault.value),
        allowed=without_passwords(fault.allowed),
        nearest=fault.nearest and without_passwords(fault.nearest),
    )


def _meaning_faults(read: Legible, settings: Settings, *, thorough: bool) -> Iterator[ConfigFault]:
    """What the form cannot show, of everything that can be read."""
    for path, said in read.odd:
        yield _odd(path, said)
    yield from _left_out_secrets(read)
    yield from (
        fault
        for fault in (
            *_channel_faults(read.document, read.gaps),
            *address_faults(
                read.document, store_url=settings.store_url, redis_url=settings.redis_url
            ),
        )
        if not read.gaps.hold(fault.place)
    )
    gateway = from_document({k: v for k, v in read.document.items() if k in _GATEWAY})
    faults = _gateway_faults(gateway, read.gaps)
    yield from faults
    # Compiled is only what is whole: else what was left out would be missed there.
    if thorough and not faults and not (read.gaps.paths and _gateway_faults(gateway, NO_GAPS)):
        yield from (fault for fault in _compiled_faults(gateway) if not read.gaps.hold(fault.place))


def _odd(
    path: tuple[str, ...], said: str, allowed: str = "see docs/configuration.md"
) -> ConfigFault:
    """Say a value that no schema refuses, but a rule of its own or of TOML does."""
    return ConfigFault(
        place=place_of(list(path)),
        value=said,
        allowed=allowed,
        remedy="Correct it.",
    )


def _left_out_secrets(read: Legible) -> Iterator[ConfigFault]:
    """A secret in the clear is told even if something else is wrong with the list it stands in."""
    for path, node in read.left:
        for place, value in leaves(path, node):
            match place:
                case ("clients", name, "secrets", *_) if isinstance(value, str):
                    yield from hashed_faults(f"clients.{name}.secrets", value)
                case ("clients", _, "keys", _, "secret") if isinstance(value, str):
                    yield from hashed_faults(place_of(list(place)), value)


def _gateway_faults(made: GatewayConfig, gaps: Gaps) -> list[ConfigFault]:
    ours = _ours()
    mounted = mount(made.services, ours, gaps)
    unread = gaps.beside(("services", name, "contract") for name in mounted.unread)
    return [
        *mounted.faults,
        *(each for each in own_address_faults(made, gaps) if not gaps.hold(each.place)),
        *check(made, (*ours, *mounted.operations), mounted.scopes, unread),
    ]


def _channel_faults(read: Mapping[str, Any], gaps: Gaps) -> list[ConfigFault]:
    """A consumer may sell only through a channel whose policy is known."""
    if gaps.at("orders", "channels"):
        return []
    channels = msgspec.convert(read.get("orders", {}), OrderSettings).channels
    known = sorted({*channels, *gaps.names("orders", "channels")})
    sales = msgspec.convert(read.get("sales", {}), SalesSettings)
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


def _compiled_faults(configured: GatewayConfig) -> list[ConfigFault]:
    """What the policies say when they are compiled for the contracts there are."""
    from deploy.compiling import compiled  # noqa: PLC0415  # only the thorough check waits for it

    try:
        compiled(configured)
    except ConfigError as error:
        return list(error.faults)
    return []
