"""What the sandbox process can be told, by environment and by command line."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

__all__ = ["SandboxSettings"]


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one sandbox process.

    ``data`` None keeps everything in memory. ``webhook_base`` is where the vendors push to, the
    vendor's name appended (``/salesforce``). ``webhook_delay`` is in seconds and replaces each
    vendor's own delay (Business Central's 30 s window) so that a demonstration need not wait; None
    keeps the vendor's.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    data: Path | None = None
    seed: int = 7
    items: int = 4000
    customers: int = 4000
    orders_file: Path | None = None
    limits: bool = True
    webhook_base: str = "http://127.0.0.1:8080/webhooks"
    webhook_delay: float | None = 0.5

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "SandboxSettings":
        """Read ``CROSSDOCK_SANDBOX_*`` and ``CROSSDOCK_DATA``; what is not named keeps its default.

        The data directory of the sandbox is ``<CROSSDOCK_DATA>/sandbox``.

        Raises:
            ValueError: a value cannot be read; the message names the variable and what is allowed.
        """
        default = cls()
        data = environment.get("CROSSDOCK_DATA")
        orders = environment.get("CROSSDOCK_SANDBOX_ORDERS_FILE")
        delay = environment.get("CROSSDOCK_SANDBOX_WEBHOOK_DELAY")
        gateway = environment.get("CROSSDOCK_PORT", "8080")
        return cls(
            port=_number(environment, "CROSSDOCK_SANDBOX_PORT", default.port),
            data=Path(data) / "sandbox" if data else None,
            seed=_number(environment, "CROSSDOCK_SANDBOX_SEED", default.seed),
            orders_file=Path(orders) if orders else None,
            limits=_switch(environment, "CROSSDOCK_SANDBOX_LIMITS", default=default.limits),
            webhook_base=environment.get(
                "CROSSDOCK_SANDBOX_WEBHOOKS", f"http://127.0.0.1:{gateway}/webhooks"
            ),
            webhook_delay=_seconds(delay, "CROSSDOCK_SANDBOX_WEBHOOK_DELAY", default.webhook_delay),
        )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise ValueError(f"{name} is {text!r}: a whole number is needed")
    return int(text)


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name)
    if text is None:
        return default
    if text not in {"on", "off"}:
        raise ValueError(f"{name} is {text!r}: on or off is needed")
    return text == "on"


def _seconds(text: str | None, name: str, default: float | None) -> float | None:
    if text is None:
        return default
    if text == "vendor":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise ValueError(f"{name} is {text!r}: seconds, or 'vendor' for the vendor's own delay")
    return seconds
