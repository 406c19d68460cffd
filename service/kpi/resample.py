"""Bootstrap intervals by post, for whoever asks for them: seeded, so that equal questions get equal answers.

The default intervals need no resampling and are in ``rates``; this is apart because it costs a thousand times more.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from service.kpi.measure import Interval, Method
from service.kpi.members import FloatArray
from service.kpi.rates import LEVEL, active

RESAMPLES = 9_999
FEWEST_MEMBERS = 8
"""With fewer members the bootstrap has too few different resamples to be trusted."""


def _ratio(numerators: FloatArray, denominators: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(numerators.sum(axis=axis) / denominators.sum(axis=axis), dtype=np.float64)


def bootstrap(
    numerators: FloatArray, denominators: FloatArray, *, seed: int, level: float = LEVEL, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the bias-corrected accelerated interval of a ratio of sums, resampling whole members.

    None for fewer than eight members, for denominators that are not above 0, and where all members are alike.
    """
    above, below = active(numerators, denominators)
    if len(above) < FEWEST_MEMBERS or bool((below <= 0).any()) or np.unique(above / below).size == 1:
        return None
    found = stats.bootstrap(
        (above, below),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(
        low=float(found.low), high=float(found.high), level=level, method=Method.BOOTSTRAP_BCA, n=len(above)
    )
