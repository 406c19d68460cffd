"""The series algebra: points in, entries out. Pure, and the only place that knows it.

A series of one metric is a set of points ordered by (instant, value). *f* of that set is a set of steps; posting a
point writes the difference of *f* after and before, as reversals and new lines, so that any order, duplication or
batching of the same points ends with the same books.

* ``lifetime``: one step per pair of neighbouring points, over the time between them; the first value is growth since
  publication, or an opening when publication is unknown or was not tracked.
* ``level``: the same, dated at the later instant.
* windows (``period``, ``unique`` with a window) and events: the newest point alone.

Points of one instant are summarised by their least and greatest value: a step leads to the least, a further step of no
length to the greatest, the next one starts there. Sums do not depend on the values between.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from connectors.contract import STORED, Quality
from service.ledger.edges import edges_between

MICROSECOND = timedelta(microseconds=1)
BIT = {key: 1 << place for place, key in enumerate(STORED)}


class Flag:
    """What kind of line an entry is: bits of a plain integer (members of an enum are slow to combine)."""

    NONE = 0
    OPENING = 1  # a first value whose growth was not tracked
    LEFT = 2  # the step goes on before this piece
    RIGHT = 4  # the step goes on after this piece
    FIRST = 8  # growth since publication
    SAME = 16  # between two values of one instant
    SHORT = 32  # a window shorter than a day: never cut
    SUSPECT = 64  # a fall below a tenth: booked, and withheld until it recovers or is confirmed
    ESTIMATED = 128  # what the platform says against its number
    SAMPLED = 256
    THRESHOLDED = 512
    TRUNCATED = 1024
    RESET = 2048  # what a confirmed reset adds: its counter began anew at zero; no step of the chain


class Mark:
    """How an entry is kept, beside what it says: bits of a plain integer. No line has them, only its row."""

    NONE = 0
    TALLY = 1  # it is what its day of its subject comes to by itself: no row of tallies repeats it
    ALONE = 2  # when it was written nothing else stood of its window


QUALITY: Mapping[Quality, int] = {
    Quality.ESTIMATED: Flag.ESTIMATED,
    Quality.SAMPLED: Flag.SAMPLED,
    Quality.THRESHOLDED: Flag.THRESHOLDED,
    Quality.TRUNCATED: Flag.TRUNCATED,
}
"""The bits of what a platform says against a number: they travel with the lines of a window."""


class Cause(enum.IntEnum):
    """Why a line was written."""

    OPENING = 1
    GROWTH = 2
    SOURCE_RESTATED = 3
    LATE_ARRIVAL = 4
    REVERSAL = 5
    MAPPING_CHANGED = 6
    REFUND = 7
    REATTRIBUTED = 8
    RESET_CONFIRMED = 9
    CARRIED = 10
    MANUAL = 11
    SOURCE_WITHDREW = 12


class Ref(NamedTuple):
    """The delivery that a point was read from, and its receipt."""

    delivery_id: UUID
    received_at: datetime


class Point(NamedTuple):
    """One metric's value at an instant."""

    at: datetime
    value: int
    ref: Ref


class Step(NamedTuple):
    """A movement of one metric: ``delta`` over ``[start, end)``, caused by the point at ``end``."""

    start: datetime
    end: datetime
    delta: int
    flags: int
    ref: Ref


class Line(NamedTuple):
    """One row of the ledger, without its subject and series: several metrics over one interval."""

    valid_from: datetime
    valid_to: datetime
    sign: int
    cause: int
    flags: int
    observed_at: datetime
    ref: Ref
    metrics: Mapping[str, int]
    day: date | None = None
    days: int = 0
    event_key: bytes | None = None


# ------------------------------------------------------------------------------------------------ shares


