"""`crossdock gateway`: the policy gateway alone, in front of tiers served apart."""

import click

from deploy.commands.running import LISTENING, run

__all__ = ["command"]


@click.command(name="gateway", epilog="Example: crossdock gateway --port 8080")
@click.option("--port", type=LISTENING, help="Gateway port [default: 8080].")
def command(*, port: int | None) -> None:
    """Serve the policy gateway alone, until stopped (Ctrl-C, SIGTERM).

    It forwards to the tiers at `tiers.system`, `tiers.process` and `tiers.experience` of the
    configuration (crossdock serve), and to the `services` that are not ours. With services and no
    tier it stands in front of these alone.
    """
    run("gateway", "The gateway", port=port)
