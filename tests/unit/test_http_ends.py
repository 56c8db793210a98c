"""Whether a second try needs a look-up hangs on whether the first one may have arrived."""

import asyncio
import random

import pytest
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from runtime.http.client import HttpClient
from runtime.http.ends import was_never_sent
from tests.serving import free_port

pytestmark = pytest.mark.anyio


async def broken(url):
    client = ClientBuilder().build()
    with pytest.raises(PyreqwestError) as caught:  # noqa: PT012  # either await may break
        response = await client.post(url).body_bytes(b"order").build().send()
        await response.bytes()
    return caught.value


async def test_a_refused_connection_carried_nothing():
    """Nobody listens: not one byte left."""
    assert was_never_sent(await broken(f"http://127.0.0.1:{free_port()}/"))


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
)
async def test_a_connection_that_broke_after_the_request_may_have_carried_it(said):
    """The other side read the order and hung up, before, within or after the status line."""

    async def hang_up(reader, writer):
        await reader.read(1000)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert not was_never_sent(await broken(f"http://127.0.0.1:{port}/"))


async def test_who_is_cancelled_in_the_moment_of_the_answer_is_cancelled():
    """A job that is told to stop must stop, also when its vendor answers just then."""
    chance = random.Random(1)

    async def answer(reader, writer):
        while await reader.read(1000):
            await asyncio.sleep(0.003 * chance.random())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        http, lost = HttpClient(), 0
        for _ in range(600):
            call = http.send(
                "GET", f"http://127.0.0.1:{port}/", system="x", headers={}, timeout=5.0, safe=True
            )
            task = asyncio.create_task(call)
            await asyncio.sleep(0.003 * chance.random())
            if task.cancel():
                await asyncio.wait({task})
                lost += not task.cancelled()
        await http.close()

    assert lost == 0
