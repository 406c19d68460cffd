"""What the lines of a series must be, given all that is known of it; and the difference to those that stand. Pure.

A posting adds points; here points are also taken away: a delivery that is read anew says something else than it said
before. So the whole series is made again, from the readings that hold now (:class:`Heard`) and from the points in the
ledger whose deliveries were not read anew (they are *fixed*: their bodies are gone, or another version still holds).
What stands and is wanted stays as it is, whoever said it first, as long as somebody says it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from service.ledger.series import (
    SAID,
    Balance,
    Cause,
    Flag,
    Knot,
    Line,
    Point,
    Reading,
    Ref,
    Step,
    WindowReading,
    carried_from,
    knots_of,
    pieces,
    reset_steps,
    spoke,
    standing,
    steps,
    unwind,
)

Fixed = Callable[[Ref], bool]
"""Tell whether what a delivery said is known from the ledger alone."""


class Place(NamedTuple):
    """Where a movement lies: all of a line but what it says, who said it and when."""

    valid_from: datetime
    valid_to: datetime
    flags: int
    day: date | None = None
    days: int = 0
    event_key: bytes | None = None


class Amount(NamedTuple):
    """What stands at a place: the movement, the observation that caused it, and what its platform says against it."""

    delta: int
    observed_at: datetime
    ref: Ref
    quality: int = 0


class Wish(NamedTuple):
    """What must stand at a place: an amount, and the value that the observation said."""

    amount: Amount
    value: int


Stood = dict[tuple[Place, str], Amount]
Wanted = dict[tuple[Place, str], Wish]
Saying = tuple[str, datetime, int, UUID]
"""A metric, the instant of the observation, the value and the delivery."""


_Said = tuple[datetime, Ref, int]
"""The instant of an observation, its delivery, and what its platform says against it."""


class Heard(NamedTuple):
    """What is said of series today: ``sayings`` are all of it, to tell whether somebody still says what stands."""

    fixed: Fixed
    sayings: set[Saying]

    def holds(self, metric: str, wish: Wish, stood: Amount) -> bool:
        """Tell whether what stands is wanted and said by the delivery that it names."""
        if stood.delta != wish.amount.delta:
            return False
        said = (metric, stood.observed_at, wish.value, stood.ref.delivery_id)
        return said in self.sayings or self.fixed(stood.ref)


def stood(lines: Iterable[Line]) -> Stood:
    """Return what stands: lines less the reversals that took them back, per metric."""
    sums: dict[tuple[Place, str, datetime, Ref, int], list[int]] = {}
    for line in lines:
        place, quality = place_of(line), line.flags & SAID
        for metric, amount in line.metrics.items():
            kept = sums.setdefault((place, metric, line.observed_at, line.ref, quality), [0, 0])
            kept[0] += line.sign
            kept[1] += amount
    return {
        (place, metric): Amount(kept[1], observed_at, ref, quality)
        for (place, metric, observed_at, ref, quality), kept in sums.items()
        if kept[0]
    }


def place_of(line: Line) -> Place:
    """Return where a line lies, whatever its platform says against it."""
    return Place(line.valid_from, line.valid_to, line.flags & ~SAID, line.day, line.days, line.event_key)


# ------------------------------------------------------------------------------------------------ counters


Resets = Mapping[str, Container[datetime]]
"""The instants at which counters began anew, by metric."""


def counters(
    lines: Sequence[Line],
    readings: Sequence[Reading],
    published: datetime | None,
    resets: Resets,
    heard: Heard,
    *,
    level: bool,
) -> tuple[Wanted, Balance]:
    """Return what must stand of a lifetime or level series, and the balance that it ends with."""
    points: dict[str, list[Point]] = {metric: [] for line in lines for metric in line.metrics}
    for at, metrics, ref in readings:
        for metric, value in metrics.items():
            points.setdefault(metric, []).append(Point(at, value, ref))
            heard.sayings.add((metric, at, value, ref.delivery_id))
    wanted: Wanted = {}
    balance = Balance({}, {})
    for metric, own in points.items():
        knots = knots_of(own, _fixed_knots(lines, metric, heard.fixed))
        origin = published if carried_from(lines, metric) is None else None
        if knots:
            chain = steps(knots, None, origin, level=level)
            wanted |= _wishes(metric, chain, chain)
            wanted |= _wishes(metric, reset_steps(chain, resets.get(metric, ())), chain)
            balance.values[metric], balance.since[metric] = knots[-1].high, knots[-1].at
    return wanted, balance


def _fixed_knots(lines: Sequence[Line], metric: str, fixed: Fixed) -> list[Knot]:
    tail = standing(lines, metric)
    known, _ = unwind(tail, sum(step.delta for step in tail))
    return [kept for knot in known if (kept := _left_of(knot, fixed)) is not None]


def _left_of(knot: Knot, fixed: Fixed) -> Knot | None:
    """Return what is left of a knot without the points of deliveries that were read anew."""
    low, high = fixed(knot.low_ref), fixed(knot.high_ref)
    if low and high:
        return knot
    if low:
        return knot._replace(high=knot.low, high_ref=knot.low_ref)
    return knot._replace(low=knot.high, low_ref=knot.high_ref) if high else None


def _wishes(metric: str, booked: Sequence[Step], chain: Sequence[Step]) -> Wanted:
    """Return the places of steps; ``chain`` tells what the observation at the end of each said."""
    wanted: Wanted = {}
    said: dict[tuple[datetime, int], int] = {}
    value = 0
    for step in chain:
        value += step.delta
        said[step.end, step.flags & Flag.SAME] = value
    for step in booked:
        for piece in pieces(step):
            place = Place(piece.start, piece.end, piece.flags)
            amount = Amount(piece.delta, step.end, step.ref)
            wanted[place, metric] = Wish(amount, said[step.end, step.flags & Flag.SAME])
    return wanted


# ------------------------------------------------------------------------------------------------ windows


def window(
    place: Place, lines: Sequence[Line], readings: Sequence[WindowReading], heard: Heard
) -> tuple[Wanted, dict[str, datetime]]:
    """Return what must stand of a window, and when each of its metrics was last spoken of."""
    newest: dict[str, tuple[datetime, bool, int, Ref, int]] = {}
    for at, metrics, ref, quality in (*readings, *_fixed_readings(lines, heard.fixed)):
        for metric, value in metrics.items():
            said = (at, value is not None, value or 0, ref, quality)
            if metric not in newest or said[:3] > newest[metric][:3]:
                newest[metric] = said
            if value is not None:
                heard.sayings.add((metric, at, value, ref.delivery_id))
    wanted: Wanted = {
        (place, metric): Wish(Amount(value, at, ref, quality), value)
        for metric, (at, known, value, ref, quality) in newest.items()
        if known
    }
    return wanted, {metric: said[0] for metric, said in newest.items()}


Spoken = dict[tuple[str, datetime, Ref, int], int]
"""Values by metric, instant, delivery and quality."""


def spoken(lines: Iterable[Line]) -> Spoken:
    """Return every value that lines say a delivery said, also where a newer one took its place."""
    said: dict[tuple[str, datetime, Ref, int, int], int] = {}
    for line in lines:
        if count := spoke(line):
            for metric, amount in line.metrics.items():
                key = (metric, line.observed_at, line.ref, line.flags & SAID, amount * line.sign)
                said[key] = said.get(key, 0) + count
    return {key[:4]: key[4] for key, count in said.items() if count > 0}


def _fixed_readings(lines: Iterable[Line], fixed: Fixed) -> list[WindowReading]:
    return [
        WindowReading(at, {metric: value}, ref, quality)
        for (metric, at, ref, quality), value in spoken(lines).items()
        if fixed(ref)
    ]


def unsaid(place: Place, lines: Sequence[Line], heard: Heard) -> list[Line]:
    """Return the lines that note of values, which no longer stand, that their deliveries do not say them any more.

    They move nothing: an old reversal is taken back, and written again for the new reason.
    """
    standing_now = {(metric, amount.observed_at, amount.ref) for (_, metric), amount in stood(lines).items()}
    found = []
    for (metric, at, ref, quality), value in spoken(lines).items():
        said = heard.fixed(ref) or (metric, at, value, ref.delivery_id) in heard.sayings
        if not said and (metric, at, ref) not in standing_now:
            for sign, cause in ((1, Cause.REVERSAL), (-1, Cause.MAPPING_CHANGED)):
                found.append(_line(place, sign, cause, (at, ref, quality), {metric: value * sign}))
    return found


# ------------------------------------------------------------------------------------------------ differences


def difference(stood_now: Stood, wanted: Wanted, heard: Heard) -> list[Line]:
    """Return the lines to write: reversals of what is not wanted, and what is wanted and does not stand."""
    wanted = _as_stored(stood_now, wanted)
    gone: dict[tuple[Place, _Said], dict[str, int]] = {}
    new: dict[tuple[Place, _Said], dict[str, int]] = {}
    for (place, metric), old in stood_now.items():
        wish = wanted.get((place, metric))
        if wish is None or not heard.holds(metric, wish, old):
            gone.setdefault((place, old[1:]), {})[metric] = -old.delta
    for (place, metric), wish in wanted.items():
        known = stood_now.get((place, metric))
        if known is None or not heard.holds(metric, wish, known):
            new.setdefault((place, wish.amount[1:]), {})[metric] = wish.amount.delta
    return _lines(gone, -1) + _lines(new, 1)


def _as_stored(stood_now: Stood, wanted: Wanted) -> Wanted:
    """Let a step that begins where a carried value stands keep the mark of the longer step that it is the rest of."""
    marked = {
        (place._replace(flags=place.flags & ~(Flag.LEFT | Flag.FIRST)), metric): place
        for place, metric in stood_now
        if place.flags & Flag.LEFT and (place, metric) not in wanted
    }
    return {(marked.get(key, key[0]), key[1]): wish for key, wish in wanted.items()}


def _lines(rows: Mapping[tuple[Place, _Said], dict[str, int]], sign: int) -> list[Line]:
    return [_line(place, sign, Cause.MAPPING_CHANGED, said, metrics) for (place, said), metrics in rows.items()]


def _line(place: Place, sign: int, cause: int, said: _Said, metrics: Mapping[str, int]) -> Line:
    start, end, flags, day, count, event_key = place
    at, ref, quality = said
    return Line(start, end, sign, cause, flags | quality, at, ref, metrics, day, count, event_key)
