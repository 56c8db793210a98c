"""A handshake (RFC 6455, section 4): asked through the policies of the GET it is, then a tunnel.

Whatever refuses it answers an HTTP problem, by ASGI's denial response; only when every policy has
passed and the service has switched protocols is the caller told 101. The server under us answers by
itself what is no handshake (400), says no method and takes no headers for the 101.
"""

from collections.abc import Mapping
from typing import Any, Final

from contracts.problems import ProblemError, problem, refuse
from gateway.call import (
    Call,
    ClientGoneError,
    ConfigFault,
    Message,
    Refuse,
    Reply,
    Scope,
    Send,
    Verdict,
)
from gateway.call import Receive as Receiving
from gateway.config import GatewayConfig
from gateway.edge import from_upstream
from gateway.lasting import Lasting
from gateway.plans import Plan
from gateway.routes import Operation
from gateway.tunnels import Tunnel
from gateway.upstreams import Upstream
from runtime.clock import Clock

SWITCHED: Final = 101
_COME_AGAIN_SECONDS: Final = 5
_CREDENTIALS: Final = (b"authorization", b"x-api-key")
_WHILE_CALLED: Final = frozenset({"shed", "shield"})
"""What these give is for a call; a tunnel has a place of its own."""
_ASKED_AGAIN: Final = frozenset({"authenticate", "authorize"})
_OF_HANDSHAKE: Final = b"sec-websocket-"


def as_get(scope: Scope) -> Scope:
    """Answer the request that a handshake is."""
    return {**scope, "type": "http", "method": "GET"}


async def no_body() -> Message:
    """A handshake has none."""
    return {"type": "http.request", "body": b"", "more_body": False}


def denying(send: Send) -> Send:
    """Send an ordinary answer instead of a switch of protocols."""

    async def deny(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return deny


def not_upgraded(_: Call) -> Verdict:
    """Refuse a handshake where no contract allows one."""
    detail = "This operation is not upgraded. Send the request without Upgrade."
    return Refuse(problem=problem("invalid-request", detail=detail))


def upgrade_faults(
    operations: tuple[Operation, ...], upstreams: Mapping[str, Upstream]
) -> list[ConfigFault]:
    """Report upgrades of what cannot be upgraded."""

    def fault(operation: Operation, value: str, allowed: str) -> ConfigFault:
        return ConfigFault(
            place=f"{operation.key} x-crossdock.upgrade",
            value=value,
            allowed=allowed,
            remedy="Leave it out.",
        )

    upgraded = [each for each in operations if each.terms.upgrade is not None]
    return [
        *(
            fault(each, f"websocket on {each.method}", "websocket on a GET (RFC 6455, section 4.1)")
            for each in upgraded
            if each.method != "GET"
        ),
        *(
            fault(each, "websocket, and a cache", "one of them")
            for each in upgraded
            if each.terms.cache is not None
        ),
        *(
            fault(each, "websocket, of what is served in this process", "a service over HTTP")
            for each in upgraded
            if not hasattr(upstreams.get(each.api), "upgraded")
        ),
    ]


class Handshake:
    """One handshake whose policies have passed."""

    def __init__(
        self, plan: Plan, scope: Scope, *, config: GatewayConfig, lasting: Lasting, clock: Clock
    ) -> None:
        self._plan = plan
        self._scope = scope
        self._settings = config.gateway.upgrades
        self._lasting = lasting
        self._clock = clock
        self._duplex: Any = None
        self._endings = lasting.tunnels.endings
        self._placed = False
        self.plan = Plan(plan.operation, plan.steps, handler=self._open)
        """Ends here instead of at the upstream: with 101, or with what the service answered."""

    def __repr__(self) -> str:
        return f"<Handshake {self._plan.operation.key}>"

    async def _open(self, call: Call) -> Reply:
        """Have the service switch protocols.

        Raises:
            contracts.problems.ProblemError: there is no place, or no service.
        """
        from gateway.dialling import DeclinedError  # noqa: PLC0415  # only who upgrades waits for it

        refusal = self._refusal(call)
        if refusal is not None:
            self._give_back(call)  # the circuit is to hear nothing: the service was not asked
            raise refusal
        headers = [each for each in call.forwarded if not each[0].startswith(_OF_HANDSHAKE)]
        upstream: Any = self._plan.upstream
        try:
            self._duplex = await upstream.upgraded(
                {**as_get(self._scope), "headers": headers},
                largest_bytes=self._settings.largest_message_bytes,
            )
        except DeclinedError as declined:
            return from_upstream(declined.status, declined.headers, declined.body)
        return Reply(SWITCHED, [], b"", reason="upgraded")

    def _refusal(self, call: Call) -> ProblemError | None:
        """Refuse on our own account, or take a place."""
        if self._lasting.draining:
            return refuse("draining", retry_after=_COME_AGAIN_SECONDS)
        if b"origin" in call.fields and self._ambient(call):
            # A page elsewhere can have a browser show its certificate (RFC 6455, section 10.2).
            return refuse("unauthenticated")
        self._placed = self._lasting.tunnels.take(self._settings.connections)
        return None if self._placed else refuse("overloaded", retry_after=_COME_AGAIN_SECONDS)

    def _give_back(self, call: Call) -> None:
        for step in self._plan.steps:
            if step.name in _WHILE_CALLED and step.release is not None:
                step.release(call)

    def _ambient(self, call: Call) -> bool:
        """Tell whether the caller was known by what it did not have to say."""
        known = self._plan.operation.scopes is not None
        return known and not any(each in call.fields for each in _CREDENTIALS)

    async def run(self, call: Call, reply: Reply, receive: Receiving, send: Send) -> None:
        """Tell the caller that the protocol is switched, and carry messages until an end comes."""
        from gateway.dialling import closing  # noqa: PLC0415  # as above

        self._give_back(call)
        call.deadline = None
        tunnel = Tunnel(
            call,
            self._duplex,
            self._settings,
            receive=receive,
            send=send,
            identity=[each for each in self._plan.steps if each.name in _ASKED_AGAIN],
            closing=closing,
            clock=self._clock,
        )
        with self._lasting.tunnels.knowing(tunnel, endings=self._endings):
            try:
                await send({"type": "websocket.accept", "subprotocol": self._duplex.subprotocol})
            except Exception:  # noqa: BLE001  however the server says that nobody is there
                raise ClientGoneError from None
            reply.reason = (await tunnel.run()).reason

    async def close(self) -> None:
        """Give back the place, and the connection if it is still open."""
        if self._placed:
            self._lasting.tunnels.leave()
        if self._duplex is not None:
            await self._duplex.close()
