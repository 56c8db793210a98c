"""How far an import is: bars for a terminal, a line now and then for a log."""

from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.ports.quote_to_order import Totals
from deploy.order_files.documents import Document, OrderFile
from deploy.order_files.outcomes import Accepted, Outcome
from deploy.order_files.settling import ended
from runtime.clock import Clock

__all__ = ["Bars", "Lines"]

_LINE_EVERY = 10.0


class Bars:
    """Two bars on the error stream: what is submitted, and what has come to an end."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._submitted = self._progress.add_task("submitted", total=None, note="")
        self._ended = self._progress.add_task("ended", total=None, note="")
        self._at_start: int | None = None
        self._accepted = self._not_accepted = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begins(self, file: OrderFile) -> None:
        """The file is read; its documents are about to be submitted."""
        self._progress.update(self._submitted, total=len(file.documents))
        self._progress.update(self._ended, total=len(file.documents))

    def submitted(self, document: Document, outcome: Outcome) -> None:  # noqa: ARG002  # the port's shape
        """One document's submission has ended."""
        if isinstance(outcome, Accepted):
            self._accepted += 1
        else:
            self._not_accepted += 1
        note = f"{self._not_accepted:,} refused" if self._not_accepted else ""
        self._progress.update(self._submitted, advance=1, note=note)

    def stands(self, totals: Totals) -> None:
        """The channel's totals in the journal, as just read."""
        if self._at_start is None:
            self._at_start = ended(totals)
        stopped = sum(totals.exceptions.values())
        speed = self._progress.tasks[self._ended].speed
        rate = f", {speed:.0f}/s" if speed else ""
        self._progress.update(
            self._ended,
            completed=min(ended(totals), self._accepted),
            note=(
                f"{totals.confirmed:,} confirmed, {totals.credited:,} credited, "
                f"{stopped:,} exceptions{rate}"
            ),
        )

    def reconciles(self) -> None:
        """Everything has ended; the books are being compared."""
        self._progress.update(self._ended, description="comparing")

    def note(self, text: str) -> None:
        """Say something without tearing the bars."""
        self._progress.console.print(text, markup=False, highlight=False)


class Lines:
    """A line every ten seconds on the error stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0
        self._done = self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def begins(self, file: OrderFile) -> None:
        """The file is read; its documents are about to be submitted."""
        self._total = len(file.documents)
        click.echo(f"{file.rows:,} rows read, {self._total:,} documents to submit", err=True)
        self._next = self._clock.monotonic() + _LINE_EVERY

    def submitted(self, document: Document, outcome: Outcome) -> None:  # noqa: ARG002  # the port's shape
        """One document's submission has ended."""
        self._done += 1

    def stands(self, totals: Totals) -> None:
        """The channel's totals in the journal, as just read."""
        if self._total and self._clock.monotonic() >= self._next:
            self._next += _LINE_EVERY
            click.echo(
                f"{self._done:,} of {self._total:,} submitted; {totals.confirmed:,} confirmed, "
                f"{totals.credited:,} credited, {sum(totals.exceptions.values()):,} exceptions",
                err=True,
            )

    def reconciles(self) -> None:
        """Everything has ended; the books are being compared."""
        self.note("Everything has come to an end; comparing the books")

    def note(self, text: str) -> None:
        """Say something."""
        click.echo(text, err=True)
