"""The refresh plan against uniform polling: how wrong the books are on average, at the same number of calls.

Two worlds whose truth is known at every instant: posts of the simulated platform, hour by hour, and what trended on
YouTube in Great Britain in autumn 2017 (real snapshots), day by day. In each step the plan looks at the subjects that
it chooses and uniform polling at as many, those first that it has not seen for the longest. The error is what the books
do not know yet, the sum over all subjects of |truth - count|, half a step after the looks. Told beside it: what bands
of age alone would do with as many calls, and the error that is left when everything is looked at in every step. Nothing
is measured in time and no database is asked: the same run gives the same figures.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from math import inf
from typing import Any

import msgspec

from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.plan import Sizes
from connectors.contract import SubjectRef
from connectors.synthetic_world import Post, World
from service.fetch.freshness import DAY, HOUR, PRESUMED_AGE, Growth, Known, band_of, choose
from service.fetch.known import COUNTS

_WORLD_START = datetime(2026, 6, 1, tzinfo=UTC)
_WORLD_DAYS = 44
_LOOK_BACK = 90 * DAY
_CALLS = (1, 2, 4, 8)
"""Looks an hour at the 72 posts of the simulated platform."""
_SHARES = (0.1, 0.25, 0.5)
"""Looks a day for each video that trends."""
_YEAR = 2017


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """A subject with its truth.

    ``found_at`` is when a listing shows it first, ``gone_at`` when it is of no interest any more; ``listed`` says that
    the listing shows its count as well.
    """

    name: str
    born: datetime
    found_at: datetime
    gone_at: datetime
    listed: bool
    truth: Callable[[datetime], int]


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects, the instants at which some of them are looked at, and at how many, given how many there are."""

    tracks: Sequence[Track]
    start: datetime
    step: timedelta
    steps: int
    calls: Callable[[int], int]


class _Books:
    """What one policy knows in a scene, step by step, and how wrong it is."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._known: dict[str, Known] = {}
        self._tracks = {track.name: track for track in scene.tracks}
        self.error = 0
        self.calls: list[int] = []

    def run(self, chosen: Callable[[Sequence[Known], datetime, int], Iterable[Known]]) -> None:
        """Go through the scene; ``chosen`` gives the subjects to look at, their number bounded by its last argument."""
        scene = self._scene
        for number in range(scene.steps):
            now = scene.start + number * scene.step
            present = self._present(now)
            looks = list(chosen(present, now, scene.calls(len(present))))
            for one in looks:
                self._look(one, now)
            self.calls.append(len(looks))
            self.error += sum(self._wrong(one.subject.external_id, now + scene.step / 2) for one in present)

    def _present(self, now: datetime) -> list[Known]:
        for track in self._scene.tracks:
            if track.found_at <= now and track.name not in self._known:
                known = Known(subject=SubjectRef(track.name), born=track.born)
                listed = {"looked_at": now, "count": track.truth(now)} if track.listed else {}
                self._known[track.name] = msgspec.structs.replace(known, **listed)
        return [one for name, one in self._known.items() if self._tracks[name].gone_at > now]

    def _look(self, known: Known, now: datetime) -> None:
        name, count = known.subject.external_id, self._tracks[known.subject.external_id].truth(now)
        since, before = known.looked_at or known.born, known.count or 0
        growth = Growth(amount=count - before, since=since, until=now)
        self._known[name] = msgspec.structs.replace(known, looked_at=now, count=count, growth=growth)

    def _wrong(self, name: str, at: datetime) -> int:
        return abs(self._tracks[name].truth(at) - (self._known[name].count or 0))


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of the errors over all steps, and the calls that each of the first three made."""

    plan: int
    uniform: int
    bands: int
    least: int
    calls: int


def compare(scene: Scene) -> Compared:
    """Return how wrong the plan is, and others with as many calls in each step."""
    plan, uniform, bands, least = (_Books(scene) for _ in range(4))
    plan.run(lambda known, now, room: choose(known, now, _LOOK_BACK, room))
    made = (iter(plan.calls), iter(plan.calls))
    uniform.run(lambda known, now, _: sorted(known, key=lambda one: -_waited(one, now))[: next(made[0])])
    bands.run(lambda known, now, _: sorted(known, key=lambda one: -_lateness(one, now))[: next(made[1])])
    least.run(lambda known, _now, _room: known)
    errors = {"uniform": uniform.error, "bands": bands.error, "least": least.error}
    return Compared(plan=plan.error, calls=sum(plan.calls), **errors)


