"""Whether a merge patch fits an order, before it is given to many of them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from contracts.canonical.order import OrderRequest
from contracts.problems import Fault, ProblemError, refuse

__all__ = ["check"]


def check(patch: Mapping[str, Any] | None, *, is_for_amending: bool) -> None:
    """Refuse a patch where none is wanted, none where one is, and one that no order can take.

    Refuses remedy-not-allowed with every fault at once. What only an order can tell (an item
    that the ERP does not have) is found when that order is checked again.
    """
    if not is_for_amending:
        if patch is not None:
            raise _refusal([Fault(pointer="/amendment", detail="Only with the action `amend`.")])
        return
    if not patch:
        detail = "An amendment needs a merge patch of the order."
        raise _refusal([Fault(pointer="/amendment", detail=detail)])
    faults = [fault for name, value in patch.items() for fault in _faults(name, value)]
    if faults:
        raise _refusal(faults)


def _faults(name: str, value: Any) -> list[Fault]:
    known = {each.encode_name: each for each in msgspec.structs.fields(OrderRequest)}
    field = known.get(name)
    pointer = f"/amendment/{name}"
    if field is None:
        return [Fault(pointer=pointer, detail="No such field.", allowed=", ".join(known))]
    if value is None:
        if field.required:
            return [Fault(pointer=pointer, detail="An order cannot be without it.")]
        return []
    if isinstance(value, dict):
        return []  # merged with what the order has: whether it fits shows there
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        return [Fault(pointer=pointer, detail=str(error))]
    return []


def _refusal(faults: list[Fault]) -> ProblemError:
    return refuse("remedy-not-allowed", errors=faults)
