"""Request bodies: decoded exactly, held to the set's properties, brought into the vendor's form.

Numbers are read as ``Decimal`` so that no price passes through a binary fraction on its way in.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from deploy.sandbox.business_central.errors import BusinessCentralError, bad_request
from deploy.sandbox.business_central.guids import is_guid
from deploy.sandbox.business_central.schema import EntitySet, Property

__all__ = ["Body", "checked", "decode_body"]

Body = dict[str, Any]
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_LARGEST = Decimal(10) ** 15


def decode_body(body: bytes) -> Body:
    """The JSON object that a request carries.

    Raises:
        BusinessCentralError: 400, it is no JSON object.
    """
    try:
        found = _decode(body) if body else {}
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
        raise bad_request("The request body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise bad_request("The request body must be one JSON object.")
    return found


def checked(body: Body, entity_set: EntitySet) -> tuple[Body, dict[str, list[Body]]]:
    """The properties of a body in the vendor's form, and what it nests by navigation name.

    Raises:
        BusinessCentralError: an unknown or read-only property, a wrong type, a text too long.
    """
    fields: Body = {}
    nested: dict[str, list[Body]] = {}
    properties = entity_set.properties
    for name, value in body.items():
        prop = properties.get(name)
        if prop is None:
            navigation = entity_set.navigations.get(name)
            if navigation is not None and navigation.many:
                nested[name] = _rows(name, value)
            elif "@odata." not in name:
                raise _unknown(name, entity_set)
        elif prop.read_only:
            raise bad_request(f"Control '{name}' is read-only.", "InvalidOperation")
        elif value is not None:  # null says nothing: the property keeps its value
            fields[name] = _value(prop, value)
    return fields, nested


def _rows(name: str, value: Any) -> list[Body]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise bad_request(f"'{name}' must be a list of objects.")
    return value


def _value(prop: Property, value: Any) -> Any:  # noqa: PLR0911  # one return per kind is the point
    kind = prop.kind
    if kind in {"code", "text"} and isinstance(value, str):
        return _text(prop, value)
    if kind == "dec" and isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return _amount(prop, value)
    if kind == "guid" and isinstance(value, str) and is_guid(value):
        return value.lower()
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in {"date", "stamp"} and isinstance(value, str):
        return _day(prop, value)
    if kind == "enum" and isinstance(value, str):
        return _choice(prop, value)
    raise _unreadable(prop, value)


def _text(prop: Property, value: str) -> str:
    if prop.length is not None and len(value) > prop.length:
        raise BusinessCentralError(
            400,
            "Application_StringExceededLength",
            f"The length of the string is {len(value)}, but it must be less than or equal to "
            f"{prop.length} characters. Value: {value}",
        )
    return value.strip().upper() if prop.kind == "code" else value


def _amount(prop: Property, value: int | Decimal) -> Decimal:
    amount = Decimal(value)
    if not amount.is_finite() or abs(amount) >= _LARGEST:
        raise _unreadable(prop, value)
    return amount


def _day(prop: Property, value: str) -> str:
    if prop.kind == "date":
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise _unreadable(prop, value) from None
    return value


def _choice(prop: Property, value: str) -> str:
    name = {"": "_x0020_", " ": "_x0020_"}.get(value, value)
    for allowed in prop.values:
        if name in {allowed, allowed.replace("_x0020_", " ")}:
            return allowed
    raise bad_request(f"Requested value '{value}' was not found.")


def _unreadable(prop: Property, value: Any) -> BusinessCentralError:
    return bad_request(f"Cannot convert the literal '{value}' to the expected type '{prop.edm}'.")


def _unknown(name: str, entity_set: EntitySet) -> BusinessCentralError:
    return bad_request(
        f"The property '{name}' does not exist on type 'Microsoft.NAV.{entity_set.entity}'. "
        "Make sure to only use property names that are defined by the type."
    )
