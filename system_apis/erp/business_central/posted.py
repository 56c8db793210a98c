"""What is posted of orders: shipments made from here, and every document read back.

Ship-only posting is the vendor's own: quantities to ship are set line by line, those to bill to
nothing after them, then the order is posted (Sales-Post, CalcInvoice).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from contracts.canonical.ids import CustomerId, number_of
from contracts.outcomes import CallFailedError, Conflict
from contracts.ports.changes import Changes
from contracts.ports.erp import (
    DocumentPage,
    ErpOrder,
    OrderDocuments,
    PostedShipment,
    PostShipment,
)
from runtime.guard import Turns
from runtime.http import HttpAnswer
from system_apis.erp.business_central import mapping, odata, wire, wire_filters
from system_apis.erp.business_central.company import Company, refused
from system_apis.erp.business_central.failures import SYSTEM, failure_of

__all__ = ["Posted"]

_BETWEEN: Final = " "
"""Between the cursors of the two sets, which hold no blank; a set that has been read has none."""

FindPosted = Callable[[str, str], Awaitable[ErpOrder | None]]
"""Answers the order a customer's reference is known by, wherever it is by now."""


class Posted:
    """Shipments and invoices of one company."""

    def __init__(self, company: Company, *, local_currency: str) -> None:
        self._company = company
        self._local = local_currency
        self._posting = Turns()

    async def of_order(self, number: str) -> OrderDocuments:
        """Answer everything posted for an order number so far."""
        wanted = wire_filters.of_order(number)
        shipments, invoices = await asyncio.gather(
            self._company.read(
                odata.query(wire.SHIPMENTS, filter=wanted, expand=wire.SHIPMENT_LINES),
                wire.shipments_decoder,
            ),
            self._company.read(
                odata.query(wire.INVOICES, filter=wanted, expand=wire.INVOICE_LINES),
                wire.invoices_decoder,
            ),
        )
        shipped, billed = mapping.documents(shipments.value, invoices.value, self._local)
        return OrderDocuments(shipments=shipped, invoices=billed)

    async def since(self, query: Changes) -> DocumentPage:
        """Answer a page of shipments and one of invoices, each by time of change."""
        of_shipments, of_invoices = _cursors(query)
        shipments, invoices = await asyncio.gather(
            self._shipments(of_shipments), self._invoices(of_invoices)
        )
        shipped, billed = mapping.documents(shipments.value, invoices.value, self._local)
        after = [self._company.cursor(link) for link in (shipments.next_link, invoices.next_link)]
        cursor = _BETWEEN.join(one or "" for one in after) if any(after) else None
        return DocumentPage(shipments=shipped, invoices=billed, cursor=cursor)

    async def _shipments(self, query: Changes | None) -> odata.Page[wire.Shipment]:
        if query is None:
            return odata.Page(value=[])
        return await self._company.page(
            wire.SHIPMENTS, query, wire.shipments_decoder, expand=wire.SHIPMENT_LINES
        )

    async def _invoices(self, query: Changes | None) -> odata.Page[wire.Invoice]:
        if query is None:
            return odata.Page(value=[])
        return await self._company.page(
            wire.INVOICES, query, wire.invoices_decoder, expand=wire.INVOICE_LINES
        )

    async def ship(self, body: PostShipment, find: FindPosted) -> PostedShipment:
        """Bring an order's shipped quantities to what has left.

        The target is cumulative and read against what the vendor has shipped, so that no doubt
        and no repetition ships twice. Posting itself is bound to the state that was last read: a
        vendor that still works on an earlier try, or a person who posts, makes it a `Conflict`.
        """
        reference = mapping.reference_on_wire(body.reference).upper()
        async with self._posting.turn(reference):
            order = await self._order(body.customer, reference)
            if order is None:
                gone = await find(number_of(body.customer), body.reference)
                if gone is None:
                    raise refused("not-found")
                return PostedShipment(number=None, order_number=gone.number, complete=True)
            shares = mapping.still_to_ship(order.sales_order_lines, body.lines)
            if not any(more > 0 for more in shares.values()):
                number = await self._latest(order.number) if body.in_doubt else None
                return PostedShipment(
                    number=number, order_number=order.number, complete=_is_complete(order, {})
                )
            order = await self._prepare(order, shares)
            await self._company.write(
                "POST",
                f"{wire.ORDERS}({order.id})/{wire.SHIP_ACTION}",
                headers={"if-match": order.etag},
            )
            return PostedShipment(
                number=await self._latest(order.number),
                order_number=order.number,
                complete=_is_complete(order, shares),
            )

    async def _prepare(self, order: wire.Order, shares: dict[str, Decimal]) -> wire.Order:
        """Set what is to be shipped and nothing to be billed; answer the order as it then is."""
        if not order.partial_shipping and not _is_complete(order, shares):
            await self._company.write(
                "PATCH",
                f"{wire.ORDERS}({order.id})",
                body=wire.encode(wire.PartialShipping(partial_shipping=True)),
                headers={"if-match": order.etag},
            )
        lines = {line.id: line for line in order.sales_order_lines if line.quantity}
        wanted = {key: max(Decimal(0), shares.get(key, Decimal(0))) for key in lines}
        changed = [line for line in lines.values() if line.ship_quantity != wanted[line.id]]
        for line in await self._patch(
            (line, wire.ShipQuantity(ship_quantity=wanted[line.id])) for line in changed
        ):
            lines[line.id] = line
        await self._patch(
            (line, wire.InvoiceQuantity(invoice_quantity=Decimal(0)))
            for line in lines.values()
            if line.invoice_quantity
        )
        path = odata.query(f"{wire.ORDERS}({order.id})", expand=wire.ORDER_LINES)
        ready = await self._company.read(path, wire.order_decoder)
        for line in ready.sales_order_lines:
            if line.quantity and (
                line.ship_quantity != wanted.get(line.id) or line.invoice_quantity
            ):
                raise CallFailedError(
                    Conflict(system=SYSTEM, detail="somebody else works on the order's lines")
                )
        return ready

    async def _patch(
        self, changes: Iterable[tuple[wire.OrderLine, msgspec.Struct]]
    ) -> list[wire.OrderLine]:
        """Change lines, a hundred in one request; answer them as they then are."""
        wanted = [
            odata.BatchOperation(
                id=str(at),
                method="PATCH",
                url=f"{wire.ORDER_LINES}({line.id})",
                headers={"If-Match": line.etag, "Content-Type": "application/json"},
                body=body,
            )
            for at, (line, body) in enumerate(changes)
        ]
        made: list[wire.OrderLine] = []
        for start in range(0, len(wanted), odata.LARGEST_BATCH):
            made += await self._one_batch(wanted[start : start + odata.LARGEST_BATCH])
        return made

    async def _one_batch(self, wanted: Sequence[odata.BatchOperation]) -> list[wire.OrderLine]:
        answer = await self._company.batch(wanted)
        told = self._company.decoded(odata.batch_decoder, answer, safe=False).responses
        made = []
        for one in told:
            inner = HttpAnswer(status=one.status, headers={}, body=bytes(one.body))
            failure = failure_of(inner, False)
            if failure is not None:
                raise CallFailedError(failure)
            made.append(self._company.decoded(wire.order_line_decoder, inner, safe=False))
        if len(made) != len(wanted):
            raise CallFailedError(
                Conflict(system=SYSTEM, detail="part of the lines was not answered")
            )
        return made

    async def _order(self, customer: CustomerId, reference: str) -> wire.Order | None:
        found = wire_filters.carries(number_of(customer), reference)
        path = odata.query(wire.ORDERS, filter=found, expand=wire.ORDER_LINES)
        return next(iter((await self._company.read(path, wire.orders_decoder)).value), None)

    async def _latest(self, order_number: str) -> str | None:
        """Answer the number of the shipment posted last for an order."""
        path = odata.query(
            wire.SHIPMENTS,
            filter=wire_filters.of_order(order_number),
            orderby="number desc",
            top="1",
        )
        found = (await self._company.read(path, wire.shipments_decoder)).value
        return found[0].number if found else None


def _is_complete(order: wire.Order, more: dict[str, Decimal]) -> bool:
    nothing = Decimal(0)
    return all(
        line.shipped_quantity + max(nothing, more.get(line.id, nothing)) >= line.quantity
        for line in order.sales_order_lines
    )


def _cursors(query: Changes) -> tuple[Changes | None, Changes | None]:
    """What is asked of the two sets: both from the start, or each where its cursor stands."""
    if query.cursor is None:
        return query, query
    shipments, _, invoices = query.cursor.partition(_BETWEEN)
    if not shipments and not invoices:
        raise refused("not-found")
    return (
        Changes(cursor=shipments) if shipments else None,
        Changes(cursor=invoices) if invoices else None,
    )
