"""Outbound messages of Salesforce, read and acknowledged; pure.

Such a message carries no signature: what tells it from anybody's is the organization's id, kept
as a shared secret beside the TLS of the listener (outbound messaging notifications guide). Nothing
in it is believed beyond which deal to read: messages repeat, and arrive in any order.
"""

import hmac
from typing import Final
from xml.parsers import expat

import msgspec

from system_apis.crm.salesforce import wire

__all__ = ["ACKNOWLEDGEMENT", "CONTENT_TYPE", "DealNotice", "OutboundMessage", "parse"]

CONTENT_TYPE: Final = "text/xml; charset=utf-8"
ACKNOWLEDGEMENT: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="' + wire.OUTBOUND.encode() + b'"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
"""What says that every notification of a message is kept; anything else has it sent again."""
DEAL_PREFIX: Final = "006"
MOST_NOTIFICATIONS: Final = 100
MOST_DEPTH: Final = 16
_SEPARATOR: Final = "|"
_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_SHORT_ID: Final = 15
"""Ids of 18 characters are those of 15 with a checksum."""


class DealNotice(msgspec.Struct, frozen=True, kw_only=True):
    """One notification: its id, the same on every repetition, and the deal as `sf:006...`."""

    id: str
    deal: str


class OutboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message, of up to a hundred notifications."""

    organization: str
    deals: tuple[DealNotice, ...]

    def is_from(self, organization_id: str) -> bool:
        """Tell, in constant time, whether the message names this organization."""
        if len(organization_id) < _SHORT_ID or len(self.organization) < _SHORT_ID:
            return False
        said = self.organization[:_SHORT_ID].encode()
        return hmac.compare_digest(said, organization_id[:_SHORT_ID].encode())


def parse(body: bytes) -> OutboundMessage:
    """Read a message.

    Document types are refused, and with them every entity of a document's own; so are comments
    and nesting that no message of the vendor has.

    Raises:
        ValueError: it is not an outbound message.
    """
    reader = _Reader()
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ValueError("not XML") from error
    return reader.message()


def _refuse(*_: object) -> None:
    raise ValueError("document types, entities and instructions are refused")


class _Reader:
    """Collects what matters while expat walks through the message."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text = ""
        self._organization = ""
        self._notification = ""
        self._deals: list[DealNotice] = []

    def start(self, name: str, _: dict[str, str]) -> None:
        self._path.append(name)
        self._text = ""
        if len(self._path) > MOST_DEPTH:
            raise ValueError("nested too deeply")

    def text(self, text: str) -> None:
        self._text += text

    def end(self, _: str) -> None:
        where = tuple(self._path)
        value = self._text.strip()
        if where == _ORGANIZATION:
            self._organization = value
        elif where == _NOTIFICATION_ID:
            self._notification = value
        elif where[:-1] == _RECORD and _local(where[-1]) == "Id":
            self._take(value)
        self._path.pop()
        self._text = ""

    def _take(self, record: str) -> None:
        if not self._notification or not record.isalnum():
            raise ValueError("a notification without an id")
        if record.startswith(DEAL_PREFIX):
            self._deals.append(DealNotice(id=self._notification, deal=f"sf:{record}"))
        if len(self._deals) > MOST_NOTIFICATIONS:
            raise ValueError("more notifications than a message may have")

    def message(self) -> OutboundMessage:
        if not self._organization:
            raise ValueError("not an outbound message")
        return OutboundMessage(organization=self._organization, deals=tuple(self._deals))


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def _outbound(name: str) -> str:
    return f"{wire.OUTBOUND}{_SEPARATOR}{name}"


_BODY: Final = (f"{_ENVELOPE}{_SEPARATOR}Envelope", f"{_ENVELOPE}{_SEPARATOR}Body")
_MESSAGE: Final = (*_BODY, _outbound("notifications"))
_ORGANIZATION: Final = (*_MESSAGE, _outbound("OrganizationId"))
_NOTIFICATION_ID: Final = (*_MESSAGE, _outbound("Notification"), _outbound("Id"))
_RECORD: Final = (*_MESSAGE, _outbound("Notification"), _outbound("sObject"))
