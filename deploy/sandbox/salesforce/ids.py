"""Record ids: 15 case-sensitive characters, or 18 whose last three encode the case of the others.

The first three characters are the object's key prefix. Source: object reference, "ID field type".
"""

from functools import lru_cache

__all__ = ["Minter", "eighteen", "suffix_of"]

_CASE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARKS = str.maketrans({char: "01"[char.isupper()] for char in _BASE62})  # 1 for a capital
_SHORT, _LONG = 15, 18
_FIRST_MINTED = 1_000_000  # below it live the ids of seeded records
_INSTANCE = "5g"
_SERIAL_AT = 5  # after key prefix and instance


def suffix_of(short: str) -> str:
    """The three characters that make an 18-character id of a 15-character one."""
    marks = short.translate(_MARKS)
    return (
        _CASE[int(marks[4::-1], 2)] + _CASE[int(marks[9:4:-1], 2)] + _CASE[int(marks[14:9:-1], 2)]
    )


@lru_cache(maxsize=65_536)
def eighteen(value: str) -> str | None:
    """The 18-character form of an id, or None when it is malformed or its suffix is wrong."""
    if len(value) not in {_SHORT, _LONG} or not value.isalnum() or not value.isascii():
        return None
    short = value[:_SHORT]
    whole = short + suffix_of(short)
    return whole if len(value) == _SHORT or whole == value else None


class Minter:
    """Ids of one object that were never given out before, in growing order."""

    def __init__(self, prefix: str, taken: str | None) -> None:
        """Start after ``taken``, the highest id in use; None when there is none."""
        self._prefix = prefix
        self._next = _FIRST_MINTED
        if taken is not None:
            self._next = max(_FIRST_MINTED, _serial(taken) + 1)

    def mint(self) -> str:
        """The next id, 18 characters."""
        serial, digits = self._next, ""
        self._next += 1
        while serial:
            serial, digit = divmod(serial, 62)
            digits = _BASE62[digit] + digits
        short = self._prefix + _INSTANCE + digits.rjust(_SHORT - _SERIAL_AT, "0")
        return short + suffix_of(short)


def _serial(record_id: str) -> int:
    serial = 0
    for char in record_id[_SERIAL_AT:_SHORT]:
        serial = serial * 62 + _BASE62.index(char)
    return serial
