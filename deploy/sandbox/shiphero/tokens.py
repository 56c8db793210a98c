"""Sign-in: user name and password for a 28-day JWT and a refresh token."""

from datetime import timedelta
from hashlib import sha256

from deploy.sandbox.clock import Clock
from deploy.sandbox.credentials import CLIENT_ID as USERNAME
from deploy.sandbox.credentials import CLIENT_SECRET as PASSWORD
from deploy.sandbox.shiphero.moments import write_moment
from deploy.sandbox.vault import Vault

__all__ = ["PASSWORD", "USERNAME", "Tokens"]

LIFETIME = timedelta(days=28)


class Tokens:
    """Access tokens that were given out, looked up rather than verified on each call."""

    def __init__(self, vault: Vault, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._key = f"shiphero sandbox signing key, seed {seed:032d}"
        self._given = vault.table("tokens")
        self._refresh = vault.table("refresh_tokens")

    def sign_in(self, username: object, password: object) -> dict[str, object] | None:
        """Answer both tokens, or None when the pair is not known."""
        if username != USERNAME or password != PASSWORD:
            return None
        refresh = sha256(f"{self._key}/{len(self._refresh)}".encode()).hexdigest()
        self._refresh.put(refresh, {"username": USERNAME})
        return {"refresh_token": refresh, **self._issue()}

    def refresh(self, token: object) -> dict[str, object] | None:
        """Answer a new access token for a refresh token, or None when it is not known."""
        if not isinstance(token, str) or token not in self._refresh:
            return None
        return self._issue()

    def check(self, authorization: str | None) -> tuple[str, str] | None:
        """None when the header carries a live token, else the code and the words of the refusal."""
        if not authorization:
            return "authorization_header_missing", "Authorization header is expected"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "invalid_header", "Authorization header must be Bearer token"
        given = self._given.get(token)
        if given is None:
            return "invalid_token", "Token is not valid"
        if given["expires"] <= write_moment(self._clock.now()):
            return "token_expired", "Token is expired"
        return None

    def expire_all(self) -> int:
        """Let every access token given out so far expire now; refresh tokens stay good."""
        now = write_moment(self._clock.now())
        live = [(token, given) for token, given in self._given.items() if given["expires"] > now]
        for token, given in live:
            self._given.put(token, {**given, "expires": now})
        return len(live)

    def _issue(self) -> dict[str, object]:
        from joserfc import jwt  # noqa: PLC0415  # start-up time: a sandbox may never be asked
        from joserfc.jwk import OctKey  # noqa: PLC0415  # as above

        now = self._clock.now()
        expires = now + LIFETIME
        claims = {
            "iss": "https://login.shiphero.example/",
            "sub": USERNAME,
            "aud": ["shiphero-public-api"],
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": str(len(self._given) + 1),
        }
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self._key))
        self._given.put(token, {"expires": write_moment(expires)})
        return {
            "access_token": token,
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": "view:products change:products view:orders change:orders offline_access",
            "token_type": "Bearer",
        }
