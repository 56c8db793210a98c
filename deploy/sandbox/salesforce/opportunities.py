"""Opportunities: what a stage implies, and the notification that a deal is won."""

from decimal import Decimal
from typing import Any

from deploy.sandbox.salesforce.change import Change, money
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.schema import STAGES
from deploy.sandbox.vault import Record

__all__ = ["after", "before", "expected_revenue", "stage_fields"]


def stage_fields(stage: str) -> dict[str, Any]:
    """What a stage sets on an opportunity."""
    probability, closed, won, forecast = STAGES[stage]
    return {
        "Probability": float(probability),
        "IsClosed": closed,
        "IsWon": won,
        "ForecastCategory": forecast,
    }


def expected_revenue(record: Record) -> float | None:
    """Amount times probability; None without an amount."""
    amount = record.get("Amount")
    if amount is None:
        return None
    share = Decimal(str(record.get("Probability", 0.0))) / 100
    return money(Decimal(str(amount)) * share)


def before(change: Change) -> None:
    """Stage, amount and price book. An amount from products is not the caller's to set."""
    record = change.record
    if change.sets("StageName"):
        implied = stage_fields(record["StageName"])
        if "Probability" in change.touched and not implied["IsClosed"]:
            implied.pop("Probability")
        record.update(implied)
        if change.before is not None:
            record["LastStageChangeDate"] = change.org.stamp_now()
    if change.was("HasOpportunityLineItem"):
        for field in ("Amount", "TotalOpportunityQuantity"):
            record.pop(field, None)
            if change.before is not None and field in change.before:
                record[field] = change.before[field]
        for field in ("Pricebook2Id", "CurrencyIsoCode"):
            if change.sets(field):
                raise Refusal(
                    "FIELD_INTEGRITY_EXCEPTION",
                    f"field integrity exception: {field} (cannot be changed while the opportunity "
                    "has products)",
                    (field,),
                )
    expected = expected_revenue(record)
    if expected is None:
        record.pop("ExpectedRevenue", None)
    else:
        record["ExpectedRevenue"] = expected


def after(change: Change) -> None:
    """Winning a deal owes a notification, once each time it turns won."""
    if change.record["IsWon"] and not change.was("IsWon"):
        org = change.org
        notification = org.outbox.owe(change.record["Id"], org.now().timestamp())
        org.after_commit(lambda: org.owing(notification))
