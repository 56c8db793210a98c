"""Exceptions as the people who mend them see them: words, categories, and what may be done."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from contracts.canonical.order import OrderException
from contracts.outcomes import Category as ContractCategory
from process_apis.quote_to_order.lifecycle import CREDIT, ORDER
from process_apis.quote_to_order.records import CreditRecord, OrderRecord
from runtime.journal.incidents import REMEDIES, Action, Category
from runtime.journal.process import Process

ACTIONS: Final[Mapping[str, Action]] = {
    "retry": Action.RETRY,
    "accept": Action.ACCEPT,
    "release": Action.ACCEPT,
    "amend": Action.AMEND_AND_RETRY,
    "cancel": Action.CANCEL,
}

_TITLES: Final[Mapping[Category, str]] = {
    Category.MASTER_DATA_MISMATCH: "Something on the order is not known",
    Category.TIME_OUT: "A system did not answer for too long",
    Category.THROTTLED: "A system limits our calls for too long",
    Category.WAREHOUSE_REJECTION: "The warehouse refused the order",
    Category.ERP_BUSINESS_RULE: "A business rule of the ERP refused the order",
    Category.PRICING_MISMATCH: "The price is not the one that was agreed",
    Category.CREDIT_HOLD: "The order waits for credit",
    Category.CONTRACT_VIOLATION: "A system answered what its contract does not allow",
    Category.ROLLBACK_INCOMPLETE: "The cancellation could not be completed",
}


def action_for(remedy: str, category: Category) -> Action | None:
    """Answer what a remedy means for a category; None when the category does not offer it.

    Finance releases a credit hold; everywhere else a deviation is accepted.
    """
    if remedy not in remedies_of(category):
        return None
    return ACTIONS[remedy]


def remedies_of(category: Category) -> tuple[str, ...]:
    """Name the remedies of a category as the channels call them."""
    return tuple(sorted(_name(action, category) for action in REMEDIES[category].actions))


def _name(action: Action, category: Category) -> str:
    match action:
        case Action.ACCEPT:
            return "release" if category is Category.CREDIT_HOLD else "accept"
        case Action.AMEND_AND_RETRY:
            return "amend"
        case Action.RETRY | Action.CANCEL:
            return action.value


_ROWS: Final = frozenset(
    {
        ("held", Action.ACCEPT),
        ("held", Action.AMEND_AND_RETRY),
        ("stopped", Action.AMEND_AND_RETRY),
        ("not_released", Action.AMEND_AND_RETRY),
        ("suspending", Action.ACCEPT),
        ("suspended", Action.ACCEPT),
        ("rollback_incomplete", Action.ACCEPT),
    }
)
"""What is accepted and amended in which state, whatever else is known of the order."""


def possible(  # noqa: PLR0911  # one answer a row
    state: str, record: OrderRecord | CreditRecord, action: Action
) -> bool:
    """Tell whether a remedy would do anything to an order or a credit as it stands.

    A retry always does: a state that has no answer of its own to it runs its step again.
    """
    if isinstance(record, CreditRecord):
        if action is Action.CANCEL:
            return not record.maybe_posted and CREDIT.allows(state, "cancelled")
        return action is Action.RETRY
    match action:
        case Action.RETRY:
            return True
        case Action.CANCEL:
            gone = any(line.shipped for line in record.lines)
            return ORDER.allows(state, "cancelled") and not gone
        case Action.ACCEPT if state == "stopped":
            return record.stopped_in == "provisional"
        case Action.ACCEPT if state == "mispriced":
            return record.erp_net is not None
        case _:
            return (state, action) in _ROWS


def why_not(process: Process[Any], action: Action) -> str | None:
    """Answer why a remedy would do nothing to an order or a credit as it stands, in one sentence.

    None where it would do something.
    """
    state, record = process.state, process.data
    if possible(state, record, action):
        return None
    if isinstance(record, CreditRecord):
        return CREDIT_MAY_BE_POSTED if record.maybe_posted else f"A credit {_NOT[action]} {state}."
    if action is Action.CANCEL:
        return GONE if any(line.shipped for line in record.lines) else TOO_LATE
    return f"An order {_NOT[action]} {state}."


GONE: Final = "Goods have left the warehouse; they can only come back."
TOO_LATE: Final = "The order can no longer be cancelled."
CREDIT_MAY_BE_POSTED: Final = "The ERP may hold the credit memo; it cannot be cancelled."
_NOT: Final[Mapping[Action, str]] = {
    Action.RETRY: "is not tried again while it is",
    Action.ACCEPT: "has nothing to accept while it is",
    Action.AMEND_AND_RETRY: "cannot be amended while it is",
    Action.CANCEL: "cannot be cancelled while it is",
}


def possible_of(
    category: Category, state: str, record: OrderRecord | CreditRecord
) -> tuple[str, ...]:
    """Name the remedies of a category that would do something now."""
    return tuple(name for name in remedies_of(category) if possible(state, record, ACTIONS[name]))


def category_of(outcome: ContractCategory) -> Category:
    """Answer the journal's category for the one a system names."""
    return Category(outcome.replace("-", "_"))


def category_for_problem(slug: str) -> Category:
    """Answer the category of an order that a check refuses after it was accepted."""
    match slug:
        case "price-mismatch" | "currency-mismatch":
            return Category.PRICING_MISMATCH
        case "customer-unknown" | "item-unknown" | "customer-ineligible":
            return Category.MASTER_DATA_MISMATCH
        case "credit-limit-exceeded":
            return Category.CREDIT_HOLD
        case _:
            return Category.ERP_BUSINESS_RULE


def category_name(category: Category) -> str:
    """Answer how the contract spells a category."""
    return category.value.replace("_", "-")


def exception_of(process: Process[Any]) -> OrderException | None:
    """Show the open exception of a process; None when nothing stops it."""
    category = process.incident_category
    if process.incident_id is None or category is None:
        return None
    trouble = process.data.trouble
    return shown(
        incident=process.incident_id,
        category=category,
        says=_TITLES[category] if trouble is None else trouble.detail,
        opened_at=process.updated_at if trouble is None else trouble.at,
        remedies=possible_of(category, process.state, process.data),
    )


def shown(
    *,
    incident: str,
    category: Category,
    says: str,
    opened_at: datetime,
    remedies: tuple[str, ...] | None = None,
) -> OrderException:
    """Show a row of the exception queue; without `remedies`, with all that its category has."""
    return OrderException(
        id=incident,
        category=category_name(category),
        title=_TITLES[category],
        detail=says,
        actor=REMEDIES[category].who_acts,
        remedies=remedies_of(category) if remedies is None else remedies,
        opened_at=opened_at,
        runbook=REMEDIES[category].runbook,
    )
