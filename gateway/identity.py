"""Everything that says who is calling, put together from one configuration.

Clients by what they may prove themselves with: tokens of an issuer, API keys, certificates. What
a client's `scopes` name bounds each of them, so that a scope taken away is gone with the next
configuration, not when the last token expires.
"""

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from math import inf
from pathlib import Path

import msgspec

from gateway.apikeys import ApiKeys, HeldKey
from gateway.attempts import Attempts
from gateway.call import Consumer
from gateway.certificates import Presented
from gateway.config import BUILT_IN, AttemptLimits, Client, GatewayConfig, secret_digest
from gateway.config import Issuer as Trusted
from gateway.issuer import ALGORITHM, Issuer, KeyRing
from gateway.keys import Fetch, LocalKeys, RemoteKeys
from gateway.peers import Peers
from gateway.policies.authenticate import Authenticate, Introduce
from gateway.policies.authorize import Authorize
from gateway.records import Records
from gateway.revocation import Revocations, Shared
from gateway.tokens import Claims, TokenRefusedError, Trust, Verifier
from runtime.clock import Clock

REVOCATIONS = Path("issuer") / "revocations.jsonl"
"""Where, below the data directory, what was withdrawn is kept."""


class KeySources:
    """What outlives a configuration: issuers' keys at hand, and who has been guessing.

    A reload while an issuer is down must not forget the keys that still serve.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remote: dict[Trusted, RemoteKeys] = {}
        self._attempts: tuple[AttemptLimits, Attempts] | None = None

    def __repr__(self) -> str:
        return f"<KeySources {len(self._remote)} issuers>"

    def of(self, issuer: Trusted, fetch: Fetch, records: Records) -> RemoteKeys:
        """Answer the keys of an issuer: those already there, if it is the same in every line."""
        found = self._remote.get(issuer)
        if found is None:
            found = self._remote[issuer] = RemoteKeys(
                issuer=issuer.url,
                jwks_uri=issuer.jwks_uri,
                fetch=fetch,
                clock=self._clock,
                records=records,
                discovery=issuer.discovery,
                fresh_seconds=issuer.fresh_seconds,
                stale_seconds=issuer.stale_seconds,
                cooldown_seconds=issuer.cooldown_seconds,
            )
        return found

    def attempts(self, limits: AttemptLimits) -> Attempts:
        """Answer the count of failed attempts; it begins anew only where its limits change."""
        if self._attempts is None or self._attempts[0] != limits:
            self._attempts = (limits, Attempts(limits, clock=self._clock))
        return self._attempts[1]

    def close(self) -> None:
        """Let go of what is being fetched."""
        for each in self._remote.values():
            each.close()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The two policies, and what the gateway's own operations need of them."""

    authenticate: Authenticate
    authorize: Authorize
    issuer: Issuer | None
    issuers: tuple[str, ...]
    takes_certificates: bool
    revocations: Revocations
    open: Callable[[], None]


def identify(
    config: GatewayConfig,
    *,
    data: Path,
    fetch: Fetch,
    clock: Clock,
    chance: random.Random,
    records: Records,
    shared: Shared | None,
    sources: KeySources,
    verifier: Callable[..., Verifier] = Verifier,
) -> Identity:
    """Build it, without any effect yet. `open` of the answer reads or makes the signing keys.

    `verifier` is for campaigns, which plant defects to see that they are found.
    """
    settings = config.gateway
    ring = KeyRing(data / "issuer" / "keys.json", clock=clock) if settings.issuer.enabled else None
    trusted = trusted_issuers(config, ring=ring, sources=sources, fetch=fetch, records=records)
    peers = Peers(settings.trusted_hops)
    presented = Presented(peers, clock=clock)
    revocations = Revocations(data / REVOCATIONS, clock=clock, records=records, shared=shared)
    metadata = settings.public_url.rstrip("/") + "/.well-known/oauth-protected-resource"
    authenticate = Authenticate(
        verifier=verifier(trusted, clock=clock),
        introduce=introduce_from(config),
        keys=ApiKeys(held_keys(config)),
        presented=presented,
        certified=certified(config),
        revocations=revocations,
        clock=clock,
        records=records,
        metadata_url=metadata,
    )
    issuer = None
    if ring is not None:
        issuer = Issuer(
            url=settings.public_url,
            audience=settings.audience,
            clients=config.clients,
            ring=ring,
            token_seconds=settings.issuer.token_seconds,
            clock=clock,
            chance=chance,
            log=records.event,
            attempts=sources.attempts(settings.attempts),
            peers=peers,
            presented=presented,
            revocations=revocations,
        )
    return Identity(
        authenticate=authenticate,
        authorize=Authorize(metadata_url=metadata),
        issuer=issuer,
        issuers=tuple(trusted),
        takes_certificates=presented.possible,
        revocations=revocations,
        open=ring.open if ring is not None else lambda: None,
    )


