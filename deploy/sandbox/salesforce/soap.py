"""Outbound messages on the wire. Source: outbound messaging notifications, API version 67.0."""

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import ParseError, fromstring
from xml.sax.saxutils import escape

from deploy.sandbox.salesforce.objects import SObject
from deploy.sandbox.vault import Record

__all__ = ["acknowledged", "notifications"]

_OUTBOUND = "http://soap.sforce.com/2005/09/outbound"
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_ENTERPRISE = "urn:sobject.enterprise.soap.sforce.com"
_MOST_ACK_BYTES = 65_536


def notifications(
    *,
    organization_id: str,
    action_id: str,
    base: str,
    sobject: SObject,
    fields: Iterable[str],
    records: Iterable[tuple[str, Record]],
) -> bytes:
    """The SOAP request that carries these notifications: pairs of a notification's id and a record.

    ``base`` is the org's own address. Fields without a value are left out, as the original does.
    """
    wanted = tuple(fields)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns:xsi="{_INSTANCE}">',
        f'<soapenv:Body><notifications xmlns="{_OUTBOUND}">',
        f"<OrganizationId>{organization_id}</OrganizationId>",
        f"<ActionId>{action_id}</ActionId>",
        '<SessionId xsi:nil="true"/>',
        f"<EnterpriseUrl>{escape(base)}/services/Soap/c/67.0/{organization_id}</EnterpriseUrl>",
        f"<PartnerUrl>{escape(base)}/services/Soap/u/67.0/{organization_id}</PartnerUrl>",
    ]
    for notification, record in records:
        parts.append(f"<Notification><Id>{notification}</Id>")
        parts.append(f'<sObject xsi:type="sf:{sobject.name}" xmlns:sf="{_ENTERPRISE}">')
        for field in wanted:
            value = record.get(field)
            if value is not None:
                parts.append(f"<sf:{field}>{_shown(sobject, field, value)}</sf:{field}>")
        parts.append("</sObject></Notification>")
    parts.append("</notifications></soapenv:Body></soapenv:Envelope>")
    return "".join(parts).encode()


def acknowledged(status: int, body: bytes) -> bool:
    """Whether the receiver took the message: 200 and ``<Ack>true</Ack>``."""
    if status != 200 or len(body) > _MOST_ACK_BYTES or b"<!DOCTYPE" in body:  # noqa: PLR2004  # HTTP
        return False
    try:
        envelope = fromstring(body)  # noqa: S314  # no document type, so no entities, and small
    except ParseError:
        return False
    for element in envelope.iter():
        if element.tag in {f"{{{_OUTBOUND}}}Ack", "Ack"}:
            return (element.text or "").strip() == "true"
    return False


def _shown(sobject: SObject, field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{sobject.fields[field].scale}f}"
    if sobject.fields[field].kind == "datetime":
        return str(value).replace("+0000", "Z")
    return escape(str(value))
