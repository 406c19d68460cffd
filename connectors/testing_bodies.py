"""Broken copies of a recorded body: cut, flipped, spliced, and with other values where it is JSON.

What :mod:`connectors.testing` feeds to a connector's ``parse``. The copies are the same in every run: places are
spread evenly over the body and nothing is drawn. It knows no connector and judges nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

CANARY = "Wert, der nirgends stehen darf: ü"
"""A value that looks like no name: it may not turn up in an error or in the detail of a drop."""

_DEPTHS = (300, 100_000)
_OPENINGS = (b"[", b'{"data":[', b'{"data":{"items":[')
_SPLICES = (b"\x00", b"\xff", b"\n", b'"', b",", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"9" * 40)
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    1e300,
    float("nan"),
    2**63,
    -(2**80),
    "",
    "\x00",
    "\ud800",
    "-1",
    "9" * 5_000,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2999-01-01T00:00:00Z",
    "2025-03-01T00:00:00",
    [],
    {},
    [None],
    {"value": {"value": {}}},
)


def variants(body: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield broken copies with a word on what was done; at most about ``most`` of each way of breaking."""
    yield "empty", b""
    yield "twice", body + body
    for depth in _DEPTHS:
        yield from ((f"{depth} times {opening.decode()}", opening * depth) for opening in _OPENINGS)
    for at in _spread(len(body), most):
        yield f"cut at byte {at}", body[:at]
        yield f"a bit flipped in byte {at}", body[:at] + bytes([body[at] ^ (1 << at % 8)]) + body[at + 1 :]
        yield f"spliced at byte {at}", body[:at] + _SPLICES[at % len(_SPLICES)] + body[at:]
    yield from _with_other_values(body, most)


def _with_other_values(body: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):  # a table or another text: cuts, flips and splices are for it
        return
    paths = list(_paths(read))
    chosen = [(paths[number], CANARY) for number in _spread(len(paths), most)]
    chosen += [
        (paths[number // len(_ODD)], _ODD[number % len(_ODD)]) for number in _spread(len(paths) * len(_ODD), most)
    ]
    for path, odd in chosen:
        yield f"another value at {'/'.join(map(str, path))}", json.dumps(_replaced(read, path, odd)).encode()


def _spread(length: int, most: int) -> Iterator[int]:
    """Yield at most ``most`` places below ``length``, evenly and without a common period with what lies there."""
    step = max(1, -(-length // most))
    return (min(block + block * 7 % step, length - 1) for block in range(0, length, step))


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from _paths(part, (*path, key))


def _replaced(value: Any, path: Sequence[str | int], odd: Any) -> Any:
    """Return a copy along the path; what lies beside it is shared."""
    if not path:
        return odd
    changed = copy.copy(value)
    changed[path[0]] = _replaced(value[path[0]], path[1:], odd)
    return changed