def _waited(known: Known, now: datetime) -> float:
    return inf if known.looked_at is None else (now - known.looked_at) / HOUR


def _lateness(known: Known, now: datetime) -> float:
    return _waited(known, now) / (band_of(known, now).latest / HOUR)


# ------------------------------------------------------------------------------------------------ scenes


def simulated(seed: int, calls: int) -> Scene:
    """Return the simulated platform, hour by hour; a post is found within the hour, its numbers take a look."""
    return Scene(
        tracks=_posts(seed),
        start=_WORLD_START,
        step=HOUR,
        steps=_WORLD_DAYS * 24,
        calls=lambda _present: calls,
    )


@cache
def _posts(seed: int) -> list[Track]:
    world = World(seed, _WORLD_START)
    return [_of_post(world, post) for post in world.posts]


def _of_post(world: World, post: Post) -> Track:
    @cache
    def truth(at: datetime) -> int:
        return sum(value for key, value in world.counters(post, at).items() if key in COUNTS)

    born = post.published_at
    return Track(
        name=post.id, born=born, found_at=born, gone_at=datetime.max.replace(tzinfo=UTC), listed=False, truth=truth
    )


def trending(share: float) -> Scene:
    """Return the real snapshots, day by day, each video from its first day in the charts to its last.

    When it was published is not in the data. Of a day without a snapshot the one before stands.
    """
    snapshots = _snapshots()
    first = min(at for days in snapshots.values() for at in days)
    last = max(at for days in snapshots.values() for at in days)
    return Scene(
        tracks=[_of_video(name, days) for name, days in snapshots.items()],
        start=first,
        step=DAY,
        steps=(last - first) // DAY + 1,
        calls=lambda present: int(present * share),
    )


def _of_video(name: str, days: Mapping[datetime, int]) -> Track:
    found, last = min(days), max(days)

    def truth(at: datetime) -> int:
        return days[max(day for day in days if day <= at)]

    return Track(name=name, born=found - PRESUMED_AGE, found_at=found, gone_at=last + DAY, listed=True, truth=truth)


def _snapshots() -> dict[str, dict[datetime, int]]:
    found: defaultdict[str, dict[datetime, int]] = defaultdict(dict)
    text = resources.files("service.data").joinpath("gb_youtube.csv").read_text(encoding="utf-8-sig")
    for row in csv.DictReader(text.splitlines()):
        day, month = (int(part) for part in row["date"].split("."))
        found[row["video_id"]][datetime(_YEAR, month, day, tzinfo=UTC)] = int(row["views"])
    return found


# ------------------------------------------------------------------------------------------------ figures


async def measure(_ground: Ground, sizes: Sizes) -> tuple[list[Figure], dict[str, Any]]:
    """Return the figures of both worlds."""
    worlds = [(f"{calls}/h", simulated(seed, calls)) for calls in _CALLS for seed in range(1, sizes.worlds + 1)]
    charts = [(f"{share:.0%}", trending(share)) for share in _SHARES]
    made = [_figure("refresh_simulated", worlds), _figure("refresh_trending", charts)]
    return [figure for figure, _ in made], {"refresh": [line for _, lines in made for line in lines]}


def _figure(key: str, scenes: Sequence[tuple[str, Scene]]) -> tuple[Figure, list[dict[str, Any]]]:
    found = [(name, compare(scene)) for name, scene in scenes]
    ratios = [one.plan / one.uniform for _, one in found]
    note = ", ".join(
        f"{name} {mean:.2f}" for name, mean in _means((name, one.plan / one.uniform) for name, one in found)
    )
    bands = ", ".join(f"{mean:.2f}" for _, mean in _means((name, one.bands / one.uniform) for name, one in found))
    least = ", ".join(f"{mean:.2f}" for _, mean in _means((name, one.least / one.uniform) for name, one in found))
    note = f"{note}; bands of age alone {bands}; everything in every step {least}"
    print(f"  {key}: {note}", flush=True)
    lines = [{"scene": key, "budget": name, **msgspec.to_builtins(one)} for name, one in found]
    return Figure(key=key, runs=tuple(ratios), note=note), lines


def _means(pairs: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    by_name: defaultdict[str, list[float]] = defaultdict(list)
    for name, ratio in pairs:
        by_name[name].append(ratio)
    return ((name, sum(ratios) / len(ratios)) for name, ratios in by_name.items())
