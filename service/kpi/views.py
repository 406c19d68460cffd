"""Two rates side by side: difference, ratio and lift with limits, for one planned look or for any number of looks.

Limits by post follow from errors by post; without posts they follow from the nature of the rate. What the limits mean
for two campaigns is decided in ``versus``.
"""

from __future__ import annotations

import math

import msgspec
from scipy import special

from service.kpi.arms import Nature
from service.kpi.lift import FIELLER_FROM, lift
from service.kpi.proportions import TUNING_N, anytime_multiplier
from service.kpi.rates import LEVEL, Spread, normal_quantile, t_quantile

TUNING = {Nature.PROPORTION: float(TUNING_N), Nature.EVENTS: 100.0, Nature.AMOUNTS: 50.0}
"""How much of both arms together the anytime-valid limits are tightest at, by what is counted; fixed beforehand."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the numbers are looked at: once as planned, or (``peeking``) as often as one likes.

    ``tuning`` replaces the amount of information at which anytime-valid limits are tightest.
    """

    level: float = LEVEL
    peeking: bool = True
    tuning: float | None = None

    @property
    def alpha(self) -> float:
        """The chance of a false claim."""
        return 1 - self.level


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its limits and how they came about; None is an open side."""

    value: float
    low: float | None
    high: float | None
    method: str


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two rates, a and b, with what their errors rest on: members where ``clustered``, else trials or events."""

    a: Spread
    b: Spread
    nature: Nature
    size: float
    clustered: bool

    @property
    def se(self) -> float:
        """The standard error of the difference."""
        return math.hypot(self.a.se, self.b.se)

    @property
    def log_se(self) -> float | None:
        """The standard error of the logarithm of the ratio; None where a rate is 0."""
        if self.a.ratio <= 0 or self.b.ratio <= 0:
            return None
        return math.hypot(self.a.se / self.a.ratio, self.b.se / self.b.ratio)

    @property
    def logarithmic(self) -> bool:
        """Whether the two are told apart by their ratio: rates of events, whose error grows with them."""
        return self.nature is Nature.EVENTS and self.log_se is not None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a pair shows. ``limits`` are those that decide, of the difference or of the logarithm of the ratio."""

    difference: Estimate
    ratio: Estimate | None
    lift: Estimate | None
    limits: tuple[float, float]
    logarithmic: bool
    p_value: float | None


def view(pair: Pair, look: Look) -> View:
    """Return difference, ratio and lift of a pair; a ratio over nothing is None."""
    times, method = multiplier(pair, look)
    difference = pair.a.ratio - pair.b.ratio
    half = times * pair.se
    ratio = _ratio(pair, times, method)
    limits = (difference - half, difference + half)
    if pair.logarithmic and ratio is not None and ratio.low is not None and ratio.high is not None:
        limits = (math.log(ratio.low), math.log(ratio.high))
    return View(
        difference=Estimate(value=difference, low=difference - half, high=difference + half, method=method),
        ratio=ratio,
        lift=_lift(pair, ratio, look),
        limits=limits,
        logarithmic=pair.logarithmic,
        p_value=p_value(pair, look),
    )


def multiplier(pair: Pair, look: Look, size: float | None = None) -> tuple[float, str]:
    """Return what a standard error is multiplied by, and the name of the method; ``size`` replaces the pair's."""
    if look.peeking:
        return anytime_multiplier(size or pair.size, _tuning(pair, look), look.alpha), "anytime_normal_mixture"
    if pair.clustered:
        return t_quantile(look.level, round(_degrees(pair))), "welch_t_by_post"
    return normal_quantile(look.level), "normal"


def _tuning(pair: Pair, look: Look) -> float:
    return look.tuning or TUNING[pair.nature]


