"""Start the system as `crossdock up --no-sandbox` does, with one planted defect.

    python -m tests.crash.launch careless-connector

A campaign that stays green on these does not count. The defects live here, never in the product.
"""

import asyncio
import sys
from secrets import token_hex
from typing import Any

import msgspec

from contracts import context
from contracts.canonical.money import Money, line_amount, zero
from contracts.ports.erp import ErpOrder, PlaceErpOrder
from contracts.ports.quote_to_order import PlaceOrder
from deploy.apart import work
from deploy.assembly import serve
from deploy.profile import Settings
from deploy.tiers import Parts


class _Wrapped:
    """Everything of another object but what a subclass replaces."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class CarelessConnector(_Wrapped):
    """Creates again without looking whether an earlier try already did."""

    async def place_order(self, body: PlaceErpOrder) -> ErpOrder:
        return await self._inner.place_order(msgspec.structs.replace(body, in_doubt=False))


class HastyJournal(_Wrapped):
    """Tells the caller before the commit."""

    async def accept(self, start: Any) -> Any:
        from runtime.journal.process import Accepted

        self._late = asyncio.get_running_loop().create_task(self._commit_later(start))
        return Accepted(process_id=token_hex(13), reference=start.reference, created=True)

    async def _commit_later(self, start: Any) -> None:
        await asyncio.sleep(0.5)
        await self._inner.accept(start)


class ForgetfulKeep(_Wrapped):
    """Never finds the first answer."""

    async def load_answer(self, scope: str, key: str) -> None:
        return None


class KeylessOrders(_Wrapped):
    """Takes every call for a new order, whatever its key."""

    async def place(self, body: PlaceOrder) -> Any:
        call = msgspec.structs.replace(context.current(), idempotency_key=token_hex(15))
        with context.calling(call):
            return await self._inner.place(body)


class Pretender(_Wrapped):
    """Says of an order that the ERP refused before that it is there now, and places nothing."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._refused: set[str] = set()

    async def place_order(self, body: PlaceErpOrder) -> ErpOrder:
        from contracts.outcomes import CallFailedError, Rejected

        if body.reference in self._refused:
            net = zero(body.currency)
            for line in body.lines:
                assert line.unit_price is not None, "every line is priced before it is placed"
                amount = line_amount(line.unit_price.amount, line.quantity, body.currency)
                net += Money(amount=amount, currency=body.currency)
            return ErpOrder(
                id=token_hex(16), number="S-ORD0", reference=body.reference,
                customer=body.customer, net_amount=net, gross_amount=net, found=False,
                state="open",
            )  # fmt: skip
        try:
            return await self._inner.place_order(body)
        except CallFailedError as failed:
            if isinstance(failed.failure, Rejected):
                self._refused.add(body.reference)
            raise


class ForgetfulWarehouse(_Wrapped):
    """Says that a fulfilment order is taken back, and leaves it where it is."""

    async def cancel_release(self, body: Any) -> Any:
        from contracts.ports.wms import ReleaseCancelled

        return ReleaseCancelled(was_there=True)


DEFECTS = {
    "pretends-on-retry": Parts(erp=Pretender),
    "forgets-the-warehouse": Parts(wms=ForgetfulWarehouse),
    "careless-connector": Parts(erp=CarelessConnector),
    "acknowledge-before-commit": Parts(journal=HastyJournal),
    "key-ignored": Parts(keep=ForgetfulKeep, orders=KeylessOrders),
}

if __name__ == "__main__":
    settings = Settings.from_environment()
    parts = DEFECTS[sys.argv[1]]
    if "--worker" in sys.argv:
        asyncio.run(work(settings, parts=parts))
    else:
        asyncio.run(serve(settings, parts=parts))
