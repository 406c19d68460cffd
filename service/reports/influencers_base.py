"""KPIs that tell how an audience takes part, and the base that each is divided by: what benchmarks are stated on."""

from __future__ import annotations

from collections.abc import Mapping

from service.kpi.catalogue import CATALOGUE

BASES: Mapping[str, str] = {
    slug: CATALOGUE[slug].denominator or "" for slug in ("er_followers", "er_impressions", "er_reach", "er_views")
}
"""KPI to the key of its base."""
