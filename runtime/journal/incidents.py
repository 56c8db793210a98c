"""What can go wrong for good, who acts on it, and what they may do."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct


class Category(StrEnum):
    """Why a process needs a person. The value is what operators read and filter by."""

    MASTER_DATA_MISMATCH = "master_data_mismatch"
    TIME_OUT = "time_out"
    THROTTLED = "throttled"
    WAREHOUSE_REJECTION = "warehouse_rejection"
    ERP_BUSINESS_RULE = "erp_business_rule"
    PRICING_MISMATCH = "pricing_mismatch"
    CREDIT_HOLD = "credit_hold"
    CONTRACT_VIOLATION = "contract_violation"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"


class Action(StrEnum):
    """What a person may do about an incident."""

    RETRY = "retry"
    AMEND_AND_RETRY = "amend_and_retry"
    ACCEPT = "accept"
    CANCEL = "cancel"


class Remedy(Struct, frozen=True, kw_only=True):
    """Who acts on a category of incident, what they may do, and the page to follow."""

    who_acts: str
    actions: frozenset[Action]
    runbook: str


class Incident(Struct, frozen=True, kw_only=True):
    """What a step or signal reports when it cannot go on alone.

    `detail` is for operators: our words and our ids, never a vendor's text, a secret or a URL.
    """

    category: Category
    says: str
    detail: Mapping[str, Any] = {}


class OpenedIncident(Struct, frozen=True, kw_only=True, rename="camel"):
    """An incident as stored: one row of the exception queue."""

    id: str
    process_id: str
    kind: str
    reference: str
    state: str
    category: Category
    says: str
    detail: dict[str, Any]
    who_acts: str
    actions: tuple[Action, ...]
    runbook: str
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None


def _remedy(who_acts: str, slug: str, *actions: Action) -> Remedy:
    return Remedy(who_acts=who_acts, actions=frozenset(actions), runbook=f"docs/runbooks/{slug}.md")


REMEDIES: Mapping[Category, Remedy] = MappingProxyType(
    {
        Category.MASTER_DATA_MISMATCH: _remedy(
            "master data",
            "master-data-mismatch",
            Action.RETRY,
            Action.AMEND_AND_RETRY,
            Action.CANCEL,
        ),
        Category.TIME_OUT: _remedy(
            "integration operations", "time-out", Action.RETRY, Action.CANCEL
        ),
        Category.THROTTLED: _remedy(
            "integration operations", "throttled", Action.RETRY, Action.CANCEL
        ),
        Category.WAREHOUSE_REJECTION: _remedy(
            "warehouse", "warehouse-rejection", Action.RETRY, Action.AMEND_AND_RETRY, Action.CANCEL
        ),
        Category.ERP_BUSINESS_RULE: _remedy(
            "order desk", "erp-business-rule", Action.RETRY, Action.AMEND_AND_RETRY, Action.CANCEL
        ),
        Category.PRICING_MISMATCH: _remedy(
            "sales",
            "pricing-mismatch",
            Action.RETRY,
            Action.AMEND_AND_RETRY,
            Action.ACCEPT,
            Action.CANCEL,
        ),
        Category.CREDIT_HOLD: _remedy(
            "credit control", "credit-hold", Action.RETRY, Action.ACCEPT, Action.CANCEL
        ),
        Category.CONTRACT_VIOLATION: _remedy(
            "integration operations",
            "contract-violation",
            Action.RETRY,
            Action.AMEND_AND_RETRY,
            Action.CANCEL,
        ),
        Category.ROLLBACK_INCOMPLETE: _remedy(
            "integration operations", "rollback-incomplete", Action.RETRY, Action.ACCEPT
        ),
    }
)
"""The remedy of each category unless a process type says otherwise."""
