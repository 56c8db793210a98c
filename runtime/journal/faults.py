"""How the journal refuses. Each is a fact about what was asked, never about its own health."""

from collections.abc import Sequence


class KeyReused(Exception):  # noqa: N818  # these are named as the answer they are
    """The same key came before with another body. `reference` is the first one's."""

    def __init__(self, process_id: str, reference: str) -> None:
        super().__init__(f"the key already began {reference}, with another body")
        self.process_id = process_id
        self.reference = reference


class ReferenceTaken(Exception):  # noqa: N818  # same
    """The reference and the variants of it that the journal may choose are all in use."""


class IdTaken(Exception):  # noqa: N818  # same
    """The id given with a start is another process's. Ids come from `Journal.mint`, one each."""


class UnknownProcess(LookupError):  # noqa: N818  # same
    """No process has this id."""


class UnreadableProcess(Exception):  # noqa: N818  # same
    """What is stored of this process can no longer be read. Its incident says so."""


class UnknownIncident(LookupError):  # noqa: N818  # same
    """No incident has this id."""


class UnknownKind(LookupError):  # noqa: N818  # same
    """No such process type."""

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(f"no process type {kind!r}; there are {', '.join(known) or 'none'}")


class UnknownVersion(Exception):  # noqa: N818  # same
    """Stored data of a version this program has no way to read."""

    def __init__(self, kind: str, version: int) -> None:
        super().__init__(f"{kind}: no upgrade from stored version {version}")


class CannotContinue(Exception):  # noqa: N818  # same
    """Open processes in the store that this release does not understand. Nothing was changed."""

    def __init__(self, strange: Sequence[str]) -> None:
        super().__init__("this release cannot continue: " + "; ".join(strange))
        self.strange = tuple(strange)


class ActionNotAllowed(Exception):  # noqa: N818  # same
    """The category of the incident does not allow this action, or it would change nothing."""


class ActedOnMeanwhile(ActionNotAllowed):
    """The incident is closed, or somebody else acted on it first."""


class UnknownRedrive(LookupError):  # noqa: N818  # same
    """No redrive has this id."""


class RedriveEnded(Exception):  # noqa: N818  # same
    """The redrive has ended, or is not in a state for what was asked."""


class LeaseLost(Exception):  # noqa: N818  # same
    """Another worker has taken the process over; the result offered was dropped."""
