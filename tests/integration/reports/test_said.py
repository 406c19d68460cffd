"""What platforms say against windows is found where a look at every window finds it, whatever spans are asked for."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from datetime import UTC, datetime, timedelta

from connectors.contract import Kind, Observation, Quality, SubjectRef, Window, day_window
from service.db.engine import Database, driver
from service.ledger.history.said import qualities, said
from service.ledger.history.spans import Span
from tests.bookkeeping import START, Books, at

DAYS = 12
METRICS = ("likes", "impressions")


def _windows(rng: random.Random) -> list[Window]:
    """Return windows that do not touch: of an hour, a day, several days."""
    found, day = [], 0
    while day < DAYS:
        begin = START + timedelta(days=day)
        if rng.random() < 0.4:
            start = begin + timedelta(hours=rng.randrange(23))
            found.append(Window(start=start, end=start + timedelta(hours=1)))
            day += 1
        else:
            days = rng.choice((1, 1, 2, 3))
            found.append(day_window(begin.date(), "UTC", days))
            day += days
    return found


def _spans(rng: random.Random) -> list[Span]:
    """Return spans that begin and end anywhere, on midnights and between them, and one of everything."""
    found = []
    for number in range(8):
        first, length = rng.randrange(DAYS), rng.randrange(1, 6)
        begin, end = START + timedelta(days=first), START + timedelta(days=first + length)
        if number % 2:
            found.append(
                Span(
                    number=number,
                    start=begin,
                    end=end,
                    first_day=begin.date(),
                    last_day=end.date() - timedelta(days=1),
                )
            )
        else:
            moved = timedelta(hours=rng.randrange(24))
            found.append(Span(number=number, start=begin + moved, end=end + moved, first_day=None, last_day=None))
    everything = datetime(2020, 1, 1, tzinfo=UTC), START + timedelta(days=99)
    return [
        *found,
        Span(number=99, start=everything[0], end=everything[1], first_day=None, last_day=None, openings=True),
    ]


def _holds(span: Span, window: Window) -> bool:
    if span.openings:
        return True
    if window.day is None:
        return span.start <= window.start < span.end
    last = window.day + timedelta(days=window.days - 1)
    return (
        span.first_day is not None
        and span.last_day is not None
        and span.first_day <= window.day
        and last <= span.last_day
    )


async def test_words_are_found_in_the_spans_that_hold_their_windows(database: Database) -> None:
    books, rng = Books(database), random.Random(5)
    await books.open()
    source = await books.source()
    told: list[tuple[str, Window, Quality, str]] = []
    items = []
    for post in ("p1", "p2", "p3"):
        for window in _windows(rng):
            word, metric = rng.choice((None, Quality.SAMPLED, Quality.THRESHOLDED)), rng.choice(METRICS)
            items.append(
                Observation(
                    subject=SubjectRef(post),
                    kind=Kind.PERIOD,
                    metrics={metric: 5},
                    window=window,
                    observed_at=at(40),
                    quality=() if word is None else (word,),
                )
            )
            if word is not None:
                told.append((post, window, word, metric))
    await books.post(source, items)
    async with database.snapshot(books.workspace_id) as connection:
        raw = await driver(connection)
        rows = await raw.fetch("select subject_id, external_id from subjects order by external_id")
        subjects, names = [row["subject_id"] for row in rows], [row["external_id"] for row in rows]
        for _ in range(12):
            spans = _spans(rng)
            heard = await said(raw, books.workspace_id, subjects, spans, METRICS, None)
            assert heard is not None
            for span in spans:
                held = heard.within(span)
                found = {
                    (names[subject], word, metric)
                    for metric, about in heard.about.items()
                    for subject, flags, yes in zip(
                        heard.subjects.tolist(), heard.flags.tolist(), (held & about).tolist(), strict=True
                    )
                    for word in qualities(flags)
                    if yes
                }
                expected = {(post, word, metric) for post, window, word, metric in told if _holds(span, window)}
                assert found == expected, span
