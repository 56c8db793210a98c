"""Webhook subscriptions: made and renewed with a handshake, alive for three days.

Source: dynamics-subscriptions and webhookSupportedResources of the vendor's API reference.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from deploy.sandbox.business_central.bodies import Body
from deploy.sandbox.business_central.errors import (
    BusinessCentralError,
    bad_request,
    dialog,
    entity_changed,
    not_found,
    token_missing,
    wrong_method,
)
from deploy.sandbox.business_central.guids import new_etag, new_guid, seed_guid
from deploy.sandbox.business_central.notifications import Notifications
from deploy.sandbox.business_central.schema import EntitySet
from deploy.sandbox.business_central.service import Call
from deploy.sandbox.business_central.transaction import Change
from deploy.sandbox.vault import Record, Vault
from deploy.sandbox.vendor import VendorContext
from deploy.sandbox.wire import Reply, json_reply

__all__ = ["LIFE", "LOOPBACK", "Subscriptions"]

LIFE = timedelta(days=3)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LARGEST = 200
LONGEST_STATE = 2048
_WRITABLE = frozenset({"notificationUrl", "resource", "clientState"})
# posted shipments, ledger entries, lines and details cannot be subscribed to: they are polled
_SILENT = frozenset(
    {"companies", "customerFinancialDetails", "itemLedgerEntries", "salesShipments"}
    | {"customerPayments", "customerPaymentJournals"}
)


class Subscriptions:
    """The subscriptions of one tenant, and what they are told."""

    def __init__(
        self, context: VendorContext, vault: Vault, company: str, sets: Mapping[str, EntitySet]
    ) -> None:
        self._context = context
        self._company = company
        self._table = vault.table("subscriptions")
        self._by_set = self._table.index("set", _set_of)
        self._by_url = self._table.index("notificationUrl")
        self._supported = [
            name for name, found in sets.items() if found.parent is None and name not in _SILENT
        ]
        self._notifications = Notifications(context, self._of_url, self._drop)

    def announce(self, changes: list[Change]) -> None:
        """Tell the living subscriptions of the changed sets; expired ones go."""
        if not len(self._table):
            return
        now = self._now()
        for change in changes:
            for subscription in self._by_set.get(change.entity_set):
                if subscription["expirationDateTime"] > now:
                    self._notifications.note(subscription, change)
                else:
                    self._table.delete(subscription["subscriptionId"])

    async def answer(self, call: Call) -> Reply:
        """List, read, make, renew or delete.

        Raises:
            BusinessCentralError: as the vendor refuses, a failed handshake included.
        """
        key = call.address.steps[0][1]
        if call.method == "GET" and key is None:
            return json_reply(200, {"value": [_shown(one) for one in self._table.values()]})
        if call.method == "POST" and key is None:
            return await self._make(call)
        if key is None:
            raise wrong_method("subscriptions", call.method)
        found = self._table.get(key)
        if found is None:
            raise not_found()
        if call.method == "GET":
            return json_reply(200, _shown(found))
        _check_tag(call, found, needed=call.method == "PATCH")
        if call.method == "DELETE":
            self._table.delete(key)
            return Reply(204, b"", ())
        if call.method != "PATCH":
            raise wrong_method("subscriptions", call.method)
        return await self._renew(call, found)

    def supported(self, call: Call) -> Reply:
        """``webhookSupportedResources``: which sets can be subscribed to."""
        if [name for name, _ in call.address.steps] != ["webhookSupportedResources"]:
            raise not_found()
        rows = [
            {"@odata.etag": f'W/"{name}"', "resource": f"v2.0/companies({self._company})/{name}"}
            for name in self._supported
        ]
        return json_reply(200, {"value": rows})

    async def _make(self, call: Call) -> Reply:
        body = _checked(call.decoded())
        for name in ("notificationUrl", "resource"):
            if not body.get(name):
                raise bad_request(f"'{name}' must be provided.", "RequiredParamNotProvided")
        entity_set = self._resource(body["resource"])
        if len(self._table) >= LARGEST:
            raise dialog(f"The maximum number of subscriptions, {LARGEST}, has been reached.")
        for other in self._by_url.get(body["notificationUrl"]):
            if other["set"] == entity_set:
                raise BusinessCentralError(
                    400,
                    "Internal_EntityWithSameKeyExists",
                    "There is already a subscription with this notification URL and resource.",
                )
        await self._shake_hands(body["notificationUrl"])
        identity = new_guid().replace("-", "")
        record = {
            "subscriptionId": identity,
            "notificationUrl": body["notificationUrl"],
            "resource": body["resource"],
            "timestamp": 0,
            "userId": seed_guid("users", "integration"),
            "clientState": body.get("clientState", ""),
            "systemCreatedAt": self._now(),
            "set": entity_set,
        }
        return json_reply(201, _shown(self._stamped(record)))

    async def _renew(self, call: Call, found: Record) -> Reply:
        body = _checked(call.decoded())
        changed = {**found, **body}
        changed["set"] = self._resource(changed["resource"])
        await self._shake_hands(changed["notificationUrl"])
        return json_reply(200, _shown(self._stamped(changed)))

    def _stamped(self, record: Record) -> Record:
        stamped = {
            **record,
            "@odata.etag": new_etag(),
            "timestamp": record["timestamp"] + 1,
            "lastModifiedDateTime": self._now(),
            "expirationDateTime": _written(self._context.clock.now() + LIFE),
        }
        self._table.put(record["subscriptionId"], stamped)
        return stamped

    async def _shake_hands(self, url: str) -> None:
        """The endpoint must answer 200 with the validation token as its body."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname not in LOOPBACK:
            raise bad_request(f"The notification URL '{url}' cannot be reached from this tenant.")
        token = new_guid()
        mark = "&" if parts.query else "?"
        address = f"{url}{mark}{urlencode({'validationToken': token})}"
        answer = await self._context.pushes.post(address, b"", {"content-type": "text/plain"})
        if answer is None or answer[0] != 200 or answer[1].decode("utf-8", "replace") != token:  # noqa: PLR2004  # HTTP's OK
            raise bad_request(
                "The subscription validation request failed. The notification URL endpoint must "
                "respond with 200 and the validation token in the body."
            )

    def _resource(self, resource: str) -> str:
        """The set that a resource names, which must be one of the company's that can be watched."""
        company, found, entity_set = resource.partition(f"companies({self._company})/")
        if not found or "v2.0" not in company or entity_set not in self._supported:
            raise bad_request(f"The resource '{resource}' does not support webhooks.")
        return entity_set

    def _of_url(self, url: str) -> list[Record]:
        now = self._now()
        return [one for one in self._by_url.get(url) if one["expirationDateTime"] > now]

    def _drop(self, url: str) -> None:
        """The receiver refused: every subscription on its URL goes."""
        for one in self._by_url.get(url):
            self._table.delete(one["subscriptionId"])

    def _now(self) -> str:
        return _written(self._context.clock.now())


def _checked(body: Body) -> dict[str, str]:
    found = {}
    for name, value in body.items():
        if name not in _WRITABLE:
            raise bad_request(f"Control '{name}' is read-only.", "InvalidOperation")
        if not isinstance(value, str):
            raise bad_request(f"Cannot convert '{name}' to the expected type 'Edm.String'.")
        found[name] = value
    if len(found.get("clientState", "")) > LONGEST_STATE:
        raise BusinessCentralError(
            400,
            "Application_StringExceededLength",
            f"The length of the string is {len(found['clientState'])}, but it must be less than or "
            f"equal to {LONGEST_STATE} characters.",
        )
    return found


def _check_tag(call: Call, record: Record, *, needed: bool) -> None:
    sent = call.headers.get("if-match")
    if sent is None:
        if needed:
            raise token_missing()
    elif sent.strip() not in {"*", record["@odata.etag"]}:
        raise entity_changed()


def _shown(record: Record) -> dict[str, Any]:
    shown = {name: value for name, value in record.items() if name != "set"}
    return {"@odata.etag": shown.pop("@odata.etag"), **shown}


def _set_of(record: Record) -> str:
    return str(record["set"])


def _written(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
