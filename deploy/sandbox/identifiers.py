"""Numbers with check digits: GTINs, Salesforce ids, VAT ids that validate."""

from collections.abc import Callable
from random import Random

from stdnum import ean, luhn
from stdnum.iso7064 import mod_11_10

__all__ = ["gtin", "salesforce_id", "vat_id"]

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CASE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_IRISH = "WABCDEFGHIJKLMNOPQRSTUV"
_ID_BODY = 12


def gtin(serial: int) -> str:
    """A GTIN-13 under the British prefix 50, with its check digit."""
    body = f"50{serial:010d}"
    return body + ean.calc_check_digit(body)


def salesforce_id(prefix: str, serial: int) -> str:
    """An 18-character record id: prefix, serial in base 62, and the suffix that keeps its case."""
    digits = ""
    while serial:
        serial, digit = divmod(serial, 62)
        digits = _BASE62[digit] + digits
    body = prefix + ("5g" + digits.rjust(_ID_BODY - 2, "0"))
    suffix = ""
    for start in range(0, 15, 5):
        bits = sum(1 << at for at, char in enumerate(body[start : start + 5]) if char.isupper())
        suffix += _CASE[bits]
    return body + suffix


def vat_id(country: str, chance: Random) -> str | None:
    """A well-formed VAT id with valid check digits, or None for a country that has none here."""
    maker = _MAKERS.get(country)
    return None if maker is None else country + maker(chance)


def _digits(chance: Random, count: int) -> str:
    return str(chance.randrange(10 ** (count - 1), 10**count))


def _luhn(body: str) -> str:
    return body + luhn.calc_check_digit(body)


def _german(chance: Random) -> str:
    body = _digits(chance, 8)
    return body + mod_11_10.calc_check_digit(body)


def _french(chance: Random) -> str:
    siren = _luhn(_digits(chance, 8))
    return f"{int(siren + '12') % 97:02d}{siren}"


def _dutch(chance: Random) -> str:
    while True:  # a weighted sum of 10 has no check digit: draw again
        body = _digits(chance, 8)
        check = sum((9 - at) * int(digit) for at, digit in enumerate(body)) % 11
        if check != 10:  # noqa: PLR2004  # modulo 11 leaves 10 once in eleven
            return f"{body}{check}B01"


def _belgian(chance: Random) -> str:
    body = "0" + _digits(chance, 7)
    return f"{body}{97 - int(body) % 97:02d}"


def _spanish(chance: Random) -> str:
    return "B" + _luhn(_digits(chance, 7))


def _italian(chance: Random) -> str:
    return _luhn(f"{_digits(chance, 7)}{chance.randrange(1, 100):03d}")


def _swedish(chance: Random) -> str:
    return _luhn("55" + _digits(chance, 7)) + "01"


def _polish(chance: Random) -> str:
    while True:  # as with the Dutch: a sum of 10 has no check digit
        body = _digits(chance, 9)
        weights = (6, 5, 7, 2, 3, 4, 5, 6, 7)
        check = sum(w * int(digit) for w, digit in zip(weights, body, strict=True)) % 11
        if check != 10:  # noqa: PLR2004  # as above
            return f"{body}{check}"


def _irish(chance: Random) -> str:
    body = _digits(chance, 7)
    return body + _IRISH[sum((8 - at) * int(digit) for at, digit in enumerate(body)) % 23]


_MAKERS: dict[str, Callable[[Random], str]] = {
    "BE": _belgian,
    "DE": _german,
    "ES": _spanish,
    "FR": _french,
    "IE": _irish,
    "IT": _italian,
    "NL": _dutch,
    "PL": _polish,
    "SE": _swedish,
}
