"""The shape of what is unusual: one form for spikes, shifts and swarms, and how each metric was watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.reports.answer import RangeOut, WarningOut


class SignalOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something unusual. ``kind``: *spike* or *drop* (one bucket), *shift* (a moving average that left its limits and

    stays out), *swarm* (posts that gather in an hour). ``score`` is the robust z, null where the history never varied:
    then ``p`` tells how rare the count is. ``detail`` has the numbers of its kind; ``evidence`` leads to what was read.
    """

    kind: str
    metric: str | None
    start: str
    label: str
    observed: float
    usual: float
    score: float | None
    p: float | None
    method: str
    summary: str
    detail: Mapping[str, Any]
    evidence: str | None


class WatchOut(msgspec.Struct, frozen=True, kw_only=True):
    """How a metric was watched: buckets known, looked at, and compared with weeks before; and why some were not."""

    known: int
    looked_at: int
    seasonal: int
    reason: str | None


class SignalsMetaOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer knew: ``as_of`` pins it. ``chance_expected`` spikes or so are to be expected from noise alone."""

    as_of: str
    posting: int
    range: RangeOut
    timezone: str
    granularity: str
    threshold: float
    chance_expected: float
    watched: Mapping[str, WatchOut]
    posts: int
    warnings: tuple[WarningOut, ...]


class SignalsOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was unusual over a range, the newest first."""

    data: tuple[SignalOut, ...]
    meta: SignalsMetaOut
