"""Worked values for the OpenAPI document: what a rate, a zero that is no null, and a null with its reason look like.

They are computed by the functions that answer, from the inputs of cases that were checked by hand; a test holds them to
what these cases say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.kpi.catalogue import resolve
from service.kpi.evaluate import evaluate
from service.kpi.members import member_sums
from service.reports.answer import metric_out

_MILLION = 1_000_000
_CASES: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("ctr", {"clicks_link": 42, "impressions": 1800}),
    ("ctr", {"clicks_link": 0, "impressions": 500}),
    ("cpa", {"cost": 350 * _MILLION, "conversions": 7 * _MILLION}),
    ("cpa", {"cost": 350 * _MILLION, "conversions": 0}),
)
"""KPI and sums of one post, money and conversions in millionths."""


def metrics() -> list[dict[str, Any]]:
    """Return values as they are answered."""
    found = []
    for slug, sums in _CASES:
        told = member_sums(["a"], {key: [value] for key, value in sums.items()})
        value = evaluate(resolve(slug), told, currency="EUR")
        found.append(msgspec.to_builtins(metric_out(value)))
    return found
