"""A retry budget: retries may add a share to the load, never multiply it."""

__all__ = ["RetryBudget"]


class RetryBudget:
    """Every call earns `share` of a retry, up to `most`; a retry costs one.

    With a share of 0.1 an upstream that fails every call sees at most a tenth more of them.
    """

    def __init__(self, *, share: float = 0.1, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._saved = most

    def __repr__(self) -> str:
        return f"<RetryBudget {self._saved:.1f}/{self._most:.0f}>"

    def earn(self) -> None:
        """Count one call that was not a retry."""
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Take one retry; answer False, and take nothing, when there is none left."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
