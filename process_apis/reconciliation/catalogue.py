"""What each kind of difference means, who acts and where it is written what to do."""

from typing import Final

from msgspec import Struct

from contracts.ports.reconciliation import DifferenceKind, SystemName
from process_apis.reconciliation.decisions import Finding

RUNBOOK: Final = "docs/runbooks/reconciliation.md"
NAMES: Final[dict[SystemName, str]] = {"crm": "the CRM", "erp": "the ERP", "wms": "the warehouse"}


class Kind(Struct, frozen=True):
    """Who acts on a kind, and how it is said. `{there}` names the system."""

    actor: str
    says: str


KINDS: Final[dict[DifferenceKind, Kind]] = {
    "missing-in-erp": Kind(
        "integration operations", "The order was accepted and never came to {there}."
    ),
    "missing-in-wms": Kind(
        "warehouse operations", "Release {ours} is not in {there}: nobody picks it."
    ),
    "missing-in-crm": Kind("sales operations", "{There} does not show the order ({ours})."),
    "unknown-in-erp": Kind(
        "integration operations", "{There} holds {theirs} under a reference that is no order's."
    ),
    "unknown-in-wms": Kind(
        "warehouse operations", "{There} holds {theirs} under a reference that is no order's."
    ),
    "unknown-in-crm": Kind(
        "sales operations", "{There} shows an order that was never accepted ({theirs})."
    ),
    "doubled-in-erp": Kind(
        "integration operations", "{There} has the order more than once: {theirs}."
    ),
    "doubled-in-wms": Kind(
        "warehouse operations", "{There} has the release more than once: {theirs}."
    ),
    "amount": Kind("order management", "The order is {ours} here and {theirs} in {there}."),
    "currency": Kind("order management", "The order is in {ours} here and in {theirs} in {there}."),
    "quantity": Kind("warehouse operations", "{ours} pieces left; {there} says {theirs}."),
    "status": Kind("order management", "Here: {ours}. In {there}: {theirs}."),
    "cancelled-in-erp": Kind(
        "order management", "Order {ours} is gone from {there}; nobody cancelled it here."
    ),
    "cancelled-in-wms": Kind(
        "warehouse operations", "The release is cancelled in {there} and {ours} here."
    ),
    "shipped-not-posted": Kind("finance", "{ours}, {theirs} in {there}: it cannot be billed."),
    "invoiced-not-told": Kind(
        "integration operations", "Invoice {theirs} of {there} is not known here ({ours})."
    ),
}


def words(finding: Finding) -> str:
    """Say a finding in one sentence."""
    there = NAMES[finding.system]
    return KINDS[finding.kind].says.format(
        there=there,
        There=there[0].upper() + there[1:],
        ours=finding.ours,
        theirs=finding.theirs,
    )
