"""`crossdock worker`: carries processes on, and answers for nothing but its own health."""

import click

from deploy.commands.running import LISTENING, run

__all__ = ["command"]


@click.command(name="worker", epilog="Example: crossdock worker --port 8084")
@click.option("--port", type=LISTENING, default=8084, help="Port of /healthz and /readyz.",
              show_default=True)  # fmt: skip
def command(*, port: int) -> None:
    """Carry orders on beside others, until stopped (Ctrl-C, SIGTERM).

    Workers share a PostgreSQL store and take over what a dead one leaves. As many may run as are
    wanted, on as many hosts; give each its own data directory.
    """
    run("worker", "A worker", port=port)