def trusted_issuers(
    config: GatewayConfig,
    *,
    ring: KeyRing | None,
    sources: KeySources,
    fetch: Fetch,
    records: Records,
) -> dict[str, Trust]:
    """Answer what is believed of each issuer, by its exact `iss`."""
    settings = config.gateway
    trusted: dict[str, Trust] = {}
    if ring is not None:
        trusted[settings.public_url] = Trust(
            issuer=settings.public_url,
            audience=settings.audience,
            algorithms=frozenset({ALGORITHM}),
            keys=LocalKeys(ring.public),
            leeway_seconds=5.0,
        )
    for issuer in config.issuers.values():
        plain = issuer.token_type.lower().removeprefix("application/")
        trusted[issuer.url] = Trust(
            issuer=issuer.url,
            audience=issuer.audience,
            algorithms=frozenset(issuer.algorithms),
            keys=sources.of(issuer, fetch, records),
            types=frozenset({plain, f"application/{plain}"}),
            leeway_seconds=issuer.leeway_seconds,
            scope_claim=issuer.scope_claim,
            consumer_claim=issuer.consumer_claim,
        )
    return trusted


def _accounts(client: Client) -> tuple[str, ...] | None:
    return None if client.accounts == "*" else tuple(client.accounts)


def _consumer(name: str, client: Client, scopes: frozenset[str], expires: float) -> Consumer:
    return Consumer(
        name=name,
        subject=name,
        scopes=scopes,
        accounts=_accounts(client),
        plan=client.plan,
        expires=expires,
    )


def is_bounded(client: Client) -> bool:
    """Tell whether `scopes` bound what the client's tokens may do.

    None bound nothing where the issuer is not ours: it alone grants scopes then.
    """
    return bool(client.scopes) or client.issuer == BUILT_IN


def introduce_from(config: GatewayConfig) -> Introduce:
    """Know consumers by their issuer and the name it gives them.

    A consumer that an issuer vouches for and no client names is called `<issuer>:<name>`, has the
    issuer's plan and no account, and can be mistaken for no other: two issuers may both know a
    `crm`. The built-in issuer vouches for clients only.
    """
    names = {issuer.url: name for name, issuer in config.issuers.items()}
    names[config.gateway.public_url] = BUILT_IN
    clients = {(client.issuer, name): client for name, client in config.clients.items()}

    def introduce(claims: Claims) -> Consumer:
        issuer = names[claims.issuer]
        client = clients.get((issuer, claims.consumer))
        if client is not None and client.disabled:
            raise TokenRefusedError("client-disabled")
        if client is not None:
            bounds = frozenset(client.scopes) if is_bounded(client) else claims.scopes
            return Consumer(
                name=claims.consumer,
                subject=claims.subject,
                scopes=claims.scopes & bounds,
                accounts=_accounts(client),
                plan=client.plan,
                expires=claims.expires,
            )
        if issuer == BUILT_IN:
            raise TokenRefusedError("consumer-unknown")
        return Consumer(
            name=f"{issuer}:{claims.consumer}",
            subject=claims.subject,
            scopes=claims.scopes,
            accounts=(),
            plan=config.issuers[issuer].plan,
            expires=claims.expires,
        )

    return introduce


def held_keys(config: GatewayConfig) -> list[HeldKey]:
    """Answer the API keys of clients that are not disabled, each with whom it speaks for."""
    return [
        HeldKey(
            id=key.id,
            digest=secret_digest(key.secret),
            consumer=_consumer(
                name,
                client,
                frozenset(client.scopes if key.scopes is None else key.scopes),
                _epoch(key.expires),
            ),
        )
        for name, client in config.clients.items()
        if not client.disabled
        for key in client.keys
    ]


def certified(config: GatewayConfig) -> Mapping[str, Consumer]:
    """Answer whom each certificate speaks for, disabled clients left out."""
    return {
        each: _consumer(name, client, frozenset(client.scopes), inf)
        for name, client in config.clients.items()
        if not client.disabled
        for each in client.certificates
    }


def _epoch(moment: datetime | None) -> float:
    return inf if moment is None else moment.timestamp()
