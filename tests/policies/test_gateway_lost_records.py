"""A disk that is full of logs stops the logs, not the orders."""

import asyncio
import errno
import logging
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.records import AccessRecord, Lines

pytestmark = pytest.mark.anyio


class FullDisk:
    """Records on a disk without room."""

    def __init__(self):
        self.events = []

    def access(self, record):
        raise OSError(errno.ENOSPC, "No space left on device")

    def event(self, name, **fields):
        self.events.append((name, fields))


async def test_a_record_that_cannot_be_written_keeps_no_key_and_no_place(world):
    """The call is answered, its repeat gets the same answer, and the gateway counts none left."""
    records = FullDisk()
    w = await world(records=records)
    token = await w.token()

    first = await w.order("INV-1", token)
    w.keep.answers.clear()
    second = await w.order("INV-1", token)

    assert (first.status, second.status) == (201, 201)
    assert w.gateway.in_flight == 0
    assert {fields["policy"] for name, fields in records.events if name == "release_failed"} == {
        "correlate"
    }


class Stream:
    """A file that counts its writes, or has no room."""

    def __init__(self, *, full=False):
        self.full = full
        self.writes = []

    def write(self, data):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.writes.append(data)


def a_record(number):
    return AccessRecord(
        at=datetime(2026, 11, 30, tzinfo=UTC), level="info", logger="l", event="call_answered",
        correlation_id=f"c-{number}", trace_id="t", operation="o", method="GET", template="/",
        status=200, duration_ms=1.0, consumer="crm",
    )  # fmt: skip


async def test_what_one_turn_of_the_loop_answers_is_written_at_once():
    stream = Stream()
    lines = Lines(stream, logging.getLogger("test"))

    for number in range(3):
        lines.access(a_record(number))
    await asyncio.sleep(0)

    (written,) = stream.writes
    assert [msgspec.json.decode(each)["correlationId"] for each in written.splitlines()] == [
        "c-0", "c-1", "c-2",
    ]  # fmt: skip
    assert written.endswith(b"\n")


async def test_records_that_find_no_room_are_counted(caplog):
    lines = Lines(Stream(full=True), logging.getLogger("test"))

    for number in range(2):
        lines.access(a_record(number))
    await asyncio.sleep(0)

    (told,) = [each for each in caplog.records if each.message == "records_lost"]
    assert (told.count, told.error) == (2, "OSError")
