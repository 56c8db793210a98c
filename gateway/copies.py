"""Answers kept for a while, and the calls under way that will bring new ones."""

import asyncio
from collections import OrderedDict
from hashlib import sha256
from typing import Final, TypeAlias

from gateway.call import Header, Reply

Key: TypeAlias = tuple[str, str, bytes, object]
"""Operation, path, query, and whose copy it is (None: everybody's)."""

_KEPT_HEADERS: Final = frozenset(
    {b"content-type", b"etag", b"last-modified", b"content-language", b"link"}
)
_FORBIDDING: Final = frozenset({b"set-cookie", b"content-encoding", b"vary"})
_OVERHEAD_BYTES: Final = 512


class Copy:
    """One answer as it was given, with the instant at which it was true."""

    __slots__ = ("body", "entity", "etag", "headers", "size", "status", "taken")

    def __init__(self, reply: Reply, *, entity: str, taken: float) -> None:
        self.status = reply.status
        self.body = reply.body or b""
        self.entity = entity
        self.taken = taken
        self.headers: list[Header] = [each for each in reply.headers if each[0] in _KEPT_HEADERS]
        given = reply.header(b"etag")
        self.etag = given or b'"%s"' % sha256(self.body).hexdigest()[:32].encode()
        if given is None:
            self.headers.append((b"etag", self.etag))
        self.size = len(self.body) + _OVERHEAD_BYTES

    def __repr__(self) -> str:
        return f"<Copy {self.entity} {self.status} {len(self.body)} bytes>"


class Fetch:
    """The one call that brings an answer, and those who wait for it."""

    __slots__ = ("abandoned", "copy", "entity", "failed", "key", "landed")

    def __init__(self, key: Key, entity: str) -> None:
        self.key = key
        self.entity = entity
        self.landed = asyncio.Event()
        self.copy: Copy | None = None
        self.failed = False
        self.abandoned = False

    def __repr__(self) -> str:
        return f"<Fetch {self.entity} {'landed' if self.landed.is_set() else 'under way'}>"

    def land(self, copy: Copy | None, *, failed: bool = False) -> None:
        """Share what came; only the first landing counts."""
        if not self.landed.is_set():
            self.copy = copy
            self.failed = failed
            self.landed.set()

    def abandon(self) -> None:
        """Say that the caller left before an answer came: another is to ask."""
        if not self.landed.is_set():
            self.abandoned = True
            self.landed.set()


class Copies:
    """Copies by key, the least recently used forgotten first."""

    def __init__(self, *, most_bytes: int = 32 * 1024 * 1024) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0
        self._copies: OrderedDict[Key, Copy] = OrderedDict()
        self._keys: dict[str, set[Key]] = {}
        self._fetches: dict[Key, Fetch] = {}

    def __repr__(self) -> str:
        return f"<Copies {len(self._copies)}, {self.held_bytes} bytes>"

    def get(self, key: Key) -> Copy | None:
        """Answer the copy of a key, and count it as used."""
        found = self._copies.get(key)
        if found is not None:
            self._copies.move_to_end(key)
        return found

    def fetch(self, key: Key) -> Fetch | None:
        """Answer the call that is bringing this key's answer."""
        return self._fetches.get(key)

    def begin(self, key: Key, entity: str) -> Fetch:
        """Note that a call brings this key's answer."""
        fetch = self._fetches[key] = Fetch(key, entity)
        return fetch

    def end(self, fetch: Fetch, copy: Copy | None = None) -> None:
        """Note that it has; keep its copy, unless what it tells of has changed since it began."""
        if self._fetches.get(fetch.key) is not fetch:
            return
        del self._fetches[fetch.key]
        if copy is not None:
            self._keep(fetch.key, copy)

    def invalidate(self, entity: str) -> int:
        """Forget every copy of an entity, and what is on its way; answer how many copies it was.

        Who is waiting for a call that began before is given what it brings; who comes now is not.
        """
        for key in [key for key, each in self._fetches.items() if each.entity == entity]:
            del self._fetches[key]
        keys = self._keys.pop(entity, set())
        for key in keys:
            self.held_bytes -= self._copies.pop(key).size
        return len(keys)

    def close(self) -> None:
        """Let nobody wait."""
        for fetch in self._fetches.values():
            fetch.land(None, failed=True)
        self._fetches.clear()

    def _keep(self, key: Key, copy: Copy) -> None:
        self._drop(key)
        self._copies[key] = copy
        self._keys.setdefault(copy.entity, set()).add(key)
        self.held_bytes += copy.size
        while self.held_bytes > self.most_bytes:
            self._drop(next(iter(self._copies)))

    def _drop(self, key: Key) -> None:
        old = self._copies.pop(key, None)
        if old is not None:
            self.held_bytes -= old.size
            self._keys[old.entity].discard(key)


def keepable(reply: Reply, *, largest_bytes: int) -> bool:
    """Tell whether an answer may be given to another call (RFC 9111 section 3)."""
    if reply.status != 200 or reply.body is None or len(reply.body) > largest_bytes:  # noqa: PLR2004  only a whole answer
        return False
    for name, value in reply.headers:
        if name in _FORBIDDING or (name == b"cache-control" and b"no-store" in value):
            return False
    return True
