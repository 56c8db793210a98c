"""The gateway compiled as a start compiles it, over nothing: policies to ask, not to use."""

import logging
import tempfile
from math import inf
from pathlib import Path
from typing import Any

from contracts.governance.openapi import blessed
from contracts.versions import supported
from gateway.application import Gateway
from gateway.call import Consumer
from gateway.config import Client, GatewayConfig
from gateway.gateway import build_gateway
from gateway.keep import AuditEntry, StoredAnswer
from gateway.records import AccessRecord
from runtime.clock import Clock, SystemClock

__all__ = ["compiled", "consumer_of"]

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
    )


def consumer_of(name: str, client: Client) -> Consumer:
    """The client as the gateway would know it after verifying a token with all its scopes."""
    return Consumer(
        name=name,
        subject=name,
        scopes=frozenset(client.scopes),
        accounts=None if client.accounts == "*" else client.accounts,
        plan=client.plan,
        expires=inf,
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
