"""Sessions and who may open them. There is no ``expires_in``: a session ends by the org's policy.

A session is kept alive by use: past half of its time, a call extends it.
"""

import secrets
from collections.abc import Mapping

import msgspec

from deploy.sandbox.credentials import CLIENT_ID, CLIENT_SECRET
from deploy.sandbox.salesforce.errors import Refusal
from deploy.sandbox.salesforce.org import Org

__all__ = ["DEVELOPMENT_APP", "ConnectedApp", "Sessions"]

_SCHEMES = ("Bearer ", "OAuth ")


class ConnectedApp(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An application that may sign in: by secret as its run-as user, or by a signed assertion.

    ``public_key`` is a PEM; without one the JWT bearer grant is refused to this application.
    """

    client_id: str
    secret: str
    username: str = "integration@crossdock.example"
    public_key: str | None = None


DEVELOPMENT_APP = ConnectedApp(
    client_id=CLIENT_ID,
    secret=CLIENT_SECRET,
)


class Sessions:
    """Open sessions, durable: a restart of the vendor signs nobody out."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._open = org.vault.table("sessions")
        self._apps = org.vault.table("connected_apps")
        self._apps.load(
            [(DEVELOPMENT_APP.client_id, msgspec.to_builtins(DEVELOPMENT_APP, str_keys=True))]
        )

    def app(self, client_id: str) -> ConnectedApp | None:
        """The application of this id."""
        record = self._apps.get(client_id)
        return None if record is None else msgspec.convert(record, ConnectedApp)

    def register(self, app: ConnectedApp) -> None:
        """Register an application or replace it."""
        self._apps.put(app.client_id, msgspec.to_builtins(app))

    def open(self, app: ConnectedApp, user_id: str) -> str:
        """Open a session; answers its id, which is the access token."""
        now = self._org.now().timestamp()
        for token in [key for key, session in self._open.items() if session["Until"] <= now]:
            self._open.delete(token)
        token = f"{self._org.organization_id[:15]}!{secrets.token_urlsafe(72)}"
        until = now + self._org.policy.session_seconds
        self._open.put(token, {"User": user_id, "App": app.client_id, "Until": until})
        return token

    def close(self, token: str) -> bool:
        """Close a session; False when there is none."""
        if token not in self._open:
            return False
        self._open.delete(token)
        return True

    def expire_all(self) -> int:
        """End every session, as an administrator can; answers how many there were."""
        tokens = [key for key, _ in self._open.items()]
        for token in tokens:
            self._open.delete(token)
        return len(tokens)

    def user_of(self, headers: Mapping[str, str]) -> str:
        """The user on whose behalf a call comes.

        Raises:
            Refusal: 401 INVALID_SESSION_ID, whatever is wrong.
        """
        header = headers.get("authorization", "")
        for scheme in _SCHEMES:
            if header[: len(scheme)].lower() == scheme.lower():
                token = header[len(scheme) :].strip()
                session = self._open.get(token)
                if session is None:
                    break
                now = self._org.now().timestamp()
                left = session["Until"] - now
                if left <= 0:
                    break
                whole = self._org.policy.session_seconds
                if left < whole / 2:
                    self._open.put(token, {**session, "Until": now + whole})
                user_id: str = session["User"]
                return user_id
        raise Refusal("INVALID_SESSION_ID", "Session expired or invalid")
