"""Queries put together at random from words that exist: each is answered or refused, and what is answered adds up."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from typing import Any

import pytest

from service.kpi.catalogue import CATALOGUE, Kind
from service.reports.question import DIMENSIONS
from tests.integration.query.world import World

pytestmark = pytest.mark.asyncio(loop_scope="package")
RANGES: tuple[Any, ...] = (
    "lifetime",
    "flight",
    "flight_to_date",
    "last_7d",
    "this_month",
    "last_24h",
    {"from": "2026-06-03", "to": "2026-06-09"},
    {"from": "2026-06-03T12:30:00Z", "to": "2026-06-05T09:00:00+02:00"},
    {"from": "2025-03-29", "to": "2025-03-31"},
)
FILTERS: tuple[Any, ...] = (
    None,
    ["is", "platform", ["instagram"]],
    ["not", ["is", "hashtag", ["tea"]]],
    ["gte", "followers_at_publish", 2500],
    ["or", [["is", "paid", ["paid"]], ["matches", "profile", "a"]]],
    ["and", [["is_null", "tier"], ["is_not", "content_type", ["reel"]]]],
)
COMPARISONS: tuple[Any, ...] = (
    None,
    None,
    "previous_period",
    {"to": "previous_period", "align": "full"},
    "previous_year",
    "previous_flight",
)
SPLITS = ("platform", "subject", "profile", "tier", "content_type", "paid")
"""Dimensions in which a subject counts once."""


def body(rng: random.Random, world: World) -> dict[str, Any]:
    """Return a query that may mean something."""
    scopes = ({"campaigns": [world.broad]}, {"campaigns": [world.micro, world.broad]}, {"strategy": world.strategy})
    metrics = rng.sample(sorted(CATALOGUE), rng.randint(1, 4))
    dimensions = rng.sample(DIMENSIONS, rng.choice((0, 1, 1, 2)))
    by = rng.choice(("value", "lower_limit", "upper_limit", "change"))
    return {
        "scope": rng.choice((*scopes, scopes[0])),
        "metrics": metrics,
        "range": rng.choice(RANGES),
        "timezone": rng.choice((None, None, "Asia/Kathmandu", "America/New_York")),
        "granularity": rng.choice(("total", "day", "week", "month", "hour", "auto")),
        "dimensions": dimensions,
        "filters": rng.choice(FILTERS),
        "having": rng.choice((None, None, ["gte", metrics[0], 1])),
        "order": rng.choice((None, [[metrics[0], rng.choice(("asc", "desc")), {"by": by}]])),
        "compare": rng.choice(COMPARISONS),
        "page": {"limit": rng.choice((1, 7, 1000))},
        "format": rng.choice(("rows", "columns")),
        "options": rng.choice(({}, {"coverage": "strict"}, {"week_starts": "sunday"}, {"tier_policy": "guide@1"})),
    }


async def test_any_query_is_answered_or_refused(world: World) -> None:
    rng = random.Random(7)
    answered = 0
    for _ in range(150):
        asked = body(rng, world)
        answer = await world.desk.ask("POST", "/v1/kpis/query", asked)
        assert answer.status_code in (200, 413, 422), (asked, answer.text)
        if answer.status_code != 200:
            continue
        answered += 1
        told = answer.json()
        for metric in told["totals"].values():
            assert (metric["value"] is None) is (metric["state"] not in {"ok", "zero", "estimated"}), (asked, metric)
            assert (metric["reason"] is not None) or metric["value"] is not None, (asked, metric)
    assert answered > 60


async def test_rows_of_any_split_add_up_to_the_total(world: World) -> None:
    rng = random.Random(11)
    sums = [slug for slug, kpi in CATALOGUE.items() if kpi.kind is Kind.ADDITIVE and kpi.unit != "money"]
    for _ in range(25):
        asked = body(rng, world) | {
            "metrics": rng.sample(sums, 4),
            "granularity": "total",
            "having": None,
            "order": None,
        }
        asked |= {"dimensions": rng.sample(SPLITS, 2), "page": {"limit": 1000}, "format": "rows", "compare": None}
        told = await world.desk.post("/v1/kpis/query", asked, 200)
        for slug, total in told["totals"].items():
            parts = [row["metrics"][slug]["value"] for row in told["data"]]
            known = [part for part in parts if part is not None]
            assert (sum(known) if known else None) == total["value"], (asked, slug)
