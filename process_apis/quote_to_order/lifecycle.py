"""The lifecycles as tables. `python -m process_apis.quote_to_order.lifecycle` draws them.

Every state in which something is done has one step, and a step has at most one effect. A healthy
order makes two moves: placed in the ERP, released to the warehouse; three where its goods are
allocated here. The four axes it is seen by have tables of their own (`axes`).
"""

import sys
from typing import Final

from process_apis.quote_to_order.axes import AXES
from runtime.journal.process import Lifecycle

STANDING: Final = (
    "confirmed", "allocated", "backordered", "not_released", "released", "not_posted",
    "overshipped", "suspended",
)  # fmt: skip
"""The states of an order that the ERP holds and nobody is done with, in which news is taken."""

ORDER: Final = Lifecycle(
    name="order",
    initial="accepted",
    terminal=frozenset({"closed", "cancelled"}),
    moves={
        # Accepted: the next thing done is the order in the ERP.
        ("accepted", "placed"): "confirmed",
        ("accepted", "accepted_on_last_known_data"): "provisional",
        ("accepted", "deal_noticed"): "fetching",
        ("accepted", "held"): "held",
        ("accepted", "answered_another_amount"): "mispriced",
        ("accepted", "stopped"): "stopped",
        ("accepted", "cancelled"): "withdrawing",
        # Provisional: checked again as soon as the systems answer.
        ("provisional", "validated"): "accepted",
        ("provisional", "held"): "held",
        ("provisional", "stopped"): "stopped",
        ("provisional", "cancelled"): "withdrawing",
        # A deal was won: the CRM is asked what was sold.
        ("fetching", "validated"): "accepted",
        ("fetching", "accepted_on_last_known_data"): "provisional",
        ("fetching", "held"): "held",
        ("fetching", "stopped"): "stopped",
        ("fetching", "not_won"): "cancelled",
        ("fetching", "cancelled"): "withdrawing",
        # Held for credit: finance decides.
        ("held", "released"): "accepted",
        ("held", "rechecked"): "provisional",
        ("held", "cancelled"): "withdrawing",
        # Stopped before anything is in the ERP: somebody decides.
        ("stopped", "retried"): "accepted",
        ("stopped", "rechecked"): "provisional",
        ("stopped", "refetched"): "fetching",
        ("stopped", "cancelled"): "withdrawing",
        # In the ERP with another amount than ours: sales decides.
        ("mispriced", "amount_accepted"): "confirmed",
        ("mispriced", "retried"): "accepted",
        ("mispriced", "cancelled"): "withdrawing",
        # Held for the price: whoever may approves it, and the rest is checked as ever.
        ("held", "approved"): "provisional",
        # Confirmed: the goods are allocated, or released at once where the warehouse allocates.
        ("confirmed", "released_to_warehouse"): "released",
        ("confirmed", "allocated"): "allocated",
        ("confirmed", "waits_for_stock"): "backordered",
        ("confirmed", "warehouse_refused"): "not_released",
        ("confirmed", "hold_set"): "suspending",
        ("confirmed", "cancelled"): "withdrawing",
        # Allocated: one fulfilment order after the other, one a warehouse.
        ("allocated", "released_in_part"): "allocated",
        ("allocated", "released_to_warehouse"): "released",
        ("allocated", "waits_for_stock"): "backordered",
        ("allocated", "warehouse_refused"): "not_released",
        ("allocated", "hold_set"): "suspending",
        ("allocated", "cancelled"): "withdrawing",
        # Backordered: looked for until stock arrives; the rest may be with the warehouse.
        ("backordered", "stock_arrived"): "confirmed",
        ("backordered", "goods_left"): "posting",
        ("backordered", "shipped_too_much"): "overshipped",
        ("backordered", "warehouse_refused"): "not_released",
        ("backordered", "hold_set"): "suspending",
        ("backordered", "cancelled"): "withdrawing",
        # The warehouse refused, or took it back by itself: somebody decides.
        ("not_released", "retried"): "confirmed",
        ("not_released", "looked_for_again"): "allocated",
        ("not_released", "goods_left"): "posting",
        ("not_released", "shipped_too_much"): "overshipped",
        ("not_released", "hold_set"): "suspending",
        ("not_released", "cancelled"): "withdrawing",
        # Released: what happens to the goods and the money is told to us.
        ("released", "goods_left"): "posting",
        ("released", "shipped_too_much"): "overshipped",
        ("released", "warehouse_refused"): "not_released",
        ("released", "hold_set"): "suspending",
        ("released", "cancelled"): "withdrawing",
        # Posting: the next thing done is the shipment in the ERP.
        ("posting", "posted_in_part"): "released",
        ("posting", "shipped"): "shipped",
        ("posting", "settled"): "closed",
        ("posting", "waits_for_stock"): "backordered",
        ("posting", "rest_to_allocate"): "confirmed",
        ("posting", "still_refused"): "not_released",
        ("posting", "still_held"): "suspending",
        ("posting", "shipped_too_much"): "overshipped",
        ("posting", "not_posted"): "not_posted",
        ("not_posted", "retried"): "posting",
        ("not_posted", "goods_left"): "posting",
        ("not_posted", "shipped_too_much"): "overshipped",
        ("not_posted", "hold_set"): "suspending",
        # More was shipped than was ordered: somebody decides, and the order goes on.
        ("overshipped", "goods_left"): "posting",
        ("overshipped", "shipped_too_much"): "overshipped",
        ("overshipped", "seen_to"): "released",
        ("overshipped", "shipped"): "shipped",
        ("overshipped", "settled"): "closed",
        ("overshipped", "waits_for_stock"): "backordered",
        ("overshipped", "rest_to_allocate"): "confirmed",
        ("overshipped", "still_held"): "suspending",
        ("overshipped", "hold_set"): "suspending",
        # Held in the ERP after it was confirmed: every open release is stopped, and let go later.
        ("suspending", "stopped_picking"): "suspending",
        ("suspending", "suspended"): "suspended",
        ("suspending", "goods_to_post"): "posting",
        ("suspending", "hold_lifted"): "resuming",
        ("suspending", "cancelled"): "withdrawing",
        ("suspended", "goods_left"): "posting",
        ("suspended", "shipped_too_much"): "overshipped",
        ("suspended", "warehouse_took_back"): "suspended",
        ("suspended", "stop_again"): "suspending",
        ("suspended", "hold_lifted"): "resuming",
        ("suspended", "cancelled"): "withdrawing",
        ("resuming", "let_go"): "resuming",
        ("resuming", "resumed"): "released",
        ("resuming", "rest_to_allocate"): "confirmed",
        ("resuming", "waits_for_stock"): "backordered",
        ("resuming", "goods_to_post"): "posting",
        ("resuming", "shipped"): "shipped",
        ("resuming", "settled"): "closed",
        ("resuming", "hold_set"): "suspending",
        ("resuming", "cancelled"): "withdrawing",
        # News that changes nothing about what is done next.
        **{(state, "noted"): state for state in STANDING},
        **{(state, "billed"): state for state in STANDING},
        ("shipped", "noted"): "shipped",
        ("shipped", "billed"): "shipped",
        ("shipped", "settled"): "closed",
        ("shipped", "shipped_too_much"): "overshipped",
        # Taken back: what was done is undone, last first; unless the goods have left.
        ("withdrawing", "undone"): "withdrawing",
        ("withdrawing", "all_undone"): "cancelled",
        ("withdrawing", "too_late"): "released",
        ("withdrawing", "too_late_in_part"): "confirmed",
        ("withdrawing", "too_late_on_hold"): "suspending",
        ("withdrawing", "left_already"): "posting",
        ("withdrawing", "rollback_stopped"): "rollback_incomplete",
        ("rollback_incomplete", "retried"): "withdrawing",
        ("rollback_incomplete", "put_right_by_hand"): "cancelled",
    },
)

