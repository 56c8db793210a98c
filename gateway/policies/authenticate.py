"""authenticate: who is calling, proven by a bearer access token (RFC 6750, RFC 9068).

A verified token is remembered by its digest until it expires; the second call of a token costs one
look-up. Whatever is wrong with a credential, the caller is told the same words; the reason is in
the log. Only an otherwise valid token past its time is told apart, so that a client can renew.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from contracts.problems import problem
from gateway.call import (
    PASS,
    Asked,
    Call,
    ConfigFault,
    Consumer,
    Finding,
    Header,
    Refuse,
    Step,
    Verdict,
)
from gateway.records import Records
from gateway.routes import Operation
from gateway.tokens import Claims, TokenRefusedError, Verifier
from runtime.clock import Clock

_MOST_REMEMBERED: Final = 50_000
_CHALLENGE: Final = b"www-authenticate"

Introduce = Callable[[Claims], Consumer | None]
"""Answers the consumer a verified token speaks for; None for one this gateway does not know."""


class Authenticate:
    """Verifies bearer tokens and remembers those verified."""

    name = "authenticate"

    def __init__(
        self,
        *,
        verifier: Verifier,
        introduce: Introduce,
        clock: Clock,
        records: Records,
        metadata_url: str,
    ) -> None:
        self._verifier = verifier
        self._introduce = introduce
        self._clock = clock
        self._records = records
        self._seen: dict[bytes, Consumer] = {}
        base = f'Bearer realm="crossdock", resource_metadata="{metadata_url}"'
        self._bare: tuple[Header, ...] = ((_CHALLENGE, base.encode()),)
        self._invalid: tuple[Header, ...] = (
            (_CHALLENGE, f'{base}, error="invalid_token"'.encode()),
        )

    async def provision(self) -> None:
        """Need nothing: keys are fetched when first asked for."""

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Issuers and clients are checked with the configuration."""
        return []

    async def close(self) -> None:
        """Forget what was verified."""
        self._seen.clear()

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract asks for a credential."""
        if operation.scopes is None:
            return ()
        return (Step(self.name, ask=self._ask, explain=self._explain),)

    def _ask(self, call: Call) -> Asked:
        header = call.fields.get(b"authorization")
        if header is None:
            return Refuse(problem=problem("unauthenticated"), headers=self._bare)
        if header[:7].lower() != b"bearer ":
            return self._refused("scheme", call)
        token = header[7:]
        seen = self._seen.get(sha256(token).digest())
        if seen is not None and seen.expires > self._clock.now().timestamp():
            call.consumer = seen
            return PASS
        return self._verify(call, token)

    async def _verify(self, call: Call, token: bytes) -> Verdict:
        try:
            claims = await self._verifier.verify(token.decode("latin-1"))
        except TokenRefusedError as error:
            return self._refused(error.reason, call)
        consumer = self._introduce(claims)
        if consumer is None:
            return self._refused("consumer-unknown", call)
        if len(self._seen) >= _MOST_REMEMBERED:
            self._forget()
        self._seen[sha256(token).digest()] = consumer
        call.consumer = consumer
        return PASS

    def _forget(self) -> None:
        """Drop what has expired; if that is not half, drop the oldest half."""
        now = self._clock.now().timestamp()
        kept = [(key, each) for key, each in self._seen.items() if each.expires > now]
        self._seen = dict(kept[-_MOST_REMEMBERED // 2 :])

    def _refused(self, reason: str, call: Call) -> Refuse:
        self._records.event("token_refused", reason=reason, correlation_id=call.correlation_id)
        slug = "token-expired" if reason == "expired" else "unauthenticated"
        return Refuse(problem=problem(slug), headers=self._invalid)

    def _explain(self, call: Call) -> Finding:
        known = call.consumer.name != "anonymous"
        return Finding(
            policy=self.name,
            verdict="pass" if known else "refuse",
            because=f"the caller is {call.consumer.name}" if known else "no credential is given",
        )


def introduce_from(
    consumers: Mapping[tuple[str, str], tuple[tuple[str, ...] | None, str]],
    default_plans: Mapping[str, str],
) -> Introduce:
    """Know consumers by (issuer, name): their accounts and plan.

    A consumer an issuer vouches for and no configuration names gets the issuer's plan and no
    account; issuers without a default plan know only whom the configuration names.
    """

    def introduce(claims: Claims) -> Consumer | None:
        known = consumers.get((claims.issuer, claims.consumer))
        if known is None:
            plan = default_plans.get(claims.issuer)
            if plan is None:
                return None
            known = ((), plan)
        accounts, plan = known
        return Consumer(
            name=claims.consumer,
            subject=claims.subject,
            scopes=claims.scopes,
            accounts=accounts,
            plan=plan,
            expires=claims.expires,
        )

    return introduce
