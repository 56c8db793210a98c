"""Change notifications: gathered for a while, sent per URL, retried as the vendor retries.

The first change opens a window; when it closes, what changed in it goes out, several subscriptions
of one URL in one body. Over 1,000 changed records become one ``collection`` notification. No
answer, 408, 429 and 5xx are tried again; any other refusal costs the URL all its subscriptions.
Source: dynamics-subscriptions of the vendor's API reference, and APIWebhookNotificationSend.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from deploy.sandbox.business_central.guids import new_guid
from deploy.sandbox.business_central.transaction import SYSTEM, Change
from deploy.sandbox.faults import PUSH
from deploy.sandbox.vault import Record
from deploy.sandbox.vendor import VendorContext

__all__ = ["WINDOW_SECONDS", "Notifications"]

WINDOW_SECONDS = 30.0
COLLECTION_ABOVE = 1000
_WAITS = (60.0, 60.0, 60.0, 600.0, 6000.0, 60_000.0)
_LAST_RETRIED = 5
_AGAIN = frozenset({408, 429})
_BEFORE_FIRST = timedelta(milliseconds=50)


class _Window:
    """What changed for one URL since the window opened, by subscription and record."""

    def __init__(self, opened: datetime) -> None:
        self.opened = opened
        self.changes: dict[str, dict[str, tuple[Change, str]]] = {}

    def note(self, subscription: str, change: Change, at: str) -> None:
        """Several changes of one record are one notification."""
        seen = self.changes.setdefault(subscription, {})
        before = seen.get(change.id)
        if before is not None and change.kind == "updated" and before[0].kind == "created":
            change = msgspec.structs.replace(change, kind="created")
        seen[change.id] = (change, at)


class Notifications:
    """Gathers changes and sends them. ``subscriptions`` answers those of a URL that still live."""

    def __init__(
        self,
        context: VendorContext,
        subscriptions: Callable[[str], list[Record]],
        drop: Callable[[str], None],
    ) -> None:
        self._context = context
        self._subscriptions = subscriptions
        self._drop = drop
        self._windows: dict[str, _Window] = {}
        delay = context.settings.webhook_delay
        self._delay = WINDOW_SECONDS if delay is None else delay
        self._encode = msgspec.json.Encoder().encode

    def note(self, subscription: Record, change: Change) -> None:
        """A record of a subscribed set changed."""
        now = self._context.clock.now().astimezone(UTC)
        url = subscription["notificationUrl"]
        window = self._windows.get(url)
        if window is None:
            window = self._windows[url] = _Window(now)
            self._context.pushes.start(self._close(url))
        window.note(subscription["subscriptionId"], change, _stamp(now))

    async def _close(self, url: str) -> None:
        await asyncio.sleep(self._delay)
        window = self._windows.pop(url)
        living = self._subscriptions(url)
        value = [row for one in living for row in self._rows(one, window)]
        if not value:
            return
        fault = await self._context.faults.before(SYSTEM, PUSH)
        kind = None if fault is None else fault.kind
        if kind == "lost_push":
            return
        body = self._encode({"value": value})
        await self._deliver(url, body)
        if kind == "duplicate_push":
            await self._deliver(url, body)

    async def _deliver(self, url: str, body: bytes) -> None:
        """Send until taken or given up; the waits are scaled as the window is."""
        scale = self._delay / WINDOW_SECONDS
        for attempt, wait in enumerate(_WAITS):
            identity = new_guid()
            headers = {
                "content-type": "application/json",
                "clientRequestId": identity,
                "x-ms-correlation-id": identity,
            }
            answer = await self._context.pushes.post(url, body, headers)
            status = 503 if answer is None else answer[0]
            if 200 <= status < 300:  # noqa: PLR2004  # HTTP's success
                return
            if status not in _AGAIN and status < 500:  # noqa: PLR2004  # HTTP's server errors
                self._windows.pop(url, None)
                self._drop(url)
                return
            if attempt == _LAST_RETRIED:
                return
            await asyncio.sleep(wait * scale)

    def _rows(self, subscription: Record, window: _Window) -> list[dict[str, Any]]:
        changes = window.changes.get(subscription["subscriptionId"], {})
        shared = {
            "subscriptionId": subscription["subscriptionId"],
            "clientState": subscription["clientState"],
            "expirationDateTime": subscription["expirationDateTime"],
        }
        resource = subscription["resource"].lstrip("/")
        if len(changes) > COLLECTION_ABOVE:
            since = _stamp(window.opened - _BEFORE_FIRST)
            return [
                {
                    **shared,
                    "resource": f"{resource}?$filter=lastModifiedDateTime%20gt%20{since}",
                    "changeType": "collection",
                    "lastModifiedDateTime": max(at for _, at in changes.values()),
                }
            ]
        return [
            {
                **shared,
                "resource": f"{resource}({change.id})",
                "changeType": change.kind,
                "lastModifiedDateTime": at,
            }
            for change, at in changes.values()
        ]


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
