"""One side of an answer: a range of a scope, summed by member and put into groups. A comparison has two sides."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import asyncpg
import msgspec
import numpy as np

from service.kpi.grouping import Grouping, grouping, singles
from service.kpi.measure import Reason
from service.kpi.members import BoolArray, Column, IntArray, MemberSums, take
from service.ledger.history.marks import Marks
from service.ledger.history.members import Members
from service.reports.query.asked import Query
from service.reports.query.dimensions import SINGLE, Described, described
from service.reports.query.filters import conditions, meets
from service.reports.query.scope import Scoped
from service.reports.question import Asked
from service.reports.stretches import TOTAL, Stretch
from service.reports.sums import Sums, sums_of

Key = tuple[str | None, ...]
"""The words of a group, in the order of the dimensions."""
SIGNS = (1, 0, -1)


class Groups(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """The groups of a breakdown in the order in which rows come, and the members of each."""

    keys: Sequence[Key]
    grouping: Grouping

    @cached_property
    def numbers(self) -> Mapping[Key, int]:
        """Return the number of each group."""
        return {key: number for number, key in enumerate(self.keys)}


class Side(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A range with its sums. ``groups`` puts its members into groups, None where there are no dimensions.

    ``whole`` are the sums that totals are made of: those of distinct subjects, where ``sums`` tells paid from organic.
    ``otherwise`` are the sums of KPIs, by slug, whose conversions are credited in another way. ``overlapping`` are
    dimensions in which a subject counts in several groups. ``incomparable`` says why it cannot be
    set against the other side. ``rest`` is the side without suspect engagement, where that was asked for.
    """

    asked: Asked
    stretch: Stretch
    sums: Sums
    whole: Sums
    groups: Groups | None
    otherwise: Mapping[str, Sums] = msgspec.field(default_factory=dict)
    overlapping: tuple[str, ...] = ()
    incomparable: Reason | None = None
    rest: Side | None = None


async def narrowed(raw: asyncpg.Connection[Any], query: Query, scoped: Scoped, asked: Asked) -> Asked:
    """Return a question about the members that meet the filters, as far as members decide."""
    wanted = _names(query)
    if query.filters is None or "paid" in wanted:
        return asked
    told = await described(raw, asked, scoped, wanted)
    kept = Members(
        member for member, met in zip(asked.members, _met(query, told, len(asked.members)), strict=True) if met
    )
    return msgspec.structs.replace(asked, members=kept)


async def sides_of(
    raw: asyncpg.Connection[Any], query: Query, scoped: Scoped, asked: Asked, stretches: Sequence[Stretch]
) -> list[Side]:
    """Return the sides of ranges over the same members, in one look where that is enough."""
    names = dimensions_of(query)
    if "paid" in names or "paid" in _names(query):
        return await _split(raw, query, scoped, asked, stretches)
    found = await sums_of(raw, asked, stretches)
    told = await described(raw, asked, scoped, names)
    groups, overlapping = _groups_of(asked.members, told, names), _overlapping(told, names)
    return [
        Side(asked=asked, stretch=one, sums=sums, whole=sums, groups=groups, overlapping=overlapping)
        for one, sums in zip(stretches, found, strict=True)
    ]


def dimensions_of(query: Query) -> tuple[str, ...]:
    """Return the dimensions of groups: the day is a bucket."""
    return tuple(name for name in query.question.dimensions if name != "day")


def _names(query: Query) -> tuple[str, ...]:
    return tuple(dict.fromkeys(condition.name for condition in conditions(query.filters)))


def _met(query: Query, told: Described, size: int) -> list[bool]:
    """Return which members meet the filters."""
    node = query.filters
    if node is None:
        return [True] * size
    names = [*told.words, *told.numbers]
    columns = [told.words[name] if name in told.words else told.numbers[name] for name in names]
    decided: dict[Any, bool] = {}
    for line in set(zip(*columns, strict=True)):
        values = dict(zip(names, line, strict=True))

        def words(name: str, values: Mapping[str, Any] = values) -> tuple[str | None, ...]:
            return values[name] if name in told.words else ()

        def number(name: str, values: Mapping[str, Any] = values) -> Fraction | None:
            found: Fraction | None = values[name] if name in told.numbers else None
            return found

        decided[line] = meets(node, words, number)
    return [decided[line] for line in zip(*columns, strict=True)]


def _overlapping(told: Described, names: Sequence[str]) -> tuple[str, ...]:
    several = [name for name in names if name not in SINGLE]
    return tuple(name for name in several if any(len(words) > 1 for words in told.words[name]))


def _groups_of(members: Members, told: Described, names: Sequence[str]) -> Groups | None:
    if tuple(names) == ("subject",):
        # Each member is a group of its own.
        places = members.by_name
        return Groups(keys=[members.named[place] for place in places], grouping=singles(places))
    return _groups(told, names)


