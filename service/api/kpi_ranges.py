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
    first, last = edges(asked.from_, asked.to)
    return Question(preset=asked.range, range_from=first, range_to=last, timezone=asked.timezone, as_of=asked.as_of)


def edges(
    first: str | None, last: str | None, place: str = ""
) -> tuple[date | datetime | None, date | datetime | None]:
    """Return the ends of a range that stands at ``place`` (nothing: in a query string by itself); None without any.

    Raises :class:`Invalid` for one end alone, and for a day with an instant.
    """
    begin, end = (f"{place}/from", f"{place}/to") if place else ("?from", "?to")
    if first is None and last is None:
        return None, None
    if first is None or last is None:
        raise Invalid("a range has both ends", pointer=end if last is None else begin, code="open_range")
    opens, closes = _edge(first, begin), _edge(last, end)
    if isinstance(opens, datetime) is not isinstance(closes, datetime):
        raise Invalid("both ends are days, or both are instants", pointer=end, code="mixed_range")
    return opens, closes


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
