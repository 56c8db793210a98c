"""Shipments and invoices beside an order: the newest version of each, told once a call.

Salesforce keeps what is written last, whatever its version: the versions it has are read before
anything is written. Two programs that tell of one document at the same moment are kept apart by
the order in which events of an order are delivered.
"""

from collections.abc import Awaitable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from contracts.ports.crm import DocumentReport, ReportResult
from runtime.http.client import Decoder
from system_apis.crm.salesforce import mapping, wire

__all__ = ["Documents", "has_no_parent"]

T = TypeVar("T")
_NOT_YET: Final = "order-not-there-yet"


class Upsert(Protocol):
    """Writes rows under a path of external ids."""

    def __call__(
        self, path: str, records: Sequence[msgspec.Struct]
    ) -> Awaitable[list[wire.RowResult]]:
        """Answer one result a row."""
        ...


class Ask(Protocol):
    """Asks a query."""

    def __call__(self, soql: str, decoder: Decoder[T]) -> Awaitable[T]:
        """Answer what was found."""
        ...


class Documents:
    """The rows of shipments and invoices of one org."""

    def __init__(self, upsert: Upsert, ask: Ask) -> None:
        self._upsert = upsert
        self._ask = ask

    async def tell(self, reports: Sequence[DocumentReport]) -> tuple[ReportResult, ...]:
        """Write what is newer than the rows there are; answer one result a report."""
        newest: dict[tuple[str, str], DocumentReport] = {}
        for report in reports:
            known = newest.get((report.kind, report.number))
            if known is None or report.version > known.version:
                newest[report.kind, report.number] = report
        ends: dict[tuple[str, str], wire.RowResult] = {}
        for kind in ("shipment", "invoice"):
            told = [report for report in newest.values() if report.kind == kind]
            if told:
                ends |= await self._write(kind, told)
        return tuple(_result(report, ends[report.kind, report.number]) for report in reports)

    async def _write(
        self, kind: str, told: list[DocumentReport]
    ) -> dict[tuple[str, str], wire.RowResult]:
        of_shipment = kind == "shipment"
        path = wire.UPSERT_SHIPMENTS_PATH if of_shipment else wire.UPSERT_INVOICES_PATH
        known = await self._versions(kind, [report.number for report in told])
        ends = {
            (kind, report.number): wire.RowResult(success=True)
            for report in told
            if known.get(report.number, -1) >= report.version
        }
        newer = [report for report in told if (kind, report.number) not in ends]
        if newer:
            records: list[msgspec.Struct] = [
                mapping.shipment_record(one) if of_shipment else mapping.invoice_record(one)
                for one in newer
            ]
            written = await self._upsert(path, records)
            ends |= {(kind, one.number): end for one, end in zip(newer, written, strict=True)}
        return ends

    async def _versions(self, kind: str, numbers: list[str]) -> dict[str, int]:
        of_shipment = kind == "shipment"
        where = wire.SHIPMENT_OBJECT if of_shipment else wire.INVOICE_OBJECT
        key = wire.SHIPMENT_KEY if of_shipment else wire.INVOICE_KEY
        found = await self._ask(wire.versions_query(where, key, numbers), wire.versions_decoder)
        return mapping.versions(found.records)


def has_no_parent(result: wire.RowResult) -> bool:
    """Tell whether a row was refused for a parent that is not there."""
    return not result.success and any(
        error.code == wire.PARENT_UNKNOWN and wire.PARENT_UNKNOWN_TEXT in error.message
        for error in result.errors
    )


def _result(report: DocumentReport, end: wire.RowResult) -> ReportResult:
    if has_no_parent(end):
        return ReportResult(reference=report.reference, done=False, retryable=True, detail=_NOT_YET)
    return mapping.report_result(report.reference, end)
