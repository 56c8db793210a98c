"""``sobjects/...``: one record or one object at a time."""

from typing import Any

from deploy.sandbox.salesforce.call import ROOT, Answer, Call
from deploy.sandbox.salesforce.conditions import check_write, unchanged, validators
from deploy.sandbox.salesforce.describing import describe_global, describe_object, object_info
from deploy.sandbox.salesforce.errors import Refusal, no_such_record, not_found
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.writing import (
    ManyMatchError,
    create,
    delete,
    match,
    record_at,
    update,
    upsert,
)
from deploy.sandbox.vault import Record

__all__ = ["serve_sobjects", "show_record"]


def serve_sobjects(org: Org, call: Call) -> Answer:
    """Route ``sobjects`` and below: an object, its describe, a record by id or external id."""
    match call.path[1:]:
        case ():
            call.allow("GET", "HEAD")
            return Answer(200, describe_global(org.schema))
        case (name,):
            return _object(org, call, org.schema.named(name))
        case (name, "describe"):
            call.allow("GET", "HEAD")
            return Answer(200, describe_object(org.schema.named(name)))
        case (name, record_id):
            return _record(org, call, org.schema.named(name), record_id)
        case (name, field, value):
            return _by_external_id(org, call, org.schema.named(name), field, value)
    raise not_found()


def show_record(
    sobject: SObject, record: Record, fields: list[str] | None = None
) -> dict[str, Any]:
    """A record as GET answers it: every field, nulls too, or those asked for.

    Raises:
        Refusal: a field asked for is not there.
    """
    shown: dict[str, Any] = {
        "attributes": {
            "type": sobject.name,
            "url": f"{ROOT}/sobjects/{sobject.name}/{record['Id']}",
        }
    }
    if fields is None:
        for name in sobject.fields:
            shown[name] = record.get(name)
        return shown
    for asked in fields:
        field = sobject.field(asked)
        if field is None:
            raise Refusal(
                "INVALID_FIELD", f"No such column '{asked}' on sobject of type {sobject.name}"
            )
        shown[field.name] = record.get(field.name)
    shown["Id"] = record["Id"]
    return shown


def _object(org: Org, call: Call, sobject: SObject) -> Answer:
    call.allow("GET", "HEAD", "POST")
    if call.method != "POST":
        return Answer(200, object_info(sobject))
    record_id = create(org, sobject, call.object_body(), call.caller)
    return Answer(
        201,
        {"id": record_id, "success": True, "errors": []},
        {"Location": f"{ROOT}/sobjects/{sobject.name}/{record_id}"},
    )


def _record(org: Org, call: Call, sobject: SObject, text: str) -> Answer:
    call.allow("GET", "HEAD", "PATCH", "DELETE")
    writing = call.method in {"PATCH", "DELETE"}
    record = record_at(org, sobject, text, writing=writing)
    if call.method == "PATCH":
        check_write(sobject.name, record, call.headers)
        update(org, sobject, record, call.object_body(), call.caller)
        return Answer(204)
    if call.method == "DELETE":
        delete(org, sobject, record, call.caller)
        return Answer(204)
    return _read(call, sobject, record)


def _read(call: Call, sobject: SObject, record: Record) -> Answer:
    headers = validators(sobject.name, record)
    if unchanged(sobject.name, record, call.headers):
        return Answer(304, None, headers)
    asked = call.query.get("fields")
    fields = None if asked is None else [name.strip() for name in asked.split(",")]
    return Answer(200, show_record(sobject, record, fields), headers)


def _by_external_id(org: Org, call: Call, sobject: SObject, name: str, value: str) -> Answer:
    call.allow("GET", "HEAD", "POST", "PATCH", "DELETE")
    field = sobject.external_id(name)
    if call.method in {"PATCH", "POST"}:
        return _upsert(org, call, sobject, field, value)
    found = match_one_or_many(org, sobject, field, value)
    if len(found) > 1:
        return _many(sobject, [record["Id"] for record in found])
    if call.method == "DELETE":
        delete(org, sobject, found[0], call.caller)
        return Answer(204)
    return _read(call, sobject, found[0])


def match_one_or_many(org: Org, sobject: SObject, field: Field, value: str) -> list[Record]:
    """The records that an external id names.

    Raises:
        Refusal: 404 when there is none.
    """
    found = match(org, sobject, field, value)
    if not found:
        raise no_such_record()
    return found


def _upsert(org: Org, call: Call, sobject: SObject, field: Field, value: str) -> Answer:
    body = call.object_body()
    if any(name.lower() == field.name.lower() for name in body):
        raise Refusal(
            "INVALID_FIELD", f"The {field.name} field should not be specified in the sobject data."
        )
    found = match(org, sobject, field, value)
    if len(found) == 1:
        check_write(sobject.name, found[0], call.headers)
    try:
        record_id, created = upsert(
            org,
            sobject,
            field,
            value,
            body=body,
            caller=call.caller,
            update_only=call.flag("updateOnly"),
        )
    except ManyMatchError as many:
        return _many(sobject, many.ids)
    headers = {"Location": f"{ROOT}/sobjects/{sobject.name}/{record_id}"} if created else {}
    return Answer(
        201 if created else 200,
        {"id": record_id, "success": True, "errors": [], "created": created},
        headers,
    )


def _many(sobject: SObject, ids: list[str]) -> Answer:
    return Answer(300, [f"{ROOT}/sobjects/{sobject.name}/{record_id}" for record_id in ids])
