"""A caller of the assembled system under many names."""

from pathlib import Path
from typing import Any

import msgspec

from tests.crash.processes import Stage, staged

LAUNCHER = ("-m", "tests.security.launch")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer; `said` is its body without what must differ from call to call."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return msgspec.json.decode(self.body)

    @property
    def said(self) -> Any:
        """A problem without the call it was told to."""
        document = self.json if self.body else {}
        return {name: each for name, each in document.items() if name != "instance"}

    @property
    def slug(self) -> str:
        """Which problem it is; empty when it is none."""
        return str(self.said.get("type", "")).rpartition("/")[2] if self.status >= 400 else ""


class Caller:
    """Asks the gateway of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tokens: dict[str, str] = {}
        self._keys = 0

    async def token(self, client: str) -> str:
        """An access token of a development client."""
        if client not in self._tokens:
            form = {
                "grant_type": "client_credentials",
                "client_id": client,
                "client_secret": f"{client}-dev-secret",
            }
            request = self._stage.client.post(f"{self._stage.gateway}/oauth/token").form(form)
            self._tokens[client] = (await (await request.build().send()).json())["access_token"]
        return self._tokens[client]

    def a_key(self, of: str) -> str:
        """An idempotency key nobody used."""
        self._keys += 1
        return f"{of}-{self._keys}".upper()[:35]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: str | None,
        key: str | None = None,
    ) -> Answer:
        """Make one call. Bytes are sent as they are, anything else as JSON."""
        headers = {}
        if client is not None:
            headers["authorization"] = f"Bearer {await self.token(client)}"
        if method != "GET":
            headers["idempotency-key"] = key or self.a_key("SEC")
        request = self._stage.client.request(method, self._stage.gateway + path)
        if body is not None:
            headers["content-type"] = "application/json"
            raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
            request = request.body_bytes(raw)
        response = await request.headers(headers).build().send()
        return Answer(status=response.status, body=(await response.bytes()).to_bytes())

    async def catalog(self) -> Any:
        """What the sandbox has to order."""
        request = self._stage.client.get(f"{self._stage.sandbox}/_sandbox/catalog")
        return await (await request.build().send()).json()


def system(folder: Path, defect: str = "sound") -> Any:
    """Sandbox and system, with or without a defect."""
    folder.mkdir(parents=True, exist_ok=True)
    return staged(folder, launcher=(*LAUNCHER, defect))
