"""Events that came before the order they are about: kept durably, offered again, set aside at last.

Each is a process of its own, so that it survives whatever its holder does not. An order is durable
before any system hears of it; an event can still be early where a journal was restored, or be of a
document that somebody made by hand. Such a one is set aside after a while and told of in the log.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from process_apis.propagation.happenings import Happening
from runtime.journal.process import (
    Again,
    Lane,
    Lifecycle,
    Move,
    Process,
    ProcessType,
    Says,
    Start,
    StepContext,
)

__all__ = ["HELD", "HELD_KIND", "HeldEvent", "held_type", "start_for"]

log = logging.getLogger("crossdock.propagation")

HELD_KIND: Final = "held-event"
_SOONEST: Final = timedelta(seconds=1)
_LATEST: Final = timedelta(minutes=5)
_MOST_DOUBLINGS: Final = 9

HELD: Final = Lifecycle(
    name="held event",
    initial="held",
    terminal=frozenset({"told", "set_aside"}),
    moves={("held", "told"): "told", ("held", "expired"): "set_aside"},
)

Offer = Callable[[Happening], Awaitable[bool]]
"""Tells the event to its order; False while there is none."""


class HeldEvent(Struct, frozen=True, kw_only=True):
    """One event whose order is not known yet."""

    happening: Happening


def held_type(offer: Offer, *, held_for: timedelta) -> ProcessType[HeldEvent]:
    """Answer the process type of held events."""

    async def held(
        process: Process[HeldEvent], context: StepContext
    ) -> Move[HeldEvent] | Again[HeldEvent]:
        happening = process.data.happening
        if await offer(happening):
            said = Says(text="The order came; it was told.")
            return Move(event="told", data=process.data, says=(said,))
        if context.now - process.created_at >= held_for:
            log.warning("event_set_aside", extra={"event": happening.name, "id": happening.id})
            said = Says(text="No order came that it is about.")
            return Move(event="expired", data=process.data, says=(said,))
        pause = min(_LATEST, _SOONEST * 2 ** min(context.attempt, _MOST_DOUBLINGS))
        return Again(at=context.now + pause, in_doubt=False)

    return ProcessType(
        name=HELD_KIND,
        version=1,
        data_type=HeldEvent,
        lifecycle=HELD,
        steps={"held": held},
    )


def start_for(happening: Happening, mint: Callable[[], str]) -> Start[Any]:
    """Begin to hold an event: once for its id, in turn with others of the same order."""
    return Start(
        id=(minted := mint()),
        kind=HELD_KIND,
        consumer="propagation",
        operation=happening.source,
        key=happening.id,
        fingerprint=happening.id,
        reference=f"HELD-{minted}",
        data=HeldEvent(happening=happening),
        lane=Lane.SYNC,
        entity=f"held:{happening.to[0].value}",
        says=(Says(text=f"{happening.name} came before its order."),),
    )
