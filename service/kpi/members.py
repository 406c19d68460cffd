"""Sums per member (post, ad, profile) as masked integer arrays: what KPI formulas are fed with.

A member is the unit that clusters: the clicks of one post are not independent. A tracked link belongs to the post that
carries it, so whoever fills these arrays folds its numbers into that post. Nothing here knows a formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from connectors.contract import METRICS
from service.kpi.measure import Quality, Reason

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FOLLOWERS_AT_PUBLISH = "followers_at_publish"
"""Extra column: followers of the profile when the member was published."""
FOLLOWERS_START = "followers_start"
"""Extra column: followers at the start of the range; ``followers`` is the level at its end."""

EXPECTED_ENGAGEMENTS = "expected_engagements"
"""Extra column: what a benchmark leads one to expect of a member, in millionths of an engagement."""

BOOKED = frozenset(
    {"conversions", "conversion_value", "orders", "refunds", "spend_media", "fee_creator", "cost_production", "cost"}
)
"""Metrics that exist only where something happened: once any member has them, an absent one means nothing booked."""

_LOW_BITS = 32
_FEW = 256


class Column(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One metric of every member: ``values`` is 0 where ``known`` is False."""

    values: IntArray
    known: BoolArray


class MemberSums(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sums of a range by member. Units are those of the metric dictionary: money and conversions in millionths.

    ``shared`` holds booked amounts of the campaign itself that belong to no member, such as a production fee.
    ``audience_cap`` is the size of the whole audience if it is known: no reach exceeds it.
    ``withheld`` names metrics that may not be shown, with the reason; ``quality`` those that are not plainly observed.
    ``said`` has for each metric what platforms say against the number of a member: places in the order of ``Quality``.
    """

    members: Sequence[str]
    columns: Mapping[str, Column]
    shared: Mapping[str, int] = msgspec.field(default_factory=dict)
    audience_cap: int | None = None
    withheld: Mapping[str, Reason] = msgspec.field(default_factory=dict)
    quality: Mapping[str, Quality] = msgspec.field(default_factory=dict)
    said: Mapping[str, IntArray] = msgspec.field(default_factory=dict)


def column(values: Sequence[int | None]) -> Column:
    """Return a column from values where None is unknown."""
    known = np.fromiter((value is not None for value in values), dtype=np.bool_, count=len(values))
    filled = np.fromiter((value or 0 for value in values), dtype=np.int64, count=len(values))
    return Column(values=filled, known=known)


def member_sums(members: Sequence[str], values: Mapping[str, Sequence[int | None]]) -> MemberSums:
    """Return sums from plain lists, one value per member and metric. Raises ValueError where lengths differ."""
    for key, listed in values.items():
        if len(listed) != len(members):
            raise ValueError(f"{key} has {len(listed)} values for {len(members)} members")
    return MemberSums(members=members, columns={key: column(listed) for key, listed in values.items()})


def take(sums: MemberSums, which: npt.NDArray[np.intp] | BoolArray) -> MemberSums:
    """Return the sums of some members, by indices or by mask: a group of a breakdown.

    What is shared by the whole campaign, and the cap of its audience, belongs to no group and is left out.
    """
    picked = np.arange(len(sums.members))[which]
    columns = {key: Column(values=c.values[picked], known=c.known[picked]) for key, c in sums.columns.items()}
    return MemberSums(
        members=[sums.members[i] for i in picked],
        columns=columns,
        withheld=sums.withheld,
        quality=sums.quality,
        said={key: places[picked] for key, places in sums.said.items()},
    )


def exact_sum(values: IntArray) -> int:
    """Return the sum of 64-bit integers without overflow.

    Few are added one by one, which is quicker than to begin; of many, high and low halves are added apart.
    """
    if len(values) <= _FEW:
        return sum(values.tolist())
    high = int((values >> _LOW_BITS).sum())
    low = int((values & ((1 << _LOW_BITS) - 1)).sum())
    return (high << _LOW_BITS) + low


def count(mask: BoolArray) -> int:
    """Return how many members a mask has."""
    return int(np.count_nonzero(mask))


def unknown(size: int) -> Column:
    """Return a column in which nothing is known."""
    return Column(values=np.zeros(size, dtype=np.int64), known=np.zeros(size, dtype=np.bool_))


def parts_of(key: str) -> tuple[str, ...]:
    """Return the stored keys that a derived metric is summed from; the key itself if it is stored."""
    metric = METRICS.get(key)
    return metric.parts if metric is not None and metric.parts else (key,)


def read(sums: MemberSums, key: str) -> Column:
    """Return the column of a metric, summed from its parts if it is derived.

    A member knows a derived metric if it knows any part: a platform without saves still has engagements.
    """
    size = len(sums.members)
    if key in sums.columns:
        return sums.columns[key]
    parts = [sums.columns[part] for part in parts_of(key) if part in sums.columns]
    if not parts:
        return unknown(size)
    values = np.zeros(size, dtype=np.int64)
    known = np.zeros(size, dtype=np.bool_)
    for part in parts:
        values += np.where(part.known, part.values, 0)
        known |= part.known
    return Column(values=values, known=known)


def shared_amount(sums: MemberSums, key: str) -> int | None:
    """Return what the campaign itself has booked of a metric, or None."""
    keys = (key,) if key in sums.shared else parts_of(key)
    amounts = [sums.shared[part] for part in keys if part in sums.shared]
    return sum(amounts) if amounts else None


def silent_parts(sums: MemberSums, key: str) -> tuple[str, ...]:
    """Return the parts of a derived metric that no member knows and the campaign has not booked."""
    if key in sums.columns or parts_of(key) == (key,):
        return ()
    return tuple(
        part
        for part in parts_of(key)
        if part not in sums.shared and not (part in sums.columns and count(sums.columns[part].known))
    )
