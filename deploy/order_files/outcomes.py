"""How the submission of one document ended."""

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Accepted", "Outcome", "Refused", "Undelivered"]


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The journal has it. `net_amount` is the journal's own figure, None when the answer had none.

    `replayed`: it had it before this run; the answer is the first one's.
    """

    replayed: bool
    net_amount: Decimal | None


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The gateway refused it for good; sending it again unchanged would change nothing."""

    slug: str
    detail: str


class Undelivered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Not known to be accepted when patience ran out; running the import again settles it.

    `because` is a problem slug, or `earlier-document` when an earlier one of the customer waits.
    """

    because: Literal["earlier-document"] | str  # noqa: PYI051  # names the one that is ours


Outcome: TypeAlias = Accepted | Refused | Undelivered
