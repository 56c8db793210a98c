"""How often the systems are looked at, and how long what is early is kept."""

from datetime import timedelta

import msgspec

__all__ = ["PropagationSettings"]


class PropagationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What propagation is run with.

    A look goes back `erp_overlap` or `wms_overlap` before the newest change it has seen: a vendor
    stamps a change before it commits it. `push_grace` is how long after a change its message may
    still come (Business Central collects for 30 s); a message later than that was missed.
    """

    erp_poll_every: timedelta = timedelta(seconds=20)
    erp_overlap: timedelta = timedelta(seconds=60)
    wms_poll_every: timedelta = timedelta(seconds=30)
    wms_overlap: timedelta = timedelta(seconds=60)
    held_for: timedelta = timedelta(hours=1)
    """How long an event of an order that is not known (yet) is kept before it is set aside."""
    push_grace: timedelta = timedelta(seconds=120)
    renew_every: timedelta = timedelta(minutes=5)
    """How often at most a subscription that has gone silent is made anew."""
    stream_length: int = 100_000
    """Events kept on each stream, about."""
