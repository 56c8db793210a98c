"""Putting quote-to-order together: first what the journal must know, then what needs it."""

from collections.abc import Callable
from typing import Any

from contracts.ports.crm import Crm
from contracts.ports.erp import Erp
from contracts.ports.inventory import Inventory
from contracts.ports.pricing_credit import PricingCredit
from contracts.ports.wms import Wms
from process_apis.quote_to_order.api import QuoteToOrderApi
from process_apis.quote_to_order.deals import DealWatch
from process_apis.quote_to_order.exposure import Exposure
from process_apis.quote_to_order.intake import Intake
from process_apis.quote_to_order.process_types import process_types
from process_apis.quote_to_order.promises import PromiseReader
from process_apis.quote_to_order.queries import OrderQueries
from process_apis.quote_to_order.reports import CrmReporter
from process_apis.quote_to_order.settings import OrderSettings
from runtime.clock import Clock
from runtime.journal.journal import Journal
from runtime.journal.process import ProcessType
from runtime.journal.propagation import Subscriber
from runtime.store.engine import Store


class QuoteToOrder:
    """Everything quote-to-order consists of. Construction has no effects.

    Hand `types` and `subscribers` to the journal, the journal to `over`, and `exposure` to the
    credit decisions, so that both count the same orders. Without an `inventory` no channel
    allocates here: the warehouse does, as it always can.
    """

    def __init__(
        self,
        *,
        pricing: PricingCredit,
        erp: Erp,
        wms: Wms,
        crm: Crm,
        store: Store,
        settings: OrderSettings,
        clock: Clock,
        exposure: Exposure,
        promises: PromiseReader | None = None,
        inventory: Inventory | None = None,
    ) -> None:
        self._pricing = pricing
        self._crm = crm
        self._settings = settings
        self._clock = clock
        self._exposure = exposure
        self._promises = promises
        self._queries = OrderQueries(store)
        reporter = CrmReporter(crm=crm, clock=clock)
        self.subscribers: tuple[Subscriber, ...] = (
            reporter.subscriber(),
            reporter.documents(),
        )
        self.types: tuple[ProcessType[Any], ...] = process_types(
            pricing=pricing,
            erp=erp,
            wms=wms,
            crm=crm,
            settings=settings,
            exposure=exposure,
            queries=self._queries,
            inventory=inventory,
        )

    def over(self, journal: Journal) -> QuoteToOrderApi:
        """Answer the port's implementation over the journal that was given `types`."""
        self._queries.use(journal.types)
        return QuoteToOrderApi(
            pricing=self._pricing,
            intake=Intake(
                pricing=self._pricing,
                promises=self._promises,
                journal=journal,
                clock=self._clock,
            ),
            journal=journal,
            queries=self._queries,
            exposure=self._exposure,
            settings=self._settings,
            clock=self._clock,
            mint=journal.mint,
        )

    def deal_watch(
        self, journal: Journal, missed: Callable[[], object] = lambda: None
    ) -> DealWatch:
        """Answer the backstop for notifications of won deals; to be run as a task.

        `missed` is called for each deal that nobody had told of before it was looked for.
        """
        return DealWatch(
            crm=self._crm,
            journal=journal,
            clock=self._clock,
            mint=journal.mint,
            settings=self._settings,
            missed=missed,
        )
