"""One import, from the file to the summary, against a running gateway.

Everything it does may be done again: the sandbox is told the same catalogue, the gateway gets the
same keys, and what was accepted before is answered from memory.
"""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Final, Protocol

import msgspec
from pyreqwest.client import Client

from contracts.ports.quote_to_order import Totals
from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError, read_json
from deploy.ledger_reading import ledger_entries
from deploy.order_files.documents import Document, OrderFile, OrderFileError
from deploy.order_files.outcomes import Outcome
from deploy.order_files.reconciling import ErpBook, reconcile, tally
from deploy.order_files.settling import Watch, is_confirmed, open_exceptions, under_way
from deploy.order_files.submitting import Submission
from deploy.order_files.summary import Summary, summarised
from runtime.clock import Clock

__all__ = ["CHANNEL", "Import", "ImportSettings", "Progress"]

CHANNEL: Final = "order-file"
ERP: Final = "business_central"


class ImportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to import. `patience` is in seconds; `sandbox` None: the vendors are real."""

    concurrency: int = 32
    patience: float = 120.0
    sandbox: str | None = None
    seed: int = 7


class Progress(Protocol):
    """Who is told how far the import is."""

    def begins(self, file: OrderFile) -> None:
        """The file is read; its documents are about to be submitted."""
        ...

    def submitted(self, document: Document, outcome: Outcome) -> None:
        """One document's submission has ended."""
        ...

    def stands(self, totals: Totals) -> None:
        """The channel's totals in the journal, as just read."""
        ...

    def reconciles(self) -> None:
        """Everything has ended; the books are being compared."""
        ...


class Import:
    """An import of one file."""

    def __init__(
        self,
        file: OrderFile,
        gateway: GatewayClient,
        http: Client,
        *,
        settings: ImportSettings,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._file = file
        self._path = file.path.absolute()
        self._gateway = gateway
        self._http = http
        self._settings = settings
        self._clock = clock
        self._progress = progress
        self._outcomes: dict[str, Outcome] = {}

    async def run(self) -> Summary:
        """Submit, wait until everything has ended, compare the books.

        Raises:
            GatewayLostError: the gateway stayed silent for longer than patience goes.
            RefusedError: the gateway does not let this client in.
            NoAnswerError: the sandbox does not answer.
            OrderFileError: the sandbox cannot take its catalogue from this file.
        """
        begun = self._clock.monotonic()
        await _share_catalogue(self._http, self._settings.sandbox, self._path)
        self._progress.begins(self._file)
        watch = Watch(
            self._gateway,
            CHANNEL,
            patience=self._settings.patience,
            clock=self._clock,
            on_totals=self._progress.stands,
        )
        before = await watch.look()
        pauses = await self._submit(watch)
        after = await watch.until_ended()
        seconds = self._clock.monotonic() - begun
        self._progress.reconciles()
        return await self._summary(before, after, pauses_asked=pauses, seconds=seconds)

    async def _submit(self, watch: Watch) -> int:
        submission = Submission(
            self._gateway,
            concurrency=self._settings.concurrency,
            patience=self._settings.patience,
            clock=self._clock,
            chance=random.Random(self._settings.seed),  # noqa: S311  # spreads retries, no secret
            on_outcome=self._take,
        )
        looking = asyncio.create_task(watch.keep_looking())
        try:
            await submission.run(self._file.documents)
        finally:
            looking.cancel()
            # Whatever the look-out met, the submission meets too, and says it better.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await looking
        return submission.pauses_asked

    def _take(self, document: Document, outcome: Outcome) -> None:
        self._outcomes[document.number] = outcome
        self._progress.submitted(document, outcome)

    async def _summary(
        self, before: Totals, after: Totals, *, pauses_asked: int, seconds: float
    ) -> Summary:
        documents = {document.number: document for document in self._file.documents}
        found = await open_exceptions(self._gateway) if after.exceptions else {}
        exceptions = {number: found[number] for number in found.keys() & documents.keys()}
        erp = await self._erp_book(documents)
        books = reconcile(
            self._file.documents,
            self._outcomes,
            await self._unconfirmed(exceptions, documents, erp),
            erp=erp,
            totals=after,
            pending=under_way(after),
        )
        return summarised(
            self._file,
            self._outcomes,
            exceptions,
            books,
            under_way=under_way(after),
            pauses_asked=pauses_asked,
            seconds=seconds,
            moved=before != after,
        )

    async def _unconfirmed(
        self, exceptions: dict[str, str], documents: dict[str, Document], erp: ErpBook | None
    ) -> dict[str, str]:
        """Leave out orders that were stopped only after the ERP had confirmed them."""
        return {
            number: category
            for number, category in exceptions.items()
            if documents[number].kind == "credit"
            or (erp is not None and erp.amount(number) is None)
            or not await is_confirmed(self._gateway, number)
        }

    async def _erp_book(self, documents: dict[str, Document]) -> ErpBook | None:
        if self._settings.sandbox is None:
            return None
        rows = [row async for row in ledger_entries(self._http, self._settings.sandbox, ERP)]
        return tally(rows, documents)


async def _share_catalogue(http: Client, sandbox: str | None, path: Path) -> None:
    """Let the sandbox take items and customers from the same file; what it has stays."""
    if sandbox is None:
        return
    url = f"{sandbox}/_sandbox/catalog"
    try:
        await read_json(http, url, body={"ordersFile": str(path)})
    except RefusedError as refusal:
        said = refusal.answer.body.decode("utf-8", "replace").strip()
        raise OrderFileError(
            f"The sandbox cannot take its catalogue from {path}: {said or refusal}"
        ) from None
    except NoAnswerError as silence:
        raise NoAnswerError(f"The sandbox does not answer ({silence})") from silence
