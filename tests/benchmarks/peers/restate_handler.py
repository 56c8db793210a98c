"""The eight steps as a service of Restate, for hypercorn: `hypercorn restate_handler:app`.

Run by the Python of an environment of its own, which has Restate's SDK and nothing of this project.
"""

import restate  # type: ignore[import-not-found]  # of its own environment

STEPS = 8

orders = restate.Service("orders")


async def count(order: dict) -> dict:
    """Do nothing at a vendor of zero latency."""
    return order | {"steps_done": order["steps_done"] + 1}


@orders.handler()
async def carry(ctx: restate.Context, order: dict) -> int:
    """Carry an order through its steps, each of them journaled."""
    for _ in range(STEPS):
        order = await ctx.run_typed("count", count, order=order)
    return order["steps_done"]


app = restate.app(services=[orders])
