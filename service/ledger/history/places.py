"""Numbers of the members of a campaign, one after the other in one string of bytes. Pure.

A roster gives each subject a place; it only grows. A string holds for each place a sum and on how many days it was
known: one byte that says how wide both are, then all sums, then all counts, in the least width that holds them and
without the places at the end of which nothing is known. Null is never zero: where a count does not grow between two
days, nothing was reported between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from service.kpi.members import IntArray

ID_BYTES = 16
NOBODY = bytes(ID_BYTES)
"""A place whose subject left, or left and came back: it is not read any more."""
_WIDTHS = ("<i1", "<i2", "<i4", "<i8")
_SHIFT = 4


class Numbers(NamedTuple):
    """Sums and counts of known days by place."""

    sums: IntArray
    counts: IntArray

    @classmethod
    def none(cls, size: int) -> Numbers:
        """Return what nothing is known of."""
        return cls(np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64))

    def grown(self, size: int) -> Numbers:
        """Return the same with more places."""
        return Numbers(_padded(self.sums, size), _padded(self.counts, size))


def packed(numbers: Numbers) -> bytes:
    """Return numbers as bytes."""
    known = np.flatnonzero(numbers.counts)
    length = int(known[-1]) + 1 if len(known) else 0
    sums, counts = numbers.sums[:length], numbers.counts[:length]
    wide, broad = _width(sums), _width(counts)
    head = bytes((wide | broad << _SHIFT,))
    return head + sums.astype(_WIDTHS[wide]).tobytes() + counts.astype(_WIDTHS[broad]).tobytes()


def unpacked(data: bytes, size: int) -> Numbers:
    """Return the numbers of ``size`` places: of those that the bytes do not reach nothing is known."""
    sums, counts = _columns(data)
    return Numbers(_padded(sums, size), _padded(counts, size))


def take(data: bytes, places: IntArray, sums: IntArray, counts: IntArray) -> None:
    """Write the numbers of some places into two rows of zeros."""
    own, days = _columns(data)
    if len(own) > places.max(initial=-1):
        sums[:], counts[:] = own[places], days[places]
        return
    reached = places < len(own)
    sums[reached], counts[reached] = own[places[reached]], days[places[reached]]


def _columns(data: bytes) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return sums and counts in the widths that they are kept in."""
    wide, broad = np.dtype(_WIDTHS[data[0] & (1 << _SHIFT) - 1]), np.dtype(_WIDTHS[data[0] >> _SHIFT])
    length = (len(data) - 1) // (wide.itemsize + broad.itemsize)
    sums = np.frombuffer(data, dtype=wide, count=length, offset=1)
    return sums, np.frombuffer(data, dtype=broad, count=length, offset=1 + length * wide.itemsize)


def _width(numbers: IntArray) -> int:
    """Return the place of the least width that holds all numbers."""
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    return next(place for place, bits in enumerate((7, 15, 31, 63)) if -(1 << bits) <= low and high < 1 << bits)


def _padded(numbers: IntArray, size: int) -> IntArray:
    if len(numbers) >= size:
        return numbers[:size].astype(np.int64)
    found = np.zeros(size, dtype=np.int64)
    found[: len(numbers)] = numbers
    return found


def ids(roster: bytes) -> list[bytes]:
    """Return the ids in a roster, place by place."""
    return [roster[start : start + ID_BYTES] for start in range(0, len(roster), ID_BYTES)]


def roster_of(subjects: Iterable[UUID]) -> bytes:
    """Return subjects as a roster."""
    return b"".join(subject.bytes for subject in subjects)


def places_in(roster: bytes, moved: bytes, wanted: npt.NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
    """Return which of the wanted subjects (their :func:`halves`) have a place to be read, and these places.

    ``moved`` are subjects whose places are not trusted. Ids are looked for by their halves that are drawn at random;
    should two be alike, one of them is not found.
    """
    known = halves(roster)
    if not len(known):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    order = np.argsort(known[:, 1])
    near = np.searchsorted(known[order, 1], wanted[:, 1])
    places = order[np.minimum(near, len(order) - 1)]
    found = (known[places] == wanted).all(axis=1) & ~np.isin(wanted[:, 1], halves(moved)[:, 1])
    which = np.flatnonzero(found)
    return which, places[which]


def halves(roster: bytes) -> npt.NDArray[np.uint64]:
    """Return each id of a roster as two numbers."""
    return np.frombuffer(roster, dtype=">u8").astype(np.uint64).reshape(-1, 2)
