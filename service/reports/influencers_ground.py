"""A campaign by creator and tier: sums of some of its posts, their index against a benchmark, and the mix of tiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from service import ids
from service.kpi.arms import COMPARABLE, arm_of, is_inverted
from service.kpi.benchmarks import TierPost, mix_effect, mixed_tiers
from service.kpi.catalogue import Kpi
from service.kpi.evaluate import evaluate
from service.kpi.measure import Value, significant
from service.kpi.members import MemberSums, read, take
from service.kpi.tiers import Basis, tier_of
from service.reports.answer import MetricOut, metric_out
from service.reports.influencers_answer import IndexOut, MixOut, QuartilesOut
from service.reports.influencers_base import BASES
from service.reports.influencers_signs import followers_now
from service.reports.people import at_publication
from service.reports.policies import Benchmark, KnownPolicy
from service.reports.question import Asked, understand
from service.reports.stretches import TOTAL
from service.reports.sums import Sums, total_of

OWN_POSTS = 30
"""Posts of a tier from which on they are a benchmark of their own."""


class Ground(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A campaign's sums with the tier and the followers of each member."""

    asked: Asked
    sums: Sums
    tiers: Sequence[str | None]
    followers: Sequence[int | None]

    @property
    def part(self) -> MemberSums:
        return self.sums.by_bucket[TOTAL]


async def ground_of(raw: asyncpg.Connection[Any], asked: Asked, rules: KnownPolicy) -> Ground:
    """Return a campaign's sums with the tier of each member under a policy."""
    sums, policy = await total_of(raw, asked), rules.policy
    known = await (at_publication if policy.basis is Basis.AT_PUBLISH else followers_now)(raw, asked)
    followers = [known.get(member.subject_id) for member in asked.members]
    tiers = [
        tier_of(policy, count) if not rules.platforms or member.platform in rules.platforms else None
        for member, count in zip(asked.members, followers, strict=True)
    ]
    return Ground(asked=asked, sums=sums, tiers=tiers, followers=followers)


def creators_of(asked: Asked) -> dict[tuple[str, str | None], list[int]]:
    """Return the places of the posts of each profile; profiles themselves are nobody's post."""
    found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for at, member in enumerate(asked.members):
        if member.type != "profile":
            found[member.platform, member.creator].append(at)
    return found


def values_at(ground: Ground, kpis: Sequence[Kpi], places: Sequence[int] | None) -> dict[str, Value]:
    """Return KPIs of the members at ``places``, or of all."""
    part = ground.part if places is None else take(ground.part, np.array(places, dtype=np.intp))
    level, currency = ground.asked.question.level, ground.sums.currency
    return {kpi.slug: evaluate(kpi, part, currency=currency, level=level) for kpi in kpis}


def metrics_at(ground: Ground, kpis: Sequence[Kpi], places: Sequence[int] | None) -> dict[str, MetricOut]:
    """Return them as they are answered."""
    return {slug: metric_out(value) for slug, value in values_at(ground, kpis, places).items()}


def _posts(ground: Ground, metric: str, places: Sequence[int] | range) -> list[TierPost]:
    """Return posts that know both engagements and the base of a benchmark."""
    above, below = read(ground.part, "engagements"), read(ground.part, BASES[metric])
    return [
        TierPost(tier=ground.tiers[at], engagements=int(above.values[at]), followers=int(below.values[at]))
        for at in places
        if above.known[at] and below.known[at]
    ]


def index_of(ground: Ground, chosen: Benchmark | None, places: Sequence[int] | range) -> IndexOut | None:
    """Return actual over expected engagements of posts, on the platforms that the benchmark is stated for."""
    if chosen is None:
        return None
    members = ground.asked.members
    within = [at for at in places if not chosen.platforms or members[at].platform in chosen.platforms]
    found = mixed_tiers(_posts(ground, chosen.metric, within), chosen.rates)
    total = found.total
    return IndexOut(
        rate=None if total.rate is None else significant(total.rate),
        expected=significant(total.expected) if total.expected else 0.0,
        index=None if total.index is None else significant(total.index),
        covered=found.coverage.members_known,
        posts=sum(members[at].type != "profile" for at in places),
    )


def quartiles_of(ground: Ground, kpi: Kpi, places: Sequence[int]) -> QuartilesOut | None:
    """Return the quartiles of a ratio over single posts; None for fewer than thirty, and for what is no ratio."""
    if kpi.kind not in COMPARABLE:
        return None
    arm = arm_of(kpi, take(ground.part, np.array(places, dtype=np.intp)))
    if arm is None:
        return None
    above, below = (arm.denominators, arm.numerators) if is_inverted(kpi) else (arm.numerators, arm.denominators)
    rates = above[below > 0] / below[below > 0] * kpi.scale
    if len(rates) < OWN_POSTS:
        return None
    lower, median, upper = (significant(float(one)) for one in np.quantile(rates, (0.25, 0.5, 0.75)))
    return QuartilesOut(metric=kpi.slug, posts=len(rates), lower=lower, median=median, upper=upper)


async def mix_of(
    raw: asyncpg.Connection[Any], ground: Ground, against: UUID | None, rules: KnownPolicy, first: Kpi, now: datetime
) -> MixOut | None:
    """Return how much of the difference to another campaign comes from another mix of tiers."""
    if against is None:
        return None
    metric = first.slug if first.slug in BASES else "er_followers"
    question = msgspec.structs.replace(ground.asked.question, metrics=(metric,))
    asked = await understand(raw, ground.asked.workspace_id, against, question, now)
    other = await ground_of(raw, asked, rules)
    split = mix_effect(_sums(ground, metric), _sums(other, metric))
    return MixOut(
        against=ids.show("campaign", against),
        difference=None if split is None else significant(split.difference),
        within=None if split is None else significant(split.within),
        mix=None if split is None else significant(split.mix),
        reason=None if split is not None else "tiers_differ",
    )


def _sums(ground: Ground, metric: str) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for post in _posts(ground, metric, range(len(ground.asked.members))):
        if post.tier is not None:
            above, below = found.get(post.tier, (0, 0))
            found[post.tier] = above + post.engagements, below + post.followers
    return found
