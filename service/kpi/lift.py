"""The relative lift of one ratio over another when members cluster: delta method and Fieller, independent arms.

Whether a lift is *better* is decided in ``compare``.
"""

from __future__ import annotations

import math

import msgspec

from service.kpi.rates import LEVEL, Spread, normal_quantile

FIELLER_FROM = 0.05
"""From this g on the delta method is too far off: the denominator of the lift is itself uncertain."""


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """a / b - 1 with its delta standard error, and the limits of both methods (Fieller: None for g >= 1)."""

    lift: float
    se: float
    delta: tuple[float, float]
    g: float
    fieller: tuple[float, float] | None

    @property
    def limits(self) -> tuple[float, float] | None:
        """The limits to show: delta for a small g, otherwise Fieller's, or none."""
        return self.delta if self.g < FIELLER_FROM else self.fieller


def lift(a: Spread, b: Spread, level: float = LEVEL) -> Lift | None:
    """Return the lift of ``a`` over ``b``, or None where b is not above zero.

    Var = Va / Rb^2 + Ra^2 Vb / Rb^4.
    """
    if b.ratio <= 0:
        return None
    z = normal_quantile(level)
    relative, variance_a, variance_b = a.ratio / b.ratio, a.se**2, b.se**2
    se = math.sqrt(variance_a + relative**2 * variance_b) / b.ratio
    g = z * z * variance_b / b.ratio**2
    return Lift(
        lift=relative - 1,
        se=se,
        delta=(relative - 1 - z * se, relative - 1 + z * se),
        g=g,
        fieller=_fieller(relative, b.ratio, variance_a, variance_b, z),
    )


def _fieller(
    relative: float, base: float, variance_a: float, variance_b: float, z: float
) -> tuple[float, float] | None:
    g = z * z * variance_b / base**2
    if g >= 1:
        return None
    root = z / base * math.sqrt(max(0.0, variance_a + relative**2 * variance_b - g * variance_a))
    return (relative - root) / (1 - g) - 1, (relative + root) / (1 - g) - 1
