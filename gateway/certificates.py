"""Client certificates, as a trusted TLS-terminating hop hands them over (RFC 9440).

The listener under us can demand a certificate but not say whose it was, so the hop that ends TLS
verifies the chain and says who it saw in `Client-Cert`. From any other peer the header is nothing.
"""

import base64
import binascii
from hashlib import sha256
from typing import Final

import msgspec
from cryptography import x509

from gateway.call import Call
from gateway.peers import Peers
from runtime.clock import Clock

HEADER: Final = b"client-cert"
_LONGEST: Final = 16_384
_MOST_REMEMBERED: Final = 10_000


class CertificateRefusedError(Exception):
    """A certificate that is not accepted. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a certificate. `thumbprint` is `x5t#S256` (RFC 8705 section 3.1).

    `names` as configuration writes them: `sha256:<hex>`, `dns:<name>`, `uri:<name>`,
    `subject:<RFC 4514>`. Times are epoch seconds.
    """

    thumbprint: str
    names: tuple[str, ...]
    not_before: float
    not_after: float


def read(header: bytes) -> Certificate:
    """Read a `Client-Cert` field: one byte sequence (RFC 9651) holding one DER certificate."""
    if len(header) > _LONGEST or len(header) < 3 or header[:1] != b":" or header[-1:] != b":":  # noqa: PLR2004  two colons and a byte
        raise CertificateRefusedError("client-cert-form")
    try:
        der = base64.b64decode(header[1:-1], validate=True)
    except (binascii.Error, ValueError):
        raise CertificateRefusedError("client-cert-form") from None
    try:
        found = x509.load_der_x509_certificate(der)
        names = _names(found)
        begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    except (
        ValueError,
        TypeError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        raise CertificateRefusedError("client-cert-not-a-certificate") from None
    digest = sha256(der).digest()
    return Certificate(
        thumbprint=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        names=(f"sha256:{digest.hex()}", *names),
        not_before=begins.timestamp(),
        not_after=ends.timestamp(),
    )


def _names(found: x509.Certificate) -> list[str]:
    """Answer the names a certificate authority vouched for, the most precise first."""
    names: list[str] = []
    try:
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        uris = alternative.get_values_for_type(x509.UniformResourceIdentifier)
        names += [f"uri:{each}" for each in uris]
        names += [f"dns:{each.lower()}" for each in alternative.get_values_for_type(x509.DNSName)]
    subject = found.subject.rfc4514_string()
    return [*names, f"subject:{subject}"] if subject else names


class Presented:
    """The certificates that trusted hops say their callers presented."""

    def __init__(self, peers: Peers, *, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock
        self._read: dict[bytes, Certificate] = {}

    def __repr__(self) -> str:
        return f"<Presented {len(self._read)} certificates read>"

    @property
    def possible(self) -> bool:
        """Tell whether any hop may hand certificates over."""
        return self._peers.any_trusted

    def of(self, call: Call) -> Certificate | None:
        """Answer the caller's certificate; None where no trusted hop says one.

        Raises `CertificateRefusedError` for one that cannot be read or is not valid now.
        """
        header = call.fields.get(HEADER)
        if header is None or not self._peers.trusted(call):
            return None
        if HEADER in call.repeated:
            raise CertificateRefusedError("client-cert-repeated")
        digest = sha256(header).digest()
        found = self._read.get(digest)
        if found is None:
            found = read(header)
            if len(self._read) >= _MOST_REMEMBERED:
                self._read.clear()
            self._read[digest] = found
        if not found.not_before <= self._clock.now().timestamp() <= found.not_after:
            raise CertificateRefusedError("client-cert-not-valid-now")
        return found
