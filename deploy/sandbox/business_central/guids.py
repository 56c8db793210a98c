"""GUIDs and entity tags.

Seed records get theirs from their number, so that they are the same after every restart; everything
else gets a random one. Lines carry the first half of their document's GUID, so the document of a
line is found without an index of lines.
"""

import os
from base64 import b64encode
from hashlib import blake2b

__all__ = [
    "EMPTY_GUID",
    "document_part",
    "is_guid",
    "line_guid",
    "new_etag",
    "new_guid",
    "seed_guid",
]

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
_GUID_LENGTH = 36
_HEX = frozenset("0123456789abcdefABCDEF")
_SPREAD = 0x9E3779B97F4A7C15  # odd, so that equal documents never give two sequences one GUID
_LOW = (1 << 64) - 1


def _written(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_guid() -> str:
    """A random GUID in the vendor's lower-case form."""
    return _written(os.urandom(16).hex())


def seed_guid(entity_set: str, key: str) -> str:
    """The GUID of a seed record: always the same for the same set and number."""
    return _written(blake2b(f"{entity_set}/{key}".encode(), digest_size=16).hexdigest())


def line_guid(document: str, number: int) -> str:
    """The GUID of line number ``number`` of a document: distinct per number, never used twice."""
    low = int(document[19:23] + document[24:], 16)
    digits = f"{(low + number * _SPREAD) & _LOW:016x}"
    return f"{document[:19]}{digits[:4]}-{digits[4:]}"


def document_part(guid: str) -> str:
    """What the GUIDs of a document and of its lines have in common."""
    return guid[:19]


def is_guid(text: str) -> bool:
    """Whether the text is written as a GUID."""
    return (
        len(text) == _GUID_LENGTH
        and text[8] == text[13] == text[18] == text[23] == "-"
        and _HEX.issuperset(text.replace("-", "", 4))
        and text.count("-") == 4  # noqa: PLR2004  # 8-4-4-4-12
    )


def new_etag() -> str:
    """A weak entity tag as the vendor writes them: base64 of ``'19;<stamp>;00;'``."""
    return _tag(os.urandom(8))


def seed_etag(guid: str) -> str:
    """The entity tag of a record that nobody has changed yet: always the same for its GUID."""
    return _tag(blake2b(guid.encode(), digest_size=8).digest())


def _tag(stamp: bytes) -> str:
    tag = b64encode(b"'19;%d;00;'" % int.from_bytes(stamp, "big")).decode()
    return f'W/"{tag}"'