def _groups(told: Described, names: Sequence[str]) -> Groups | None:
    """Return members by the words of the dimensions; None without dimensions."""
    if not names:
        return None
    found: dict[Key, list[int]] = defaultdict(list)
    if len(names) == 1 and names[0] in SINGLE:
        for place, key in enumerate(told.words[names[0]]):
            found[key].append(place)
    elif all(name in SINGLE for name in names):
        for place, words in enumerate(zip(*(told.words[name] for name in names), strict=True)):
            found[tuple(word for (word,) in words)].append(place)
    else:
        for place, words in enumerate(zip(*(told.words[name] for name in names), strict=True)):
            for key in itertools.product(*words):
                found[key].append(place)
    keys = in_order(found)
    return Groups(keys=keys, grouping=grouping([found[key] for key in keys]))


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Return groups in the order in which rows come; what is unknown comes last."""
    return sorted(keys, key=lambda key: tuple((word is None, word or "") for word in key))


# ------------------------------------------------------------------------------------------------ paid and organic


async def _split(
    raw: asyncpg.Connection[Any], query: Query, scoped: Scoped, asked: Asked, stretches: Sequence[Stretch]
) -> list[Side]:
    """Return sides in which each subject stands once for what was paid, once for what was not, once for the rest."""
    parts = [await sums_of(raw, msgspec.structs.replace(asked, paid=sign), stretches) for sign in SIGNS]
    joined = [_joined(one) for one in zip(*parts, strict=True)]
    members, signs = Members(asked.members * len(SIGNS)), np.repeat(np.array(SIGNS), len(asked.members))
    told_of = msgspec.structs.replace(asked, members=members)
    wanted = tuple(dict.fromkeys((*dimensions_of(query), *_names(query))))
    told = await described(raw, told_of, scoped, wanted, signs.tolist())
    said = np.logical_or.reduce([_said(sums) for sums in joined]) if members else np.zeros(0, dtype=np.bool_)
    places = np.flatnonzero(said & np.array(_met(query, told, len(members)), dtype=np.bool_))
    narrow = msgspec.structs.replace(asked, members=Members(members[place] for place in places.tolist()))
    kept = [taken(sums, places) for sums in joined]
    picked, names = _picked(told, places), dimensions_of(query)
    groups, overlapping = _groups(picked, names), _overlapping(picked, names)
    wholes = kept
    if "paid" not in _names(query):
        # Levels and people of a subject are not sums of its parts: totals are read of subjects as they are.
        narrow_whole = await narrowed(raw, query, scoped, asked)
        wholes = await sums_of(raw, narrow_whole, stretches)
    return [
        Side(asked=narrow, stretch=one, sums=sums, whole=whole, groups=groups, overlapping=overlapping)
        for one, sums, whole in zip(stretches, kept, wholes, strict=True)
    ]


def _joined(parts: Sequence[Sums]) -> Sums:
    """Return sums of the same buckets one after the other."""
    currencies = frozenset().union(*(part.currencies for part in parts))
    names = Marks.__struct_fields__
    first = parts[0]
    currency = next(iter(currencies), first.currency) if len(currencies) < 2 else None  # noqa: PLR2004 - one or none
    return Sums(
        by_bucket={number: _concatenated([part.by_bucket[number] for part in parts]) for number in first.by_bucket},
        currency=currency,
        currencies=currencies,
        marks=Marks(**{name: frozenset().union(*(getattr(part.marks, name) for part in parts)) for name in names}),
        suspected=first.suspected,
        warnings=tuple(dict.fromkeys(one for part in parts for one in part.warnings)),
    )


def _concatenated(parts: Sequence[MemberSums]) -> MemberSums:
    first = parts[0]
    columns = {
        key: Column(
            values=np.concatenate([part.columns[key].values for part in parts]),
            known=np.concatenate([part.columns[key].known for part in parts]),
        )
        for key in first.columns
    }
    members = [name for part in parts for name in part.members]
    quality = {key: value for part in parts for key, value in part.quality.items()}
    return msgspec.structs.replace(first, members=members, columns=columns, quality=quality)


def _said(sums: Sums) -> BoolArray:
    """Return the members of whom anything is known that is summed or counted."""
    part = sums.by_bucket[TOTAL]
    told = [column.known for key, column in part.columns.items() if key != "followers_at_publish"]
    said: BoolArray = np.logical_or.reduce([np.zeros(len(part.members), dtype=np.bool_), *told])
    return said


def taken(sums: Sums, places: IntArray) -> Sums:
    """Return the sums of the members at ``places``."""
    by_bucket = {number: take(part, places) for number, part in sums.by_bucket.items()}
    return msgspec.structs.replace(sums, by_bucket=by_bucket)


def _picked(told: Described, places: IntArray) -> Described:
    at = places.tolist()
    return Described(words={name: [words[place] for place in at] for name, words in told.words.items()}, numbers={})
