"""``composite/sobjects``: up to 200 records in one call, each with its own verdict.

Without ``allOrNone`` the good ones stay; with it one bad one undoes all. Errors carry
``statusCode`` where the rest of the API says ``errorCode``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from deploy.sandbox.salesforce.call import Answer, Call
from deploy.sandbox.salesforce.errors import Refusal, not_found
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.ids import eighteen
from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.records import show_record
from deploy.sandbox.salesforce.writing import ManyMatchError, create, delete, update, upsert
from deploy.sandbox.vault import Record

__all__ = ["MOST_RECORDS", "lock_row_results", "serve_collections"]

MOST_RECORDS = 200
_MOST_CHUNKS = 10
_ROLLED_BACK = {
    "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "message": "Record rolled back because not all records were valid and the request was using "
    "AllOrNone header",
    "fields": [],
}
_LOCKED = {
    "statusCode": "UNABLE_TO_LOCK_ROW",
    "message": "unable to obtain exclusive access to this record or 1 records",
    "fields": [],
}
Body = dict[str, Any]


class _RolledBackError(Exception):
    """A record failed and the caller wanted all or none."""


def serve_collections(org: Org, call: Call) -> Answer:
    """Route ``composite/sobjects``, ``.../{Obj}`` (GET) and ``.../{Obj}/{ExtField}`` (PATCH)."""
    match call.path[2:]:
        case ():
            call.allow("POST", "PATCH", "DELETE")
            return _write(org, call)
        case (name,):
            call.allow("GET", "POST")
            return _read(org, call, org.schema.named(name))
        case (name, field):
            call.allow("PATCH")
            sobject = org.schema.named(name)
            return _upsert(org, call, sobject, sobject.external_id(field))
    raise not_found()


def lock_row_results(body: Any) -> list[Body]:
    """What a collection answers when no row of it could be locked."""
    records = body.get("records") if isinstance(body, dict) else None
    count = len(records) if isinstance(records, list) else 1
    return [{"success": False, "errors": [_LOCKED]} for _ in range(count)]


def _write(org: Org, call: Call) -> Answer:
    if call.method == "DELETE":
        ids = [part for part in call.query.get("ids", "").split(",") if part]
        return _each(org, ids, call.flag("allOrNone"), lambda text: _delete(org, call, text))
    body = call.object_body()
    records = _records(body)
    _check_chunks(records)
    act = _create if call.method == "POST" else _update
    return _each(org, records, _all_or_none(body), lambda record: act(org, call, record))


def _each(
    org: Org,
    items: list[Any],
    all_or_none: bool,  # noqa: FBT001  # private, and named at each call's source
    act: Callable[[Any], Body],  # private
) -> Answer:
    """Act on each item in one transaction."""
    if len(items) > MOST_RECORDS:
        raise Refusal(
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call",
        )
    results: list[Body] = []
    failed = False
    try:
        with org.transaction():
            for item in items:
                try:
                    results.append(act(item))
                except Refusal as refusal:
                    results.append({"success": False, "errors": [refusal.as_record_error()]})
                    failed = True
            if failed and all_or_none:
                raise _RolledBackError  # noqa: TRY301  # it ends the transaction
    except _RolledBackError:
        undone = {"success": False, "errors": [_ROLLED_BACK]}
        results = [undone if result["success"] else result for result in results]
        return Answer(200, results, rolled_back=True)
    return Answer(200, results)


def _create(org: Org, call: Call, record: Body) -> Body:
    sobject = _type_of(org, record)
    return {"id": create(org, sobject, record, call.caller), "success": True, "errors": []}


def _update(org: Org, call: Call, record: Body) -> Body:
    sobject = _type_of(org, record)
    text = record.get("id", record.get("Id"))
    if text is None:
        raise Refusal("MISSING_ARGUMENT", "Id not specified in an update call")
    before = _addressed(org, sobject, text)
    body = {name: value for name, value in record.items() if name not in {"id", "Id"}}
    update(org, sobject, before, body, call.caller)
    return {"id": before["Id"], "success": True, "errors": []}


def _delete(org: Org, call: Call, text: str) -> Body:
    record_id = eighteen(text)
    sobject = None if record_id is None else org.schema.of_id(record_id)
    if sobject is None:
        raise Refusal("MALFORMED_ID", f"malformed id {text}")
    record = _addressed(org, sobject, text)
    delete(org, sobject, record, call.caller)
    return {"id": record["Id"], "success": True, "errors": []}


def _upsert(org: Org, call: Call, sobject: SObject, field: Field) -> Answer:
    body = call.object_body()
    records = _records(body)
    keys = Counter(field.fold(_key(record, field)) for record in records)

    def act(record: Body) -> Body:
        if _type_of(org, record) is not sobject:
            raise Refusal(
                "INVALID_TYPE", f"The records of this call must be of type {sobject.name}"
            )
        key = _key(record, field)
        if not key:
            raise Refusal("MISSING_ARGUMENT", f"{field.name} not specified", (field.name,))
        if keys[field.fold(key)] > 1:
            raise Refusal("DUPLICATE_VALUE", f"Duplicate external id specified: {key}")
        rest = {name: sent for name, sent in record.items() if name != field.name}
        try:
            record_id, created = upsert(org, sobject, field, key, body=rest, caller=call.caller)
        except ManyMatchError as many:
            raise Refusal(
                "DUPLICATE_EXTERNAL_ID",
                f"{field.name}: more than one record found for external id field: "
                f"[{', '.join(many.ids)}]",
                (field.name,),
            ) from None
        return {"id": record_id, "success": True, "errors": [], "created": created}

    return _each(org, records, _all_or_none(body), act)


def _key(record: Body, field: Field) -> str:
    """The external id of a record of an upsert; empty when it has none."""
    value = record.get(field.name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _read(org: Org, call: Call, sobject: SObject) -> Answer:
    """The records in the order asked for, null where there is none."""
    if call.method == "POST":
        body = call.object_body()
        ids, fields = body.get("ids"), body.get("fields")
    else:
        ids = [part for part in call.query.get("ids", "").split(",") if part]
        fields = [part for part in call.query.get("fields", "").split(",") if part]
    if not isinstance(ids, list) or not isinstance(fields, list) or not fields:
        raise Refusal("MISSING_ARGUMENT", "ids and fields are required")
    found = [org.living(sobject.name, eighteen(str(text))) for text in ids]
    return Answer(
        200, [None if record is None else show_record(sobject, record, fields) for record in found]
    )


def _addressed(org: Org, sobject: SObject, text: Any) -> Record:
    record_id = eighteen(text) if isinstance(text, str) else None
    if record_id is None or org.schema.of_id(record_id) is not sobject:
        raise Refusal(
            "MALFORMED_ID", f"{sobject.name} ID: id value of incorrect type: {text}", ("Id",)
        )
    record = org.tables[sobject.name].get(record_id)
    if record is None:
        raise Refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if record["IsDeleted"]:
        raise Refusal("ENTITY_IS_DELETED", "entity is deleted")
    return record


def _type_of(org: Org, record: Body) -> SObject:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise Refusal("INVALID_TYPE", "attributes.type must name the record's object")
    return org.schema.named(name)


def _records(body: Body) -> list[Body]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Refusal("JSON_PARSER_ERROR", "records must be an array of objects")
    return records


def _all_or_none(body: Body) -> bool:
    return body.get("allOrNone") is True


def _check_chunks(records: list[Body]) -> None:
    """Runs of one type count as a chunk; more than ten are refused."""
    chunks, last = 0, object()
    for record in records:
        attributes = record.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if name != last:
            chunks, last = chunks + 1, name
    if chunks > _MOST_CHUNKS:
        raise Refusal(
            "INVALID_BATCH_REQUEST",
            f"Cannot have more than {_MOST_CHUNKS} chunks in a single operation. Please rearrange "
            "the data to reduce chunking.",
        )
