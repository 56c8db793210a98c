"""Promises: what a quote validation says, signed, so that an order can hold us to it.

The token is `<claims>.<signature>`, both base64url without padding: claims are a JSON array,
deflated; the signature is HMAC-SHA-256 (RFC 2104) over the encoded claims, cut to 128 bits
(section 5 allows half the hash). Unit prices travel in the token while they fit the 2,048
characters an order may carry; beyond that the order must name the prices itself.
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.ids import CustomerId, ItemId
from contracts.problems import refuse

LONGEST: Final = 2048
_SIGNATURE_BYTES: Final = 16
_LARGEST_CLAIMS: Final = 65_536


class PromisedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as promised."""

    item: ItemId
    quantity: Decimal
    unit_price: Decimal


class Promise(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a token says. `digest` covers items and quantities; `prices` is empty if too long."""

    id: str
    customer: CustomerId
    currency: str
    expires_at: int
    digest: str
    net_amount: Decimal
    prices: tuple[Decimal, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Promise).decode


class Promises:
    """Makes and reads tokens with one secret key of at least 16 bytes."""

    def __init__(self, key: bytes, *, valid_for: float) -> None:
        if len(key) < 16:  # noqa: PLR2004  # 128 bits, the least RFC 2104 calls for with this cut
            raise ValueError("a promise key needs at least 16 bytes")
        self._key = key
        self._valid_for = timedelta(seconds=valid_for)

    def make(
        self,
        *,
        customer: CustomerId,
        currency: str,
        lines: Sequence[PromisedLine],
        net_amount: Decimal,
        nonce: str,
        now: datetime,
    ) -> tuple[str, datetime]:
        """Answer a token and when it expires. `nonce` makes it single-use: never give it twice."""
        expires_at = (now + self._valid_for).replace(microsecond=0)
        promise = Promise(
            id=nonce,
            customer=customer,
            currency=currency,
            expires_at=int(expires_at.timestamp()),
            digest=digest_of([(line.item, line.quantity) for line in lines]),
            net_amount=net_amount,
            prices=tuple(line.unit_price for line in lines),
        )
        token = self._sign(promise)
        if len(token) > LONGEST:
            token = self._sign(msgspec.structs.replace(promise, prices=()))
        return token, expires_at

    def read(self, token: str, *, now: datetime) -> Promise:
        """Answer what a genuine, unexpired token says.

        Raises `ProblemError` promise-invalid. Whether it was used before is not known here.
        """
        claims, _, signature = token.partition(".")
        if not hmac.compare_digest(self._signature(claims.encode()), signature.encode()):
            raise refuse("promise-invalid", detail="This promise was not made here.")
        try:
            inflate = zlib.decompressobj()
            promise = _decode(inflate.decompress(_unpadded(claims), _LARGEST_CLAIMS))
        except (ValueError, zlib.error, binascii.Error):
            raise refuse("promise-invalid", detail="This promise cannot be read.") from None
        if now >= datetime.fromtimestamp(promise.expires_at, UTC):
            raise refuse("promise-invalid", detail="This promise has expired.")
        return promise

    def redeem(
        self,
        token: str,
        *,
        customer: CustomerId,
        currency: str,
        wanted: Sequence[tuple[ItemId, Decimal]],
        now: datetime,
    ) -> Promise:
        """Answer what a token promises for this very order; refuses promise-invalid."""
        promise = self.read(token, now=now)
        if promise.customer != customer or promise.currency != currency:
            raise refuse("promise-invalid", detail="This promise is for another customer.")
        if promise.digest != digest_of(wanted):
            raise refuse("promise-invalid", detail="This promise is for other items or quantities.")
        return promise

    def _sign(self, promise: Promise) -> str:
        claims = base64.urlsafe_b64encode(zlib.compress(_encode(promise), 6)).rstrip(b"=")
        return (claims + b"." + self._signature(claims)).decode()

    def _signature(self, claims: bytes) -> bytes:
        mac = hmac.digest(self._key, claims, "sha256")[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(mac).rstrip(b"=")


def digest_of(wanted: Sequence[tuple[ItemId, Decimal]]) -> str:
    """Fingerprint of items and quantities in their order; 7 and 7.0 pieces are the same."""
    text = "\n".join(f"{item} {quantity.normalize():f}" for item, quantity in wanted)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
