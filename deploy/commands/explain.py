"""`crossdock explain`: the verdict of every policy on a call that is never made."""

from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from deploy.commands.check import refuse_faulty

if TYPE_CHECKING:
    from gateway.call import Finding

__all__ = ["command"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@click.command(name="explain", epilog="Example: crossdock explain POST /sales/v1/orders --as crm")
@click.argument("method", type=click.Choice(_METHODS, case_sensitive=False))
@click.argument("url")
@click.option("--as", "client", required=True, help="The client to ask as, e.g. crm.")
def command(method: str, url: str, client: str) -> None:
    """Show what the gateway would say to a call, policy by policy, without making it.

    URL is a path with its query, or a whole address of which only these count. What is read are
    the same policies, compiled for the same operation, as a running gateway asks.
    """
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not path.startswith("/"):
        raise click.UsageError(f"{url!r} has no path; write it like /sales/v1/orders.")
    findings = _findings(method.upper(), path, client)
    width = max(len(finding.policy) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.policy:<{width}}  {finding.verdict:<7} {finding.because}")
    if any(finding.verdict == "refuse" for finding in findings):
        raise click.exceptions.Exit(1)


def _findings(method: str, path: str, client: str) -> "list[Finding]":
    from deploy.assembly import System  # noqa: PLC0415  # start-up time
    from deploy.compiling import consumer_of  # noqa: PLC0415  # start-up time
    from deploy.profile import Settings, configuration  # noqa: PLC0415  # start-up time

    refuse_faulty("there is nothing to explain")
    settings = Settings.from_environment()
    configured = configuration(settings)
    known = configured.gateway.clients
    if client not in known:
        near = get_close_matches(client, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.UsageError(f"No client {client!r}.{hint} Known are: {', '.join(known)}.")
    system = System(settings, configured)
    return system.gateway.explain(method, path, consumer_of(client, known[client]))
