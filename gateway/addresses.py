"""Addresses that a configuration names, read without ever failing; what is wrong is an answer."""

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

__all__ = ["Address", "has_password", "is_origin", "read_address", "without_passwords"]

_HOST: Final = re.compile(r"[\w.-]+|[0-9a-f:.]+")
_PORTS: Final = {"http": 80, "https": 443}
_BEFORE_HOST: Final = re.compile(r":.*@", re.DOTALL)
_IN_QUERY: Final = re.compile(r"(?i)([?&;][^=&\s]*pass[^=&\s]*=)[^&]*")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address that can be dialled. `bare` is one without credentials, path and query."""

    scheme: str
    host: str
    port: int | None
    bare: bool

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """What it shares with every address of the same server (RFC 6454, section 4)."""
        return self.scheme, self.host, self.port or _PORTS.get(self.scheme)


def read_address(text: str) -> Address | None:
    """Answer the address that the text is; None if it names no host, or a port that is none."""
    parts = _split(text)
    if parts is None or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        return None
    try:
        port = parts.port
    except ValueError:
        return None
    if port == 0 or re.search(r"[\s\x00-\x1f\x7f]", text):
        return None
    return Address(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        bare="@" not in parts.netloc and parts.path in {"", "/"} and not re.search("[?#]", text),
    )


def is_origin(text: str) -> bool:
    """Tell whether the text is scheme, host and port of a web server, and nothing else."""
    read = read_address(text)
    return read is not None and read.scheme in _PORTS and read.bare and not text.endswith("/")


def has_password(text: str) -> bool:
    """Tell whether an address has a password in it, before its host or in its query."""
    parts = _split(text)
    if parts is None:
        return "@" in text
    if parts.netloc.rpartition("@")[0].partition(":")[2]:
        return True
    return any("pass" in name.lower() for name, _ in parse_qsl(parts.query))


def without_passwords(said: str) -> str:
    """Answer a sentence about an address without what stands before its host or is a password."""
    return _IN_QUERY.sub(r"\1...", _BEFORE_HOST.sub(":...@", said))


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:
        return None
