"""Requests in plain words: a push that is all of what a reading of the socket brought, written as senders write it.

The parser of the server calls back for every part of a request, and the request is put together again from what it
says: for a thousand pushes like each other that is most of what they cost. What is read here is a narrow part of the
language, in which nothing can be understood in two ways; whatever is not in it (another method, a path with escapes or
a query, chunks, a header that is there twice, steers the connection or is empty, a body that is not all there or is
followed by something) is left to the parser.
"""

from __future__ import annotations

import re

from service.api.direct import Asked

_HEAD = re.compile(rb"POST ((?:/[A-Za-z0-9_~-]++)++) HTTP/1\.1((?:\r\n[A-Za-z0-9-]++: [!-~][ -~]*+)++)\r\n\r\n")
_LONGEST_LENGTH = 9
_STEERING = frozenset({"proxy-connection", "transfer-encoding", "upgrade", "expect"})
_AS_IT_IS = "keep-alive"
"""What a sender may say of the connection without steering it."""


def plain(data: bytes) -> Asked | None:
    """Return the one request that ``data`` is, or None for what the parser has to look at."""
    head = _HEAD.match(data)
    if head is None:
        return None
    body = data[head.end() :]
    lines = head[2].decode("ascii").split("\r\n")
    del lines[0]
    headers = {name.lower(): value for name, value in [line.split(": ", 1) for line in lines]}
    length = headers.get("content-length", "")
    # Of ASCII, only the ten digits are digits.
    if not length.isdigit() or len(length) > _LONGEST_LENGTH or int(length) != len(body):
        return None
    if headers.get("connection", _AS_IT_IS).lower() != _AS_IT_IS:
        return None
    if len(headers) != len(lines) or not _STEERING.isdisjoint(headers) or b" \r\n" in head[2]:
        return None
    return Asked(path=head[1].decode("ascii"), query=b"", headers=headers, body=body)
