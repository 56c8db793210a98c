"""How often everything is compared, and how gently."""

import msgspec

from contracts.ports.reconciliation import SystemName


class ReconciliationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What reconciliation is run with. Durations are in seconds.

    `foreign`: for a system, regular expressions of references that others give to orders of their
    own there; those are none of ours. `look_ups`: how many orders are looked up at a time.
    """

    every: float = 900.0
    overlap: float = 600.0
    settle: float = 60.0
    first_span: float = 86_400.0
    foreign: dict[SystemName, tuple[str, ...]] = {}
    look_ups: int = 4
    call_budget: float = 20.0
    kept_sweeps: int = 500
