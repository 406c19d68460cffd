"""The way of requests over the network, against a server that does as a test says: byte by byte, late, half, or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from connectors.connection import MOST_HEAD, Connection
from connectors.contract import BadPayload, Unreachable
from connectors.http import Limits, PlatformHttp, new_client
from connectors.transport import Transport, _Origin
from service import context as contexts

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
ONCE = Limits(attempts=1, connect=2.0, total=5.0)
Act = Callable[["Peer", bytes], Awaitable[None]]
"""What a server does with the request that it has read whole."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self, hasty: bytes) -> bytes:
        """Read a request; nothing where there is none. ``hasty`` is said before its body is read."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            self.say(hasty)
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return head + await self.reader.readexactly(int(lengths[0].partition(b":")[2]) if lengths else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    """Does the next act with each request, the last one for ever, and keeps what it was asked."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.peers: list[Peer] = []
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self.address = ""
        self.hasty = b""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.connections += 1
        self.peers.append(peer)
        while request := await peer.request(self.hasty):
            self.requests.append(request)
            self.asked.set()
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            await act(peer, request)
        writer.close()
        self.ended.set()


@asynccontextmanager
async def serving(*acts: Act, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(*acts)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    server.address = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for peer in server.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0.001)


def says(data: bytes, *, then: str = "") -> Act:
    """Answer with bytes, and then keep, ``close`` or ``reset`` the connection."""

    async def act(peer: Peer, _: bytes) -> None:
        peer.say(data)
        if then == "close":
            peer.writer.close()
        elif then == "reset":
            peer.reset()

    return act


def plain(body: bytes, *more: bytes) -> bytes:
    head = (b"HTTP/1.1 200 OK", *more, b"Content-Length: %d" % len(body))
    return b"\r\n".join((*head, b"", b"")) + body


def bare() -> Transport:
    """Return a transport that trusts nobody: what is trusted usually takes long to read."""
    return Transport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def bare_client() -> httpx.AsyncClient:
    return new_client(transport=bare())


def http_to(address: str, client: httpx.AsyncClient, limits: Limits = ONCE) -> PlatformHttp:
    return PlatformHttp(client, address, now=lambda: NOW, uniform=lambda: 0.0, limits=limits, token="secret")


async def test_requests_leave_as_they_are_and_share_a_connection() -> None:
    async with (
        serving(says(plain(b"one", b"X-A:  b ", b"X-Empty:")), says(plain(b"two"))) as server,
        bare_client() as client,
    ):
        http = http_to(server.address, client)
        first = await http.get("/a b", {"q": "ä&"})
        second = await http.post("x", body=b"a=1")
    assert (first.status, first.body, first.headers["x-a"], first.headers["x-empty"]) == (200, b"one", "b", "")
    assert (second.body, server.connections) == (b"two", 1)
    host = server.address.removeprefix("http://").encode()
    shared = b"accept: application/json\r\nuser-agent: tallybook\r\naccept-encoding: gzip\r\n"
    shared += b"authorization: bearer secret\r\n"
    assert [request.lower() for request in server.requests] == [
        b"get /a%20b?q=%c3%a4%26 http/1.1\r\nhost: " + host + b"\r\n" + shared + b"\r\n",
        b"post /x http/1.1\r\nhost: " + host + b"\r\n" + shared + b"content-length: 3\r\n\r\na=1",
    ]


WHOLE = {
    "a length": (plain(b"body"), b"body"),
    "nothing": (plain(b""), b""),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nbod\r\n1\r\ny\r\n0\r\nX-Late: 1\r\n\r\n",
        b"body",
    ),
    "an interim answer before it": (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + plain(b"body"), b"body"),
    "no content": (b"HTTP/1.1 204 None\r\n\r\n", b""),
    "an old version": (b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", b"body"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody", b"body"),
}


@pytest.mark.parametrize(("wire", "body"), WHOLE.values(), ids=WHOLE)
async def test_a_whole_answer_is_taken_in_any_pieces(wire: bytes, body: bytes) -> None:
    async def drips(peer: Peer, _: bytes) -> None:
        for place in range(len(wire)):
            peer.say(wire[place : place + 1])
            await asyncio.sleep(0)

    async with serving(says(wire), drips, says(plain(b"next"))) as server, bare_client() as client:
        http = http_to(server.address, client)
        taken = [await http.get("x") for _ in range(2)]
        assert (await http.get("x")).body == b"next"
    assert [answer.body for answer in taken] == [body, body]
    assert not {"x-late", "link"} & taken[0].headers.keys()


