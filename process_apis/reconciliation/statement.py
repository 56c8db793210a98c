"""What a sweep says at its end, so that somebody may put a name under it."""

from collections.abc import Mapping

from contracts.ports.reconciliation import Sweep

_HOW: str = "%Y-%m-%d %H:%M:%S"


def span_words(sweep: Sweep) -> str:
    """Name the span of time, in UTC."""
    return f"between {sweep.since:{_HOW}} and {sweep.until:{_HOW}} UTC"


def statement(sweep: Sweep, *, waiting: int, new: int) -> str:
    """Say that nothing is missing, or what is."""
    seen = counts(sweep.compared)
    if sweep.unread:
        gone = " and ".join(sweep.unread).upper()
        said = f"Nothing can be said of {gone}, which could not be read; {seen}. "
        return said + (_found(sweep, new) if sweep.differences else "Else nothing differs.")
    if not sweep.differences:
        said = (
            f"Complete: nothing is missing, doubled or different among the orders that changed"
            f" {span_words(sweep)}; {seen}."
        )
        return said if not waiting else f"{said} {waiting} of them wait, visibly, for somebody."
    return (
        f"{_found(sweep, new)} Compared were the orders that changed {span_words(sweep)}; {seen}."
    )


def counts(compared: Mapping[str, int]) -> str:
    """Name what was compared in each system."""
    words = {"journal": "the journal", "erp": "the ERP", "wms": "the warehouse", "crm": "the CRM"}
    return ", ".join(f"{compared.get(name, 0)} in {there}" for name, there in words.items())


def _found(sweep: Sweep, new: int) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(sweep.by_kind.items()))
    many = "difference" if sweep.differences == 1 else "differences"
    return f"{sweep.differences} {many}, {new} of them new: {kinds}."
