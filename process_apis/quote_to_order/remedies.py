"""Exceptions as the people who mend them see them: words, categories, and what may be done."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from contracts.canonical.order import OrderException
from contracts.outcomes import Category as ContractCategory
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
    )


def shown(*, incident: str, category: Category, says: str, opened_at: datetime) -> OrderException:
    """Show a row of the exception queue."""
    return OrderException(
        id=incident,
        category=category_name(category),
        title=_TITLES[category],
        detail=says,
        actor=REMEDIES[category].who_acts,
        remedies=remedies_of(category),
        opened_at=opened_at,
        runbook=REMEDIES[category].runbook,
    )
