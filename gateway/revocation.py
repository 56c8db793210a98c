"""What has been withdrawn before its time: clients, keys, certificates, single tokens.

One entry a line in a file of the data directory, appended and read again within a second by every
process that shares it; through Redis, where there is one, to every gateway. The newest entry of a
subject counts, so entries may arrive in any order and any number of times. Each gateway keeps what
it has learnt from Redis in its own file: Redis gone or emptied, nothing is forgotten.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec

from gateway.records import Records
from runtime.clock import Clock

EVERY_SECONDS: Final = 1.0
"""How often file and Redis are looked at; what goes from one to the other takes two looks."""
_COMPACT_BYTES: Final = 1024 * 1024
_KEYS: Final = [
    f"{{crossdock:revocations}}:{each}" for each in ("entries", "revisions", "state", "ends")
]

PUT: Final = """
-- The newest entry of a subject counts. Every change has a revision, so that readers ask for what
-- is new; entries past their time are dropped a hundred at a time.
local time = redis.call('TIME')
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and cjson.decode(held)['at'] >= tonumber(ARGV[2]) then return 0 end
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('HSET', KEYS[3], 'generation', time[1] .. '.' .. time[2], 'revision', 0)
end
local revision = redis.call('HINCRBY', KEYS[3], 'revision', 1)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], revision, ARGV[1])
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[4], ARGV[1])
else
  redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
end
for _, subject in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', time[1], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], subject)
  redis.call('ZREM', KEYS[2], subject)
  redis.call('ZREM', KEYS[4], subject)
