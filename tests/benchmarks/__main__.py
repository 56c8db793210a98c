"""Every benchmark, one after the other: `make bench`."""

from tests.benchmarks import (
    budget_drain,
    cold_start,
    gateway_policies,
    journal_throughput,
    tracing_cost,
    whole_orders,
)


def main() -> None:
    """Print every table. Read the figures as ratios of one run; machines differ and are noisy."""
    gateway_policies.main()
    tracing_cost.main()
    journal_throughput.main([])
    cold_start.main([])
    whole_orders.main([])
    budget_drain.main([])


if __name__ == "__main__":
    main()
