"""The two kinds of process, put together for the journal."""

from typing import Any, Final

from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.inventory import Inventory
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.wms import Wms
from process_apis.quote_to_order import remedies
from process_apis.quote_to_order.credits import CreditSteps
from process_apis.quote_to_order.exposure import Exposure
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER
from process_apis.quote_to_order.numbers import findable
from process_apis.quote_to_order.outlook import credit_outlook, order_outlook
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.records import (
    CREDIT_KIND,
    ORDER_KIND,
    CreditRecord,
    OrderRecord,
)
from process_apis.quote_to_order.settings import OrderSettings
from process_apis.quote_to_order.signals import (
    HOLD_CHANGED,
    credit_remedied,
    no_matter,
    order_signals,
)
from process_apis.quote_to_order.steps import OrderSteps
from runtime.journal.process import REMEDY, ProcessType

_CREATING: Final = ("accepted", "confirmed", "allocated", "posting")
"""The states whose step creates something that a look-up must find before it is created again."""

VERSION: Final = 1
"""Raised when stored data changes its meaning; then an upgrade from the version before is due."""


def process_types(
    *,
    pricing: PricingCredit,
    erp: Erp,
    wms: Wms,
    crm: Crm,
    settings: OrderSettings,
    exposure: Exposure,
    queries: OrderQueries,
    inventory: Inventory | None = None,
) -> tuple[ProcessType[Any], ...]:
    """Answer the process types that the journal must know to carry orders and credits."""
    orders = OrderSteps(
        pricing=pricing,
        erp=erp,
        wms=wms,
        crm=crm,
        settings=settings,
        exposure=exposure,
        queries=queries,
        inventory=inventory,
    )
    credits_ = CreditSteps(erp=erp, queries=queries, settings=settings)
    order = ProcessType(
        name=ORDER_KIND,
        version=VERSION,
        data_type=OrderRecord,
        lifecycle=ORDER,
        steps=orders.by_state(),
        on_signal=order_signals(settings.settle_before_undo),
        settle_after_takeover=dict.fromkeys(_CREATING, settings.settle_after_takeover),
        outlook=order_outlook,
        why_not=remedies.why_not,
    )
    credit = ProcessType(
        name=CREDIT_KIND,
        version=VERSION,
        data_type=CreditRecord,
        lifecycle=CREDIT,
        steps=credits_.by_state(),
        on_signal={REMEDY: credit_remedied, HOLD_CHANGED: no_matter},
        settle_after_takeover={"matched": settings.settle_after_takeover},
        outlook=credit_outlook,
        why_not=remedies.why_not,
    )
    return findable(order), findable(credit)
