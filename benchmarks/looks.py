"""How often a comparison that is looked at a hundred times claims a difference where there is none.

``python -m benchmarks.looks``; no database. The figures are those of docs/adr/0022.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.kpi.arms import Arm, Nature
from service.kpi.compare import Decision
from service.kpi.members import FloatArray
from service.kpi.versus import against
from service.kpi.views import Look

LOOKS, RUNS = 100, 300
_BY_DAY = 100
Grown = tuple[FloatArray, FloatArray]
"""Numerators and denominators by member (rows) at each look (columns)."""


def _trials(rng: np.random.Generator, _: int) -> Grown:
    clicks = rng.binomial(_BY_DAY, 0.02, size=(1, LOOKS)).cumsum(axis=1)
    return clicks.astype(float), np.full((1, LOOKS), _BY_DAY, dtype=float).cumsum(axis=1)


def _events(rng: np.random.Generator, _: int) -> Grown:
    return rng.poisson(1.0, size=(1, LOOKS)).cumsum(axis=1).astype(float), np.full((1, LOOKS), 10.0).cumsum(axis=1)


def _posts(rng: np.random.Generator, number: int) -> Grown:
    rates = rng.beta(2, 60, size=(number, 1))
    shown = rng.integers(2, 9, size=(number, LOOKS))
    clicks = rng.binomial(shown, np.broadcast_to(rates, shown.shape))
    return clicks.cumsum(axis=1).astype(float), shown.cumsum(axis=1).astype(float)


def _claims(nature: Nature, a: Grown, b: Grown, look: Look) -> bool:
    for day in range(LOOKS):
        arms = [Arm(nature=nature, numerators=top[:, day], denominators=low[:, day]) for top, low in (a, b)]
        found = against(arms[0], arms[1], {}, look)
        if found is not None and found.decision in (Decision.BETTER, Decision.WORSE):
            return True
    return False


_WORLDS: tuple[tuple[str, Nature, Callable[[np.random.Generator, int], Grown]], ...] = (
    ("one post, trials", Nature.PROPORTION, _trials),
    ("one post, events per money", Nature.EVENTS, _events),
    ("8 and 12 posts whose true rates differ", Nature.PROPORTION, _posts),
)


def main() -> None:
    """Print the share of runs with a false claim, for limits of every look and of one."""
    for name, nature, grow in _WORLDS:
        for look in (Look(), Look(peeking=False)):
            rng = np.random.default_rng(7)
            false = sum(_claims(nature, grow(rng, 8), grow(rng, 12), look) for _ in range(RUNS))
            print(f"{name}: peeking {look.peeking}: {false / RUNS:.1%} of {RUNS} runs")


if __name__ == "__main__":
    main()