async def test_an_answer_may_end_with_its_connection() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\nbody"
    async with serving(says(endless, then="close"), says(endless, then="reset")) as server, bare_client() as client:
        http = http_to(server.address, client)
        assert (await http.get("x")).body == b"body"
        with pytest.raises(Unreachable) as caught:
            await http.get("x")
    assert caught.value.sent
    assert server.connections == 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "no http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a version to come": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a version gone": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a line end before it": b"\r\n" + plain(b""),
    "a zero in a reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "a long status": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": plain(b"ab", b"Content-Length: 3"),
    "two lengths that agree": plain(b"ab", b"Content-Length: 2"),
    "a length and chunks": CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n0\r\n\r\n",
    "chunks and a length": plain(b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a wide length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "another packing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a packing without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody",
    "another protocol": b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "another protocol unnamed": b"HTTP/1.1 101 Go\r\n\r\n",
    "bare line ends": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a folded header": plain(b"", b"X: a\r\n b"),
    "a space before a colon": plain(b"", b"X : a"),
    "a zero in a header": plain(b"", b"X: a\x00b"),
    "a nameless header": plain(b"", b": a"),
    "no chunk size": CHUNKED + b"x\r\n",
    "a signed chunk size": CHUNKED + b"+2\r\nab\r\n0\r\n\r\n",
    "a chunk that goes on": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * MOST_HEAD * 2,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * (MOST_HEAD // 3),
    "trailers without end": CHUNKED + b"0\r\n" + b"X: a\r\n" * (MOST_HEAD // 3),
    "hints without end": b"HTTP/1.1 103 Hints\r\n\r\n" * (MOST_HEAD // 10),
    "an extension without end": CHUNKED + b"1;" + b"a" * MOST_HEAD * 2,
}
ENDED = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": plain(b"body")[:-1],
    "half a chunk": CHUNKED + b"4\r\nbo",
    "no last chunk": CHUNKED + b"4\r\nbody\r\n",
    "half a trailer": CHUNKED + b"0\r\nX: ",
    "an interim answer alone": b"HTTP/1.1 100 Go on\r\n\r\n",
}


@pytest.mark.parametrize("wire", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_plain_answer_is_refused_and_closed(wire: bytes) -> None:
    async with serving(says(wire)) as server, bare_client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(server.address)
        await asyncio.wait_for(server.ended.wait(), 5)


@pytest.mark.parametrize("wire", ENDED.values(), ids=ENDED)
@pytest.mark.parametrize("then", ["close", "reset"])
async def test_half_an_answer_is_none(wire: bytes, then: str) -> None:
    async with serving(says(wire, then=then), says(plain(b"whole"))) as server, bare_client() as client:
        with pytest.raises(Unreachable) as caught:
            await http_to(server.address, client).post("x", body=b"once")
        assert caught.value.sent
        assert (await http_to(server.address, client).get("x")).body == b"whole"
    assert len(server.requests) == 2


async def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with bare_client() as client:
            with pytest.raises(Unreachable, match="cannot be reached") as caught:
                await http_to(f"http://127.0.0.1:{taken.getsockname()[1]}", client).post("x")
    assert not caught.value.sent


async def test_a_connection_that_ended_while_it_rested_carries_nothing() -> None:
    async with serving(says(plain(b"one"), then="close"), says(plain(b"two"))) as server, bare_client() as client:
        http = http_to(server.address, client)
        assert (await http.get("x")).body == b"one"
        # The loop has not seen the end yet where this is the next thing that it does.
        assert (await http.post("x")).body == b"two"
        await server.peers[1].writer.drain()
        server.peers[1].reset()
        await asyncio.sleep(0.01)
        assert (await http.post("x")).body == b"two"
    assert server.connections == 3


async def test_who_speaks_before_being_asked_is_not_heard() -> None:
    asked = asyncio.Event()

    async def eager(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"forged"))
        await asked.wait()
        writer.close()

    listening = await asyncio.start_server(eager, "127.0.0.1", 0)
    transport = bare()
    connection = await transport._connected(_Origin("http", *listening.sockets[0].getsockname()[:2]))
    await asyncio.sleep(0.05)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(httpx.TransportError):
        await connection.head(1.0)
    asked.set()
    listening.close()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("stray", [b"\r\nx", b"HTTP/1.1 200 OK\r\n", plain(b"forged")])
@pytest.mark.parametrize("late", [False, True])
async def test_what_follows_an_answer_is_not_the_next_one(stray: bytes, late: bool) -> None:
    async def more(peer: Peer, _: bytes) -> None:
        peer.say(plain(b"one") + (b"" if late else stray))
        if late:
            await asyncio.sleep(0.01)
            peer.say(stray)

    async with serving(more, says(plain(b"two"))) as server, bare_client() as client:
        http = http_to(server.address, client)
        assert (await http.get("x")).body == b"one"
        await asyncio.sleep(0.03 if late else 0)
        assert (await http.get("x")).body == b"two"
    assert server.connections == 2


async def test_an_answer_may_come_before_the_request_is_read() -> None:
    body = b"a" * 20_000_000
    async with serving(says(plain(b"next"))) as server, bare_client() as client:
        server.hasty = plain(b"too much")
        http = http_to(server.address, client)
        assert (await http.post("x", body=body)).body == b"too much"
        server.hasty = b""
        assert (await http.post("x")).body == b"next"
    assert server.connections == 2


# ------------------------------------------------------------------------------------------------ time and size


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", plain(b"a" * 999)[:-900]])
async def test_silence_and_drips_end_with_the_time_that_is_given(begun: bytes) -> None:
    async def drips(peer: Peer, _: bytes) -> None:
        peer.say(begun or b"HTTP/1.1 200 OK\r\nX: ")
        while not peer.writer.is_closing():
            await asyncio.sleep(0.01)
            peer.say(b"a")

    async with serving(says(begun), drips) as server, bare_client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(server.address, timeout=0.05)
        with pytest.raises(Unreachable) as caught:
            await http_to(server.address, client, Limits(attempts=1, total=0.1)).get("x")
        assert caught.value.sent
        await asyncio.wait_for(server.ended.wait(), 5)


async def test_who_says_something_now_and_then_is_not_silent() -> None:
    async def slow(peer: Peer, _: bytes) -> None:
        wire = plain(b"abcdefgh")
        peer.say(wire[:-8])
        for place in range(8):
            await asyncio.sleep(0.02)
            peer.say(wire[len(wire) - 8 + place :][:1])

    async with serving(slow) as server, bare_client() as client:
        assert (await client.get(server.address, timeout=0.1)).content == b"abcdefgh"


async def test_a_large_body_comes_whole_and_one_over_the_cap_is_left_where_it_is() -> None:
    body = bytes(range(256)) * 20_000
    sent = 0

    async def floods(peer: Peer, _: bytes) -> None:
        nonlocal sent
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        try:
            for _piece in range(1000):
                peer.say(b"a" * 100_000)
                await peer.writer.drain()
                sent += 100_000
        except ConnectionError:
            return

    async with serving(says(plain(body)), says(plain(b"next")), floods) as server, bare_client() as client:
        http = http_to(server.address, client)
        assert (await http.get("x")).body == body
        assert (await http.get("x")).body == b"next"
        with pytest.raises(BadPayload, match="larger"):
            await http_to(server.address, client, Limits(attempts=1, max_bytes=1_000_000)).get("x")
    assert server.connections == 1
    assert sent < 50_000_000


async def test_a_reader_that_is_slow_holds_the_sender() -> None:
    sent = 0

    async def floods(peer: Peer, _: bytes) -> None:
        nonlocal sent
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
        for _piece in range(400):
            peer.say(b"a" * 100_000)
            await peer.writer.drain()
            sent += 100_000

    async with serving(floods) as server, bare_client() as client, client.stream("GET", server.address) as answer:
        await asyncio.sleep(0.1)
        assert sent < 30_000_000
        taken = 0
        async for piece in answer.aiter_raw():
            taken += len(piece)
    assert taken == 40_000_000


async def test_a_cancelled_request_gives_its_place_back() -> None:
    async with (
        serving(says(b""), says(plain(b"next"))) as server,
        httpx.AsyncClient(transport=Transport(most=1), trust_env=False) as client,
    ):
        asking = asyncio.create_task(client.get(server.address))
        await server.asked.wait()
        with pytest.raises(httpx.PoolTimeout):
            await client.get(server.address, timeout=httpx.Timeout(5.0, pool=0.01))
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert [(await client.get(server.address)).content for _ in range(2)] == [b"next", b"next"]
        await asyncio.wait_for(server.ended.wait(), 5)
    assert server.connections == 2


@pytest.mark.parametrize(
    "made",
    [
        httpx.Request("GET", "http://a", headers={"x": "a\r\nHost: evil"}),
        httpx.Request("GET", "http://a", headers={"x": "a\nb"}),
        httpx.Request("GET", "http://a", headers={"x": "a\x00"}),
        httpx.Request("GET", "http://a", headers={"x\r\ny: z": "a"}),
        httpx.Request("GET", "http://a", headers={"x y": "a"}),
        httpx.Request("GET", "http://a", headers={"": "a"}),
        httpx.Request("GET", "http://a", headers=[("host", "a"), ("host", "b")]),
        httpx.Request("GET / HTTP/1.1\r\nX:", "http://a"),
        httpx.Request("CONNECT", "http://a"),
        httpx.Request("HEAD", "http://a"),
        httpx.Request("POST", "http://a", headers={"content-length": "5"}, content=b"a"),
        httpx.Request("POST", "http://a", headers={"content-length": "+1"}, content=b"a"),
        httpx.Request("POST", "http://a", headers={"transfer-encoding": "chunked"}, content=b"a"),
        httpx.Request("GET", "ftp://a"),
    ],
)
async def test_a_request_that_says_two_things_does_not_leave(made: httpx.Request) -> None:
    with pytest.raises((httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        await bare().handle_async_request(made)


# ------------------------------------------------------------------------------------------------ TLS


def _certificate(place: Path, name: str) -> ssl.SSLContext:
    """Return the context of a server that calls itself so; its certificate vouches for itself and lies in ``place``."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = contexts.real().now()  # the one clock that OpenSSL looks at
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    made = x509.CertificateBuilder(called, called, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(names, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (place / "own.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "own.pem")
    return context


async def test_tls_is_verified_before_anything_is_sent(tmp_path: Path) -> None:
    theirs = _certificate(tmp_path, "localhost")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "own.pem"))
    async with serving(says(plain(b"secret")), context=theirs) as server:
        named = server.address.replace("127.0.0.1", "localhost")
        for address, context in ((named, None), (server.address, trusting)):
            async with new_client(transport=Transport(context)) as client:
                with pytest.raises(Unreachable, match="cannot be reached") as caught:
                    await http_to(address, client).get("x")
                assert not caught.value.sent
        assert server.requests == []
        async with new_client(transport=Transport(trusting)) as client:
            assert [(await http_to(named, client).get("x")).body for _ in range(2)] == [b"secret"] * 2
        assert len(server.requests) == 2


async def test_a_handshake_that_is_not_answered_ends_with_the_time_to_connect() -> None:
    async with serving(says(b"")) as server, bare_client() as client:
        address = server.address.replace("http:", "https:")
        with pytest.raises(Unreachable, match="cannot be reached") as caught:
            await http_to(address, client, Limits(attempts=1, connect=0.05)).get("x")
        assert not caught.value.sent


# ------------------------------------------------------------------------------------------------ beside the old way


async def _as_before(wire: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    """Read an answer as httpx's own transport does; None where it refuses it."""
    async with httpcore.AsyncConnectionPool(network_backend=httpcore.AsyncMockBackend([wire])) as pool:
        try:
            answer = await pool.request("GET", "http://a.example/")
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return None
    return answer.status, [(name.lower(), value) for name, value in answer.headers], answer.content


async def _as_now(wire: bytes, cuts: list[int]) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    connection = Connection()
    connection.send(b"")
    connection._failure = None  # it has no network here, and says so
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        connection.data_received(wire[begin:end])
    connection.connection_lost(None)
    try:
        await connection.head(1.0)
        body = b"".join([piece async for piece in connection.body(1.0)])
    except httpx.TransportError:
        return None
    return connection.status, [(name.lower(), value) for name, value in connection.headers], body


_WIRES = [one for one in (*(wire for wire, _ in WHOLE.values()), *REFUSED.values()) if len(one) < 500]
_ODD = st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\x00", b":", b","])


@given(
    # Line ends after an interim answer are the one thing that is passed over and was not.
    wire=st.sampled_from([one for one in _WIRES if b"HTTP/1.1 103" not in one]),
    place=st.integers(0, 200),
    gone=st.integers(0, 2),
    put=_ODD | st.binary(max_size=3),
    cuts=st.sets(st.integers(1, 200), max_size=4),
)
async def test_nothing_is_taken_that_was_refused_before(
    wire: bytes, place: int, gone: int, put: bytes, cuts: set[int]
) -> None:
    changed = wire[: place % len(wire)] + put + wire[place % len(wire) + gone :]
    now = await _as_now(changed, sorted(cut for cut in cuts if cut < len(changed)))
    assert now is None or now == await _as_before(changed)
