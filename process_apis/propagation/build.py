"""Putting propagation together: first what the journal must know, then what needs it."""

from collections.abc import Mapping
from typing import Any

from contracts.ports.erp import Erp
from contracts.ports.wms import Wms
from process_apis.propagation.addressing import StoredOrders
from process_apis.propagation.erp_looks import CUSTOMERS, INVOICES, ORDERS, ErpLooks
from process_apis.propagation.held import held_type
from process_apis.propagation.intake import Intake
from process_apis.propagation.settings import PropagationSettings
from process_apis.propagation.watchdog import Renew, Watchdog
from process_apis.propagation.watching import Watch
from process_apis.propagation.wms_looks import CANCELLATIONS, SHIPMENTS, STOCK, WmsLooks
from runtime.clock import Clock
from runtime.journal.journal import Journal
from runtime.journal.process import ProcessType
from runtime.store.engine import Store

__all__ = ["DEALS", "Propagation"]

DEALS = "salesforce.deals"
"""The subscription whose messages tell of won deals."""


class Propagation:
    """Everything propagation consists of. Construction has no effects.

    Hand `types` to the journal and the journal to `over`. `renewals` say how the subscriptions of
    `business_central` and `shiphero` are made anew.
    """

    def __init__(
        self,
        *,
        erp: Erp,
        wms: Wms,
        store: Store,
        settings: PropagationSettings,
        clock: Clock,
        renewals: Mapping[str, Renew] | None = None,
    ) -> None:
        self._erp = erp
        self._wms = wms
        self._settings = settings
        self._clock = clock
        self._orders = StoredOrders(store)
        self.intake = Intake(self._orders)
        made = renewals or {}
        names = (CUSTOMERS, ORDERS, INVOICES, SHIPMENTS, CANCELLATIONS, STOCK, DEALS)
        self.watchdog = Watchdog(
            {name: made.get(name.partition(".")[0]) for name in names},
            clock=clock,
            grace=settings.push_grace,
            renew_every=settings.renew_every,
        )
        self.types: tuple[ProcessType[Any], ...] = (
            held_type(self.intake.offer, held_for=settings.held_for),
        )

    def over(self, journal: Journal) -> tuple[Watch, Watch]:
        """Answer the watches of the ERP and of the warehouse, each to be run as a task.

        From now on what is taken is published into this journal.
        """
        self.intake.use(journal)
        settings, clock = self._settings, self._clock
        erp = ErpLooks(
            erp=self._erp, intake=self.intake, notes=journal, watchdog=self.watchdog,
            clock=clock, overlap=settings.erp_overlap,
        )  # fmt: skip
        wms = WmsLooks(
            wms=self._wms, intake=self.intake, orders=self._orders, notes=journal,
            watchdog=self.watchdog, clock=clock, overlap=settings.wms_overlap,
        )  # fmt: skip
        return (
            Watch(
                "erp",
                {CUSTOMERS: erp.customers, ORDERS: erp.reviews, INVOICES: erp.documents},
                every=settings.erp_poll_every,
                clock=clock,
            ),
            Watch(
                "wms",
                {SHIPMENTS: wms.shipments, CANCELLATIONS: wms.releases, STOCK: wms.stock},
                every=settings.wms_poll_every,
                clock=clock,
            ),
        )
