"""What a person may do about an order that cannot go on alone, as a table: state and action.

Pure. `remedies.possible` says beforehand whether a remedy would do anything, so that one that
would not is refused and not swallowed.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec

from process_apis.quote_to_order import goods, news, outcomes
from process_apis.quote_to_order.amending import amendment
from process_apis.quote_to_order.lifecycle import ORDER
from process_apis.quote_to_order.records import (
    OrderRecord,
    changed,
    commercial_of,
)
from runtime.journal.incidents import Action
from runtime.journal.process import Ignore, Move, Process, Says, Signal

OrderAnswer = Move[OrderRecord] | Ignore | None
Row = Callable[[Process[OrderRecord], Signal], OrderAnswer]


def actor_of(signal: Signal) -> str:
    """Name who sent a signal, as the timeline does."""
    return str(signal.data.get("actor") or "somebody")


def remedied(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Apply a remedy; None where the table has no row for it."""
    row = TABLE.get((process.state, str(signal.data.get("action"))))
    return None if row is None else row(process, signal)


def _way_back(record: OrderRecord) -> str:
    match record.stopped_in:
        case "fetching":
            return "refetched"
        case "provisional":
            return "rechecked"
        case _:
            return "retried"


def _on(
    process: Process[OrderRecord], signal: Signal, event: str, said: str, **fields: Any
) -> Move[OrderRecord]:
    """Go on after a remedy; whoever follows the order is told that it is not stopped any more."""
    after = changed(process.data, signal.at, trouble=None, stopped_in=None, refused=False, **fields)
    state = ORDER.after(process.state, event)
    topic = "order.cancelled" if state == "cancelled" else "order.accepted"
    if commercial_of(state, after) == "confirmed":
        topic = "order.confirmed"
    return Move(
        event=event,
        data=after,
        says=(Says(text=said),),
        emits=(outcomes.told(topic, process, after, signal.at, state=state),),
        closes_incident=True,
    )


def _tried_again(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    return _on(process, signal, "retried", f"{actor_of(signal)} asked to try again.")


def _taken_up(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """A stopped order goes back to where it was stopped."""
    event = _way_back(process.data)
    return _on(process, signal, event, f"{actor_of(signal)} asked to try again.")


def _released_again(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """A release in doubt is looked for under its own name before anything is planned anew."""
    record = process.data
    if not record.maybe_released or goods.next_planned(record) is None:
        return _tried_again(process, signal)
    said = f"{actor_of(signal)} asked to try again."
    return _on(process, signal, "looked_for_again", said)


def _let_pass(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Finance lets an order pass, limit or not."""
    said = f"{actor_of(signal)} released the order."
    return _on(process, signal, "released", said, credit="released", hold=None)


def _rechecked(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    said = f"{actor_of(signal)} asked to check it again."
    return _on(process, signal, "rechecked", said, hold=None, credit="unchecked")


def _prices_accepted(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    if process.data.stopped_in != "provisional":
        return None
    said = f"{actor_of(signal)} accepted it as it was agreed."
    return _on(process, signal, "rechecked", said, prices_accepted=True)


def _put_right(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    said = f"{actor_of(signal)} put it right by hand."
    return _on(process, signal, "put_right_by_hand", said)


def _stop_again(process: Process[OrderRecord], signal: Signal, *, event: str) -> OrderAnswer:
    """Ask the warehouse once more to stop what it could not stop; the hold stays as it is."""
    releases = tuple(
        msgspec.structs.replace(each, state="open") if each.state == "leaving" else each
        for each in process.data.releases
    )
    after = changed(process.data, signal.at, releases=releases)
    said = f"{actor_of(signal)} asked the warehouse again to stop."
    return Move(event=event, data=after, says=(Says(text=said),))


def _seen_to(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Somebody has seen to what was shipped and not ordered: the order goes on."""
    after = msgspec.structs.replace(process.data, excess=None)
    events = {
        "shipped": "shipped",
        "closed": "settled",
        "backordered": "waits_for_stock",
        "confirmed": "rest_to_allocate",
        "suspending": "still_held",
        "suspended": "still_held",
        "resuming": "still_held",
    }
    event = events.get(goods.following(after), "seen_to")
    said = f"{actor_of(signal)} has seen to what was shipped and not ordered."
    return _on(process, signal, event, said, excess=None)


def _released_here(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Finance lets go here, whatever the ERP still shows; a newer hold of the ERP holds again."""
    holds = tuple(msgspec.structs.replace(hold, held=False) for hold in process.data.erp_holds)
    after = msgspec.structs.replace(process.data, erp_holds=holds)
    return news.lifted(after, signal, f"{actor_of(signal)} released the order")


def _amended(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """The corrected order is checked as a new one would be; the old prices bind nobody."""
    order = amendment(process, signal)
    if order is None:
        return Ignore(says=Says(text="The amendment could not be read."))
    return _on(
        process,
        signal,
        "rechecked",
        f"{actor_of(signal)} corrected the order.",
        request=msgspec.structs.replace(order, promise=None),
        hold=None,
        lines=(),
        po_number=order.po_number,
        prices_accepted=False,
    )


def _readdressed(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    """Only where the goods go can be corrected once the ERP has the order."""
    order = amendment(process, signal)
    if order is None or order.ship_to is None:
        return Ignore(says=Says(text="Only the address can be corrected now."))
    return _on(
        process,
        signal,
        "retried",
        f"{actor_of(signal)} corrected the address.",
        ship_to=order.ship_to,
    )


def _amount_accepted(process: Process[OrderRecord], signal: Signal) -> OrderAnswer:
    amount = signal.data.get("amount") or process.data.erp_net
    if amount is None:
        return None
    net = Decimal(amount)
    return _on(
        process,
        signal,
        "amount_accepted",
        f"{actor_of(signal)} accepted the ERP's amount of {net} {process.data.currency}.",
        net=net,
    )


TABLE: Final[Mapping[tuple[str, str], Row]] = {
    ("held", Action.ACCEPT): _let_pass,
    ("held", Action.RETRY): _rechecked,
    ("held", Action.AMEND_AND_RETRY): _amended,
    ("stopped", Action.RETRY): _taken_up,
    ("stopped", Action.ACCEPT): _prices_accepted,
    ("stopped", Action.AMEND_AND_RETRY): _amended,
    ("mispriced", Action.ACCEPT): _amount_accepted,
    ("mispriced", Action.RETRY): _tried_again,
    ("not_released", Action.RETRY): _released_again,
    ("not_released", Action.AMEND_AND_RETRY): _readdressed,
    ("not_posted", Action.RETRY): _tried_again,
    ("overshipped", Action.RETRY): _seen_to,
    ("suspending", Action.ACCEPT): _released_here,
    ("suspended", Action.ACCEPT): _released_here,
    ("suspending", Action.RETRY): partial(_stop_again, event="stopped_picking"),
    ("suspended", Action.RETRY): partial(_stop_again, event="stop_again"),
    ("rollback_incomplete", Action.RETRY): _tried_again,
    ("rollback_incomplete", Action.ACCEPT): _put_right,
}
"""What each action does where it does anything. Cancelling is the same everywhere, and not here;
a retry without a row runs the step again, which the journal does by itself."""
