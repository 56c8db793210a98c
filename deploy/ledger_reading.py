"""Reading the sandbox's ledger of side effects, row by row, however long it is."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final

import msgspec
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError

from deploy.gateway_client import NoAnswerError

__all__ = ["LedgerEntry", "ledger_entries"]

_OK: Final = 200


class LedgerEntry(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One side effect in a vendor, as the sandbox wrote it down; `amount` is in `currency`."""

    sequence: int
    system: str
    operation: str
    external_reference: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    entity: str | None = None


_entry: Final = msgspec.json.Decoder(LedgerEntry)


async def ledger_entries(http: Client, sandbox: str, system: str) -> AsyncIterator[LedgerEntry]:
    """Answer every row of one system, oldest first.

    Raises:
        NoAnswerError: the sandbox does not answer, or breaks off.
    """
    url = f"{sandbox}/_sandbox/ledger?system={system}"
    try:
        async with http.get(url).build_streamed() as response:
            if response.status != _OK:
                raise NoAnswerError(f"{url} answers {response.status}")
            rest = b""
            reader = response.body_reader
            while (chunk := await reader.read(262_144)) is not None:
                *lines, rest = (rest + bytes(chunk)).split(b"\n")
                for line in lines:
                    yield _entry.decode(line)
            if rest:
                yield _entry.decode(rest)
    except PyreqwestError as error:
        raise NoAnswerError(f"{url}: {error.message}") from error
