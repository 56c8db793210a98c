"""`crossdock serve TIER`: one tier as a process of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from deploy.commands.running import LISTENING, run

if TYPE_CHECKING:
    from deploy.needs import Part

__all__ = ["command"]

_PORTS: Final[Mapping["Part", int]] = {"system": 8081, "process": 8082, "experience": 8083}


@click.command(name="serve", epilog="Example: crossdock serve process --port 8082")
@click.argument("tier", type=click.Choice(list(_PORTS)))
@click.option("--port", type=LISTENING, help="Port [default: 8081, 8082, 8083 by tier].")
def command(*, tier: "Part", port: int | None) -> None:
    """Serve one tier's APIs to the tier above, until stopped (Ctrl-C, SIGTERM).

    Tiers find each other by `tiers.system`, `tiers.process` and `tiers.experience` in the
    configuration. On SQLite the process tier also carries the orders on; on PostgreSQL
    `crossdock worker` does, as many as are wanted.
    """
    run(tier, f"The {tier} tier", port=port or _PORTS[tier])
