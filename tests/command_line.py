"""The command line as a person runs it, against a gateway of the test's own."""

import asyncio
import os
import sys
from pathlib import Path


async def crossdock(url: str, folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run a command; its exit code, and what it said on either channel."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CROSSDOCK_PORT": url.rpartition(":")[2], "CROSSDOCK_DATA": str(folder)},
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
