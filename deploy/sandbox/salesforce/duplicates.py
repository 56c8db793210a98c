"""The standard duplicate rules of Account and Contact: an alert or a block on create.

The error's extra key is misspelt ``duplicateResut`` on the vendor's wire, and so here. Header:
``Sforce-Duplicate-Rule-Header: allowSave=true; includeRecordDetails=true; runAsCurrentUser=false``.
"""

import re
from collections.abc import Callable
from typing import Any

from deploy.sandbox.salesforce.change import Change
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.vault import Record

__all__ = ["refuse_duplicates"]

_NOISE = re.compile(r"[^\w]+|\b(?:ltd|limited|inc|llc|gmbh|bv|sarl|sas|plc|co|company)\b")


def _account_key(record: Record) -> str | None:
    """An account is another's double when name and place agree; legal forms do not count."""
    place = record.get("BillingPostalCode") or record.get("BillingCity")
    if not place:
        return None
    name = _NOISE.sub("", record["Name"].lower())
    return f"{name}|{place.lower().replace(' ', '')}"


def _contact_key(record: Record) -> str | None:
    email = record.get("Email")
    return f"{email.lower()}|{record['LastName'].lower()}" if email else None


_KEYS: dict[str, Callable[[Record], str | None]] = {
    "Account": _account_key,
    "Contact": _contact_key,
}


def refuse_duplicates(change: Change) -> None:
    """Refuse a new record that looks like one that is there.

    Raises:
        Refusal: DUPLICATES_DETECTED. An alert gives way to ``allowSave=true``, a block does not.
    """
    key_of = _KEYS.get(change.sobject.name)
    action = change.org.policy.duplicate_rule
    if key_of is None or action == "off":
        return
    if action == "alert" and change.caller.allow_duplicates:
        return
    key = key_of(change.record)
    if key is None:
        return
    doubles = change.org.tables[change.sobject.name].index("duplicate rule", key_of)
    found = [record for record in doubles.get(key) if not record["IsDeleted"]]
    if found:
        message = "Use one of these records?"
        raise Refusal(
            "DUPLICATES_DETECTED",
            message,
            extra={"duplicateResut": _result(change, found, message, allow_save=action == "alert")},
        )


def _result(
    change: Change, found: list[Record], message: str, *, allow_save: bool
) -> dict[str, Any]:
    name = change.sobject.name
    details = change.caller.include_record_details
    return {
        "allowSave": allow_save,
        "duplicateRule": f"Standard_{name}_Duplicate_Rule",
        "duplicateRuleEntityType": name,
        "errorMessage": message,
        "matchResults": [
            {
                "entityType": name,
                "errors": [],
                "matchEngine": "FuzzyMatchEngine",
                "matchRecords": [_match(name, record, details=details) for record in found],
                "rule": f"Standard_{name}_Match_Rule_v1_0",
                "size": len(found),
                "success": True,
            }
        ],
    }


def _match(name: str, record: Record, *, details: bool) -> dict[str, Any]:
    shown = {k: v for k, v in record.items() if not isinstance(v, bool)} if details else {}
    return {
        "additionalInformation": [],
        "fieldDiffs": [],
        "matchConfidence": 100.0,
        "record": {
            "attributes": {
                "type": name,
                "url": f"/services/data/v67.0/sobjects/{name}/{record['Id']}",
            },
            "Id": record["Id"],
            **shown,
        },
    }
