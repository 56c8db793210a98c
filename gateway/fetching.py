"""Getting an issuer's documents: bounded in time and size, no redirects, no cookies."""

from datetime import timedelta
from typing import Final

from pyreqwest.client import Client, ClientBuilder

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 512 * 1024
_OK: Final = 200


class FetchFailedError(Exception):
    """An answer that is not a document of usable size."""


class Fetcher:
    """A `gateway.keys.Fetch`; makes its client when first asked."""

    def __init__(self) -> None:
        self._client: Client | None = None

    async def __call__(self, url: str) -> bytes:
        """Get a URL's body; raise on anything but 200 within the bounds."""
        if self._client is None:
            self._client = (
                ClientBuilder()
                .follow_redirects(False)
                .no_proxy()
                .timeout(timedelta(seconds=_SECONDS))
                .pool_max_idle_per_host(2)
                .build()
            )
        async with self._client.get(url).build_streamed() as response:
            if response.status != _OK:
                raise FetchFailedError(f"status {response.status}")
            body = bytearray()
            while (chunk := await response.body_reader.read_chunk()) is not None:
                body += bytes(chunk)
                if len(body) > _MOST_BYTES:
                    raise FetchFailedError("too large")
            return bytes(body)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None
