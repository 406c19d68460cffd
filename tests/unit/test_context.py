"""The ids of a running process are UUIDv7s, in whichever place of what was drawn at once they begin."""

from __future__ import annotations

import uuid
from functools import reduce

from service import context as contexts

_COUNT = 1000
"""More than are drawn at once."""


def test_ids_are_of_version_7_and_random_but_for_their_time() -> None:
    made = contexts.real()
    before, found, after = made.now(), [made.new_id() for _ in range(_COUNT)], made.now()
    assert len(set(found)) == _COUNT
    assert {(one.version, one.variant) for one in found} == {(7, uuid.RFC_4122)}
    milliseconds = [one.int >> 80 for one in found]
    assert int(before.timestamp() * 1000) <= milliseconds[0]
    assert milliseconds == sorted(milliseconds)
    assert milliseconds[-1] <= after.timestamp() * 1000
    rest = (1 << 80) - 1
    ever = reduce(int.__or__, (one.int & rest for one in found))
    always = reduce(int.__and__, (one.int & rest for one in found))
    fixed = 0xF << 76 | 0x3 << 62
    assert (ever & ~fixed, always & ~fixed) == (rest & ~fixed, 0)
