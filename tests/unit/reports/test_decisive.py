from __future__ import annotations

import pytest

from service.errors import TooLarge
from service.kpi.catalogue import resolve
from service.reports.query.decisive import MOST_DECIDED, MOST_TOGETHER, bounded


@pytest.mark.parametrize(
    ("slugs", "most"),
    [
        (("ctr",), MOST_TOGETHER),
        (("impressions", "cpa"), MOST_TOGETHER // 2),
        (("frequency",), MOST_DECIDED),
        (("frequency", "ctr", "roas"), MOST_DECIDED),
    ],
)
def test_so_many_values_may_decide_about_rows(slugs: tuple[str, ...], most: int) -> None:
    kpis = [resolve(slug) for slug in slugs]
    bounded(most, kpis)
    with pytest.raises(TooLarge, match="narrow it by filters"):
        bounded(most + 1, kpis)