CREDIT: Final = Lifecycle(
    name="credit",
    initial="accepted",
    terminal=frozenset({"credited", "cancelled"}),
    moves={
        ("accepted", "matched"): "matched",
        ("accepted", "unmatched"): "stopped",
        ("accepted", "stopped"): "stopped",
        ("accepted", "cancelled"): "cancelled",
        ("matched", "credited"): "credited",
        ("matched", "outrun"): "accepted",
        ("matched", "stopped"): "stopped",
        ("stopped", "retried"): "accepted",
        ("stopped", "reposted"): "matched",
        ("stopped", "cancelled"): "cancelled",
    },
)


def drawn() -> str:
    """Answer every lifecycle as the page `docs/lifecycles.md`."""
    parts = [_INTRODUCTION]
    parts += [_section(table.name.capitalize(), table) for table in (ORDER, CREDIT)]
    parts += [_section(f"The {table.name} axis", table) for table in AXES]
    return "".join(parts)


def _section(title: str, table: Lifecycle) -> str:
    return f"\n## {title}\n\n```mermaid\n{table.mermaid()}```\n"


_INTRODUCTION: Final = """# Lifecycles

Drawn from `process_apis/quote_to_order/lifecycle.py` and `axes.py`. The order's table says what is
done next: a state either has a step, or waits for news. The four axes say where the order stands
for sales, finance, the warehouse and billing; each changes by its own table and no other way.
"""


if __name__ == "__main__":
    sys.stdout.write(drawn())
