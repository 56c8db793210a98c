"""The lifecycles as tables. `python -m process_apis.quote_to_order.lifecycle` draws them.

Every state in which something is done has one step, and a step has at most one effect. A healthy
order makes two moves: placed in the ERP, released to the warehouse. The four axes it is seen by
have tables of their own (`axes`).
"""

import sys
from typing import Final

from process_apis.quote_to_order.axes import AXES
from runtime.journal.process import Lifecycle

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
        # Confirmed: the next thing done is the order in the warehouse.
        ("confirmed", "released_to_warehouse"): "released",
        ("confirmed", "warehouse_refused"): "not_released",
        ("confirmed", "cancelled"): "withdrawing",
        ("not_released", "retried"): "confirmed",
        ("not_released", "cancelled"): "withdrawing",
        # Released: what happens to the goods and the money is told to us.
        ("released", "shipped_in_part"): "released",
        ("released", "shipped"): "shipped",
        ("released", "billed"): "released",
        ("released", "cancelled"): "withdrawing",
        ("shipped", "billed"): "shipped",
        ("shipped", "settled"): "closed",
        # Taken back: what was done is undone, last first.
        ("withdrawing", "undone"): "withdrawing",
        ("withdrawing", "all_undone"): "cancelled",
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
