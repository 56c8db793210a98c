"""authenticate: who is calling, proven by a bearer token, an API key or a client certificate.

Tokens as RFC 6750 and RFC 9068 have them, sent in `Authorization`; keys in `X-API-Key`;
certificates from a trusted hop. A verified token is remembered by its digest until it expires or is
withdrawn. Whatever is wrong with a credential, the caller is told the same words; the reason is in
the log. Only an otherwise valid token past its time is told apart, so that a client can renew.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from contracts.problems import problem
from gateway import apikeys
from gateway.apikeys import ApiKeys, KeyNotAcceptedError
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
from gateway.certificates import CertificateRefusedError, Presented
from gateway.keys import KeysUnavailableError
from gateway.records import Records
from gateway.revocation import Revocations, subject_of, token_subject
from gateway.routes import Operation
from gateway.tokens import Claims, TokenRefusedError, Verifier
from runtime.clock import Clock

_MOST_REMEMBERED: Final = 50_000
_CHALLENGE: Final = b"www-authenticate"
_LONGEST_WAIT: Final = 10.0

Introduce = Callable[[Claims], Consumer]
"""Answers the consumer a verified token speaks for; raises `TokenRefusedError` for nobody's."""


class _Seen(msgspec.Struct, frozen=True):
    """A verified token: whose it is, what would withdraw it, what it is bound to."""

    consumer: Consumer
    subjects: tuple[str, ...]
    bound_to: str | None


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation's callers are told (RFC 6750 section 3, RFC 9728 section 5.1).

    `bare` carries no error: no bearer token was tried. `doubtful`: two ways at once.
    """

    bare: Refuse
    invalid: tuple[Header, ...]
    doubtful: Refuse


class Authenticate:
    """Proves who is calling, once for each credential where that can be remembered."""

    name = "authenticate"

    def __init__(
        self,
        *,
        verifier: Verifier,
        introduce: Introduce,
        keys: ApiKeys,
        presented: Presented,
        certified: Mapping[str, Consumer],
        revocations: Revocations,
        clock: Clock,
        records: Records,
        metadata_url: str,
    ) -> None:
        self._verifier = verifier
        self._introduce = introduce
        self._keys = keys
        self._presented = presented
        self._certified = certified
        self._revocations = revocations
        self._clock = clock
        self._records = records
        self._metadata_url = metadata_url
        self._seen: dict[bytes, _Seen] = {}
        revocations.listen(self._drop_withdrawn)

    @property
    def revocations(self) -> Revocations:
        """What is withdrawn."""
        return self._revocations

    async def provision(self) -> None:
        """Learn what is withdrawn; keys are fetched when first asked for."""
        await self._revocations.open()

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Issuers and clients are checked with the configuration."""
        return []

    async def close(self) -> None:
        """Forget what was verified, and stop watching."""
        self._seen.clear()
        await self._revocations.close()

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract asks for a credential."""
        if operation.scopes is None:
            return ()
        fewest = min(operation.scopes, key=len)
        said = self._challenges(" ".join(sorted(fewest)))
        return (Step(self.name, ask=partial(self._ask, said), explain=self._explain),)

    def known(self) -> Callable[[Call], Awaitable[None]]:
        """Answer what finds out who is calling, if the caller says, and refuses nobody."""
        said = self._challenges("")

        async def know(call: Call) -> None:
            asked = self._ask(said, call)
            if inspect.isawaitable(asked):
                await asked

        return know

    def _challenges(self, scope: str) -> _Said:
        base = f'Bearer realm="crossdock", resource_metadata="{self._metadata_url}"'
        wanted = f', scope="{scope}"' if scope else ""
        bare = ((_CHALLENGE, f"{base}{wanted}".encode()),)
        return _Said(
            bare=Refuse(problem=problem("unauthenticated"), headers=bare),
            invalid=((_CHALLENGE, f'{base}{wanted}, error="invalid_token"'.encode()),),
            doubtful=Refuse(
                problem=problem("ambiguous-request"),
                headers=((_CHALLENGE, f'{base}, error="invalid_request"'.encode()),),
            ),
        )

    def _ask(self, said: _Said, call: Call) -> Asked:
        fields = call.fields
        header = fields.get(b"authorization")
        if header is None:
            key = fields.get(apikeys.HEADER)
            return (
                self._by_certificate(said, call) if key is None else self._by_key(said, call, key)
            )
        if apikeys.HEADER in fields:
            return said.doubtful
        if header[:7].lower() != b"bearer ":
            return self._unproven(said, call, "scheme")
        token = header[7:]
        seen = self._seen.get(sha256(token).digest())
        if seen is None or seen.consumer.expires <= self._clock.now().timestamp():
            return self._by_token(said, call, token)
        if seen.bound_to is not None and not self._holds(call, seen.bound_to):
            return self._invalid(said, call, "certificate-not-the-tokens")
        call.consumer = seen.consumer
        return PASS

    async def _by_token(self, said: _Said, call: Call, token: bytes) -> Verdict:
        try:
            async with asyncio.timeout(self._patience(call)):
                claims = await self._verifier.verify(token.decode("latin-1"))
            consumer = self._introduce(claims)
        except TokenRefusedError as error:
            return self._invalid(said, call, error.reason)
        except KeysUnavailableError as error:
            return self._undecided(call, error.retry_after)
        except TimeoutError:
            return self._undecided(call, 1.0)
        if claims.bound_to is not None and not self._holds(call, claims.bound_to):
            return self._invalid(said, call, "certificate-not-the-tokens")
        subjects = [subject_of("client", consumer.name)]
        if claims.token_id is not None:
            subjects.append(token_subject(claims.issuer, claims.token_id))
        # Nothing is awaited between this question and the remembering: a withdrawal drops it.
        if self._revocations.holds(subjects):
            return self._invalid(said, call, "revoked")
        if len(self._seen) >= _MOST_REMEMBERED:
            self._forget()
        self._seen[sha256(token).digest()] = _Seen(consumer, tuple(subjects), claims.bound_to)
        call.consumer = consumer
        return PASS

    def _by_key(self, said: _Said, call: Call, given: bytes) -> Verdict:
        try:
            held = self._keys.find(given, self._clock.now().timestamp())
        except KeyNotAcceptedError as error:
            return self._unproven(said, call, error.reason)
        consumer = held.consumer
        subjects = (subject_of("client", consumer.name), subject_of("key", held.id))
        if self._revocations.holds(subjects):
            return self._unproven(said, call, "revoked")
        call.consumer = consumer
        return PASS

    def _by_certificate(self, said: _Said, call: Call) -> Verdict:
        try:
            shown = self._presented.of(call)
        except CertificateRefusedError as error:
            return self._unproven(said, call, error.reason)
        if shown is None:
            return said.bare
        found = next((each for each in shown.names if each in self._certified), None)
        if found is None:
            return self._unproven(said, call, "certificate-unknown")
        consumer = self._certified[found]
        subjects = (
            subject_of("client", consumer.name),
            subject_of("certificate", shown.thumbprint),
        )
        if self._revocations.holds(subjects):
            return self._unproven(said, call, "revoked")
        call.consumer = consumer
        return PASS

    def _holds(self, call: Call, thumbprint: str) -> bool:
        """Tell whether the caller presented that very certificate (RFC 8705 section 3)."""
        try:
            shown = self._presented.of(call)
        except CertificateRefusedError:
            return False
        if shown is None or shown.thumbprint != thumbprint:
            return False
        return not self._revocations.holds((subject_of("certificate", thumbprint),))

    def _patience(self, call: Call) -> float:
        if call.deadline is None:
            return _LONGEST_WAIT
        return max(0.0, min(_LONGEST_WAIT, call.deadline - self._clock.monotonic()))

    def _forget(self) -> None:
        """Drop what has expired; if that is not half, drop the oldest half."""
        now = self._clock.now().timestamp()
        kept = [(key, each) for key, each in self._seen.items() if each.consumer.expires > now]
        self._seen = dict(kept[-_MOST_REMEMBERED // 2 :])

    def _drop_withdrawn(self) -> None:
        """Forget the tokens of what was withdrawn: when seen again they are refused."""
        holds = self._revocations.holds
        self._seen = {key: each for key, each in self._seen.items() if not holds(each.subjects)}

    def _invalid(self, said: _Said, call: Call, reason: str) -> Refuse:
        """Refuse a token."""
        self._records.event("token_refused", reason=reason, correlation_id=call.correlation_id)
        slug = "token-expired" if reason == "expired" else "unauthenticated"
        return Refuse(problem=problem(slug), headers=said.invalid)

    def _unproven(self, said: _Said, call: Call, reason: str) -> Refuse:
        """Refuse a credential that is no bearer token: no error code (RFC 6750 section 3.1)."""
        self._records.event("credential_refused", reason=reason, correlation_id=call.correlation_id)
        return said.bare

    def _undecided(self, call: Call, retry_after: float) -> Refuse:
        """Refuse to say: the issuer cannot be asked, and the token may be good."""
        self._records.event("issuer_not_reached", correlation_id=call.correlation_id)
        return Refuse(problem=problem("upstream-unavailable"), retry_after=retry_after)

    def _explain(self, call: Call) -> Finding:
        known = call.consumer.name != "anonymous"
        return Finding(
            policy=self.name,
            verdict="pass" if known else "refuse",
            because=f"the caller is {call.consumer.name}" if known else "no credential is given",
        )
