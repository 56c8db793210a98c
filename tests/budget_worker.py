"""A process that calls a vendor as fast as the shared budget lets it; to be killed at will.

    python -m tests.budget_worker REDIS_URL VENDOR_PORT WORKERS ALLOWANCE_AS_JSON SHARE

Says `up` once it counts together with the others.
"""

import asyncio
import sys

import msgspec

from runtime.budget import Allowance, BudgetBroker
from runtime.clock import SystemClock
from runtime.shared.state import SharedState

ANSWER = 1
"""Bytes the vendor answers a call with."""


async def call(broker: BudgetBroker, port: int) -> None:
    """Call without end, one call after the other, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        async with broker.spend("erp", lane="bulk"):
            writer.write(b"?")
            await reader.readexactly(ANSWER)


async def main(url: str, port: str, workers: str, allowance: str, share: str) -> None:
    clock = SystemClock()
    state = SharedState(url, clock=clock)
    await state.open()
    allowed = msgspec.json.decode(allowance, type=Allowance)
    broker = BudgetBroker({"erp": allowed}, clock=clock, shared=state, share=int(share))
    while not broker.standing()[0].shared:
        async with broker.spend("erp", lane="bulk") as unsent:
            unsent.charged = 0.0
        await asyncio.sleep(0.05)
    print("up", flush=True)
    sys.stdin.readline()  # all begin together
    await asyncio.gather(*(call(broker, int(port)) for _ in range(int(workers))))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
