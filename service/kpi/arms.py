"""One campaign in a comparison: what its KPI is made of by member, and how sure its rate is.

A rate here is always *more is better*: of costs the inverse is taken, events per money. Two arms are set side by side
in ``views`` and decided upon in ``versus``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from service.kpi.catalogue import Kind, Kpi
from service.kpi.members import FloatArray, MemberSums
from service.kpi.quotients import paired
from service.kpi.rates import FEWEST_MEMBERS, Spread, active, delta_spread, jackknife_spread

COMPARABLE = (Kind.RATIO, Kind.COST_RATIO, Kind.RETURN)
"""Kinds of KPI that can be better or worse: a count is larger where more was done."""


class Nature(enum.StrEnum):
    """What a rate counts, which is what its error follows without members: binomial, Poisson, or a sum of amounts."""

    PROPORTION = "proportion"
    EVENTS = "events"
    AMOUNTS = "amounts"


class Arm(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Numerator and denominator of each member that knows both; ``fixed`` belongs to no member.

    ``amounts`` are the single values that make up a sum of money (orders), where they are known.
    """

    nature: Nature
    numerators: FloatArray
    denominators: FloatArray
    fixed: tuple[float, float] = (0.0, 0.0)
    amounts: Sequence[float] | None = None

    @property
    def above(self) -> float:
        """The whole numerator."""
        return float(self.numerators.sum()) + self.fixed[0]

    @property
    def below(self) -> float:
        """The whole denominator."""
        return float(self.denominators.sum()) + self.fixed[1]

    @property
    def members(self) -> int:
        """How many members carry information."""
        return len(active(self.numerators, self.denominators)[0])

    @property
    def size(self) -> float:
        """How much was observed, in what the nature of the rate is counted in: trials, events, or amounts."""
        if self.nature is Nature.PROPORTION:
            return self.below
        if self.nature is Nature.EVENTS:
            return self.above
        return float(self.members if self.amounts is None else len(self.amounts))


def is_inverted(kpi: Kpi) -> bool:
    """Tell whether less is better: a cost per something."""
    return kpi.kind is Kind.COST_RATIO and kpi.numerator == "cost"


def arm_of(kpi: Kpi, sums: MemberSums, amounts: Sequence[float] | None = None) -> Arm | None:
    """Return the arm of a KPI, or None where nothing can be divided by."""
    found = paired(kpi, sums)
    if found is None:
        return None
    above, below, fixed = found.numerators, found.denominators, found.fixed
    if is_inverted(kpi):
        above, below, fixed = below, above, (fixed[1], fixed[0])
    arm = Arm(nature=Nature.EVENTS, numerators=above, denominators=below, fixed=fixed)
    if arm.below <= 0 or arm.above < 0:
        return None
    nature = _nature(kpi, arm)
    return msgspec.structs.replace(arm, nature=nature, amounts=amounts if nature is Nature.AMOUNTS else None)


def _nature(kpi: Kpi, arm: Arm) -> Nature:
    if is_inverted(kpi):
        return Nature.EVENTS
    whole = kpi.kind is Kind.RATIO and 0 <= arm.above <= arm.below
    return Nature.PROPORTION if whole else Nature.AMOUNTS


def alike(arms: Sequence[Arm]) -> list[Arm]:
    """Return arms of one nature: a share that exceeds its base in one place is a sum of amounts in all."""
    if len({arm.nature for arm in arms}) <= 1:
        return list(arms)
    return [msgspec.structs.replace(arm, nature=Nature.AMOUNTS) for arm in arms]


def plain(arm: Arm) -> Spread | None:
    """Return the rate with the error it has if its trials, events or amounts were independent.

    An arm without a hit, or with nothing but hits, has an error too: that of one more of each. None where an amount
    says nothing of its parts.
    """
    rate, n = arm.above / arm.below, max(1, int(arm.size))
    if arm.nature is Nature.PROPORTION:
        usual = rate if 0 < arm.above < arm.below else (arm.above + 1) / (arm.below + 2)
        return Spread(ratio=rate, se=math.sqrt(usual * (1 - usual) / arm.below), n=n)
    if arm.nature is Nature.EVENTS:
        return Spread(ratio=rate, se=math.sqrt(max(arm.above, 1.0)) / arm.below, n=n)
    if not arm.amounts:
        return None
    return Spread(ratio=rate, se=math.sqrt(math.fsum(value * value for value in arm.amounts)) / arm.below, n=n)


def clustered(arm: Arm) -> Spread | None:
    """Return the rate with its error by member, or None with fewer than five of them."""
    if arm.members < FEWEST_MEMBERS:
        return None
    if any(arm.fixed):
        return jackknife_spread(arm.numerators, arm.denominators, arm.fixed)
    return delta_spread(arm.numerators, arm.denominators)


def whole(arm: Arm) -> tuple[int, int] | None:
    """Return numerator and denominator as plain counts, or None where one is fractional."""
    counts = arm.above, arm.below
    if any(count != int(count) for count in counts):
        return None
    return int(counts[0]), int(counts[1])


def empty(arm: Arm) -> bool:
    """Tell whether an arm saw nothing at all."""
    return bool(np.count_nonzero(arm.denominators) == 0 and not arm.fixed[1])