def _degrees(pair: Pair) -> float:
    """Return the degrees of freedom of Welch and Satterthwaite for a difference of means over members."""
    parts = [(spread.se**2, max(1, spread.n - 1)) for spread in (pair.a, pair.b)]
    below = sum(variance**2 / df for variance, df in parts)
    return max(1.0, sum(variance for variance, _ in parts) ** 2 / below) if below else float(min(df for _, df in parts))


def _ratio(pair: Pair, times: float, method: str) -> Estimate | None:
    log_se = pair.log_se
    if pair.b.ratio <= 0:
        return None
    relative = pair.a.ratio / pair.b.ratio
    if log_se is None or times * log_se > _STEEPEST:
        return Estimate(value=relative, low=None, high=None, method="undefined")
    half = times * log_se
    return Estimate(
        value=relative, low=relative * math.exp(-half), high=relative * math.exp(half), method=f"{method}_log"
    )


_STEEPEST = 300.0


def _lift(pair: Pair, ratio: Estimate | None, look: Look) -> Estimate | None:
    """Return a / b - 1: for any number of looks from the ratio, for one by the delta method or Fieller's."""
    if ratio is None:
        return None
    if look.peeking:
        low, high = (None if limit is None else limit - 1 for limit in (ratio.low, ratio.high))
        return Estimate(value=ratio.value - 1, low=low, high=high, method=ratio.method)
    found = lift(pair.a, pair.b, look.level)
    if found is None:
        return None
    limits = found.limits or (None, None)
    method = "delta" if found.g < FIELLER_FROM else "fieller"
    return Estimate(value=found.lift, low=limits[0], high=limits[1], method=method)


def p_value(pair: Pair, look: Look) -> float | None:
    """Return the p-value that belongs to the limits: both say the same of *no difference*.

    Under peeking it is that of the mixture, sqrt((1 + r) / r * exp(-z^2 / (1 + r))) with r as in the limits, and holds
    at every look. None without any error.
    """
    distance, se = pair.a.ratio - pair.b.ratio, pair.se
    if pair.logarithmic and pair.log_se is not None:
        distance, se = math.log(pair.a.ratio / pair.b.ratio), pair.log_se
    if se <= 0:
        return None
    z = abs(distance) / se
    if look.peeking:
        log = math.log(1 / look.alpha)
        r = _tuning(pair, look) / pair.size / (2 * log + math.log1p(2 * log))
        return min(1.0, math.sqrt((1 + r) / r) * math.exp(-z * z / (2 * (1 + r))))
    if pair.clustered:
        return 2 * float(special.stdtr(round(_degrees(pair)), -z))
    return 2 * float(special.ndtr(-z))


def inverse(found: View, pair: Pair, scale: float, look: Look) -> View:
    """Return a view of events per money as one of money per event: times ``scale``, the ratio upside down."""
    costs = [_inverted(spread, scale) for spread in (pair.a, pair.b)]
    times, method = multiplier(pair, look)
    difference = costs[0].ratio - costs[1].ratio
    half = times * math.hypot(costs[0].se, costs[1].se)
    ratio = _upside_down(found.ratio)
    low, high = (None, None) if ratio is None else (ratio.low, ratio.high)
    return msgspec.structs.replace(
        found,
        difference=Estimate(value=difference, low=difference - half, high=difference + half, method=method),
        ratio=ratio,
        lift=None
        if ratio is None
        else Estimate(
            value=ratio.value - 1,
            low=None if low is None else low - 1,
            high=None if high is None else high - 1,
            method=ratio.method,
        ),
    )


def _inverted(spread: Spread, scale: float) -> Spread:
    cost = scale / spread.ratio
    return Spread(ratio=cost, se=cost * spread.se / spread.ratio, n=spread.n)


def _upside_down(ratio: Estimate | None) -> Estimate | None:
    if ratio is None or ratio.value <= 0:
        return None
    low = 1 / ratio.high if ratio.high else None
    high = 1 / ratio.low if ratio.low else None
    return Estimate(value=1 / ratio.value, low=low, high=high, method=ratio.method)
