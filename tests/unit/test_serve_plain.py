"""Requests in plain words: whatever is read without the parser, the parser would have read as well."""

from __future__ import annotations

from contextlib import suppress

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api.direct import Asked
from service.serve_plain import plain

WIRE = b"POST /v1/webhooks/a_B-1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-Two: a: b\r\n\r\nbody"


class Heard:
    """What the parser says of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.begun = self.complete = 0
        self.parser = httptools.HttpRequestParser(self)
        with suppress(httptools.HttpParserError):
            self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


METHODS = st.sampled_from([b"POST", b"POST", b"POST", b"GET", b"post", b"PUT"])
PATHS = st.sampled_from([b"/v1/webhooks/a_B-1", b"/a", b"/", b"//a", b"/a/", b"/a?b=c", b"/a%41", b"*", b"/a/../b"])
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"])
STEERING = (b"Connection", b"Proxy-Connection", b"Transfer-Encoding", b"Upgrade", b"Expect")
NAMES = st.sampled_from(
    [b"Host", b"x-one", b"X-One", b"Content-Length", b"Trailer", b"x_y", b"x y", b"", b" x", *STEERING]
)
VALUES = st.sampled_from(
    [b"a", b"4", b"close", b"keep-alive", b"chunked", b"a b", b"a ", b"", b"\ta", b"a\tb", b"\xe9"]
)
BREAKS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n "])
COLONS = st.sampled_from([b": ", b": ", b": ", b":", b" : ", b":  "])
LENGTHS = st.sampled_from([b"4", b"4", b"4", b"04", b"+4", b"5", b"3", b"4, 4", b"0x4", b"4 "])


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """Requests that are all right, or nearly."""
    lines = draw(st.lists(st.builds(lambda *parts: b"".join(parts), NAMES, COLONS, VALUES), max_size=3))
    lines.append(b"Content-Length: " + draw(LENGTHS))
    first = b" ".join((draw(METHODS), draw(PATHS), draw(VERSIONS)))
    head = b"".join(line + draw(BREAKS) for line in (first, *lines))
    return head + draw(BREAKS) + draw(st.sampled_from([b"body", b"bod", b"body\r\n", b"bodyPOST / HTTP/1.1\r\n"]))


@given(wires())
@example(WIRE)
def test_the_parser_would_have_read_the_same(data: bytes) -> None:
    asked, heard = plain(data), Heard(data)
    if asked is None:
        return
    assert (heard.begun, heard.complete, heard.parser.get_method()) == (1, 1, b"POST")
    assert (heard.parser.get_http_version(), heard.parser.should_keep_alive()) == ("1.1", True)
    assert not heard.parser.should_upgrade()
    assert (asked.path.encode(), asked.query, asked.body) == (httptools.parse_url(heard.url).path, b"", heard.body)
    assert {name.encode(): value.encode() for name, value in asked.headers.items()} == dict(heard.headers)
    assert len(asked.headers) == len(heard.headers)
    assert b"expect" not in dict(heard.headers)


@pytest.mark.parametrize("more", [{}, {"connection": "keep-alive"}, {"connection": "Keep-Alive"}])
def test_a_plain_push_is_read(more: dict[str, str]) -> None:
    headers = {"host": "h", "content-length": "4", "x-two": "a: b"} | more
    wire = WIRE.replace(
        b"\r\n\r\n", b"".join(b"\r\n%b: %b" % (k.encode(), v.encode()) for k, v in more.items()) + b"\r\n\r\n"
    )
    assert plain(wire) == Asked(path="/v1/webhooks/a_B-1", query=b"", headers=headers, body=b"body")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"GET"),
        (b"a_B-1", b"a%42"),
        (b"a_B-1", b"a?b=c"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Host", b"Expect"),
        (b"Host: h", b"Connection: close"),
        (b"Host: h", b"Connection: keep-alive, upgrade"),
        (b"Host: h", b"Transfer-Encoding: chunked"),
        (b"Host: h", b"Upgrade: h2c"),
        (b"Host: h", b"host: h\r\nHost: i"),
        (b"Host: h", b"Host: "),
        (b"Host: h", b"Host: h "),
        (b"Host: h", b"Host: \xe9"),
        (b"Content-Length: 4\r\n", b""),
        (b"Length: 4", b"Length: +4"),
        (b"body", b"bod"),
        (b"body", b"bodyP"),
        (b"\r\n\r\n", b"\n\n"),
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(old: bytes, new: bytes) -> None:
    assert old in WIRE
    assert plain(WIRE.replace(old, new, 1)) is None
