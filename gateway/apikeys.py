"""API keys: `xdk_<id>_<secret><checksum>`, sent in `X-API-Key`.

The id finds the row, so that nothing is searched by secret; the secret has 256 bits, so a plain
SHA-256 at rest is as strong as a slow hash and checked in microseconds on every call. The prefix
and checksum let secret scanners find a leaked key and the gateway refuse a mistyped one unread.
"""

import base64
import hmac
import re
import secrets
import zlib
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from gateway.call import Consumer

HEADER: Final = b"x-api-key"
_FORM: Final = re.compile(rb"(xdk_([a-z2-7]{12})_[a-z2-7]{52})([a-z2-7]{7})")
_NOBODY: Final = sha256(b"nobody").digest()


class KeyNotAcceptedError(Exception):
    """A key that is not accepted. `reason` is for the log; callers get one constant body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. `key` is told once; `secret` is what configuration keeps."""

    id: str
    key: str
    secret: str


class HeldKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is known: by its digest, and whom it speaks for."""

    id: str
    digest: bytes
    consumer: Consumer


def _letters(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _checksum(text: bytes) -> str:
    return _letters(zlib.crc32(text).to_bytes(4))


def mint(draw: Callable[[int], bytes] = secrets.token_bytes) -> Minted:
    """Make a key; `draw` answers that many unguessable bytes."""
    identifier = _letters(draw(8))[:12]
    body = f"xdk_{identifier}_{_letters(draw(32))}"
    key = body + _checksum(body.encode())
    return Minted(id=identifier, key=key, secret="sha256:" + sha256(key.encode()).hexdigest())


class ApiKeys:
    """The keys in use, by id."""

    def __init__(self, held: Iterable[HeldKey]) -> None:
        self._held = {each.id: each for each in held}

    def __repr__(self) -> str:
        return f"<ApiKeys {len(self._held)}>"

    def find(self, given: bytes, now: float) -> HeldKey:
        """Answer the key that was given, valid at the epoch second `now`.

        Takes the same time for an unknown id as for a wrong secret. Raises `KeyNotAcceptedError`.
        """
        form = _FORM.fullmatch(given)
        if form is None or _checksum(form[1]).encode() != form[3]:
            raise KeyNotAcceptedError("key-form")
        held = self._held.get(form[2].decode())
        expected = held.digest if held is not None else _NOBODY
        proven = hmac.compare_digest(sha256(given).digest(), expected)
        if held is None or not proven:
            raise KeyNotAcceptedError("key-unknown")
        if held.consumer.expires <= now:
            raise KeyNotAcceptedError("key-expired")
        return held
