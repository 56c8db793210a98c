"""What people do inside the real system and no API offers: bank payments, approvals.

``POST /business_central/_sandbox/...``: ``payments {"invoice": number or reference, "amount"?}``
registers a payment; ``orders/{number} {"status": "In_x0020_Review"}`` sets an order's status;
``customers/{number} {"blocked": "" | "Ship" | "Invoice" | "All"}`` blocks a customer or lets go;
``invoices {"order": number or reference}`` bills what of an order is shipped and not billed.
"""

from decimal import Decimal, InvalidOperation

import msgspec

from deploy.sandbox.business_central.amounts import exact
from deploy.sandbox.business_central.errors import bad_request, not_found
from deploy.sandbox.business_central.kinds import KINDS
from deploy.sandbox.business_central.service import Service
from deploy.sandbox.vault import Record
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["Desk"]


class _Payment(msgspec.Struct, forbid_unknown_fields=True):
    invoice: str
    amount: str | None = None


class _Status(msgspec.Struct, forbid_unknown_fields=True):
    status: str


class _Block(msgspec.Struct, forbid_unknown_fields=True):
    blocked: str


class _Bill(msgspec.Struct, forbid_unknown_fields=True):
    order: str


class Desk:
    """Operators' hooks into the company."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._books = service.books

    def answer(self, request: Request) -> Reply:
        """Do what an operator asks.

        Raises:
            BusinessCentralError: it cannot be done, or is not understood.
        """
        parts = request.path.strip("/").split("/")[1:]
        try:
            match request.method, parts:
                case "POST", ["payments"]:
                    return self._pay(msgspec.json.decode(request.body, type=_Payment))
                case "POST", ["orders", number]:
                    wanted = msgspec.json.decode(request.body, type=_Status)
                    return self._set_status(number, wanted.status)
                case "POST", ["customers", number]:
                    block = msgspec.json.decode(request.body, type=_Block)
                    return self._block(number, block.blocked)
                case "POST", ["invoices"]:
                    bill = msgspec.json.decode(request.body, type=_Bill)
                    return json_reply(201, self.bill(bill.order)["header"])
        except (msgspec.MsgspecError, InvalidOperation) as unclear:
            raise bad_request(str(unclear)) from None
        raise not_found(f"Nothing is at {request.method} {request.path}.")

    def register_payment(self, invoice: str, amount: Decimal | None = None) -> Record:
        """Pay an invoice named by number, id or reference; without an amount, all of it."""
        record = self._invoice(invoice)
        remaining = exact(record["header"]["remainingAmount"])
        return self._service.posting.pay(record, remaining if amount is None else amount)

    def _pay(self, payment: _Payment) -> Reply:
        amount = None if payment.amount is None else Decimal(payment.amount)
        return json_reply(201, self.register_payment(payment.invoice, amount)["header"])

    def _set_status(self, number: str, status: str) -> Reply:
        kind = KINDS["salesOrders"]
        found = self._books.find(kind.name, "number", number.upper())
        if found is None:
            raise not_found()
        if status not in self._service.sets[kind.name].properties["status"].values:
            raise bad_request(f"Requested value '{status}' was not found.")
        header = {**found["header"], "status": status}
        with self._books.transactions.one():
            stored = self._service.documents.store(kind, {**found, "header": header})
        return json_reply(200, stored["header"])

    def bill(self, order: str) -> Record:
        """Bill what of an order is shipped and not billed yet; answer the posted invoice.

        Raises:
            BusinessCentralError: there is no such order, or nothing of it to bill.
        """
        found = None
        for field in ("number", "externalDocumentNumber"):
            found = found or self._books.find("salesOrders", field, order.upper())
        if found is None:
            raise not_found()
        return self._service.posting.bill_shipped(found)

    def _block(self, number: str, blocked: str) -> Reply:
        customer = self._books.find("customers", "number", number.upper())
        if customer is None:
            raise not_found()
        written = blocked or "_x0020_"
        if written not in self._service.sets["customers"].properties["blocked"].values:
            raise bad_request(f"Requested value '{blocked}' was not found.")
        return json_reply(200, self._service.change_master("customers", customer, blocked=written))

    def _invoice(self, named: str) -> Record:
        found = self._books.table("salesInvoices").get(named.lower())
        for field in ("number", "externalDocumentNumber"):
            found = found or self._books.find("salesInvoices", field, named.upper())
        if found is None:
            raise not_found()
        return found
