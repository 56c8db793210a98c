"""Seconds from the start of the process to the first priced quote.

    python -m tests.benchmarks.cold_start --starts 5

`crossdock up` is started with its sandbox, as a person starts it; a caller asks for a token and a
price until both are answered.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from tests.serving import free_port

CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "crm",
    "client_secret": "crm-dev-secret",
}
QUOTE = {"customer": "bc:20001", "lines": [{"item": "bc:10001", "quantity": "3"}]}


async def first_quote(client: Client, gateway: str, *, within: float = 30.0) -> None:
    """Ask until a price is answered."""
    give_up = time.monotonic() + within
    while time.monotonic() < give_up:
        with contextlib.suppress(PyreqwestError, KeyError):
            signed_in = await client.post(f"{gateway}/oauth/token").form(CREDENTIALS).build().send()
            token = (await signed_in.json())["access_token"]
            asked = client.post(f"{gateway}/sales/v1/price-checks").bearer_auth(token)
            answer = await asked.body_json(QUOTE).build().send()
            if answer.status == 200:
                return
        await asyncio.sleep(0.005)
    raise SystemExit(f"no price within {within} s")


def start_once(folder: str) -> float:
    """Start everything, price once, stop; answer the seconds to the price."""
    port, sandbox = free_port(), free_port()
    environment = {
        **os.environ,
        "CROSSDOCK_PORT": str(port),
        "CROSSDOCK_SANDBOX_PORT": str(sandbox),
        "CROSSDOCK_DATA": folder,
    }
    began = time.perf_counter()
    system = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "up"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        asyncio.run(first_quote(ClientBuilder().build(), f"http://127.0.0.1:{port}"))
        return time.perf_counter() - began
    finally:
        system.terminate()
        system.wait(20)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        start_once(folder)  # the first start of an installation also lays the store's schema
        seconds = [start_once(folder) for _ in range(asked.starts)]
    print(f"start to first priced quote, {asked.starts} starts of an installed system")
    print(f"  {'median s':34} {statistics.median(seconds):8.2f}")
    print(f"  {'longest s':34} {max(seconds):8.2f}")


if __name__ == "__main__":
    main()
