"""Tier policies and benchmarks: data with versions. There is no standard for either, so a number names its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Query as RequestQuery
from pydantic import Field

from service.api.auth import Caller, ReadsRegistry, WritesRegistry
from service.api.models import Day, Input, Instant, Line, Name, Output, Query, Slug
from service.api.state import Parts, Services
from service.db.engine import driver
from service.errors import Invalid
from service.kpi.tiers import POLICIES, Band, Basis, TierPolicy, policy, policy_of_bands
from service.registry import workspaces
from service.reports import policies
from service.reports.influencers_base import BASES
from service.reports.policies import BENCHMARK, TIERS, Benchmark, KnownPolicy

router = APIRouter(prefix="/v1", tags=["creators"])

Kept = Literal["followers_at_publish", "followers_now"]
"""Follower counts that the books have; nobody records those of a contract."""
Followers = Annotated[int, Field(ge=0, le=10**10)]
Policy = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}(@[0-9]{1,6})?$", examples=["five_tier@1"])]


class TierInput(Input):
    """A tier from `lower` on. `upper` is exclusive and may be left out; given, it must meet the next tier."""

    tier: Slug
    lower: Followers
    upper: Followers | None = None


class TierPolicyInput(Input):
    """A tier policy. The same id again is its next version; older versions stay as they are."""

    id: Slug
    tiers: list[TierInput] = Field(min_length=1, max_length=20)
    below: Slug | None = Field(None, description="what is under the lowest tier; default: `below_` and its name")
    basis: Kept = Field("followers_at_publish", description="which follower count decides")
    platforms: list[Slug] = Field(default_factory=list, max_length=20, description="empty: all")
    source: Line = ""


class TierOutput(Output):
    """A tier: from `lower` to just below `upper`; null is open."""

    tier: str
    lower: int
    upper: int | None


class TierPolicyOutput(Output):
    """One version of a tier policy. `recorded_at` is null for those that come with the service."""

    id: str
    version: int
    name: str
    tiers: list[TierOutput]
    below: str
    basis: str
    platforms: list[str]
    source: str
    ready_made: bool
    recorded_at: Instant | None


class TierPolicyList(Output):
    """Every version of every policy."""

    data: list[TierPolicyOutput]


class BenchmarkInput(Input):
    """What tiers usually achieve: rates by tier of one KPI, which names the base, with where and when they are from."""

    id: Slug
    metric: Slug = Field(description="`er_followers`, `er_impressions`, `er_reach` or `er_views`")
    tier_policy: Policy
    platforms: list[Slug] = Field(default_factory=list, max_length=20, description="empty: all")
    rates: dict[Slug, Annotated[float, Field(gt=0, le=10)]] = Field(min_length=1, max_length=21)
    source: Name
    dated: Day


class BenchmarkOutput(Output):
    """One version of a benchmark."""

    id: str
    version: int
    name: str
    metric: str
    base: str
    tier_policy: str
    platforms: list[str]
    rates: dict[str, float]
    source: str
    dated: Day
    recorded_at: Instant


class BenchmarkList(Output):
    """Every version of every benchmark."""

    data: list[BenchmarkOutput]


class PolicyQuery(Query):
    """Which policies."""

    newest: bool = Field(default=False, description="only the newest version of each")


@router.get("/tier-policies")
async def list_tier_policies(
    caller: ReadsRegistry, parts: Parts, query: Annotated[PolicyQuery, RequestQuery()]
) -> TierPolicyList:
    """List tier policies, those that come with the service first."""
    async with parts.db.snapshot(caller.workspace_id) as connection:
        known = await policies.tier_policies(await driver(connection), caller.workspace_id, None)
    if query.newest:
        known = list({one.policy.id: one for one in known}.values())
    return TierPolicyList(data=[_tiers_out(one) for one in known])


@router.post("/tier-policies", status_code=201)
async def create_tier_policy(body: TierPolicyInput, caller: WritesRegistry, parts: Parts) -> TierPolicyOutput:
    """Record a tier policy, or the next version of one. Tiers ascend, without a hole or an overlap."""
    made = _checked(body)
    kept = {
        "tiers": [list(tier) for tier in made.tiers],
        "below": made.below,
        "basis": made.basis.value,
        "platforms": body.platforms,
        "source": body.source,
    }
    version = await _record(parts, caller, TIERS, body.id, kept)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        known = await policies.tier_policies(await driver(connection), caller.workspace_id, None)
    return next(_tiers_out(one) for one in known if one.policy.name == f"{body.id}@{version}")


@router.get("/benchmarks")
async def list_benchmarks(
    caller: ReadsRegistry, parts: Parts, query: Annotated[PolicyQuery, RequestQuery()]
) -> BenchmarkList:
    """List benchmarks. None comes with the service: published ones disagree by a factor of four."""
    async with parts.db.snapshot(caller.workspace_id) as connection:
        known = await policies.benchmarks(await driver(connection), caller.workspace_id, None)
    if query.newest:
        known = list({one.name: one for one in known}.values())
    return BenchmarkList(data=[_benchmark_out(one) for one in known])


@router.post("/benchmarks", status_code=201)
async def create_benchmark(body: BenchmarkInput, caller: WritesRegistry, parts: Parts) -> BenchmarkOutput:
    """Record a benchmark, or the next version of one, for tiers of a policy that exists."""
    if body.metric not in BASES:
        raise Invalid("no KPI with a base", pointer="/metric", code="not_allowed", allowed=tuple(BASES))
    async with parts.db.snapshot(caller.workspace_id) as connection:
        raw = await driver(connection)
        tiers = (await policies.tier_policy(raw, caller.workspace_id, body.tier_policy, None, "/tier_policy")).policy
    _known_tiers(tiers, list(body.rates))
    kept = {
        "metric": body.metric,
        "tier_policy": tiers.name,
        "platforms": body.platforms,
        "rates": body.rates,
        "source": body.source,
        "dated": body.dated.isoformat(),
    }
    version = await _record(parts, caller, BENCHMARK, body.id, kept)
    async with parts.db.snapshot(caller.workspace_id) as connection:
        known = await policies.benchmarks(await driver(connection), caller.workspace_id, None)
    return next(_benchmark_out(one) for one in known if (one.name, one.version) == (body.id, version))


async def _record(parts: Services, caller: Caller, kind: str, name: str, body: dict[str, Any]) -> int:
    async with parts.db.workspace(caller.workspace_id) as connection:
        await workspaces.lock(connection, caller.workspace_id, alone=True)
        return await parts.record_policy(connection, caller.workspace_id, kind, name, body, parts.context)


def _checked(body: TierPolicyInput) -> TierPolicy:
    """Return the policy, held to its rules. Raises :class:`Invalid` with the place."""
    if any(ready.id == body.id for ready in POLICIES.values()):
        raise Invalid(f"{body.id} comes with the service and never changes", pointer="/id", code="reserved")
    try:
        given = [(tier.tier, tier.lower) for tier in body.tiers]
        if any(tier.upper is not None for tier in body.tiers):
            bands = [Band(tier=tier.tier, lower=tier.lower, upper=tier.upper) for tier in body.tiers]
            given = list(policy_of_bands(body.id, 1, bands).tiers)
        return policy(body.id, 1, given, below=body.below, basis=Basis(body.basis))
    except Invalid as error:
        raise Invalid(str(error), pointer="/tiers", code=error.code) from None


def _known_tiers(tiers: TierPolicy, given: Sequence[str]) -> None:
    known = (tiers.below, *(tier for tier, _ in tiers.tiers))
    for tier in given:
        if tier not in known:
            raise Invalid(
                f"{tiers.name} has no tier {tier}", pointer=f"/rates/{tier}", code="unknown_tier", allowed=known
            )


def _tiers_out(known: KnownPolicy) -> TierPolicyOutput:
    made = known.policy
    uppers = [lower for _, lower in made.tiers[1:]]
    return TierPolicyOutput(
        id=made.id,
        version=made.version,
        name=made.name,
        tiers=[
            TierOutput(tier=tier, lower=lower, upper=upper)
            for (tier, lower), upper in zip(made.tiers, [*uppers, None], strict=True)
        ],
        below=made.below,
        basis=made.basis.value,
        platforms=list(known.platforms),
        source=known.source,
        ready_made=known.recorded_at is None,
        recorded_at=known.recorded_at,
    )


def _benchmark_out(one: Benchmark) -> BenchmarkOutput:
    return BenchmarkOutput(
        id=one.name,
        version=one.version,
        name=one.label,
        metric=one.metric,
        base=BASES[one.metric],
        tier_policy=one.tier_policy,
        platforms=list(one.platforms),
        rates=dict(one.rates),
        source=one.source,
        dated=datetime.fromisoformat(one.dated).date(),
        recorded_at=one.recorded_at,
    )
