"""Business Central's words for being told of changes: subscriptions and their notifications.

They are the same for every set of records (`wire.py`). Source: dynamics-subscriptions.
"""

from typing import Final

import msgspec

from system_apis.erp.business_central.odata import Page
from system_apis.erp.business_central.wire import Wire

VALIDATION_TOKEN: Final = "validationToken"  # noqa: S105  # a parameter's name
COLLECTION: Final = "collection"
SUBSCRIPTIONS: Final = "subscriptions"


class Notification(Wire, frozen=True, kw_only=True):
    """One change of a subscribed set."""

    subscription_id: str
    resource: str
    change_type: str
    client_state: str = ""
    last_modified_date_time: str = ""


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """A body of notifications, of several subscriptions perhaps."""

    value: list[Notification]


class NewSubscription(Wire, frozen=True, kw_only=True):
    """Where changes of a set are to be told."""

    notification_url: str
    resource: str
    client_state: str


class Subscription(Wire, frozen=True, kw_only=True):
    """A subscription; it lives for three days."""

    subscription_id: str
    notification_url: str
    resource: str
    expiration_date_time: str = ""
    etag: str = msgspec.field(default="", name="@odata.etag")


class Renewal(Wire, frozen=True, kw_only=True):
    """A subscription that is to live on."""

    client_state: str


notifications_decoder: Final = msgspec.json.Decoder(Notifications)
subscriptions_decoder: Final = msgspec.json.Decoder(Page[Subscription])
