"""Ids that sort by time, so that new rows land beside each other in every index."""

from datetime import datetime
from random import Random

from runtime.journal.times import to_micros

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def new_id(now: datetime, random: Random) -> str:
    """26 characters: 48 bits of milliseconds, 10 of microseconds within, 70 bits of chance.

    A ULID, with the clock's precision in its first bits of chance (as RFC 9562, 6.2, method 3 has
    it for UUIDs): what one process begins within a millisecond sorts as it was begun.
    """
    milliseconds, microseconds = divmod(to_micros(now), 1000)
    number = milliseconds << 80 | microseconds << 70 | random.getrandbits(70)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
