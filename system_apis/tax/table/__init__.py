"""A table of tax regimes: no vendor, no I/O."""

from system_apis.tax.table.connector import TaxTable

__all__ = ["TaxTable"]
