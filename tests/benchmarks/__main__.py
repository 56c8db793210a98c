"""Every benchmark, one after the other: `make bench`."""

from tests.benchmarks import (
    budget_drain,
    checks_assembled,
    cold_start,
    gateway_against_peers,
    gateway_idle,
    gateway_policies,
    journal_against_dbos_restate,
    journal_growth,
    journal_throughput,
    journal_workers,
    tracing_cost,
    whole_orders,
)


def main() -> None:
    """Print every table. Read the figures as ratios of one run; machines differ and are noisy."""
    gateway_policies.main()
    tracing_cost.main()
    gateway_against_peers.main([])
    gateway_idle.main([])
    checks_assembled.main([])
    journal_throughput.main([])
    journal_against_dbos_restate.main(["--rounds", "2", "--scale", "0.5"])
    journal_growth.main(["--sizes", "1000", "20000", "--amount", "400", "--soak", "5000"])
    journal_workers.main(["--amount", "1000", "--workers", "1", "2"])
    cold_start.main([])
    whole_orders.main([])
    budget_drain.main([])


if __name__ == "__main__":
    main()
