"""Who made a campaign: creators by the careful limit of a KPI, tiers at publication, against a benchmark of their base.

Nothing depends on what may change without a posting: creators are the profiles that posts name, tiers are those of a
policy version.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import driver
from service.errors import Invalid
from service.kpi.arms import COMPARABLE, is_inverted
from service.kpi.catalogue import Kpi, resolve
from service.kpi.measure import Value, significant
from service.kpi.suspicion import is_suspect, score
from service.kpi.tiers import TierPolicy
from service.reports.answer import WarningOut, metric_out
from service.reports.influencers_answer import (
    BenchmarkUsedOut,
    InfluencerOut,
    InfluencersMetaOut,
    InfluencersOut,
    SuspicionOut,
    TierShareOut,
)
from service.reports.influencers_base import BASES
from service.reports.influencers_ground import (
    Ground,
    creators_of,
    ground_of,
    index_of,
    metrics_at,
    mix_of,
    quartiles_of,
    values_at,
)
from service.reports.influencers_signs import BEHIND, Crowd, reasons_of, signs_of
from service.reports.meta import range_out
from service.reports.policies import Benchmark, benchmark, tier_policy
from service.reports.question import Asked, PlatformNotes, Question, known_at, understand

_SHOWN = ("er_followers", "er_impressions", "engagements", "impressions", "cost")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader chose: tier policy and benchmark by name, a campaign to hold the mix against, whom to leave out."""

    tier_policy: str | None = None
    benchmark: str | None = None
    against: UUID | None = None
    exclude_suspect: bool = False


async def campaign_influencers(
    connection: AsyncConnection,
    workspace_id: UUID,
    campaign_id: UUID,
    question: Question,
    _notes: PlatformNotes,
    now: datetime,
    *,
    choice: Choice,
) -> InfluencersOut:
    """Answer who made a campaign, inside one read-only snapshot. Raises what the KPIs do."""
    raw = await driver(connection)
    shown = question.metrics or _SHOWN
    every = tuple(dict.fromkeys((*shown, *BEHIND, *BASES)))
    asked = await understand(raw, workspace_id, campaign_id, msgspec.structs.replace(question, metrics=every), now)
    kpis = asked.kpis[: len({resolve(name).slug for name in shown})]
    number = asked.knowledge.number
    known = await tier_policy(raw, workspace_id, choice.tier_policy, number, "?tier_policy")
    chosen = await _chosen(raw, asked, choice, known.policy, kpis[0])
    if chosen is not None and choice.tier_policy is None:
        known = await tier_policy(raw, workspace_id, chosen.tier_policy, number, "?benchmark")
    policy, ground = known.policy, await ground_of(raw, asked, known)
    crowd = await signs_of(raw, asked, ground.part, ground.tiers)
    rows = _rows(ground, kpis, chosen, crowd)
    suspects = tuple(row.creator or "" for row in rows if row.suspicion.suspect)
    return InfluencersOut(
        data=tuple(rows),
        tiers=_by_tier(ground, kpis, chosen),
        totals=metrics_at(ground, kpis, None),
        without_suspects=metrics_at(ground, kpis, _clean(ground, rows)) if choice.exclude_suspect else None,
        index=index_of(ground, chosen, range(len(asked.members))),
        mix=await mix_of(raw, ground, choice.against, known, kpis[0], now),
        meta=InfluencersMetaOut(
            as_of=known_at(asked),
            posting=asked.knowledge.posting,
            range=range_out(asked.period),
            timezone=asked.zone,
            tier_policy=policy.name,
            basis=policy.basis.value,
            benchmark=None if chosen is None else _used(chosen),
            ordered_by=kpis[0].slug,
            excluded=suspects if choice.exclude_suspect else (),
            warnings=tuple(_warnings(ground, chosen, crowd)),
        ),
    )


async def _chosen(
    raw: asyncpg.Connection[Any], asked: Asked, choice: Choice, policy: TierPolicy, first: Kpi
) -> Benchmark | None:
    """Return the benchmark, if its base and its tiers are those of the question. Raises :class:`Invalid`."""
    if choice.benchmark is None:
        return None
    found = await benchmark(raw, asked.workspace_id, choice.benchmark, asked.knowledge.number, "?benchmark")
    if first.slug in BASES and first.slug != found.metric:
        text = f"{found.label} is stated by {BASES[found.metric]}, the question by {BASES[first.slug]}"
        raise Invalid(text, pointer="?benchmark", code="base_differs", allowed=(found.metric,))
    if choice.tier_policy is not None and policy.name != found.tier_policy:
        text = f"{found.label} is stated for the tiers of {found.tier_policy}"
        raise Invalid(text, pointer="?tier_policy", code="policy_differs", allowed=(found.tier_policy,))
    return found


