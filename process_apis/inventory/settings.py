"""How young a reading of stock must be, and how long claims that ended are remembered."""

import msgspec


class InventorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What inventory is run with. Durations are in seconds.

    `fresh_for`: how old a reading of the warehouse may be when stock is promised on it.
    `usable_for`: the same while the warehouse does not answer; reservations that ended are
    remembered for longer than that. `allocation_seconds`: how long the warehouse may take, once it
    has an order, until its `available` shows it.
    """

    fresh_for: float = 2.0
    usable_for: float = 60.0
    allocation_seconds: float = 0.5
    read_budget: float = 5.0
    batch: int = 200
    size: int = 50_000
    sweep_every: float = 30.0
    remembered_for: float = 120.0
