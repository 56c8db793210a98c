"""What msgspec says of a body, as a fault with an RFC 6901 pointer."""

import re
from typing import Final

import msgspec

from contracts.problems import Fault

_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?(?P<where>\$[^`]*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")


def faults_of(error: msgspec.ValidationError) -> list[Fault]:
    """Answer the one fault msgspec stopped at; the edge finds all of them at once."""
    matched = _PLACE.match(str(error))
    what = matched["what"] if matched else str(error)
    where = (matched["where"] if matched else None) or "$"
    steps = (name or index for name, index in _STEP.findall(where[1:]))
    return [Fault(pointer="".join("/" + step for step in steps), detail=what)]