def _rows(ground: Ground, kpis: Sequence[Kpi], chosen: Benchmark | None, crowd: Crowd) -> list[InfluencerOut]:
    found = []
    for (platform, creator), places in creators_of(ground.asked).items():
        values = values_at(ground, kpis, places)
        signs = crowd.signs.get((platform, creator), ())
        newest = max(places, key=lambda at: (ground.asked.members[at].published or "", at))
        found.append(
            InfluencerOut(
                rank=0,
                platform=platform,
                creator=creator,
                tier=ground.tiers[newest],
                tiers=dict(sorted(Counter(ground.tiers[at] or "unknown" for at in places).items())),
                followers=ground.followers[newest],
                posts=len(places),
                ordered_by=_careful(kpis[0], values[kpis[0].slug]),
                metrics={slug: metric_out(value) for slug, value in values.items()},
                index=index_of(ground, chosen, places),
                suspicion=SuspicionOut(
                    score=significant(score(signs)), suspect=is_suspect(signs), reasons=reasons_of(signs)
                ),
            )
        )
    sign = 1 if is_inverted(kpis[0]) else -1
    found.sort(
        key=lambda row: (row.ordered_by is None, sign * (row.ordered_by or 0.0), row.platform, row.creator or "")
    )
    return [msgspec.structs.replace(row, rank=rank) for rank, row in enumerate(found, start=1)]


def _careful(kpi: Kpi, value: Value) -> float | None:
    """Return what a creator is ordered by: a ratio by the limit that flatters least, a count by itself."""
    if kpi.kind not in COMPARABLE:
        return None if value.value is None else float(value.value)
    if value.interval is None:
        return None
    limit = value.interval.high if is_inverted(kpi) else value.interval.low
    return None if limit is None else float(limit)


def _by_tier(ground: Ground, kpis: Sequence[Kpi], chosen: Benchmark | None) -> tuple[TierShareOut, ...]:
    found: dict[str | None, list[int]] = defaultdict(list)
    for places in creators_of(ground.asked).values():
        for at in places:
            found[ground.tiers[at]].append(at)
    return tuple(
        TierShareOut(
            tier=tier,
            posts=len(places),
            metrics=metrics_at(ground, kpis, sorted(places)),
            index=index_of(ground, chosen, places),
            quartiles=quartiles_of(ground, kpis[0], sorted(places)),
        )
        for tier, places in sorted(found.items(), key=lambda pair: (pair[0] is None, pair[0] or ""))
    )


def _clean(ground: Ground, rows: Sequence[InfluencerOut]) -> list[int]:
    left = {(row.platform, row.creator) for row in rows if row.suspicion.suspect}
    return [at for at, member in enumerate(ground.asked.members) if (member.platform, member.creator) not in left]


def _used(chosen: Benchmark) -> BenchmarkUsedOut:
    return BenchmarkUsedOut(
        name=chosen.label,
        metric=chosen.metric,
        base=BASES[chosen.metric],
        source=chosen.source,
        dated=chosen.dated,
        rates=chosen.rates,
    )


def _warnings(ground: Ground, chosen: Benchmark | None, crowd: Crowd) -> list[WarningOut]:
    found = list(crowd.warnings)
    unknown = sum(tier is None and member.type != "profile" for tier, member in _pairs(ground))
    if unknown:
        text = f"{unknown} posts have no tier: the followers of their profile are not known"
        found.append(WarningOut(code="tier_unknown", detail=text, pointer=""))
    lacking = {tier for tier, _ in _pairs(ground) if tier is not None}
    if chosen is not None and lacking - chosen.rates.keys():
        text = f"{chosen.label} says nothing of {', '.join(sorted(lacking - chosen.rates.keys()))}"
        found.append(WarningOut(code="tiers_without_benchmark", detail=text, pointer="?benchmark"))
    return found


def _pairs(ground: Ground) -> list[tuple[str | None, Any]]:
    return list(zip(ground.tiers, ground.asked.members, strict=True))
