"""`crossdock explain`: the verdict of every policy on a call that is never made."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from deploy.commands.check import refuse_faulty

if TYPE_CHECKING:
    from gateway.call import Finding
    from gateway.config import GatewayConfig
    from gateway.records import AccessRecord

__all__ = ["command"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_SENDABLE: Final = re.compile(r"[!-~]+")
_NAMEABLE: Final = re.compile(r"[!-~]{1,256}")
"""What an issuer may call a consumer (RFC 6749 appendix A.1)."""


@click.command(name="explain", epilog="Example: crossdock explain POST /sales/v1/orders --as crm")
@click.argument("method", type=click.Choice(_METHODS, case_sensitive=False))
@click.argument("url")
@click.option(
    "--as", "client", required=True, help="The client, or ISSUER:NAME of a consumer without one."
)
def command(method: str, url: str, client: str) -> None:
    """Show what the gateway would say to a call, policy by policy, without making it.

    URL is a path with its query, or a whole address of which only these count. What is asked are
    the same policies, compiled for the same operation, as a running gateway asks: who the client
    is and what still proves it (withdrawals are read from the data directory), its scopes and
    plan, path and query against the contract. Headers and body are not known; what hangs on them
    is described. Ends with 1 when a policy would refuse.
    """
    findings = _findings(method.upper(), _target(url), client)
    width = max(len(finding.policy) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.policy:<{width}}  {finding.verdict:<7} {finding.because}")
    if any(finding.verdict == "refuse" for finding in findings):
        raise click.exceptions.Exit(1)


def _target(url: str) -> str:
    """Answer path and query as they would be sent."""
    if not _SENDABLE.fullmatch(url):
        raise click.UsageError(f"{url!r} is no URL; write other characters percent-encoded.")
    if url.startswith("/"):
        return url.partition("#")[0]
    try:
        parts = urlsplit(url)
    except ValueError:
        raise click.UsageError(f"{url!r} is no address; write it like /sales/v1/orders.") from None
    if not parts.path.startswith("/"):
        raise click.UsageError(f"{url!r} has no path; write it like /sales/v1/orders.")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise click.UsageError(f"{url!r} is no address; write it like /sales/v1/orders.")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _findings(method: str, target: str, asked: str) -> "list[Finding]":
    import asyncio  # noqa: PLC0415  # start-up time

    from deploy.callers import caller_of, every_scope  # noqa: PLC0415  # start-up time
    from deploy.compiling import alone, compiled  # noqa: PLC0415  # start-up time
    from deploy.profile import Settings, configuration  # noqa: PLC0415  # start-up time
    from gateway.config import ConfigError  # noqa: PLC0415  # start-up time
    from gateway.identity import REVOCATIONS  # noqa: PLC0415  # start-up time
    from gateway.revocation import Revocations  # noqa: PLC0415  # start-up time
    from runtime.clock import SystemClock  # noqa: PLC0415  # start-up time

    refuse_faulty("there is nothing to explain", part="gateway")
    settings, clock = Settings.from_environment(part="gateway"), SystemClock()
    configured = configuration(settings).gateway
    _refuse_unknown(asked, configured)
    try:
        gateway = compiled(alone(configured), clock=clock)
    except ConfigError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        raise click.ClickException(
            f"{settings.config or 'The sandbox profile'} cannot be used; "
            "there is nothing to explain."
        ) from None
    revocations = Revocations(settings.data / REVOCATIONS, clock=clock, records=_Aloud())
    asyncio.run(revocations.refresh())
    caller = caller_of(
        configured,
        asked,
        every=every_scope(gateway),
        stopped=revocations.stopped,
        now=clock.now().timestamp(),
    )
    return gateway.explain(method, target, caller)


def _refuse_unknown(asked: str, configured: "GatewayConfig") -> None:
    """Refuse who is neither a client nor somebody an issuer may name."""
    issuer, colon, name = asked.partition(":")
    if asked in configured.clients:
        return
    known: Collection[str]
    if not colon:
        known, wanted, what = configured.clients, asked, "client"
    elif issuer in configured.issuers:
        if not _NAMEABLE.fullmatch(name):
            raise click.UsageError(f"{name!r} is no name that an issuer may give.")
        return
    else:
        known, wanted, what = configured.issuers, issuer, "issuer"
    near = get_close_matches(wanted, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    names = f"Known are: {', '.join(known)}." if known else "None is configured."
    raise click.UsageError(f"No {what} {wanted!r}.{hint} {names}")


class _Aloud:
    """Warns of withdrawals that cannot be read: who is withdrawn would seem to be let in."""

    def access(self, _record: "AccessRecord", /) -> None:
        raise AssertionError

    def event(self, name: str, **_: Any) -> None:
        if name in ("revocations_not_read", "revocation_not_understood"):
            click.echo("Warning: what is withdrawn cannot all be read.", err=True)
