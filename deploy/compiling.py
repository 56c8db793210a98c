"""The gateway compiled as a start compiles it, over nothing: policies to ask, not to use."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import ApiVersion, retired, supported
from gateway.application import Gateway
from gateway.config import GatewayConfig
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.records import AccessRecord
from gateway.routes import Lifecycle
from runtime.clock import Clock, SystemClock

__all__ = ["alone", "compiled", "gone"]

log = logging.getLogger("crossdock.check")


def compiled(configured: GatewayConfig, *, clock: Clock | None = None) -> Gateway:
    """Build it without any effect; it is never started.

    Raises:
        gateway.config.ConfigError: with every fault that the policies find.
    """
    return build_gateway(
        [blessed(api) for api in supported()],
        configured,
        {api.path.removeprefix("/"): _Nowhere() for api in supported()},
        _Nothing(),
        records=_Nobody(),
        data=Path(tempfile.gettempdir()),  # nothing is read there before a start
        clock=clock or SystemClock(),
        fetch=_fetch,
        retired=gone(),
    )


def alone(configured: GatewayConfig) -> GatewayConfig:
    """Answer the configuration without what it shares with other gateways."""
    gateway = msgspec.structs.replace(configured.gateway, redis=None)
    return msgspec.structs.replace(configured, gateway=gateway)


def gone() -> dict[str, Lifecycle]:
    """Answer the versions that are gone, by their path: since when, and what took their place."""
    return {api.path.removeprefix("/"): _stage_of(api) for api in retired()}


def _stage_of(api: ApiVersion) -> Lifecycle:
    return Lifecycle(
        state="sunset",
        deprecated_at=None if api.deprecated_on is None else api.deprecated_on.isoformat(),
        sunset_at=None if api.sunset_on is None else api.sunset_on.isoformat(),
        successor=api.successor,
    )


class _Nowhere:
    """Stands for any upstream: it is never called."""

    async def __call__(self, _scope: Any, _receive: Any, _send: Any, /) -> None:
        raise AssertionError

    async def upgraded(self, _scope: Any, /, *, largest_bytes: int) -> None:
        raise AssertionError(largest_bytes)


async def _fetch(url: str) -> bytes:
    raise OSError(url)


class _Nothing:
    """Keeps nothing: nothing is ever called."""

    async def load_answer(self, _scope: str, _key: str, /) -> StoredAnswer | None:
        return None

    async def store_answer(self, _scope: str, _key: str, _answer: StoredAnswer, /) -> None:
        raise AssertionError

    async def append_audit(self, _entry: AuditEntry, /) -> None:
        raise AssertionError


class _Nobody:
    """Is told nothing."""

    def access(self, _record: AccessRecord, /) -> None:
        raise AssertionError

    def event(self, name: str, **fields: Any) -> None:
        log.debug(name, extra=fields)
