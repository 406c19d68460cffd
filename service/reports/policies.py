"""Tier policies and benchmarks by name: those that come with the service, and a workspace's own as they stood.

A name without a version is its newest; an answer always names the version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import Invalid
from service.kpi.tiers import BRIEF_FOUR_TIER, POLICIES, Basis, TierPolicy, policy
from service.ledger.history.policies import Stored, stored
from service.registry.checks import nearest

TIERS, BENCHMARK = "tiers", "benchmark"


class KnownPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A tier policy with where it is from; ``recorded_at`` None comes with the service."""

    policy: TierPolicy
    platforms: tuple[str, ...] = ()
    source: str = ""
    recorded_at: datetime | None = None


DEFAULT = KnownPolicy(policy=BRIEF_FOUR_TIER, source="comes with the service")


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """What tiers usually achieve: a rate by tier, of one KPI, on some platforms, under one version of a tier policy.

    ``metric`` names the base: engagements by followers are no engagements by impressions.
    """

    name: str
    version: int
    metric: str
    tier_policy: str
    platforms: tuple[str, ...]
    rates: Mapping[str, float]
    source: str
    dated: str
    recorded_at: datetime

    @property
    def label(self) -> str:
        """The name with its version."""
        return f"{self.name}@{self.version}"


async def tier_policies(
    connection: asyncpg.Connection[Any], workspace_id: UUID, number: int | None
) -> list[KnownPolicy]:
    """Return all tier policies that were known at a posting, those of the service first."""
    ready = [KnownPolicy(policy=one, source="comes with the service") for one in POLICIES.values()]
    return ready + [_tiers(one) for one in await stored(connection, workspace_id, TIERS, None, number)]


async def tier_policy(
    connection: asyncpg.Connection[Any], workspace_id: UUID, name: str | None, number: int | None, pointer: str
) -> KnownPolicy:
    """Return a tier policy by name, or name and version; None is the default. Raises :class:`Invalid`."""
    if name is None:
        return DEFAULT
    known = {one.policy.name: one for one in await tier_policies(connection, workspace_id, number)}
    newest = {one.policy.id: one for one in sorted(known.values(), key=lambda one: one.policy.version)}
    found = known.get(name) or newest.get(name)
    if found is None:
        raise _unknown("tier policy", name, (*newest, *known), pointer)
    return found


async def benchmarks(connection: asyncpg.Connection[Any], workspace_id: UUID, number: int | None) -> list[Benchmark]:
    """Return all benchmarks that were known at a posting."""
    return [_benchmark(one) for one in await stored(connection, workspace_id, BENCHMARK, None, number)]


async def benchmark(
    connection: asyncpg.Connection[Any], workspace_id: UUID, name: str, number: int | None, pointer: str
) -> Benchmark:
    """Return a benchmark by name, or name and version. Raises :class:`Invalid`."""
    known = await benchmarks(connection, workspace_id, number)
    by_name = {one.name: one for one in known} | {one.label: one for one in known}
    if name not in by_name:
        raise _unknown("benchmark", name, tuple(by_name), pointer)
    return by_name[name]


def _unknown(what: str, name: str, allowed: Sequence[str], pointer: str) -> Invalid:
    return Invalid(
        f"there is no {what} {name[:64]!r}",
        pointer=pointer,
        code=f"unknown_{what.replace(' ', '_')}",
        allowed=tuple(allowed)[:50],
        nearest=nearest(name, allowed),
    )


def _tiers(one: Stored) -> KnownPolicy:
    body = one.body
    made = policy(
        one.name,
        one.version,
        [(tier, lower) for tier, lower in body["tiers"]],
        below=body["below"],
        basis=Basis(body["basis"]),
    )
    return KnownPolicy(
        policy=made, platforms=tuple(body["platforms"]), source=body["source"], recorded_at=one.recorded_at
    )


def _benchmark(one: Stored) -> Benchmark:
    body = one.body
    return Benchmark(
        name=one.name,
        version=one.version,
        metric=body["metric"],
        tier_policy=body["tier_policy"],
        platforms=tuple(body["platforms"]),
        rates=body["rates"],
        source=body["source"],
        dated=body["dated"],
        recorded_at=one.recorded_at,
    )
