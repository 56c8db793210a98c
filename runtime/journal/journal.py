"""The journal: accepts processes, records signals, answers questions. See the package docstring."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec import Struct

from runtime.clock import Clock
from runtime.journal.crash_points import CrashPoints
from runtime.journal.incidents import Action, OpenedIncident
from runtime.journal.process import (
    Accepted, Entry, Lane, Process, ProcessType, Snapshot, Start, Term,
)
from runtime.journal.propagation import Subscriber
from runtime.store.engine import Store

# SIGNATURES FIRST: the bodies follow within the hour.

class Journal:
    def __init__(self, *, store: Store, types: Sequence[ProcessType[Any]], subscribers: Sequence[Subscriber] = (),
                 clock: Clock, random: Random, node: str, crash_points: CrashPoints) -> None: ...
    async def open(self) -> None: ...      # migrates, checks that every stored open process is understood, recovers leases of a dead predecessor
    async def accept(self, start: Start[Any]) -> Accepted: ...            # raises KeyReused(reference), StoreUnavailable
    async def signal(self, process_id: str, name: str, data: Mapping[str, Any], dedupe_key: str) -> SignalResult: ...   # RECORDED|DUPLICATE|TOO_LATE; UnknownProcess
    async def publish(self, source: str, message_id: str, *, signals: Sequence[SignalTo] = (), starts: Sequence[Start[Any]] = ()) -> Published: ...
    async def get(self, process_id: str) -> Process[Any]: ...             # UnknownProcess
    async def find(self, term: Term) -> Sequence[Snapshot]: ...           # also by reference: Term(kind="reference", ...)
    async def list(self, *, kind=None, consumer=None, state=None, lane=None, open_only=False, in_exception=False, cursor=None, limit=50) -> Page: ...
    async def timeline(self, process_id: str) -> Sequence[Entry]: ...
    async def wait_for(self, process_id: str, until: Collection[str] | Callable[[Process], bool], timeout: timedelta) -> Process[Any]: ...  # returns what it is at the time-out too
    async def incidents(self, *, open_only=True, category=None, process_id=None, cursor=None, limit=50) -> Sequence[OpenedIncident]: ...
    async def remedy(self, incident_id: str, action: Action, actor: str, amendment: Mapping[str, Any] | None = None) -> None: ...  # UnknownIncident, ActionNotAllowed; becomes Signal REMEDY
    async def append_audit(self, record: Mapping[str, Any]) -> int: ...
    async def claim(self, scope, key, fingerprint, *, lease, keep) -> Claim: ...   # Claimed | InFlight | Answered(status, headers, body) | FingerprintDiffers
    async def store_answer(self, scope, key, *, status, headers, body) -> None: ...
    async def release(self, scope, key) -> None: ...
    async def note(self, kind, key) -> bytes|None / async def set_note(kind, key, value: bytes)

class Worker:   # runtime/journal/worker.py
    def __init__(self, journal: Journal, *, concurrency: Mapping[Lane, int] = DEFAULT_CONCURRENCY, lease: timedelta = timedelta(seconds=10)) -> None: ...
    async def start(self) -> None: ...
    async def drain(self, within: timedelta = ...) -> None: ...
    def wake(self) -> None: ...

class Store:    # runtime/store/engine.py
    @classmethod
    def at(cls, url: str) -> Store     # "sqlite:////path/journal.db" or "postgresql+psycopg://..."
    def open(self) -> None; def close(self) -> None
    async def read(self, query: Callable[[Connection], T]) -> T
    async def write(self, job: Callable[[Connection], T]) -> T
