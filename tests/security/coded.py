"""Bodies that are small on the wire and enormous when decoded, made without holding them."""

import struct
import zlib
from collections.abc import Callable

_PIECE = bytes(1 << 20)
_BROTLI_BLOCK = 16_000_000
_ZSTD_BLOCK = 128 * 1024


def gzipped(size: int) -> bytes:
    """So many zeros, as gzip (RFC 1952)."""
    check = 0
    for _ in range(size // len(_PIECE)):
        check = zlib.crc32(_PIECE, check)
    tail = struct.pack("<II", check, size % 2**32)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + deflated(size, bits=-15) + tail


def deflated(size: int, *, bits: int = 15) -> bytes:
    """So many zeros, as deflate; `bits` -15 leaves the zlib wrapper out (RFC 1951).

    A piece is coded once and repeated: after a full flush nothing refers to what came before.
    """
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = coder.compress(_PIECE) + coder.flush(zlib.Z_FULL_FLUSH)
    whole = piece * (size // len(_PIECE)) + b"\x03\x00"
    if bits < 0:
        return whole
    check = 1
    for _ in range(size // len(_PIECE)):
        check = zlib.adler32(_PIECE, check)
    return b"\x78\xda" + whole + struct.pack(">I", check)


def zstandard(size: int) -> bytes:
    """So many zeros in run-length blocks (RFC 8878, section 3.1.1.2)."""
    head = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(17 - 10) << 3])  # a window of 128 kB
    block = ((_ZSTD_BLOCK << 3) | (1 << 1)).to_bytes(3, "little") + b"\x00"
    last = ((_ZSTD_BLOCK << 3) | (1 << 1) | 1).to_bytes(3, "little") + b"\x00"
    return head + block * (size // _ZSTD_BLOCK - 1) + last


def brotli(size: int) -> bytes:
    """So many letters: in each meta-block one is written and copied on (RFC 7932, section 9.2)."""
    bits = _Bits()
    bits.add(0, 1)  # a window of 64 kB
    for _ in range(max(1, size // _BROTLI_BLOCK)):
        bits.add(0, 1)  # not the last
        bits.add(2, 2)  # six nibbles of length follow
        bits.add(_BROTLI_BLOCK - 1, 24)
        bits.add(0, 1)  # compressed
        for _ in range(3):
            bits.add(0, 1)  # one block type of literals, of commands, of distances
        bits.add(0, 2)  # no postfix bits
        bits.add(0, 4)  # no direct distances
        bits.add(0, 2)  # context mode of the one literal block
        bits.add(0, 1)  # one literal tree
        bits.add(0, 1)  # one distance tree
        _single(bits, ord("0"), 8)
        _single(bits, 384 + (1 << 3) + 7, 10)  # insert one literal, copy 2118 and 24 bits more
        _single(bits, 16, 6)  # a distance of one and one bit more
        bits.add(_BROTLI_BLOCK - 1 - 2118, 24)
        bits.add(0, 1)
    bits.add(3, 2)  # the last, and empty
    return bits.bytes()


def _single(bits: "_Bits", symbol: int, width: int) -> None:
    """A prefix code of one symbol, which then costs no bit."""
    bits.add(1, 2)
    bits.add(0, 2)
    bits.add(symbol, width)


class _Bits:
    def __init__(self) -> None:
        self._value = 0
        self._count = 0
        self._done = bytearray()

    def add(self, value: int, width: int) -> None:
        self._value |= value << self._count
        self._count += width
        while self._count >= 8:
            self._done.append(self._value & 0xFF)
            self._value >>= 8
            self._count -= 8

    def bytes(self) -> bytes:
        tail = bytes([self._value]) if self._count else b""
        return bytes(self._done) + tail


CODINGS: dict[str, Callable[[int], bytes]] = {
    "gzip": gzipped,
    "deflate": deflated,
    "br": brotli,
    "zstd": zstandard,
}
"""By the name in `Content-Encoding` (RFC 9110, section 8.4.1; RFC 8878; RFC 7932)."""
