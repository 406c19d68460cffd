"""The shape of how a campaign stands against its plan."""

from __future__ import annotations

import msgspec

from service.reports.answer import MetricOut, RangeOut

Amount = int | float | str | None


class ProjectionOut(msgspec.Struct, frozen=True, kw_only=True):
    """Where a total will end. ``linear`` goes on at the mean rate; ``total`` and its limits come from whole days,

    each day ahead at the mean of its weekday where two weeks are known (``by_weekday``).
    """

    linear: Amount
    total: Amount
    low: Amount
    high: Amount
    level: float
    method: str
    days: int
    by_weekday: bool


class TimeOut(msgspec.Struct, frozen=True, kw_only=True):
    """The time of a flight in days or hours: all of it, what has passed, what is left."""

    basis: str
    total: float
    elapsed: float
    remaining: float


class PacedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The budget, or one goal. ``pacing`` is actual over expected by now: 1 is on plan.

    ``verdict``: *not_started*, *ahead*, *on_course*, *behind* or *undecided* while running, *reached* or *missed* after
    it; of a ratio *met*, *missed* or *undecided* by its interval. ``required`` is per day or hour of what is left.
    """

    of: str
    metric: str
    definition: str
    target: Amount
    actual: MetricOut
    verdict: str
    reason: str | None
    expected: Amount
    pacing: float | None
    remaining: Amount
    required: Amount
    projection: ProjectionOut | None


class PacingMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it."""

    as_of: str
    posting: int
    now: str
    timezone: str
    range: RangeOut
    time: TimeOut


class PacingOut(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign against its plan: the budget first, then its goals in their order."""

    data: tuple[PacedOut, ...]
    meta: PacingMetaOut
