"""The work the journal's benchmarks do: orders of twenty lines and eight steps that do nothing."""

import contextlib
import os
from collections.abc import Iterator
from random import Random

import msgspec
from msgspec import structs

from runtime.clock import SystemClock
from runtime.journal.crash_points import CrashPoints
from runtime.journal.journal import Journal
from runtime.journal.process import Lifecycle, Move, ProcessType, Says, Start, Term
from runtime.store.engine import Store

STEPS = 8


class Line(msgspec.Struct, frozen=True):
    item: str
    quantity: int
    price: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    steps_done: int = 0
    lines: tuple[Line, ...] = tuple(
        Line(item=f"ITEM{n}", quantity=n, price="12.34") for n in range(20)
    )


async def count(process, context):
    """Do nothing at a vendor of zero latency; say so on the timeline, as every step does."""
    data = structs.replace(process.data, steps_done=process.data.steps_done + 1)
    return Move(event="next", data=data, says=(Says(text="One step done."),))


def counting(step=count) -> ProcessType[Order]:
    """Eight states, each with the same step."""
    return ProcessType(
        name="counting",
        version=1,
        data_type=Order,
        lifecycle=Lifecycle(
            name="counting",
            initial="s0",
            moves={(f"s{n}", "next"): f"s{n + 1}" for n in range(STEPS)},
            terminal=frozenset({f"s{STEPS}"}),
        ),
        steps={f"s{n}": step for n in range(STEPS)},
    )


def an_order(key: str) -> Start[Order]:
    return Start(
        kind="counting",
        consumer="crm",
        operation="orders.create",
        key=key,
        fingerprint="body",
        reference=key,
        data=Order(),
        terms=(Term(kind="po", value=key),),
    )


@contextlib.asynccontextmanager
async def a_journal(url: str, *, kind: ProcessType[Order], node: str = "benchmark"):
    """An open journal of one kind of process."""
    store = Store(url)
    store.open()
    journal = Journal(
        store=store,
        types=[kind],
        clock=SystemClock(),
        random=Random(),
        node=node,
        crash_points=CrashPoints(),
    )
    await journal.open()
    try:
        yield journal
    finally:
        store.close()


def cores() -> tuple[set[int], set[int]]:
    """A core for the program under test, and one for its load and its database, if there are two.

    The same core for both where there is only one.
    """
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


@contextlib.contextmanager
def on_core(core: set[int]) -> Iterator[None]:
    """What is started in here, and this thread meanwhile, runs on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
