"""Create, update, upsert, delete: one record at a time, judged whole before anything is stored."""

from typing import Any

from deploy.sandbox.salesforce.accounting import account_for
from deploy.sandbox.salesforce.change import Change
from deploy.sandbox.salesforce.duplicates import refuse_duplicates
from deploy.sandbox.salesforce.errors import Refusal, no_such_record
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.ids import eighteen
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.salesforce.rules import RULES
from deploy.sandbox.vault import Record

__all__ = ["ManyMatchError", "create", "delete", "match", "record_at", "update", "upsert"]

Body = dict[str, Any]


class ManyMatchError(Exception):
    """An external id that is not unique matched several records: nothing is written."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(ids)
        self.ids = ids


def create(org: Org, sobject: SObject, body: Body, caller: Caller) -> str:
    """Create a record; answers its id.

    Raises:
        Refusal: in Salesforce's words; nothing was stored.
    """
    _writable(sobject, "create")
    changes = _changes(org, sobject, body, creating=True)
    record: Record = {"Id": "", **sobject.defaults}
    if "OwnerId" in sobject.fields:
        record["OwnerId"] = caller.user_id
    for name, value in changes.items():
        if value is not None:
            record[name] = value
    missing = [name for name in sobject.required if name not in record]
    if missing:
        raise Refusal(
            "REQUIRED_FIELD_MISSING",
            f"Required fields are missing: [{', '.join(missing)}]",
            tuple(missing),
        )
    change = Change(
        org=org,
        sobject=sobject,
        before=None,
        record=record,
        touched=frozenset(changes),
        caller=caller,
    )
    _judge(change, changes)
    refuse_duplicates(change)
    with org.transaction():
        record["Id"] = org.mint(sobject)
        if sobject.auto_field is not None:
            record[sobject.auto_field] = sobject.auto_number.format(
                len(org.tables[sobject.name]) + 1
            )
        record["CreatedDate"] = org.stamp
        record["CreatedById"] = caller.user_id
        _store(change)
    created_id: str = record["Id"]
    return created_id


def update(org: Org, sobject: SObject, before: Record, body: Body, caller: Caller) -> None:
    """Change a living record.

    Raises:
        Refusal: in Salesforce's words; nothing was stored.
    """
    _writable(sobject, "update")
    changes = _changes(org, sobject, body, creating=False)
    record = dict(before)
    emptied = []
    for name, value in changes.items():
        if value is not None:
            record[name] = value
            continue
        record.pop(name, None)
        if name in sobject.defaults:
            record[name] = sobject.defaults[name]
        if sobject.fields[name].required:
            emptied.append(name)
    if emptied:
        raise Refusal(
            "REQUIRED_FIELD_MISSING",
            f"Required fields are missing: [{', '.join(emptied)}]",
            tuple(emptied),
        )
    change = Change(
        org=org,
        sobject=sobject,
        before=before,
        record=record,
        touched=frozenset(changes),
        caller=caller,
    )
    _judge(change, changes)
    with org.transaction():
        _store(change)


def match(org: Org, sobject: SObject, field: Field, value: str) -> list[Record]:
    """The living records that an external id value names."""
    if field.kind == "id":
        record_id = eighteen(value)
        record = None if record_id is None else org.living(sobject.name, record_id)
        return [] if record is None else [record]
    return org.by_value(sobject, field, value)


def upsert(
    org: Org,
    sobject: SObject,
    field: Field,
    value: str,
    *,
    body: Body,
    caller: Caller,
    update_only: bool = False,
) -> tuple[str, bool]:
    """Create or update by external id; answers the record's id and whether it was created.

    Raises:
        Refusal: in Salesforce's words; nothing was stored.
        ManyMatchError: the value names several records.
    """
    found = match(org, sobject, field, value)
    if len(found) > 1:
        raise ManyMatchError([record["Id"] for record in found])
    if found:
        update(org, sobject, found[0], body, caller)
        record_id: str = found[0]["Id"]
        return record_id, False
    if update_only or field.kind == "id":
        raise no_such_record()
    return create(org, sobject, {field.name: value, **body}, caller), True


def delete(org: Org, sobject: SObject, record: Record, caller: Caller) -> None:
    """Put a record and what belongs to it in the recycle bin.

    Raises:
        Refusal: a rule keeps it, or something that would go with it; nothing was deleted.
    """
    _writable(sobject, "delete")
    doomed = _with_children(org, sobject, record)
    for child, doomed_record in doomed:
        rules = RULES.get(child.name)
        if rules is not None and rules.deleting is not None:
            rules.deleting(org, doomed_record, record["Id"])
    with org.transaction():
        for child, doomed_record in doomed:
            gone = {**doomed_record, "IsDeleted": True}
            org.put(child, gone, caller)
            account_for(org, child, before=doomed_record, record=gone, caller=caller, verb="delete")
        rules = RULES.get(sobject.name)
        if rules is not None and rules.deleted is not None:
            rules.deleted(org, record, caller)


def record_at(org: Org, sobject: SObject, text: str, *, writing: bool) -> Record:
    """The living record that an id in an address names.

    Raises:
        Refusal: 404, with the words that fit the case.
    """
    record_id = eighteen(text)
    if record_id is None or org.schema.of_id(record_id) is not sobject:
        raise Refusal(
            "NOT_FOUND",
            f"Provided external ID field does not exist or is not accessible: {text}",
        )
    record = org.tables[sobject.name].get(record_id)
    if record is None:
        raise no_such_record()
    if record["IsDeleted"]:
        if writing:
            raise Refusal("ENTITY_IS_DELETED", "entity is deleted")
        raise no_such_record()
    return record


def _writable(sobject: SObject, action: str) -> None:
    if not sobject.writable:
        raise Refusal(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            f"entity type {sobject.name} does not support {action}",
        )


def _changes(org: Org, sobject: SObject, body: Body, *, creating: bool) -> Body:
    """The stored values of what a body sends; None where it sends null."""
    allowed = sobject.creating if creating else sobject.updating
    changes: Body = {}
    refused: list[str] = []
    for name, value in body.items():
        coercer = allowed.get(name)
        if coercer is not None:
            changes[name] = None if value is None else coercer(value)
            continue
        if name == "attributes":
            continue
        field = sobject.field(name)
        if field is None:
            parent = sobject.parents.get(name.lower())
            if parent is None or not isinstance(value, dict):
                raise Refusal(
                    "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}"
                )
            changes[parent.name] = _named_parent(org, parent, value)
        elif field.kind == "id":
            raise _id_in_body(creating=creating)
        elif field.name in allowed:
            changes[field.name] = None if value is None else allowed[field.name](value)
        else:
            refused.append(field.name)
    if refused:
        raise _read_only(refused)
    return changes


def _read_only(fields: list[str]) -> Refusal:
    return Refusal(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {', '.join(fields)}. Please check the security settings "
        "of this field and verify that it is read/write for your profile or permission set.",
        tuple(fields),
    )


def _id_in_body(*, creating: bool) -> Refusal:
    if creating:
        return Refusal(
            "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",)
        )
    return Refusal("INVALID_FIELD", "The Id field should not be specified in the sobject data.")


def _named_parent(org: Org, field: Field, named: Body) -> str:
    """The id of a parent that the body names by external id: ``"Account__r": {"Key__c": "1"}``."""
    keys = {name: value for name, value in named.items() if name != "attributes"}
    parent = org.schema.named(field.references[0])
    if len(keys) != 1:
        raise Refusal(
            "INVALID_FIELD",
            f"{field.relationship} must have exactly one external id field of {parent.name}",
        )
    ((name, value),) = keys.items()
    key = parent.external_id(name)
    found = match(org, parent, key, str(value))
    if not found:
        raise Refusal(
            "INVALID_FIELD",
            f"Foreign key external ID: {str(value).lower()} not found for field {key.name} in "
            f"entity {parent.name}",
        )
    if len(found) > 1:
        raise Refusal(
            "INVALID_FIELD",
            f"More than one record found for external id field {key.name}: "
            f"[{', '.join(record['Id'] for record in found)}]",
        )
    parent_id: str = found[0]["Id"]
    return parent_id


def _judge(change: Change, changes: Body) -> None:
    """Everything that can refuse a record whose fields are well-formed."""
    org, sobject, record = change.org, change.sobject, change.record
    for name in sobject.references.intersection(changes):
        target = changes[name]
        if target is None:
            continue
        owner = org.schema.of_id(target)
        if owner is None or org.living(owner.name, target) is None:
            raise Refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
    for field in sobject.uniques:
        value = changes.get(field.name)
        if value is None:
            continue
        for other in org.by_value(sobject, field, value):
            if other["Id"] != record["Id"]:
                raise Refusal(
                    "DUPLICATE_VALUE",
                    f"duplicate value found: {field.name} duplicates value on record with id: "
                    f"{other['Id'][:15]}",
                )
    rules = RULES.get(sobject.name)
    if rules is not None and rules.before is not None:
        rules.before(change)
    rate = org.policy.lock_rate
    if rate and org.chance.random() < rate:
        raise Refusal(
            "UNABLE_TO_LOCK_ROW",
            "unable to obtain exclusive access to this record or 1 records: "
            + (record["Id"] or "new"),
        )


def _store(change: Change) -> None:
    org, sobject = change.org, change.sobject
    org.put(sobject, change.record, change.caller)
    account_for(
        org,
        sobject,
        before=change.before,
        record=change.record,
        caller=change.caller,
        verb="create" if change.before is None else "update",
    )
    rules = RULES.get(sobject.name)
    if rules is not None and rules.after is not None:
        rules.after(change)


def _with_children(org: Org, sobject: SObject, record: Record) -> list[tuple[SObject, Record]]:
    """The record and everything that is deleted with it, parents first."""
    doomed = [(sobject, record)]
    for link in sobject.children.values():
        if link.field.cascades:
            child = org.schema.objects[link.sobject]
            for found in org.children(child.name, link.field.name, record["Id"]):
                doomed.extend(_with_children(org, child, found))
    return doomed
