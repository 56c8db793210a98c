"""What an administrator of the simulated org can set, and an operator change while it runs."""

from typing import Literal

import msgspec

__all__ = ["OrgPolicy"]


class OrgPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Policies of the org. Durations are seconds; defaults are the vendor's documented ones.

    ``lock_rate`` is the share of written records that meet UNABLE_TO_LOCK_ROW. ``duplicate_rule``
    is what the standard duplicate rules of Account and Contact do on create. ``long_calls`` is how
    many calls may run for ``long_call_seconds`` or more at once. The ``push_*`` settings are those
    of outbound messages: how long an Ack is awaited, the first and the longest gap between tries,
    and when a notification is given up.
    """

    session_seconds: float = 7200.0
    api_allocation: int = 100_000
    long_calls: int = 25
    long_call_seconds: float = 20.0
    lock_rate: float = 0.0
    duplicate_rule: Literal["off", "alert", "block"] = "alert"
    query_cursors: int = 10
    cursor_seconds: float = 172_800.0
    push_ack_seconds: float = 60.0
    push_first_gap: float = 10.0
    push_longest_gap: float = 7200.0
    push_give_up: float = 86_400.0

    def check(self) -> None:
        """Check every number.

        Raises:
            ValueError: a number makes no sense; the message names it and what is allowed.
        """
        if not 0.0 <= self.lock_rate <= 1.0:
            raise ValueError(f"lockRate {self.lock_rate} is not between 0 and 1")
        for name in ("api_allocation", "long_calls", "query_cursors"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not at least 1")
        for name in ("session_seconds", "cursor_seconds", "push_ack_seconds", "push_first_gap"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0")
