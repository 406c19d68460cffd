"""What is measured, what it should be, how it is told: goals, medians, the table, the file. Pure but for writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure should be and what it must not be worse than; None: it is reported only.

    ``rises`` says that more is better.
    """

    text: str
    unit: str = "x"
    goal: float | None = None
    floor: float | None = None
    rises: bool = True


GOALS: Mapping[str, Goal] = {
    "ingest_vs_dlt": Goal(text="observations/s, pages to posted, over dlt merge", goal=10, floor=5),
    "ingest_vs_singer": Goal(text="observations/s, pages to posted, over Singer target-postgres", goal=30, floor=15),
    "ingest_vs_copy": Goal(text="observations/s, pages to posted, over a bare COPY", goal=0.5, floor=0.25),
    "replay_speed": Goal(text="the same pages again over the first time", goal=2, floor=1.5),
    "wide_vs_dlt": Goal(text="as ingest_vs_dlt, every additive metric"),
    "wide_vs_singer": Goal(text="as ingest_vs_singer, every additive metric"),
    "wide_vs_copy": Goal(text="as ingest_vs_copy, every additive metric"),
    "wide_replay_speed": Goal(text="as replay_speed, every additive metric"),
    "bytes_per_observation": Goal(text="ledger, balances and tallies, with indexes", unit="B", rises=False),
    "ack_vs_noop": Goal(text="durable acknowledgements/s over a route that does nothing", goal=1.0, floor=0.7),
    "ack_vs_insert": Goal(text="durable acknowledgements/s over one INSERT per request", goal=3, floor=2),
    "freshness_p99_ms": Goal(
        text="acknowledged to visible in the KPI answer", unit="ms", goal=250, floor=1000, rises=False
    ),
    "kpi_growth": Goal(text="p99 of the KPI query, large ledger over small", goal=1.3, floor=2, rises=False),
    "kpi_p99_ms": Goal(text="KPI query in process, large ledger", unit="ms", goal=20, floor=60, rises=False),
    "overview_p99_ms": Goal(
        text="10 KPIs of 5,000 posts over 90 days, against the 90 before", unit="ms", goal=20, floor=60, rises=False
    ),
    "by_subject_p99_ms": Goal(
        text="the same by post, for the first hundred", unit="ms", goal=60, floor=180, rises=False
    ),
    "running_build_s": Goal(text="running sums of these posts from nothing", unit="s", rises=False),
    "running_day_ms": Goal(text="running sums after one more day", unit="ms", rises=False),
    "running_bytes": Goal(text="running sums for each entry that they sum", unit="B", rises=False),
    "not_modified_vs_noop": Goal(text="unchanged KPI answers/s over a route that does nothing", goal=0.7, floor=0.35),
    "refresh_simulated": Goal(
        text="error of the refresh plan over uniform polling, simulated platform by the hour",
        goal=0.5,
        floor=0.7,
        rises=False,
    ),
    "refresh_trending": Goal(
        text="error of the refresh plan over uniform polling, real snapshots by the day",
        goal=0.5,
        floor=0.7,
        rises=False,
    ),
    "rss_mb": Goal(text="peak memory of a worker with a backlog", unit="MB", goal=300, floor=500, rises=False),
}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure: the median of ``runs``, and what must be said with it."""

    key: str
    runs: tuple[float, ...]
    note: str = ""

    @property
    def value(self) -> float:
        return median(self.runs)


def ratios(key: str, ours: Sequence[float], theirs: Sequence[float], note: str = "") -> Figure:
    """Return the figure of two rates that were measured in turns, round by round."""
    return Figure(key=key, runs=tuple(one / other for one, other in zip(ours, theirs, strict=True)), note=note)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` of all values do not exceed."""
    ordered = sorted(values)
    place = -(-len(ordered) * share // 1)
    return ordered[max(int(place) - 1, 0)]


def verdict(figure: Figure) -> str:
    """Return ``met``, ``below goal``, ``MISSED`` (worse than the floor) or ``reported``."""
    goal = GOALS[figure.key]
    if goal.goal is None:
        return "reported"
    if _reaches(figure.value, goal.goal, goal):
        return "met"
    return "below goal" if goal.floor is not None and _reaches(figure.value, goal.floor, goal) else "MISSED"


def _reaches(value: float, mark: float, goal: Goal) -> bool:
    return value >= mark if goal.rises else value <= mark


def table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table for a terminal."""
    made = Table("figure", "value", "goal", "floor", "verdict", "runs", "what", box=None, pad_edge=False)
    for figure in figures:
        goal = GOALS[figure.key]
        spread = f"{_shown(min(figure.runs))}-{_shown(max(figure.runs))} ({len(figure.runs)})"
        marks = ("-" if mark is None else f"{mark:g}" for mark in (goal.goal, goal.floor))
        value = f"{_shown(figure.value)} {goal.unit}"
        what = f"{goal.text}; {figure.note}" if figure.note else goal.text
        made.add_row(figure.key, value, *marks, verdict(figure), spread, what)
    return made


def _shown(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough


def document(figures: Sequence[Figure], details: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that was measured, for a program: figures with their verdicts, details, the setting."""
    return {
        "setting": dict(setting),
        "figures": {
            figure.key: {
                "value": figure.value,
                "unit": GOALS[figure.key].unit,
                "goal": GOALS[figure.key].goal,
                "floor": GOALS[figure.key].floor,
                "verdict": verdict(figure),
                "runs": list(figure.runs),
                "note": figure.note,
            }
            for figure in figures
        },
        "details": dict(details),
    }


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write a document as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
