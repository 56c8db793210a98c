"""`crossdock revoke`: withdraw a client, key, certificate or token, within two seconds."""

from difflib import get_close_matches

import click

from deploy.addresses import Addresses

__all__ = ["command"]


@click.command(name="revoke", epilog="Example: crossdock revoke client partner-acme")
@click.argument("kind", type=click.Choice(("client", "key", "certificate", "token")))
@click.argument("name")
@click.option("--lift", is_flag=True, help="Let it be accepted again.")
@click.option("--by", help="Who decided it, for the log.")
def command(kind: str, name: str, *, lift: bool, by: str | None) -> None:
    """Withdraw NAME, whatever its credentials still say.

    NAME is a client's name, a key's id, a certificate's thumbprint (x5t#S256) or a token's issuer
    and id (`"ISSUER JTI"`). Every gateway that shares the data directory, or Redis with one that
    does, refuses it within two seconds. Nothing need be running.
    """
    from gateway.identity import REVOCATIONS  # noqa: PLC0415  # start-up time
    from gateway.revocation import Entry, append  # noqa: PLC0415  # start-up time
    from runtime.clock import SystemClock  # noqa: PLC0415  # start-up time

    path = Addresses.from_environment().data / REVOCATIONS
    at = SystemClock().now().timestamp()
    append(path, [Entry(subject=f"{kind}:{name}", at=at, lifted=lift, by=by)])
    if kind == "client" and not lift:
        _warn(name)
    click.echo(f"{kind} {name} is {'accepted again' if lift else 'withdrawn'}.")


def _warn(name: str) -> None:
    """Say that no client has the name: a misspelt withdrawal withdraws nobody."""
    from deploy.profile import Settings, configuration  # noqa: PLC0415  # start-up time

    try:
        known = configuration(Settings.from_environment()).gateway.clients
    except (ValueError, OSError, KeyError):
        return  # withdrawing must work beside a configuration that cannot be read
    if name not in known and ":" not in name:
        near = get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        click.echo(f"Warning: no client {name!r} is configured.{hint}", err=True)
