"""What the gateway answers itself: token endpoint, metadata, health, metrics, problems, contracts.

These are operations like any other, with the same policies around them where they apply.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import msgspec

from contracts.problems import CATALOGUE, Kind, problem, refuse
from gateway.call import Call, Reply
from gateway.edge import bytes_reply, json_reply
from gateway.identity import Identity
from gateway.records import Metrics
from gateway.routes import Operation, Terms, base_of

Handler = Callable[[Call], Awaitable[Reply]]
Ready = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Answers each dependency's fault, None where it is well."""

FIRST_SEGMENTS: Final = frozenset(
    {".well-known", "console", "healthz", "metrics", "oauth", "openapi", "problems", "readyz"}
)
"""What the gateway's own paths begin with; nothing else may."""
_TERMS: Final = Terms(limit="house", budget_ms=5_000, max_body_bytes=8_192)
_HTML: Final = b"text/html; charset=utf-8"


def _get(name: str, path: str, *, scope: str | None = None) -> Operation:
    return Operation(
        key=f"house/{name}",
        api="house",
        method="GET",
        template=path,
        scopes=None if scope is None else (frozenset({scope}),),
        terms=_TERMS,
    )


def _form(name: str, path: str) -> Operation:
    return Operation(
        key=f"house/{name}",
        api="house",
        method="POST",
        template=path,
        scopes=None,
        terms=_TERMS,
        media_types=("application/x-www-form-urlencoded",),
    )


class House:
    """The gateway's own operations and their handlers."""

    def __init__(
        self,
        *,
        public_url: str,
        documents: Sequence[Mapping[str, Any]],
        identity: Identity,
        metrics: Metrics,
        metrics_scope: str | None,
        ready: Ready,
        draining: Callable[[], bool],
    ) -> None:
        self._url = public_url.rstrip("/")
        self._documents = {
            each["info"]["x-crossdock-api"]: msgspec.json.encode(each) for each in documents
        }
        self._anchors = {
            api: base_of(each, api)
            for each in documents
            for api in (str(each["info"]["x-crossdock-api"]),)
        }
        self._scopes = sorted(_scopes_of(documents) | ({metrics_scope} if metrics_scope else set()))
        self._identity = identity
        self._metrics = metrics
        self._metrics_scope = metrics_scope
        self._ready = ready
        self._draining = draining

    def routes(self) -> list[tuple[Operation, Handler]]:
        """Answer every operation with its handler."""
        found: list[tuple[Operation, Handler]] = [
            (_get("healthz", "/healthz"), self._healthz),
            (_get("readyz", "/readyz"), self._readyz),
            (_get("metrics", "/metrics", scope=self._metrics_scope), self._exposition),
            (_get("api-catalog", "/.well-known/api-catalog"), self._catalog),
            (
                _get("protected-resource", "/.well-known/oauth-protected-resource"),
                self._protected_resource,
            ),
            (_get("problem", "/problems/{slug}"), self._problem),
        ]
        found += [
            (_get(f"openapi-{api}", f"/openapi/{api}.json"), _fixed(body))
            for api, body in self._documents.items()
        ]
        issuer = self._identity.issuer
        if issuer is not None:
            found += [
                (_form("token", "/oauth/token"), issuer.token),
                (_form("revoke", "/oauth/revoke"), issuer.revoke),
                (_get("jwks", "/.well-known/jwks.json"), _built(issuer.ring.jwks)),
                (
                    _get("authorization-server", "/.well-known/oauth-authorization-server"),
                    _built(issuer.metadata),
                ),
                (
                    _get("openid-configuration", "/.well-known/openid-configuration"),
                    _built(issuer.metadata),
                ),
            ]
        return found

    async def _healthz(self, _: Call) -> Reply:
        return json_reply({"status": "alive"})

    async def _readyz(self, _: Call) -> Reply:
        faults = dict(await self._ready())
        if self._draining():
            faults["gateway"] = "draining"
        wrong = {name: fault for name, fault in faults.items() if fault is not None}
        body = {
            "status": "unready" if wrong else "ready",
            "checks": {name: fault or "well" for name, fault in faults.items()},
        }
        return json_reply(body, status=503 if wrong else 200)

    async def _exposition(self, _: Call) -> Reply:
        return bytes_reply(
            self._metrics.exposition(), media_type=b"text/plain; version=0.0.4; charset=utf-8"
        )

    async def _catalog(self, _: Call) -> Reply:
        """Answer the API catalogue (RFC 9727) as a linkset (RFC 9264)."""
        linkset = [
            {
                "anchor": f"{self._url}{self._anchors[api]}",
                "service-desc": [
                    {"href": f"{self._url}/openapi/{api}.json", "type": "application/json"}
                ],
                "status": [{"href": f"{self._url}/readyz", "type": "application/json"}],
            }
            for api in sorted(self._documents)
        ]
        return json_reply({"linkset": linkset}, media_type=b"application/linkset+json")

    async def _protected_resource(self, _: Call) -> Reply:
        """Answer the protected resource metadata (RFC 9728)."""
        return json_reply(
            {
                "resource": self._url,
                "resource_name": "Crossdock",
                "authorization_servers": self._identity.issuers,
                "bearer_methods_supported": ["header"],
                "scopes_supported": self._scopes,
                "tls_client_certificate_bound_access_tokens": self._identity.takes_certificates,
            }
        )

    async def _problem(self, call: Call) -> Reply:
        row = CATALOGUE.get(call.parameters["slug"])
        if row is None:
            raise refuse("not-found")
        if "text/html" in (call.field(b"accept") or ""):
            return bytes_reply(_page(row).encode(), media_type=_HTML)
        return json_reply({"type": problem(row.slug).type, **msgspec.to_builtins(row)})


def _scopes_of(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    for document in documents:
        for item in document.get("paths", {}).values():
            for operation in item.values():
                if isinstance(operation, dict):
                    for alternative in operation.get("security", ()):
                        for scopes in alternative.values():
                            found.update(scopes)
    return found


def _built(build: Callable[[], Any]) -> Handler:
    async def handler(_: Call) -> Reply:
        return json_reply(build())

    return handler


def _fixed(body: bytes) -> Handler:
    async def handler(_: Call) -> Reply:
        return bytes_reply(body, media_type=b"application/json")

    return handler


def _page(row: Kind) -> str:
    """Answer the page a person reads when following a problem's type."""
    who = "Nobody needs to act." if row.actor == "nobody" else f"Who acts: {escape(row.actor)}."
    again = "may succeed later, unchanged" if row.retryable else "will be refused again, unchanged"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(row.title)}</title><h1>{escape(row.title)}</h1>"
        f"<p><code>{escape(row.slug)}</code>, status {row.status}. The same request {again}.</p>"
        f"<p>{escape(row.remedy)} {who}</p></html>"
    )
