"""What a process remembers of a database from one snapshot to the next. Bounded; no statement is sent from here.

What is remembered carries the stamp of what it was read at, and is given to those alone who have read the same stamp in
a snapshot of their own: so an answer is never made of another state than the one it reads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

MOST_HELD = 100_000
"""How much a process remembers of one database, in members of campaigns: about 50 MB of memory."""


class _Held(msgspec.Struct, frozen=True):
    stamp: Any
    value: Any
    weight: int


class Recall:
    """Things by key, each of one state; what was asked for last stays longest."""

    def __init__(self, most: int = MOST_HELD) -> None:
        """Remember things of at most so much weight."""
        self._most = most
        self._held: OrderedDict[Hashable, _Held] = OrderedDict()
        self.weight = 0

    def get(self, key: Hashable, stamp: Any) -> Any | None:
        """Return what is remembered of a key at exactly this stamp, or None."""
        found = self._held.get(key)
        if found is None or found.stamp != stamp:
            return None
        self._held.move_to_end(key)
        return found.value

    def put(self, key: Hashable, stamp: Any, value: Any, weight: int) -> None:
        """Remember a thing in place of what there was of its key; what is too heavy by itself is not remembered.

        A slow snapshot does not displace what a later one has read.
        """
        before = self._held.get(key)
        if weight > self._most or (before is not None and before.stamp > stamp):
            return
        self._drop(key)
        self._held[key] = _Held(stamp, value, weight)
        self.weight += weight
        while self.weight > self._most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Hashable) -> None:
        gone = self._held.pop(key, None)
        self.weight -= 0 if gone is None else gone.weight


_IN_SNAPSHOT: WeakKeyDictionary[Any, Recall] = WeakKeyDictionary()


@contextmanager
def remembering(connection: Any, recall: Recall) -> Iterator[None]:
    """Let what is read over a driver's connection be remembered, for as long as its snapshot is open."""
    _IN_SNAPSHOT[connection] = recall
    try:
        yield
    finally:
        del _IN_SNAPSHOT[connection]


def recall_of(connection: Any) -> Recall | None:
    """Return the memory of a connection with an open snapshot.

    None for any other: what a transaction has written itself, or reads in several states, is nobody else's.
    """
    return _IN_SNAPSHOT.get(connection)
