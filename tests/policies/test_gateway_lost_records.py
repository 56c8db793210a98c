"""A disk that is full of logs stops the logs, not the orders."""

import errno

import pytest

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
