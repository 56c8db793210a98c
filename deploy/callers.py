"""Whom a call is asked as, without a credential at hand: what would prove a client, and is it good.

A token is put to the gateway's own `introduce`, keys and certificates are those it holds; each is
taken to hold every scope that whoever gave it may have granted.
"""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from math import inf
from typing import Final

from gateway.application import Gateway
from gateway.config import BUILT_IN, Client, GatewayConfig
from gateway.explaining import Caller, Proof
from gateway.identity import certified, held_keys, introduce_from, is_bounded
from gateway.oauth import can_prove_itself
from gateway.revocation import subject_of
from gateway.tokens import Claims

__all__ = ["caller_of", "every_scope", "proofs_of"]

_UNBOUNDED: Final = "; nothing here bounds its scopes, it is judged with every scope there is"


def every_scope(gateway: Gateway) -> frozenset[str]:
    """Answer every scope that any operation asks for."""
    return frozenset(
        scope
        for operation in gateway.operations
        for alternative in operation.scopes or ()
        for scope in alternative
    )


def caller_of(
    config: GatewayConfig,
    name: str,
    *,
    every: frozenset[str],
    stopped: Collection[str],
    now: float,
) -> Caller:
    """Answer a client, or `<issuer>:<name>`, with the credentials that prove it at `now`.

    `stopped` are the subjects that are withdrawn, as `gateway.revocation` names them.
    """
    client = _client(config, name)
    if client is not None and client.disabled:
        return Caller(unproven=f"the client {name.rpartition(':')[2]} is disabled")
    good, reasons = [], []
    for proof in proofs_of(config, name, every):
        withdrawn = [each for each in proof.subjects if each in stopped]
        if withdrawn:
            reasons.append(f"{' '.join(withdrawn[0].split(':', 1))} is withdrawn")
        elif proof.consumer.expires <= now:
            ended = datetime.fromtimestamp(proof.consumer.expires, UTC)
            reasons.append(f"{proof.by} expired at {ended:%Y-%m-%dT%H:%M:%SZ}")
        else:
            good.append(proof)
    nothing = f"no credential proves {name}: no issuer serves it, it has no key and no certificate"
    return Caller(proofs=tuple(good), unproven="; ".join(dict.fromkeys(reasons)) or nothing)


def proofs_of(config: GatewayConfig, name: str, every: frozenset[str]) -> Iterator[Proof]:
    """Answer what may prove a client that is not disabled, or `<issuer>:<name>`.

    The widest comes first: what a token holds, `every` scope within the client's own.
    """
    client = _client(config, name)
    if client is not None and client.disabled:
        return
    if client is None or name not in config.clients:
        issuer, _, subject = name.partition(":")
        if issuer in config.issuers and subject:
            yield _token(config, issuer, subject, every)
        return
    withdrawal = subject_of("client", name)
    if _is_served(config, client):
        yield _token(config, client.issuer, name, every)
    for certificate, consumer in certified(config).items():
        if consumer.name == name:
            by = f"the certificate {certificate}"
            yield Proof(consumer=consumer, by=by, subjects=(withdrawal, *_thumbprint(certificate)))
    for key in held_keys(config):
        if key.consumer.name == name:
            subjects = (withdrawal, subject_of("key", key.id))
            yield Proof(consumer=key.consumer, by=f"the key {key.id}", subjects=subjects)


def _client(config: GatewayConfig, name: str) -> Client | None:
    """Answer the client of this name, or the one that `<issuer>:<name>` is."""
    issuer, _, subject = name.partition(":")
    found = config.clients.get(subject)
    if found is not None and found.issuer == issuer:
        return found
    return config.clients.get(name)


def _thumbprint(certificate: str) -> Iterator[str]:
    """What would withdraw a certificate, where it is named by its digest (RFC 8705 section 3.1)."""
    scheme, _, digest = certificate.partition(":")
    if scheme == "sha256":
        text = urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()
        yield subject_of("certificate", text)


def _is_served(config: GatewayConfig, client: Client) -> bool:
    if client.issuer == BUILT_IN:
        return config.gateway.issuer.enabled and can_prove_itself(client)
    return client.issuer in config.issuers


def _token(config: GatewayConfig, issuer: str, name: str, every: frozenset[str]) -> Proof:
    """A token that was granted every scope, as the gateway introduces it."""
    url = config.gateway.public_url if issuer == BUILT_IN else config.issuers[issuer].url
    consumer = introduce_from(config)(
        Claims(issuer=url, consumer=name, subject=name, scopes=every, expires=inf)
    )
    client = config.clients.get(consumer.name)
    unbounded = client is None or not is_bounded(client)
    return Proof(
        consumer=consumer,
        by=f"a token of {'our own issuer' if issuer == BUILT_IN else issuer}"
        + (_UNBOUNDED if unbounded else ""),
        subjects=(subject_of("client", consumer.name),),
    )
