"""Notifications that the org owes: durable, written with the change that caused them."""

from collections.abc import Iterable

from deploy.sandbox.salesforce.ids import Minter
from deploy.sandbox.vault import Record, Vault

__all__ = ["Outbox"]

_NOTIFICATION_PREFIX = "04l"


class Outbox:
    """Pending notifications by id: ``{"Id", "Record", "Since"}``, the last in epoch seconds."""

    def __init__(self, vault: Vault) -> None:
        self._pending = vault.table("outbox")
        self._last = vault.table("outbox_last")
        last = self._last.get("notification")
        self._minter = Minter(_NOTIFICATION_PREFIX, None if last is None else last["Id"])

    def owe(self, record_id: str, since: float) -> str:
        """Owe a notification about this record; answers the notification's id."""
        notification = self._minter.mint()
        self._pending.put(notification, {"Id": notification, "Record": record_id, "Since": since})
        self._last.put("notification", {"Id": notification})
        return notification

    def settle(self, notifications: Iterable[str]) -> None:
        """These were acknowledged, or are given up."""
        for notification in notifications:
            if notification in self._pending:
                self._pending.delete(notification)

    def get(self, notification: str) -> Record | None:
        """A pending notification."""
        return self._pending.get(notification)

    def pending(self) -> list[Record]:
        """Every notification still owed, oldest first."""
        return list(self._pending.values())
