"""Members put into groups, and columns of sums by group, all groups at once. Nothing here knows a formula."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np

from service.kpi.members import BoolArray, Column, IntArray

_LARGEST = 2**62


class Grouping(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The places of members, group after group: group n has those from ``begins[n]`` to before ``begins[n + 1]``.

    No group is empty; a member may be in several.
    """

    places: IntArray
    begins: IntArray

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.begins) - 1

    @property
    def sizes(self) -> IntArray:
        """Return how many members each group has."""
        found: IntArray = np.diff(self.begins)
        return found

    @property
    def are_single(self) -> bool:
        """Tell whether each group is one member."""
        return len(self.places) == len(self)

    def members(self, group: int) -> IntArray:
        """Return the places of one group."""
        return self.places[self.begins[group] : self.begins[group + 1]]

    def some(self, groups: Sequence[int]) -> Grouping:
        """Return some of the groups, in the order given."""
        return grouping([self.members(group) for group in groups])


def grouping(groups: Sequence[Sequence[int] | IntArray]) -> Grouping:
    """Return groups of places, none of which is empty."""
    ends = np.cumsum([0, *(len(group) for group in groups)], dtype=np.int64)
    places = np.fromiter(chain.from_iterable(groups), dtype=np.int64, count=int(ends[-1]))
    return Grouping(places=places, begins=ends)


def singles(places: Sequence[int]) -> Grouping:
    """Return groups of one member each."""
    return Grouping(places=np.array(places, dtype=np.int64), begins=np.arange(len(places) + 1, dtype=np.int64))


def taken(column: Column, groups: Grouping) -> Column:
    """Return a column in the order of the groups."""
    return Column(values=column.values[groups.places], known=column.known[groups.places])


def counted(mask: BoolArray, groups: Grouping) -> IntArray:
    """Return how many members of each group a mask has, which is in the order of the groups."""
    found: IntArray = np.add.reduceat(mask, groups.begins[:-1], dtype=np.int64)
    return found


def added(values: IntArray, mask: BoolArray, groups: Grouping) -> IntArray | None:
    """Return the sum of each group over a mask, exact; None where sums may not fit 64 bits.

    Values and mask are in the order of the groups.
    """
    largest = max(int(values.max()), -int(values.min()))
    if largest > _LARGEST // int(groups.sizes.max()):
        return None
    found: IntArray = np.add.reduceat(np.where(mask, values, 0), groups.begins[:-1])
    return found
