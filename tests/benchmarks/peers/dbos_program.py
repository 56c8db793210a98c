"""The eight steps on DBOS, as a program of its own: `python dbos_program.py DATABASE CALLERS`.

Run by the Python of an environment of its own, which has DBOS and nothing of this project. For each
line of its input, `{"amount": N, "order": {...}}`, it carries N workflows to their end, so many
threads at a time, and answers `{"seconds": ..., "cpu": ...}`. Used as its documentation says:
workflow and steps are registered functions, each workflow has an id of its caller's, and the system
database is given by address. Functions are plain ones: DBOS hands those of asyncio to threads one
by one, which came out slower.
"""

import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, SetWorkflowID  # type: ignore[import-not-found]  # of its own environment

STEPS = 8


@DBOS.step()
def count(order: dict) -> dict:
    """Do nothing at a vendor of zero latency."""
    return order | {"steps_done": order["steps_done"] + 1}


@DBOS.workflow()
def counting(order: dict) -> int:
    """Carry an order through its steps."""
    for _ in range(STEPS):
        order = count(order)
    return order["steps_done"]


def carry(order: dict) -> None:
    with SetWorkflowID(str(uuid.uuid4())):
        done = counting(order)
    if done != STEPS:
        raise SystemExit("a workflow did not do its steps")


def main() -> None:
    """Answer every line of the input."""
    database, callers = sys.argv[1], int(sys.argv[2])
    DBOS(config={"name": "orders", "system_database_url": database, "log_level": "ERROR"})
    DBOS.launch()
    print(json.dumps({"ready": True}), flush=True)
    with ThreadPoolExecutor(callers) as threads:
        for line in sys.stdin:
            asked = json.loads(line)
            began, used = time.perf_counter(), time.process_time()
            list(threads.map(carry, [asked["order"]] * asked["amount"]))
            took, used = time.perf_counter() - began, time.process_time() - used
            print(json.dumps({"seconds": took, "cpu": used}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
