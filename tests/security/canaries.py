"""Campaign B13: secrets in every position, and hostile strings in every field that is logged.

Two hundred secrets and more, each once in the whole world: in headers, addresses, bodies, tokens
and credentials, in the configuration, and in what vendors answer. Afterwards everything the system
ever said is searched: its log, its access log, what it printed, its metrics, its traces, and every
answer. A name a caller misspelt may be told to that caller, where it stood; nothing else may. Each
line of the logs is one JSON record, whatever was in it, and none was written by a caller.
"""

import asyncio
import contextlib
import hashlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from deploy.sandbox import credentials
from tests.crash.processes import Process, Stage
from tests.crash.result import Result, Size, Stopwatch, whole
from tests.security.planted import Canaries, hostile, positions
from tests.security.rawservice import RawService, Taken, raw_service
from tests.security.wired import Heard, request, said

_ROUNDS = {"smoke": 1, "full": 20}
_AT_ONCE = 10
_DEFECTS = {"logs-calls": "address", "logs-vendors": "vendor's answer"}
"""By name, and from where it must be found to leak; both are planted in one system."""
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


def vendor(canaries: Canaries, chance: random.Random) -> Any:
    """A vendor whose every answer is wrong in another way and full of secrets."""

    def answer(taken: Taken) -> bytes:
        secret = canaries.a(f"vendor's answer to {taken.method} {taken.target[:30]}")
        if "token" in taken.target and chance.random() < 0.7:
            body = msgspec.json.encode(
                {"access_token": secret, "token_type": "Bearer", "expires_in": 3600,
                 "instance_url": f"http://{secret}.invalid"}
            )  # fmt: skip
            return _raw("200 OK", body, "application/json")
        code, message = f"code{secret}", f"{secret} said no\n{{}}"
        shapes = [
            ("400 Bad Request", {"error": {"code": code, "message": message}}),
            ("400 Bad Request", [{"errorCode": code, "message": message}]),
            ("500 Oops", {"errors": [{"code": code, "message": message, "request_id": secret}]}),
            ("401 No", {"error": code, "error_description": message}),
            ("403 No", {"error": code, "error_description": message}),
            ("404 None", {"error": {"code": code, "message": message}}),
            ("409 Conflict", {"error": {"code": code, "message": message}}),
            ("422 No", {"errors": {secret: [message]}}),
            ("429 Slow", {"error": {"code": code, "message": message}}),
            ("503 Away", {"error": {"code": code, "message": message}}),
            ("200 OK", {"value": [{secret: secret, "id": message}], "data": {secret: 1}}),
            ("200 OK", {"errors": [{"message": message, "extensions": {"code": code}}]}),
            ("302 Found", {"to": message}),
        ]
        status, document = chance.choice(shapes)
        body = msgspec.json.encode(document)
        match chance.randrange(4):
            case 0:
                body = f"<html>{secret} at {secret}.java:1</html>".encode()
            case 1:
                body = body[: len(body) // 2]
        headers = (
            f"Location: http://{secret}.invalid/\r\nWWW-Authenticate: Bearer error={secret}\r\n"
        )
        headers += f"X-Request-Id: {secret}\r\nSet-Cookie: s={secret}\r\nRetry-After: 1\r\n"
        return _raw(f"{status} {secret}", body, "application/json", headers)

    return answer


def _raw(status: str, body: bytes, kind: str, headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


class World:
    """The system with secrets in its configuration, vendors and a collector of its traces."""

    def __init__(self, stage: Stage, canaries: Canaries, chance: random.Random) -> None:
        self.stage = stage
        self.canaries = canaries
        self.chance = chance
        self.said: list[tuple[str, bytes]] = []
        self.calls = 0
        self.answered = 0

    async def send(
        self, method: str, target: str, lines: list[str], body: bytes = b"", *, own_name: str = ""
    ) -> Heard:
        """Send one call; what it is told is kept, without the one name it may be told."""
        head = [f"{method} {target} HTTP/1.1", "Host: gateway", "Connection: close", *lines]
        if body or method == "POST":
            head.append(f"Content-Length: {len(body)}")
        raw = "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body
        heard = await said(self.stage.port, raw, wait=20)
        self.calls += 1
        self.answered += heard.status > 0
        self.said.append((f"the answer to {method} {target[:40]}", heard.raw))
        own = [own_name] if own_name else []
        if 200 <= heard.status < 300:
            # What was taken is shown to who sent it; what was refused is not repeated.
            own += [each for each in self.canaries.places if each.encode() in body]
        for each in own:
            where, told = self.said[-1]
            self.said[-1] = (where, told.replace(each.encode(), b"its-own"))
        return heard


def _config(
    port: int, sandbox: str, raw: str, traces: str, canaries: Canaries, *, apart: bool
) -> tuple[str, dict[str, str]]:
    """A `crossdock.toml` whose every secret is one, and the environment it refers to."""
    environment = {
        "C_PROMISE": canaries.a("configuration, promise key") + "0" * 32,
        "C_HOOK": canaries.a("configuration, webhook secret"),
        "C_PASSWORD": canaries.a("configuration, warehouse password"),
        "C_ERP": canaries.a("configuration, ERP secret"),
        "C_CRM": canaries.a("configuration, CRM secret"),
    }
    if not apart:  # the sandbox knows its own
        environment["C_ERP"] = canaries.add(credentials.APP_SECRET, "the ERP's secret")
        environment["C_CRM"] = canaries.add(credentials.CLIENT_SECRET, "the CRM's secret")
    secret = canaries.a("a client's secret")
    environment["C_CLIENT"] = secret
    erp, crm = (raw, raw) if apart else (f"{sandbox}/business_central", f"{sandbox}/salesforce")
    return (
        f"""
promise_key = "env:C_PROMISE"
[gateway]
public_url = "http://127.0.0.1:{port}"
[gateway.issuer]
enabled = true
[telemetry]
traces_endpoint = "{traces}"
sample_ratio = 1.0
[clients.crm]
secrets = ["sha256:{hashlib.sha256(secret.encode()).hexdigest()}"]
scopes = ["pricing:read", "credit:read", "tax:read", "stock:read", "quotes:validate",
          "orders:write", "orders:read", "customers:read", "operations:read"]
accounts = "*"
[systems.business_central]
base_url = "{erp}"
token_url = "{erp}"
tenant = "{credentials.TENANT_ID}"
environment = "{credentials.ENVIRONMENT}"
company = "Crossdock Trading"
client_id = "{credentials.APP_ID}"
client_secret = "env:C_ERP"
webhook_secrets = ["env:C_HOOK"]
[systems.salesforce]
base_url = "{crm}"
client_id = "{credentials.CLIENT_ID}"
client_secret = "env:C_CRM"
organization_id = "{credentials.ORGANIZATION_ID}"
[systems.shiphero]
base_url = "{raw}"
username = "crossdock"
password = "env:C_PASSWORD"
webhook_secrets = ["env:C_HOOK"]
""",
        environment,
    )


@contextlib.asynccontextmanager
async def world(
    folder: Path, canaries: Canaries, chance: random.Random, *, defect: str, apart: bool
) -> AsyncIterator[tuple[World, RawService]]:
    """Start the system with secrets all round it, and stop it in good order."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  once, before anything runs
    stage = Stage(folder, launcher=(), extra={})
    async with raw_service() as service, raw_service() as collector:
        service.answer = vendor(canaries, chance)
        collector.answer = lambda _: _OK
        text, environment = _config(
            stage.port, stage.sandbox, f"http://127.0.0.1:{service.port}",
            f"http://127.0.0.1:{collector.port}/v1/traces", canaries, apart=apart,
        )  # fmt: skip
        config = folder / "crossdock.toml"
        config.write_text(text, encoding="utf-8")
        stage.system = Process(
            [sys.executable, "-m", "tests.security.launch", defect],
            {**stage.environment, "CROSSDOCK_CONFIG": str(config), **environment},
            folder / "system.log", f"{stage.gateway}/readyz",
        )  # fmt: skip
        try:
            if not apart:
                stage.vendors.start()
                await stage.vendors.ready(stage.client)
                await stage.provide()
            stage.system.start()
            await stage.system.ready(stage.client)
            yield World(stage, canaries, chance), collector
        finally:
            stage.system.stop()
            stage.vendors.stop()
            await stage.client.close()


async def _token(made: World, secret: str) -> str:
    form = f"grant_type=client_credentials&client_id=crm&client_secret={secret}"
    kind = "Content-Type: application/x-www-form-urlencoded"
    heard = await said(made.stage.port, request("POST", "/oauth/token", kind, body=form.encode()))
    assert heard.status == 200, heard.raw
    token = str(msgspec.json.decode(heard.raw.split(b"\r\n\r\n", 1)[1])["access_token"])
    return made.canaries.add(token, "an access token")


async def _everything(made: World, rounds: int, secret: str) -> None:
    """Send every call, in an order of chance."""
    token = await _token(made, secret)
    calls: list[tuple[str, str, list[str], bytes, str]] = []
    for _ in range(rounds):
        calls += positions(made.canaries, token)
    calls += [(*each, "") for each in hostile(token)]
    made.chance.shuffle(calls)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(call: tuple[str, str, list[str], bytes, str]) -> None:
        async with at_once:
            await made.send(*call[:4], own_name=call[4])

    await asyncio.gather(*(one(each) for each in calls))
    await _orders(made, token)
    await asyncio.sleep(1.5)  # spans go out once a second
    heard = await said(made.stage.port, request("GET", "/metrics"), wait=10)
    made.said.append(("metrics", heard.raw))


async def _orders(made: World, token: str) -> None:
    """Sound orders whose free texts are secret: they go on to vendors that answer secrets."""
    for number in range(3):
        texts = {name: made.canaries.a(f"an order's {name}")[:35] for name in ("note", "poNumber")}
        body = {
            "customer": "cust_20001", "currency": "GBP",
            "lines": [{"item": "bc:10001", "quantity": "1"}], **texts,
        }  # fmt: skip
        lines = [f"Authorization: Bearer {token}", "Content-Type: application/json"]
        lines.append(f"Idempotency-Key: B13-ORDER-{number}")
        raw = msgspec.json.encode(body)
        await said(made.stage.port, request("POST", "/sales/v1/orders", *lines, body=raw), wait=20)


_LOGS = ("data/crossdock.log", "data/access.log", "system.log")


def _searched(
    folder: Path, made: World, collector: RawService
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Search everything that was said for secrets, and every line of the logs for its form."""
    found: dict[str, list[str]] = {"leaked": [], "lines": [], "forged": []}
    sources = list(made.said)
    sources += [(name, (folder / name).read_bytes()) for name in _LOGS if (folder / name).exists()]
    sources += [("a trace", each.body) for each in collector.taken]
    for where, raw in sources:
        found["leaked"] += made.canaries.found(where, raw)
    counted = 0
    for name in _LOGS[:2]:
        raw = (folder / name).read_bytes()
        lines = raw.split(b"\n")
        if lines.pop():
            found["lines"].append(f"{name} does not end with a line")
        if len(raw.decode().splitlines()) != len(lines):
            found["lines"].append(f"{name}: a reader of lines sees more than there are")
        for line in lines:
            counted += 1
            found["lines"] += _malformed(name, line)
            if b"forged" in line and b'"event":"forged"' in line:
                found["forged"].append(f"{name}: {line[:100]!r}")
    return found, {
        "lines": counted, "answers": len(made.said), "batches of spans": len(collector.taken),
        "answers of vendors": made.canaries.count("vendor's answer"),
    }  # fmt: skip


def _malformed(name: str, line: bytes) -> list[str]:
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return [f"{name}: {line[:100]!r} is no JSON"]
    wrong = []
    if not isinstance(record, dict) or not {"at", "level", "logger", "event"} <= record.keys():
        wrong.append(f"{name}: {line[:100]!r} is no record")
    if any(byte < 0x20 or byte == 0x7F for byte in line):
        wrong.append(f"{name}: {line[:100]!r} holds control characters")
    if len(line) > 4_096:
        wrong.append(f"{name}: a line of {len(line)} bytes")
    return wrong


async def attempt(
    folder: Path, *, rounds: int, seed: int, defect: str = "sound", apart: bool
) -> tuple[dict[str, list[str]], dict[str, int], World]:
    """Run one system among secrets and search what it said."""
    chance = random.Random(seed)
    canaries = Canaries(chance)
    async with world(folder, canaries, chance, defect=defect, apart=apart) as (made, collector):
        await _everything(made, rounds, _secret(canaries))
        failures = made.stage.system.log_tail() if not made.stage.system.running else ""
    found, evidence = _searched(folder, made, collector)
    found["died"] = [failures] if failures else []
    return found, evidence, made


def _secret(canaries: Canaries) -> str:
    return next(each for each, place in canaries.places.items() if place == "a client's secret")


async def run(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """The campaign and its defects."""
    watch = Stopwatch()
    violations: dict[str, list[str]] = {}
    evidence: dict[str, int] = {}
    calls = secrets = answered = 0
    for apart in (False, True):
        found, seen, made = await attempt(
            folder / f"sound-{apart}", rounds=_ROUNDS[size], seed=seed + apart, apart=apart
        )
        for name, cases in found.items():
            violations.setdefault(name, []).extend(cases)
        for what, count in seen.items():
            evidence[what] = evidence.get(what, 0) + count
        calls, answered = calls + made.calls, answered + made.answered
        secrets += len(made.canaries.places)
    caught = {}
    wrong, _, _ = await attempt(
        folder / "wrong", rounds=1, seed=seed, defect="logs-everything", apart=True
    )
    for name, place in _DEFECTS.items():
        caught[name] = any(each.startswith(place) for each in wrong["leaked"])
    result = Result(
        campaign="B13",
        what="secrets in every position, hostile strings in every logged field",
        size=size,
        seed=seed,
        trials=calls,
        accepted=answered,
        faults={"secrets": secrets},
        evidence=evidence,
        violations=violations,
    )
    return [whole(result, defects=caught, seconds=watch.seconds)]
