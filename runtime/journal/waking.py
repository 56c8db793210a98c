"""Wake-ups between the programs on one shared store.

A program that writes what another may be waiting for announces it, at most twenty times a second
however much it writes. Announcements follow their commit and may get lost; everybody also looks
at the store by itself, often while nothing can be heard and seldom otherwise.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, text

from runtime.store.engine import Store
from runtime.store.faults import StoreClosed

log = logging.getLogger("crossdock.journal")

CHANNEL = "crossdock_journal"
GAP = 0.05
"""Seconds between two announcements of one program."""

MOST_IDS = 250
"""More do not fit into one announcement (8,000 bytes); then it says "look at all of yours"."""

POLL = timedelta(milliseconds=500)
"""How often a shared store is looked at while nothing can be heard of it."""

SELDOM = 4
"""How much longer the pauses are while announcements are heard."""


class _Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    by: str
    work: bool = False
    deliveries: bool = False
    changed: tuple[str, ...] | None = ()
    """Processes that changed; None when there are too many to name."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Notice).decode
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


def _announce(connection: Connection, batch: Sequence[str]) -> Sequence[None]:
    for payload in batch:
        connection.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})
    return [None] * len(batch)


class Waking:
    """Announces to, and hears from, the other programs on the store. On SQLite it does nothing.

    `on_work`, `on_deliveries` and `on_changed` are called with what another program announced;
    `on_changed` gets the ids of processes, or None when any may have changed.
    """

    def __init__(
        self,
        store: Store,
        *,
        by: str,
        poll: timedelta,
        on_work: Callable[[], None],
        on_deliveries: Callable[[], None],
        on_changed: Callable[[Collection[str] | None], None],
    ) -> None:
        self._store = store
        self._by = by
        self._poll = poll.total_seconds()
        self._on_work = on_work
        self._on_deliveries = on_deliveries
        self._on_changed = on_changed
        self._work = False
        self._deliveries = False
        self._changed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = 0.0

    @property
    def pause(self) -> float:
        """How many seconds a shared store may be left alone by who waits for another program."""
        return self._poll * (SELDOM if self._store.is_hearing else 1)

    def start(self) -> None:
        """Begin to hear. It ends with the store."""
        if not self._store.is_exclusive:
            self._store.listen(CHANNEL, self._heard)

    def tell_work(self) -> None:
        """Something is due that nobody here has a lease of."""
        self._work = True
        self._stir()

    def tell_deliveries(self) -> None:
        """Events were committed and nobody here delivers."""
        self._deliveries = True
        self._stir()

    def tell_changed(self, process_id: str) -> None:
        """A process changed; somebody elsewhere may be waiting for it."""
        if not self._store.is_exclusive:
            self._changed.add(process_id)
            self._stir()

    async def tell_of_release(self) -> None:
        """Leases were given back by a program that is about to end: announced before it does."""
        if self._store.is_exclusive:
            return
        self._work = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(self._send(), return_exceptions=True)

    def _stir(self) -> None:
        if self._timer is not None or self._store.is_exclusive:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self._sent_at + GAP - loop.time()), self._send)

    def _send(self) -> asyncio.Future[None]:
        changed = tuple(self._changed) if len(self._changed) <= MOST_IDS else None
        notice = _Notice(by=self._by, work=self._work, deliveries=self._deliveries, changed=changed)
        self._timer, self._work, self._deliveries = None, False, False
        self._changed.clear()
        self._sent_at = asyncio.get_running_loop().time()
        try:
            written = self._store.submit(_announce, _encode(notice).decode())
        except StoreClosed as closed:
            written = asyncio.get_running_loop().create_future()
            written.set_exception(closed)
        written.add_done_callback(_told)
        return written

    def _heard(self, payload: str | None) -> None:
        if payload is None:
            self._on_work()
            self._on_changed(None)
            return
        notice = _decode(payload)
        if notice.by == self._by:
            return
        if notice.work:
            self._on_work()
        if notice.deliveries:
            self._on_deliveries()
        if notice.changed is None or notice.changed:
            self._on_changed(notice.changed)


def _told(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (failure := written.exception()) is not None:
        # They look by themselves: it costs them a moment.
        log.info("announcement_lost", extra={"failure": type(failure).__name__})
