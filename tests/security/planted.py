"""Calls with a secret in each position, and with hostile strings where something may be logged."""

import base64
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from contracts.governance.openapi import blessed
from contracts.versions import supported
from tests.security.samples import sample

_HOSTILE = (
    '\n{"event":"forged","level":"error"}\n', '\r\n{"event":"forged"}', '"}\n{"event":"forged"}',
    "\x1b[31mred\x1b[0m", "\x00\x01\x07", "\u2028{}\u2029{}", "\x85next", "${jndi:ldap://x}",
    "%n%s%x", "{0}{}",
    "'; DROP TABLE process; --", "<script>alert(1)</script>", "\ud7ff\uffff", "\\u000a",
    "a" * 5_000,
)  # fmt: skip


class Canaries:
    """Secrets, each told apart from all others, and where each was put."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.places: dict[str, str] = {}

    def a(self, place: str) -> str:
        """One more secret for a place."""
        secret = f"cnry{self._chance.getrandbits(64):016x}"
        self.places[secret] = place
        return secret

    def add(self, secret: str, place: str) -> str:
        """Watch for a secret that was there already."""
        self.places[secret] = place
        return secret

    def count(self, kind: str) -> int:
        """How many were put in places of a kind."""
        return sum(place.startswith(kind) for place in self.places.values())

    def found(self, where: str, raw: bytes) -> Iterator[str]:
        """Yield the secrets that can be read in something that was said."""
        text = raw.decode("utf-8", "replace")
        for secret, place in self.places.items():
            coded = base64.b64encode(secret.encode()).decode().rstrip("=")
            if secret in text or (len(coded) > 12 and coded in text):
                yield f"{place} was found in {where}"


def positions(canaries: Canaries, token: str) -> Iterator[tuple[str, str, list[str], bytes, str]]:
    """Yield calls with a secret each: method, target, header lines, body, and its own name."""
    good = f"Authorization: Bearer {token}"
    json = "Content-Type: application/json"
    orders = "/sales/v1/orders"
    for name in (
        "Authorization: Bearer %s", "Authorization: Basic %s", "Authorization: DPoP %s",
        "X-Api-Key: xdk_%s",
        "X-Api-Key: xdk_aaaaaaaaaaaa_%s", "Proxy-Authorization: Basic %s", "Client-Cert: :%s:",
    ):  # fmt: skip
        yield "GET", orders, [name % canaries.a(name)], b"", ""
    for name in (
        "Cookie: session=%s", "X-Auth-Token: %s", "User-Agent: %s", "Referer: https://x/?t=%s",
        "Accept: %s/x",
        "Accept-Language: %s", 'If-None-Match: "%s"', 'If-Match: "%s"', "Prefer: wait=%s",
        "Forwarded: for=%s",
        "X-Forwarded-For: %s", "Origin: https://%s", "Tracestate: a=%s", "Baggage: k=%s",
        "X-Crossdock-Consumer: %s",
        "X-Correlation-Id: %s/with/slashes", "Traceparent: 00-%s", "X-Request-Budget-Ms: %s",
        "Via: 1.1 %s", "%s: x",
        "Content-Type: %s", "Content-Encoding: %s", "Range: bytes=%s", "X-Real-Ip: %s", "From: %s",
        "Date: %s",
        "Expect: %s", "Upgrade: %s", "Connection: %s", "TE: %s", "Signature: %s", "Dpop: %s",
    ):  # fmt: skip
        yield "GET", orders, [good, name % canaries.a(f"header {name}")], b"", ""
    for target in (
        "/%s", "/sales/v1/%s", "/sales/v1/orders/%s", "/sales/v1/orders/%s/timeline",
        "/sales/v1/customers/%s",
        "/sales/v1/orders?po=%s", "/sales/v1/orders?customer=%s", "/sales/v1/orders?reference=%s",
        "/sales/v1/orders?cursor=%s", "/sales/v1/orders?limit=%s",
        "/sales/v1/orders?access_token=%s",
        "/operations/v1/orders?reference=%s", "/operations/v1/exceptions?category=%s",
        "/healthz?%s", "/metrics?%s",
        "/console/%s", "/problems/%s", "/.well-known/%s", "/oauth/%s", "/webhooks/%s",
        "/system/erp/v1/items/%s",
        "/process/quote-to-order/v1/orders/%s", "/..%%2f%s", "/sales/v1/orders#%s", "//%s/x",
        "/sales/v2/%s",
    ):  # fmt: skip
        yield "GET", target % canaries.a(f"address {target}"), [good], b"", ""
    yield canaries.a("method"), orders, [good], b"", ""
    secret = canaries.a("name of a parameter")
    yield "GET", f"{orders}?{secret}=1", [good], b"", secret
    for name in (
        "client_id",
        "client_secret",
        "scope",
        "grant_type",
        "client_assertion",
        "code",
        "resource",
    ):
        form = {"grant_type": "client_credentials", "client_id": "crm", "client_secret": "wrong"}
        form[name] = canaries.a(f"token request, {name}")
        body = "&".join(f"{key}={quote(value)}" for key, value in form.items())
        kind = "Content-Type: application/x-www-form-urlencoded"
        yield "POST", "/oauth/token", [kind], body.encode(), ""
    basic = base64.b64encode(f"crm:{canaries.a('basic secret')}".encode()).decode()
    yield (
        "POST",
        "/oauth/token",
        [f"Authorization: Basic {basic}"],
        b"grant_type=client_credentials",
        "",
    )
    for path in ("salesforce", "business_central", "shiphero"):
        for place in ("X-Shiphero-Hmac-Sha256", "X-Hub-Signature", "Authorization"):
            line = f"{place}: {canaries.a(f'signature {place} for {path}')}"
            body = canaries.a(f"notification of {path}").encode()
            yield "POST", f"/webhooks/{path}", [line, json], body, ""
        body = msgspec.json.encode(
            {"value": [{"clientState": canaries.a(f"client state of {path}")}]}
        )
        yield "POST", f"/webhooks/{path}?validationToken=", [json], body, ""
    yield from _bodies(canaries, good, json)


def _bodies(
    canaries: Canaries, good: str, json: str
) -> Iterator[tuple[str, str, list[str], bytes, str]]:
    (sales,) = (blessed(api) for api in supported() if api.name == "sales")
    for path, item in sales["paths"].items():
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            continue
        whole_body = sample(schema, sales["components"])
        target = "/sales/v1" + path.replace("{order}", "01M81CPRBX212S6ZEGVW40YH5T")
        for place in _leaves(whole_body, ()):
            body = msgspec.json.decode(msgspec.json.encode(whole_body))
            node = body
            for each in place[:-1]:
                node = node[each]
            node[place[-1]] = canaries.a(f"body of {path}, {place}")
            key = f"Idempotency-Key: B13-{len(canaries.places)}"
            yield "POST", target, [good, json, key], msgspec.json.encode(body), ""
        for raw in (
            b'{"%s',
            b"%s",
            b'{"customer":"%s"}}',
            b'{"customer":"%s","customer":"x"}',
            b'["%s"]',
        ):
            secret = canaries.a(f"broken body of {path}").encode()
            key = f"Idempotency-Key: B13-{len(canaries.places)}"
            yield "POST", target, [good, json, key], raw % secret, ""
        secret = canaries.a(f"name in the body of {path}")
        key = f"Idempotency-Key: B13-{len(canaries.places)}"
        body = msgspec.json.encode({**whole_body, secret: 1})
        yield "POST", target, [good, json, key], body, secret


def _leaves(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        for name, each in node.items():
            yield from _leaves(each, (*path, name))
    elif isinstance(node, list):
        for index, each in enumerate(node):
            yield from _leaves(each, (*path, index))
    else:
        yield path


def hostile(token: str) -> Iterator[tuple[str, str, list[str], bytes]]:
    """Yield calls with hostile strings wherever something may be logged."""
    good, json = f"Authorization: Bearer {token}", "Content-Type: application/json"
    for number, text in enumerate(_HOSTILE):
        coded = quote(text[:500], safe="")
        plain = "".join(each for each in text[:500] if each not in "\r\n\x00") or "x"
        for target in (
            f"/{coded}",
            f"/sales/v1/orders/{coded}",
            f"/sales/v1/orders?po={coded}&{coded}=1",
        ):
            yield "GET", target, [good], b""
        for name in (
            "X-Correlation-Id",
            "Traceparent",
            "User-Agent",
            "X-Api-Key",
            "Idempotency-Key",
            "Prefer",
        ):
            yield "GET", "/sales/v1/orders", [good, f"{name}: {plain}"], b""
        form = (
            f"grant_type=client_credentials&client_id={coded}&client_secret={coded}&scope={coded}"
        )
        yield (
            "POST",
            "/oauth/token",
            ["Content-Type: application/x-www-form-urlencoded"],
            form.encode(),
        )
        body = {
            "customer": text[:60],
            "currency": text[:3],
            "lines": [{"item": text, "quantity": text}],
            text: 1,
        }
        key = f"Idempotency-Key: HOSTILE-{number}"
        yield "POST", "/sales/v1/orders", [good, json, key], msgspec.json.encode(body)
        yield "POST", "/webhooks/salesforce", [json], text.encode("utf-8", "replace")
        method = "".join(each for each in plain if each.isalpha())[:20] or "FORGED"
        yield method, "/sales/v1/orders", [good], b""