def share(amount: int, start: datetime, end: datetime, at: datetime) -> int:
    """Return R(at): the part of ``amount`` that belongs before ``at``, in elapsed time, rounded away from zero.

    A bucket's share is the difference of R at its ends, so the shares of any grid add up to the amount.
    """
    if at <= start:
        return 0
    if at >= end:
        return amount
    part = -(-abs(amount) * ((at - start) // MICROSECOND) // ((end - start) // MICROSECOND))
    return part if amount >= 0 else -part


def cut(amount: int, start: datetime, end: datetime, edges: Sequence[datetime]) -> list[int]:
    """Return the shares of the buckets that ascending ``edges`` inside ``(start, end)`` cut the interval into."""
    marks = [0, *(share(amount, start, end, edge) for edge in edges), amount]
    return [after - before for before, after in itertools.pairwise(marks)]


# ------------------------------------------------------------------------------------------------ counters


class Knot(NamedTuple):
    """All points of one metric at one instant: the least and the greatest value, with their deliveries."""

    at: datetime
    low: int
    high: int
    low_ref: Ref
    high_ref: Ref

    def joined(self, point: Point) -> Knot:
        """Return the knot with one more point of its instant."""
        if point.value < self.low:
            return self._replace(low=point.value, low_ref=point.ref)
        if point.value > self.high:
            return self._replace(high=point.value, high_ref=point.ref)
        return self


class Anchor(NamedTuple):
    """The end of what came before a stretch of knots: the instant (None at a level) and the value there."""

    at: datetime | None
    value: int


def knots_of(points: Iterable[Point], known: Iterable[Knot] = ()) -> list[Knot]:
    """Return the knots of ``points`` joined with ``known`` ones, in order of time."""
    by_instant = {knot.at: knot for knot in known}
    for point in points:
        knot = by_instant.get(point.at)
        by_instant[point.at] = (
            knot.joined(point) if knot else Knot(point.at, point.value, point.value, point.ref, point.ref)
        )
    return [by_instant[at] for at in sorted(by_instant)]


def first_step(at: datetime, value: int, ref: Ref, published: datetime | None, *, level: bool) -> Step:
    """Return the step to a first value: growth since ``published`` where that was tracked, else an opening."""
    if published is None or published > at:
        return Step(at, at, value, Flag.OPENING, ref)
    return Step(at if level else published, at, value, Flag.FIRST, ref)


def suspicion(old: int, new: int) -> int:
    """Return the flag of a movement: suspect where the new value is below a tenth of the old one."""
    return Flag.SUSPECT if new * 10 < old else Flag.NONE


def steps(knots: Sequence[Knot], anchor: Anchor | None, published: datetime | None, *, level: bool) -> list[Step]:
    """Return *f* of a stretch of knots that begins at ``anchor``, or with a first value when there is none."""
    found = []
    for knot in knots:
        if anchor is None:
            found.append(first_step(knot.at, knot.low, knot.low_ref, published, level=level))
        else:
            start = knot.at if level or anchor.at is None else anchor.at
            flags = suspicion(anchor.value, knot.low)
            found.append(Step(start, knot.at, knot.low - anchor.value, flags, knot.low_ref))
        if knot.high != knot.low:
            found.append(Step(knot.at, knot.at, knot.high - knot.low, Flag.SAME, knot.high_ref))
        anchor = Anchor(knot.at, knot.high)
    return found


def unwind(tail: Sequence[Step], value: int) -> tuple[list[Knot], Anchor | None]:
    """Return the knots behind the steps at the end of a chain that ends at ``value``, and the anchor before them."""
    same = {step.end: step for step in tail if step.flags & Flag.SAME}
    regular = sorted((step for step in tail if not step.flags & Flag.SAME), key=lambda step: step.end)
    knots = []
    high = value
    for step in reversed(regular):
        upper = same.get(step.end)
        low = high - upper.delta if upper else high
        knots.append(Knot(step.end, low, high, step.ref, upper.ref if upper else step.ref))
        high = low - step.delta
    knots.reverse()
    if regular and regular[0].flags & (Flag.OPENING | Flag.FIRST):
        return knots, None
    at = regular[0].start if regular and regular[0].start < regular[0].end else None
    return knots, Anchor(at, high)


class Change(NamedTuple):
    """What new points do to a chain: steps to reverse, steps to write, and the value and instant it now ends at.

    ``kept`` are the steps of the tail that stay.
    """

    removed: list[Step]
    added: list[Step]
    kept: list[Step]
    value: int
    last: datetime


def rechain(
    tail: Sequence[Step],
    value: int | None,
    points: Iterable[Point],
    published: datetime | None,
    *,
    level: bool,
) -> Change:
    """Return *f* after minus *f* before for points that may lie anywhere in a chain.

    ``tail`` is every step of the metric from the earliest new point on (or all of them), ``value`` the value the chain
    ends at (None: no point yet). At least one point is known or new.
    """
    known, anchor = unwind(tail, value) if value is not None else ([], None)
    knots = knots_of(points, known)
    after = steps(knots, anchor, published, level=level)
    before = {step[:4] for step in tail}
    wanted = {step[:4] for step in after}
    return Change(
        [step for step in tail if step[:4] not in wanted],
        [step for step in after if step[:4] not in before],
        [step for step in tail if step[:4] in wanted],
        knots[-1].high,
        knots[-1].at,
    )


def pieces(step: Step) -> list[Step]:
    """Return a step cut at the edges of the ledger's partitions (the whole step where none lies inside)."""
    edges = edges_between(step.start, step.end)
    if not edges:
        return [step]
    ends = [step.start, *edges, step.end]
    amounts = cut(step.delta, step.start, step.end, edges)
    last = len(amounts) - 1
    return [
        Step(
            ends[place],
            ends[place + 1],
            amount,
            step.flags | (Flag.LEFT if place else 0) | (Flag.RIGHT if place < last else 0),
            step.ref,
        )
        for place, amount in enumerate(amounts)
    ]


def whole(parts: Iterable[Step]) -> list[Step]:
    """Return the steps that cut pieces came from, in order of time.

    A piece whose left neighbour was taken by retention stands for the rest of its step.
    """
    found: list[Step] = []
    for part in sorted(parts, key=lambda step: (step.start, step.end)):
        place = _opened(found) if part.flags & Flag.LEFT else None
        if place is not None:
            left = found[place]
            joined = left.delta + part.delta
            found[place] = Step(
                left.start, part.end, joined, left.flags & ~Flag.RIGHT | part.flags & Flag.RIGHT, part.ref
            )
        else:
            found.append(part)
    return found


def _opened(found: Sequence[Step]) -> int | None:
    return next((place for place in reversed(range(len(found))) if found[place].flags & Flag.RIGHT), None)


def carried_from(lines: Iterable[Line], metric: str) -> datetime | None:
    """Return the instant at which a value was carried over before a month of the ledger went, if one was."""
    carried = (
        line
        for line in lines
        if line.cause == Cause.CARRIED and line.sign > 0 and metric in line.metrics and not line.flags & Flag.RESET
    )
    return max((line.valid_from for line in carried), default=None)


def standing(lines: Sequence[Line], metric: str) -> list[Step]:
    """Return the steps of one metric that stand: lines less the reversals that took them back, pieces joined.

    A carried value stands for everything before it. What confirmed resets add is not part of the chain.
    """
    start = carried_from(lines, metric)
    return _standing(
        lines, metric, lambda line: not line.flags & Flag.RESET and (not start or line.valid_from >= start)
    )


def standing_resets(lines: Sequence[Line], metric: str) -> list[Step]:
    """Return what confirmed resets add to one metric: over the step to each reset, the value before it.

    One whose step retention took in part is not among them: what is left of it stays as it is.
    """
    return [step for step in _resets(lines, metric) if not step.flags & Flag.LEFT]


def _resets(lines: Sequence[Line], metric: str) -> list[Step]:
    start = carried_from(lines, metric)
    return _standing(
        lines,
        metric,
        lambda line: (
            bool(line.flags & Flag.RESET) and line.cause != Cause.CARRIED and (not start or line.valid_from >= start)
        ),
    )


def _standing(lines: Iterable[Line], metric: str, belongs: Callable[[Line], bool]) -> list[Step]:
    sums: dict[tuple[datetime, datetime, int, Ref], list[int]] = {}
    for line in lines:
        delta = line.metrics.get(metric)
        if delta is not None and belongs(line):
            kept = sums.setdefault((line.valid_from, line.valid_to, line.flags, line.ref), [0, 0])
            kept[0] += line.sign
            kept[1] += delta
    return whole(Step(start, end, kept[1], flags, ref) for (start, end, flags, ref), kept in sums.items() if kept[0])


# ------------------------------------------------------------------------------------------------ lines


def pack(changes: Iterable[tuple[str, Step, int, int]]) -> list[Line]:
    """Return lines for (metric, step, sign, cause): cut at the ledger's edges, one line per distinct interval."""
    rows: dict[tuple[datetime, datetime, int, int, int, datetime, Ref], dict[str, int]] = {}
    for metric, step, sign, cause in changes:
        for piece in pieces(step):
            key = (piece.start, piece.end, sign, cause, piece.flags, step.end, step.ref)
            rows.setdefault(key, {})[metric] = piece.delta * sign
    return [Line(*key, metrics) for key, metrics in rows.items()]


class Balance(NamedTuple):
    """The newest value and instant of each metric of a counter series. Changed in place by :func:`advance`."""

    values: dict[str, int]
    since: dict[str, datetime]


class Reading(NamedTuple):
    """What one delivery says of one series at one instant."""

    at: datetime
    metrics: Mapping[str, int]
    ref: Ref


def in_order(balance: Balance, readings: Sequence[Reading]) -> bool:
    """Tell whether readings (sorted by time) all lie after what is known: then :func:`advance` books them."""
    last = max(balance.since.values(), default=None)
    for reading in readings:
        if last is not None and reading.at <= last:
            return False
        last = reading.at
    return True


def advance(
    balance: Balance, readings: Sequence[Reading], published: datetime | None, *, level: bool
) -> list[tuple[str, Step, int, int]]:
    """Book readings that lie in order after the balance; change it; return (metric, step, sign, cause).

    The common case of :func:`rechain`, without a look at the ledger.
    """
    values, since = balance
    found = []
    for at, metrics, ref in readings:
        for metric, value in metrics.items():
            old = values.get(metric)
            if old is None:
                step = first_step(at, value, ref, published, level=level)
                cause = Cause.OPENING if step.flags & Flag.OPENING else Cause.GROWTH
            else:
                step = Step(at if level else since[metric], at, value - old, suspicion(old, value), ref)
                cause = Cause.GROWTH
            found.append((metric, step, 1, int(cause)))
            values[metric] = value
            since[metric] = at
    return found


def correct(
    balance: Balance,
    lines: Sequence[Line],
    readings: Sequence[Reading],
    published: datetime | None,
    *,
    level: bool,
    resets: Mapping[str, Container[datetime]],
) -> list[tuple[str, Step, int, int]]:
    """Book readings that may lie anywhere, given every line of the series; change the balance.

    With no readings it books what a changed ``published`` makes of the first values. ``resets`` are the instants at
    which people said that a metric began anew.
    """
    points: dict[str, list[Point]] = {metric: [] for metric in balance.values}
    for at, metrics, ref in readings:
        for metric, value in metrics.items():
            points.setdefault(metric, []).append(Point(at, value, ref))
    found = []
    for metric, new in points.items():
        origin = published if carried_from(lines, metric) is None else None
        change = rechain(standing(lines, metric), balance.values.get(metric), new, origin, level=level)
        found += [(metric, step, -1, int(Cause.REVERSAL)) for step in change.removed]
        cause = Cause.LATE_ARRIVAL if change.removed else Cause.GROWTH
        found += [
            (metric, step, 1, int(Cause.OPENING if step.flags & Flag.OPENING else cause)) for step in change.added
        ]
        found += reset_changes(lines, metric, [*change.kept, *change.added], resets.get(metric, ()))
        balance.values[metric] = change.value
        balance.since[metric] = change.last
    return found


def reset_changes(
    lines: Sequence[Line], metric: str, chain: Sequence[Step], resets: Container[datetime]
) -> list[tuple[str, Step, int, int]]:
    """Return (metric, step, sign, cause): what confirmed resets add to a chain, less what they added before."""
    known, wanted = standing_resets(lines, metric), wanted_resets(lines, metric, chain, resets)
    before, after = {step[:4] for step in known}, {step[:4] for step in wanted}
    return [(metric, step, -1, int(Cause.REVERSAL)) for step in known if step[:4] not in after] + [
        (metric, step, 1, int(Cause.RESET_CONFIRMED)) for step in wanted if step[:4] not in before
    ]


def wanted_resets(lines: Sequence[Line], metric: str, chain: Iterable[Step], resets: Container[datetime]) -> list[Step]:
    """Return what resets must add to a chain, given what stands of those that retention took in part."""
    fixed = {step.end for step in _resets(lines, metric) if step.flags & Flag.LEFT}
    return [step for step in reset_steps(chain, resets) if step.end not in fixed]


def reset_steps(chain: Iterable[Step], resets: Container[datetime]) -> list[Step]:
    """Return what resets at instants add to a chain: over the step that leads to each, the value before it.

    The step to a reset is booked as the fall that it is; with the value before it, it reads as growth from zero.
    """
    found, value = [], 0
    for step in sorted(chain, key=lambda one: (one.end, one.flags & Flag.SAME)):
        if step.end in resets and not step.flags & (Flag.SAME | Flag.OPENING | Flag.FIRST) and value:
            found.append(Step(step.start, step.end, value, Flag.RESET, step.ref))
        value += step.delta
    return found


# ------------------------------------------------------------------------------------------------ windows


class Stand(NamedTuple):
    """What stands for one metric of a window: the value (None: withdrawn), since when it was read, its delivery."""

    value: int
    observed_at: datetime
    ref: Ref
    quality: int = 0


class WindowState(NamedTuple):
    """The newest point of each metric of a window: what stands, and the instant it was last said. Changed in place."""

    stands: dict[str, Stand]
    said: dict[str, datetime]


class WindowReading(NamedTuple):
    """What one delivery says of a window; None withdraws the metric."""

    at: datetime
    metrics: Mapping[str, int | None]
    ref: Ref
    quality: int = 0


class WindowChange(NamedTuple):
    """(metric, stand) pairs to reverse and to write, and the metrics confirmed anew with the instant."""

    removed: list[tuple[str, Stand]]
    added: list[tuple[str, Stand]]
    confirmed: dict[str, datetime]


SAID = sum(QUALITY.values())
"""All bits of what platforms say against numbers."""


def window_state(lines: Iterable[Line], confirmations: Iterable[tuple[int, datetime]]) -> WindowState:
    """Return the state of a window from its lines and its (mask, instant) confirmations.

    What was taken back because its delivery was read anew was never said.
    """
    sums: dict[tuple[datetime, Ref, int], dict[str, list[int]]] = {}
    for line in lines:
        own, said = sums.setdefault((line.observed_at, line.ref, line.flags & SAID), {}), spoke(line)
        for metric, delta in line.metrics.items():
            kept = own.get(metric)
            if kept is None:
                own[metric] = [line.sign, delta, said]
            else:
                kept[0] += line.sign
                kept[1] += delta
                kept[2] += said
    state = WindowState({}, {})
    for (observed_at, ref, quality), own in sums.items():
        for metric, (sign, value, said) in own.items():
            if sign:
                state.stands[metric] = Stand(value, observed_at, ref, quality)
            if said > 0 and (metric not in state.said or observed_at > state.said[metric]):
                state.said[metric] = observed_at
    for mask, at in confirmations:
        for metric in metrics_of(mask):
            state.said[metric] = max(at, state.said.get(metric, at))
    return state


def spoke(line: Line) -> int:
    """Return 1 for a line that says what its delivery said, -1 for one that says that it did not, else 0.

    A value that a newer one took the place of was said all the same.
    """
    if line.sign > 0:
        return 0 if line.cause in UNSAYING else 1
    return -1 if line.cause == Cause.MAPPING_CHANGED else 0


UNSAYING = frozenset({Cause.REVERSAL, Cause.CARRIED})


def _beats(state: WindowState, metric: str, at: datetime, value: int | None) -> bool:
    """Tell whether (at, value) is newer than what is known; at one instant the greater value wins, null loses."""
    said = state.said.get(metric)
    if said is None or at > said:
        return True
    stand = state.stands.get(metric)
    return at == said and value is not None and (stand is None or value > stand.value)


def _hear(state: WindowState, reading: WindowReading) -> None:
    for metric, value in reading.metrics.items():
        if _beats(state, metric, reading.at, value):
            state.said[metric] = reading.at
            stand = state.stands.get(metric)
            if value is None:
                state.stands.pop(metric, None)
            elif stand is None or stand.value != value:
                state.stands[metric] = Stand(value, reading.at, reading.ref, reading.quality)


def book_window(state: WindowState, readings: Iterable[WindowReading]) -> WindowChange:
    """Return what readings do to a window and change its state: only the newest point of each metric counts."""
    before = dict(state.stands)
    said_before = dict(state.said)
    for reading in readings:
        _hear(state, reading)
    change = WindowChange([], [], {})
    for metric, said in state.said.items():
        old, new = before.get(metric), state.stands.get(metric)
        if (old and old.value) != (new and new.value) or (old is None) != (new is None):
            if old is not None:
                change.removed.append((metric, old))
            if new is not None:
                change.added.append((metric, new))
        elif old is not None:
            state.stands[metric] = old
        written = state.stands[metric].observed_at if metric in state.stands else None
        if said != said_before.get(metric) and said != written:
            change.confirmed[metric] = said
    return change


class Written(NamedTuple):
    """Part of a line of a window: all but its place."""

    sign: int
    cause: int
    observed_at: datetime
    ref: Ref
    metrics: Mapping[str, int]
    quality: int = 0
    mark: int = Mark.NONE


class Booked(NamedTuple):
    """What readings do to a window: lines, and (mask, instant) confirmations.

    ``bare``: a metric was taken back and nothing put in its place, so the window knows less than before.
    """

    written: list[Written]
    confirmed: list[tuple[int, datetime]]
    bare: bool = False


MANY = 8
"""Lines of a window from which on what stands is written anew where it changes: it stands alone from then on."""


def book(
    lines: Sequence[Line],
    confirmations: Sequence[tuple[int, datetime]],
    readings: Sequence[WindowReading],
    *,
    whole: bool = True,
    many: int = MANY,
) -> Booked:
    """Return what readings do to a window, given every confirmation of it and every line, or those from one on that
    stood alone when it was written.

    ``whole``: the lines have no metrics but those given. Without it no new line is known to stand alone. A platform
    that restates some numbers of a day and not the others leaves two lines that stand, and more each time: where there
    are more than ``many``, a reading that says them all takes their place, whatever it changes.
    """
    if whole and len(lines) > many and len(readings) == 1:
        booked = _book_anew(window_state(lines, confirmations), readings[0])
        if booked is not None:
            return booked
    booked = book_at_length(lines, confirmations, readings)
    return booked._replace(written=_marked(booked.written, lines)) if whole else booked


def _book_anew(state: WindowState, reading: WindowReading) -> Booked | None:
    """Return what a reading does to a window that takes all back and says all anew; None where it does not say all,
    withdraws something, or changes nothing.
    """
    told = {metric: value for metric, value in reading.metrics.items() if value is not None}
    says_all = len(told) == len(reading.metrics) and all(at < reading.at for at in state.said.values())
    if not says_all or not state.stands.keys() | state.said.keys() <= told.keys():
        return None
    if told == {metric: stand.value for metric, stand in state.stands.items()}:
        return None
    said = Written(1, Cause.SOURCE_RESTATED, reading.at, reading.ref, told, reading.quality, Mark.ALONE)
    return Booked([*_written(state.stands.items(), -1, Cause.REVERSAL), said], [])


def _marked(written: Sequence[Written], lines: Iterable[Line]) -> list[Written]:
    """Mark a new line that stands alone: it says anew every metric that lines spoke of, so each was taken back."""
    new = [part for part in written if part.sign > 0]
    if len(new) != 1 or any(not line.metrics.keys() <= new[0].metrics.keys() for line in lines):
        return list(written)
    return [part._replace(mark=Mark.ALONE) if part.sign > 0 else part for part in written]


def book_at_length(
    lines: Sequence[Line], confirmations: Sequence[tuple[int, datetime]], readings: Sequence[WindowReading]
) -> Booked:
    """Return the same as :func:`book` but for marks, whatever the lines are: metric by metric."""
    change = book_window(window_state(lines, confirmations), sorted(readings, key=lambda reading: reading.at))
    replaced = {metric for metric, _ in change.added}
    taken_back = Cause.REVERSAL if replaced else Cause.SOURCE_WITHDREW
    cause = Cause.SOURCE_RESTATED if change.removed else Cause.GROWTH
    written = _written(change.removed, -1, taken_back) + _written(change.added, 1, cause)
    by_instant: dict[datetime, int] = {}
    for metric, at in change.confirmed.items():
        by_instant[at] = by_instant.get(at, 0) | BIT[metric]
    bare = any(metric not in replaced for metric, _ in change.removed)
    return Booked(written, [(mask, at) for at, mask in by_instant.items()], bare)


def _written(stands: Iterable[tuple[str, Stand]], sign: int, cause: Cause) -> list[Written]:
    rows: dict[tuple[datetime, Ref, int], dict[str, int]] = {}
    for metric, stand in stands:
        rows.setdefault((stand.observed_at, stand.ref, stand.quality), {})[metric] = stand.value * sign
    return [Written(sign, cause, at, ref, metrics, quality) for (at, ref, quality), metrics in rows.items()]


def mask_of(metrics: Iterable[str]) -> int:
    """Return the bit mask of stored metrics."""
    return sum(BIT[metric] for metric in metrics)


@lru_cache(maxsize=4096)
def metrics_of(mask: int) -> tuple[str, ...]:
    """Return the stored metrics of a bit mask."""
    return tuple(metric for metric, bit in BIT.items() if mask & bit)
