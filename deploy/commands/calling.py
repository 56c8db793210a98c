"""What commands that call a running gateway share: one client, one sentence for each failure."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from deploy.addresses import Addresses
from deploy.commands.naming import program
from deploy.gateway_client import GatewayClient, NoAnswerError, RefusedError, http_client
from runtime.clock import SystemClock

__all__ = ["calling", "secret_of", "silent"]

T = TypeVar("T")


def secret_of(client: str) -> str:
    """Answer the secret of a development client; other profiles know no such secret."""
    return f"{client}-dev-secret"


def silent(addresses: Addresses) -> click.ClickException:
    """Say that no gateway answers, and what to do."""
    return click.ClickException(
        f"Nothing answers at {addresses.gateway}. Start the system with `{program()} up`, "
        "or set CROSSDOCK_PORT to where it listens."
    )


def calling(
    addresses: Addresses,
    client: str,
    secret: str,
    call: Callable[[GatewayClient], Awaitable[T]],
) -> T:
    """Run one call against the gateway and answer its result.

    Raises:
        click.ClickException: nothing answers, or the answer is no.
    """

    async def run() -> T:
        gateway = GatewayClient(
            http=http_client(),
            url=addresses.gateway,
            client=client,
            secret=secret,
            clock=SystemClock(),
        )
        async with gateway:
            return await call(gateway)

    try:
        return asyncio.run(run())
    except NoAnswerError:
        raise silent(addresses) from None
    except RefusedError as refusal:
        raise click.ClickException(str(refusal)) from None
