"""The range of a question in a query string: a preset, local days or instants, in a zone, with a knowledge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from pydantic import Field

from service.api.models import Instant, Query, Zone
from service.errors import Invalid
from service.registry import checks
from service.reports.question import Question


class RangeQuery(Query):
    """The range of a question, its zone and its knowledge."""

    range: str | None = Field(
        None,
        max_length=40,
        description="a preset: `today`, `last_7d`, `last_7d_complete`, `flight`, `lifetime`; default `flight_to_date`",
        examples=["last_7d_complete"],
    )
    from_: str | None = Field(
        None,
        alias="from",
        max_length=40,
        description="first local day (inclusive), or an instant",
        examples=["2026-03-01"],
    )
    to: str | None = Field(
        None,
        max_length=40,
        description="last local day (inclusive), or an instant (exclusive)",
        examples=["2026-03-31"],
    )
    timezone: Zone | None = Field(None, description="IANA name; default: the campaign's")
    as_of: Instant | None = Field(None, description="answer with what was known then; `meta.as_of` pins an answer")


def over_range(asked: RangeQuery) -> Question:
    """Return a question that asks nothing yet, over a range. Raises :class:`Invalid`."""
    if asked.timezone is not None:
        checks.zone(asked.timezone, "?timezone")
    if asked.range is not None and (asked.from_ is not None or asked.to is not None):
        raise Invalid("give a preset or from and to, not both", pointer="?range", code="conflicting_ranges")
    first, last = _edges(asked)
    return Question(preset=asked.range, range_from=first, range_to=last, timezone=asked.timezone, as_of=asked.as_of)


def _edges(asked: RangeQuery) -> tuple[date | datetime | None, date | datetime | None]:
    if asked.from_ is None and asked.to is None:
        return None, None
    if asked.from_ is None or asked.to is None:
        raise Invalid("a range has both ends", pointer="?to" if asked.to is None else "?from", code="open_range")
    first, last = _edge(asked.from_, "?from"), _edge(asked.to, "?to")
    if isinstance(first, datetime) is not isinstance(last, datetime):
        raise Invalid("both ends are days, or both are instants", pointer="?to", code="mixed_range")
    return first, last


def _edge(text: str, pointer: str) -> date | datetime:
    read: Callable[[str], date | datetime] = datetime.fromisoformat if "T" in text.upper() else date.fromisoformat
    try:
        found = read(text.replace(" ", "+") if "T" in text.upper() else text)
    except ValueError:
        raise Invalid("no day or instant of the calendar", pointer=pointer, code="bad_date") from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise Invalid("an instant carries its offset", pointer=pointer, code="naive_instant")
    if not 1990 <= found.year <= 2100:  # noqa: PLR2004 - the years that books can hold
        raise Invalid("the year is outside 1990 to 2100", pointer=pointer, code="bad_date")
    return found
