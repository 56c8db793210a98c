"""Change notifications of Business Central, verified and read; pure.

They are not signed: the `clientState` of the subscription is the only shared secret. A body carries
ids, never values, half a minute late; anything but a quick 2xx costs every subscription of the URL
(dynamics-subscriptions).
"""

import hmac
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from system_apis.erp.business_central import mapping, wire_subscriptions
from system_apis.erp.business_central.mapping import Records

__all__ = ["ChangeNotice", "handshake", "parse", "verified"]

_RESOURCE: Final = re.compile(
    r"/?(?:api/)?v2\.0/companies\([^)]*\)/(?P<set>[A-Za-z]+)(?:\((?P<id>[^)]*)\))?", re.IGNORECASE
)


class ChangeNotice(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the `records` changed; they are None when their kind is none of ours.

    `record` is None when many of them did. `id` is the same when the same change is told again.
    """

    id: str
    records: Records | None
    record: str | None
    change: str


def handshake(query: dict[str, str]) -> bytes | None:
    """Answer the body that a subscription's making or renewal wants; None for a notification."""
    token = query.get(wire_subscriptions.VALIDATION_TOKEN)
    return None if token is None else token.encode()


def verified(body: bytes, secrets: Iterable[str]) -> bool:
    """Tell, in constant time, whether every notification of the body carries a secret of ours.

    Without secrets nothing is believed.
    """
    told = _decoded(body).value
    kept = tuple(secret.encode() for secret in secrets)
    good = bool(told) and bool(kept)
    for one in told:
        state = one.client_state.encode()
        match = False
        for secret in kept:
            match |= hmac.compare_digest(state, secret)
        good &= match
    return good


def parse(body: bytes) -> tuple[ChangeNotice, ...]:
    """Read the notifications of a body that was verified.

    Raises:
        ValueError: it is not a body of the vendor.
    """
    return tuple(_notice(one) for one in _decoded(body).value)


def _decoded(body: bytes) -> wire_subscriptions.Notifications:
    try:
        return wire_subscriptions.notifications_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError("not a notification of the ERP") from error


def _notice(told: wire_subscriptions.Notification) -> ChangeNotice:
    found = _RESOURCE.match(told.resource)
    if found is None:
        raise ValueError("a notification of no entity")
    return ChangeNotice(
        id=f"{told.subscription_id}/{told.resource}/{told.last_modified_date_time}",
        records=mapping.records_of(found["set"]),
        record=found["id"] if told.change_type != wire_subscriptions.COLLECTION else None,
        change=told.change_type,
    )