end
return revision
"""

READ: Final = """
-- The next five hundred after a revision; from the start when the reader knew another generation.
local generation = redis.call('HGET', KEYS[3], 'generation') or ''
local after = ARGV[1] == generation and ARGV[2] or '0'
local answer = {generation, after}
local found = redis.call(
  'ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, 500)
for i = 1, #found, 2 do
  answer[2] = found[i + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[1], found[i]) or ''
end
return answer
"""

Kind = Literal["client", "key", "certificate", "token"]


def subject_of(kind: Kind, name: str) -> str:
    """Answer how an entry names what it withdraws: `client:crm`, `token:<issuer> <jti>`."""
    return f"{kind}:{name}"


def token_subject(issuer: str, token_id: str) -> str:
    """Answer the subject of one token; its `jti` is unique within its issuer (RFC 7519)."""
    return subject_of("token", f"{issuer} {token_id}")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One withdrawal, or its lifting. Times are epoch seconds; without `until` it holds for good.

    `until` of a token is its own expiry, after which it is refused anyway.
    """

    subject: str
    at: float
    until: float | None = None
    lifted: bool = False
    by: str | None = None


class Shared(Protocol):
    """Runs a script where all gateways see its effect; None when that place is gone."""

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script."""


class Revocations:
    """What is withdrawn now. `stopped` is asked on every call and never waits."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        records: Records,
        shared: Shared | None = None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._path = path
        self._clock = clock
        self._records = records
        self._shared = shared
        self._every = every_seconds
        self._entries: dict[str, Entry] = {}
        self._unshared: dict[str, Entry] = {}
        self._seen: tuple[int, int] = (0, 0)
        self._generation, self._revision = "", "0"
        self._watching: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.stopped: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Revocations {len(self.stopped)} in force>"

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever what is withdrawn has changed."""
        self._listeners.append(listener)

    def holds(self, subjects: Sequence[str]) -> bool:
        """Tell whether any of these subjects is withdrawn."""
        return not self.stopped.isdisjoint(subjects)

    async def open(self) -> None:
        """Learn what is withdrawn before the first call is answered, and keep watching."""
        self._compact()
        await self.refresh()
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def add(self, entry: Entry) -> None:
        """Withdraw at once here, durably, and for the other gateways within a second.

        Raises `OSError` when the entry cannot be kept; it holds in this process all the same.
        """
        if self._take([entry]):
            self._unshared[entry.subject] = entry
            await asyncio.to_thread(append, self._path, [entry])
            await self._exchange()

    async def refresh(self) -> None:
        """Read what is new in the file and in Redis; tell each what the other did not know."""
        try:
            found = self._read_file()
        except OSError as error:
            self._records.event("revocations_not_read", error=type(error).__name__)
            found = []
        taken = self._take(found)
        self._unshared |= {each.subject: each for each in taken}
        await self._exchange()
        self._settle()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  the watch must outlive whatever it meets
                self._records.event("revocations_not_read", error=type(error).__name__)

    def _read_file(self) -> list[Entry]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return []
        inode, offset = self._seen
        if inode != status.st_ino or status.st_size < offset:
            offset = 0  # replaced by a compaction: read from its start
        if status.st_size == offset:
            self._seen = (status.st_ino, offset)
            return []
        with self._path.open("rb") as file:
            file.seek(offset)
            raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._seen = (status.st_ino, offset + len(whole))
        return list(self._parsed(whole.splitlines()))

    def _parsed(self, lines: Sequence[bytes]) -> Iterator[Entry]:
        for line in filter(None, lines):
            try:
                yield msgspec.json.decode(line, type=Entry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._records.event("revocation_not_understood")

    def _take(self, entries: Sequence[Entry]) -> list[Entry]:
        """Let newer entries count; answer those that were news."""
        news = []
        for each in entries:
            known = self._entries.get(each.subject)
            if known is None or known.at < each.at:
                self._entries[each.subject] = each
                news.append(each)
        if news:
            self._settle()
            for each in news:
                self._records.event(
                    "credential_reinstated" if each.lifted else "credential_revoked",
                    subject=each.subject,
                    by=each.by,
                )
        return news

    def _settle(self) -> None:
        """Work out what is in force now; tell the listeners when it has changed."""
        now = self._clock.now().timestamp()
        past = [s for s, each in self._entries.items() if each.until and each.until < now]
        for subject in past:
            del self._entries[subject]
        stopped = frozenset(s for s, each in self._entries.items() if not each.lifted)
        if stopped != self.stopped:
            self.stopped = stopped
            for listener in self._listeners:
                listener()

    async def _exchange(self) -> None:
        """Send Redis what it may not know, and take from it what is new."""
        if self._shared is None:
            return
        for subject, entry in list(self._unshared.items()):
            text = msgspec.json.encode(entry).decode()
            until = "" if entry.until is None else entry.until
            put = await self._shared.run(PUT, _KEYS, [subject, entry.at, text, until])
            if put is None:
                return
            self._unshared.pop(subject, None)
        learnt: list[Entry] = []
        while (found := await self._read_shared(self._shared)) is not None and found:
            learnt += self._take(list(self._parsed(found)))
        if learnt:
            with contextlib.suppress(OSError):  # it holds here; the file is for a start alone
                await asyncio.to_thread(append, self._path, learnt)

    async def _read_shared(self, shared: Shared) -> list[bytes] | None:
        """Answer the next entries this gateway has not read; None when Redis is gone."""
        answer = await shared.run(READ, _KEYS, [self._generation, self._revision])
        if answer is None:
            return None
        generation, revision, *entries = (
            each if isinstance(each, bytes) else str(each).encode() for each in answer
        )
        if self._generation not in ("", generation.decode()):
            self._unshared = dict(self._entries)  # it was emptied: tell it again what holds
        self._generation, self._revision = generation.decode(), revision.decode()
        return entries

    def _compact(self) -> None:
        """Write a long file anew with what still counts, before anything is read."""
        try:
            if self._path.stat().st_size < _COMPACT_BYTES:
                return
            with _locked(self._path):
                self._take(list(self._parsed(self._path.read_bytes().splitlines())))
                draft = self._path.with_suffix(".new")
                lines = b"".join(msgspec.json.encode(e) + b"\n" for e in self._entries.values())
                with draft.open("wb") as file:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._path)
        except FileNotFoundError:
            return


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Append entries durably; every process that watches the file sees them within a second.

    A line that was cut off, as by a full disk, is ended first: what comes after it must count.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in entries)
    with _locked(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            size = os.fstat(handle).st_size
            cut_off = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            file.write(b"\n" + lines if cut_off else lines)
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock: a compaction must not lose what is appended meanwhile."""
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
