"""Numbers without suspect engagement, beside those of everybody: whom they leave out, why, and the sums that are left.

Who is suspect is told from all members of the campaigns over the range, whatever the filters: the crowd that a profile
is held against does not change with the question. What is compared, chosen and ordered are the numbers of everybody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from connectors.contract import ADDITIVE
from service import ids
from service.kpi.buckets import Grain
from service.kpi.catalogue import CATALOGUE
from service.kpi.grouping import grouping
from service.kpi.measure import significant
from service.kpi.members import IntArray
from service.kpi.suspicion import Sign, is_suspect, score
from service.ledger import kept
from service.reports.answer import SuspectOut, WarningOut
from service.reports.influencers_ground import ground_of
from service.reports.influencers_signs import BEHIND, Creator, reasons_of, signs_of
from service.reports.policies import KnownPolicy
from service.reports.query.sides import Groups, Side, taken
from service.reports.question import Asked
from service.reports.stretches import TOTAL
from service.reports.sums import Sums

_MOST_NAMED = 100


class Suspects(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Profiles with the reasons to leave them out, and what could not be looked at."""

    signs: Mapping[Creator, Sequence[Sign]]
    warnings: tuple[WarningOut, ...]


async def suspects_of(raw: asyncpg.Connection[Any], asked: Asked) -> Suspects:
    """Return who is suspect among the members of a question over its range."""
    kept.refuse(asked.kept, asked.period.start, asked.knowledge, people=True)
    kpis = tuple(CATALOGUE[slug] for slug in BEHIND)
    needs = {key for kpi in kpis for key in kpi.needs}
    put = msgspec.structs.replace(
        asked,
        kpis=kpis,
        columns=tuple(key for key in ADDITIVE if key in needs),
        question=msgspec.structs.replace(asked.question, granularity=Grain.TOTAL),
        doubtful=frozenset(),
    )
    ground = await ground_of(raw, put, KnownPolicy(policy=asked.tiers))
    crowd = await signs_of(raw, put, ground.part, ground.tiers)
    signs = {creator: found for creator, found in crowd.signs.items() if is_suspect(found)}
    return Suspects(signs=signs, warnings=crowd.warnings)


def without(side: Side, suspects: Suspects) -> Side:
    """Return a side with what is left of it when the members of suspects are left out."""
    left_out = {
        member.subject_id.hex for member in side.asked.members if (member.platform, member.creator) in suspects.signs
    }
    places = _places(side.sums, left_out)
    rest = msgspec.structs.replace(
        side,
        sums=taken(side.sums, places),
        whole=taken(side.whole, _places(side.whole, left_out)),
        otherwise={slug: taken(sums, places) for slug, sums in side.otherwise.items()},
        groups=None if side.groups is None else _moved(side.groups, places, len(side.sums.by_bucket[TOTAL].members)),
    )
    return msgspec.structs.replace(side, rest=rest)


def _places(sums: Sums, left_out: set[str]) -> IntArray:
    members = sums.by_bucket[TOTAL].members
    return np.array([place for place, name in enumerate(members) if name not in left_out], dtype=np.int64)


def _moved(groups: Groups, places: IntArray, size: int) -> Groups:
    """Return groups with the places that their members have among those that stay."""
    now = np.full(size, -1, dtype=np.int64)
    now[places] = np.arange(len(places))
    moved = {key: now[groups.grouping.members(number)] for number, key in enumerate(groups.keys)}
    found = {key: at[at >= 0] for key, at in moved.items() if (at >= 0).any()}
    return Groups(keys=list(found), grouping=grouping(list(found.values())))


def named(side: Side, suspects: Suspects) -> tuple[SuspectOut, ...]:
    """Return the suspects among the members of a side as they are answered, the likeliest first."""
    found: dict[Creator, dict[UUID, None]] = defaultdict(dict)
    for member in side.asked.members:
        creator = (member.platform, member.creator)
        if creator in suspects.signs:
            found[creator][member.subject_id] = None
    ordered = sorted(found, key=lambda one: (-score(suspects.signs[one]), one[0], one[1] or ""))
    return tuple(_named(creator, suspects.signs[creator], list(found[creator])) for creator in ordered)


def _named(creator: Creator, signs: Sequence[Sign], subjects: Sequence[UUID]) -> SuspectOut:
    return SuspectOut(
        platform=creator[0],
        profile=creator[1],
        score=significant(score(signs)),
        reasons=reasons_of(signs),
        left_out=len(subjects),
        subjects=tuple(ids.show("subject", one) for one in subjects[:_MOST_NAMED]),
    )
