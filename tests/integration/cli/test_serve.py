"""The server's patience, over sockets of this machine: whoever dawdles is let go, whoever works is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request, Response

from service import serve
from service.errors import Misconfigured
from service.serve import Listening
from service.serve_protocol import Limits

FAST = Limits(head=0.3, body=0.3, linger=0.3, keep_alive=1, write=0.5)
PATIENT = Limits(head=30, body=30, linger=30, keep_alive=30)
GET = b"GET /hello HTTP/1.1\r\nhost: here\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def app_with(release: asyncio.Event | None = None) -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> Response:
        return Response(b"hello")

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 64 * 1024 * 1024)

    @app.get("/slow")
    async def slow() -> Response:
        if release is not None:
            await release.wait()
        return Response(b"done")

    @app.get("/readyz")
    async def readyz() -> Response:
        return Response(b"ready")

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/refuse")
    async def refuse() -> Response:
        return Response(b"no", status_code=413)

    return app


@asynccontextmanager
async def running(limits: Limits, app: FastAPI | None = None) -> AsyncIterator[Listening]:
    async with serve.listening(app or app_with(), serve.bind("127.0.0.1", 0), limits) as found:
        yield found


async def dial(found: Listening) -> Streams:
    return await asyncio.open_connection("127.0.0.1", int(found.address.rpartition(":")[2]))


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def drip(streams: Streams, begin: bytes, more: bytes) -> bytes:
    """Send ``begin``, then ``more`` byte by byte over and over, until the other side closes; return what it said."""
    reader, writer = streams

    async def feed() -> None:
        while True:
            for byte in more:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)

    writer.write(begin)
    feeding = asyncio.create_task(feed())
    said = b""
    try:
        async with asyncio.timeout(60):
            while chunk := await reader.read(65536):
                said += chunk
    except ConnectionResetError:
        pass
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        writer.close()
    return said


async def test_requests_on_one_connection_are_answered() -> None:
    async with running(PATIENT) as found:
        reader, writer = await dial(found)
        for _ in range(3):
            writer.write(GET)
            assert await answer(reader) == (200, b"hello")
        writer.write(GET + GET)
        assert [await answer(reader), await answer(reader)] == [(200, b"hello")] * 2
        writer.close()


async def test_no_server_header_is_sent() -> None:
    async with running(PATIENT) as found:
        reader, writer = await dial(found)
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"server:" not in head.lower()
        writer.close()


async def test_a_silent_connection_is_closed() -> None:
    async with running(FAST) as found:
        reader, writer = await dial(found)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        pytest.param(b"GET /hello HTTP/1.1\r\n", b"x-more: 1\r\n", id="header by header"),
        pytest.param(b"GET /hello", b"a", id="an address without end"),
        pytest.param(b"", b"\r\n", id="line ends only"),
        pytest.param(GET, b"\r\n", id="line ends after an answer"),
        pytest.param(GET + b"GET /hello HTTP/1.1\r\n", b"x-more: 1\r\n", id="a second head"),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\n", b"a", id="a body byte by byte"
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n", id="chunks"
        ),
        pytest.param(
            b"POST /echo HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"x-more: 1\r\n",
            id="what follows a chunked body",
        ),
        pytest.param(
            b"POST /refuse HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\n", b"a", id="a refused body"
        ),
    ],
)
async def test_whoever_drips_is_cut_off(begin: bytes, more: bytes) -> None:
    async with running(FAST) as found:
        said = await drip(await dial(found), begin, more)
        assert said.count(b"HTTP/1.1 200") == begin.count(GET)
        assert said.count(b"HTTP/1.1 413") == begin.count(b"/refuse")


async def test_a_slow_answer_is_not_cut_off() -> None:
    release = asyncio.Event()
    limits = Limits(head=0.1, body=0.1, linger=0.1, keep_alive=1)
    async with running(limits, app_with(release)) as found:
        reader, writer = await dial(found)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n\r\n")
        await asyncio.sleep(0.5)
        release.set()
        assert await answer(reader) == (200, b"done")
        writer.close()


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with running(FAST) as found:
        reader, writer = await dial(found)
        writer.write(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n")
        with pytest.raises(ConnectionError):
            await push(writer)
        assert not reader.at_eof()
        writer.close()


async def push(writer: asyncio.StreamWriter) -> None:
    """Go on sending and take nothing, until the connection is lost."""
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"\r\n")
            await writer.drain()


async def test_a_head_without_end_is_refused() -> None:
    async with running(PATIENT) as found:
        reader, writer = await dial(found)
        for _ in range(2):
            # The second reading is the one that is too much: nothing is left unread when the answer is sent.
            writer.write(b"GET /hello HTTP/1.1\r\nx-long: ")
            await asyncio.sleep(0.05)
            writer.write(b"a" * (Limits().head_bytes // 2))
            await asyncio.sleep(0.05)
        status, body = await answer(reader)
        assert (status, json.loads(body)["code"]) == (431, "malformed")
        writer.close()


async def test_what_is_no_request_gets_a_problem() -> None:
    async with running(PATIENT) as found:
        reader, writer = await dial(found)
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        status, body = await answer(reader)
        assert (status, json.loads(body)["code"]) == (400, "malformed")
        writer.close()


async def test_one_connection_too_many_is_told_so() -> None:
    limits = Limits(connections=2, head=30)
    async with running(limits) as found:
        held = [await dial(found), await dial(found)]
        for reader, writer in held:
            writer.write(GET)
            assert await answer(reader) == (200, b"hello")
        reader, writer = await dial(found)
        status, body = await answer(reader)
        assert (status, json.loads(body)["code"]) == (503, "unavailable")
        writer.close()
        held.pop()[1].close()
        await asyncio.sleep(0.1)
        reader, writer = await dial(found)
        writer.write(GET)
        assert await answer(reader) == (200, b"hello")
        for _, open_writer in [*held, (reader, writer)]:
            open_writer.close()


async def test_a_server_that_stops_says_so_finishes_and_closes() -> None:
    release = asyncio.Event()
    limits = Limits(announce=0.5)
    streams: list[Streams] = []

    async def leave() -> None:
        async with running(limits, app_with(release)) as found:
            streams.extend([await dial(found), await dial(found)])
            streams[0][1].write(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n")
            await asyncio.sleep(0.1)

    leaving = asyncio.create_task(leave())
    await asyncio.sleep(0.3)
    reader, writer = streams[1]
    writer.write(b"GET /readyz HTTP/1.1\r\nhost: here\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"503"
    assert not leaving.done()
    release.set()
    assert await answer(streams[0][0]) == (200, b"done")
    await leaving
    for _, open_writer in streams:
        open_writer.close()


async def test_what_goes_wrong_at_the_start_is_raised() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if app.title:
            raise Misconfigured("not today")
        yield

    with pytest.raises(Misconfigured, match="not today"):
        async with running(PATIENT, FastAPI(lifespan=lifespan)):
            pass


async def test_a_port_that_is_taken_is_named() -> None:
    taken = serve.bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(Misconfigured, match=f"127.0.0.1 port {port}: Address already in use"):
        serve.bind("127.0.0.1", port)
    taken.close()
