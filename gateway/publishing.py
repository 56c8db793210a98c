"""A contract as it is published: with who grants the tokens that this gateway takes.

The contract itself asks for scopes and leaves open where they come from; that differs from one
installation to the next, and a client that is made from the document reads it there.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.config import GatewayConfig
from gateway.keys import metadata_url

__all__ = ["published"]

_SCHEME: Final = "oauth2"
"""What every operation's `security` names."""


def published(document: Mapping[str, Any], config: GatewayConfig) -> dict[str, Any]:
    """Answer the document with its security scheme as it is here (OpenAPI 3.1, 4.8.27).

    The built-in issuer alone has the token endpoint that contracts name. A single issuer that is
    found by OpenID Connect Discovery is named by it; of several, or of one whose keys only are
    known, a bearer token is asked for and the protected resource metadata (RFC 9728) tells more.
    """
    if config.gateway.issuer.enabled and not config.issuers:
        return dict(document)
    components = document.get("components", {})
    schemes = {**components.get("securitySchemes", {}), _SCHEME: _scheme(config)}
    return {**document, "components": {**components, "securitySchemes": schemes}}


def _scheme(config: GatewayConfig) -> dict[str, Any]:
    issuers = list(config.issuers.values())
    if len(issuers) == 1 and not config.gateway.issuer.enabled:
        (only,) = issuers
        if only.discovery == "openid" and only.jwks_uri is None:
            url = metadata_url(only.url, only.discovery)
            return {"type": "openIdConnect", "openIdConnectUrl": url}
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of an issuer in /.well-known/oauth-protected-resource.",
    }
