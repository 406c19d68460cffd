"""Windows are told apart for a whole batch, booked together or one by one: all end with the same books."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, so that a failing case comes back
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from connectors.contract import Item, Kind, Observation, Quality, SubjectRef, Window, Withdrawal, day_window
from service.context import fixed
from service.db.engine import Database
from service.ledger import series, statements, window_rows, windows
from service.ledger.rows import line_of
from service.ledger.series import SAID, Line, Mark, Stand, window_state
from service.ledger.verify import verify
from service.records import Rule
from service.reports.history import campaign_history
from service.reports.question import PlatformNotes, Question
from tests.bookkeeping import SUBJECT_DAYS, Books, at, seen
from tests.seeds import seeds

NOTES = PlatformNotes(mappings={}, simulated=frozenset())
METRICS = ("impressions", "views", "likes")
ENTRIES = """
select s.external_id, r.kind, r.goal, e.valid_from, e.valid_to, e.sign, e.cause, e.flags, e.observed_at, e.delivery_id,
  e.day, e.days, e.impressions, e.views, e.likes, e.conversions
from entries e join subjects s using (workspace_id, subject_id) join series r using (workspace_id, series_id)
"""
CONFIRMATIONS = """
select s.external_id, c.valid_from, c.valid_to, c.mask, c.confirmed_at
from confirmations c join subjects s using (workspace_id, subject_id)
"""
TALLIES = f"""
select s.external_id, d.day, d.zone, d.basis, d.days, d.impressions, d.views, d.likes, d.conversions
from {SUBJECT_DAYS} d join subjects s using (workspace_id, subject_id)
"""
CAMPAIGNS = "select day, zone, basis, days, impressions, views, likes, conversions from campaign_days"


def _window(rng: random.Random) -> Window:
    if rng.random() < 0.2:
        start = at(rng.randint(0, 2), rng.randint(0, 23))
        return Window(start=start, end=start + timedelta(hours=1))
    return day_window(date(2026, 6, rng.randint(1, 3)), rng.choice(("UTC", "Asia/Kolkata")), rng.choice((1, 1, 1, 2)))


def _item(rng: random.Random) -> Item:
    subject, window = SubjectRef(f"p{rng.randint(1, 3)}"), _window(rng)
    kind, when = rng.choice((Kind.PERIOD, Kind.PERIOD, Kind.UNIQUE)), at(rng.randint(5, 8))
    if rng.random() < 0.1:
        metrics = tuple(rng.sample(METRICS, rng.randint(1, 2)))
        return Withdrawal(subject=subject, kind=kind, window=window, metrics=metrics, observed_at=when)
    if rng.random() < 0.1:
        numbers, goal = {"conversions": rng.randint(0, 2), "impressions": rng.randint(0, 2)}, "sale"
    else:
        numbers, goal = {name: rng.randint(0, 2) for name in METRICS if rng.random() < 0.8} or {"views": 1}, ""
    quality = (Quality.SAMPLED,) if rng.random() < 0.2 else ()
    return Observation(
        subject=subject, kind=kind, metrics=numbers, window=window, observed_at=when, goal=goal, quality=quality
    )


def _again(rng: random.Random, item: Item) -> Item:
    """Return an item as it was said, or the same said at another time."""
    return item if rng.random() < 0.3 else msgspec.structs.replace(item, observed_at=at(rng.randint(5, 12)))


def batches_of(seed: int) -> list[list[list[Item]]]:
    """Return batches of deliveries; what was said is often said again, as a look-back does."""
    rng = random.Random(seed)
    found: list[list[list[Item]]] = [[[seen(f"p{n}", hashtags=("x",)) for n in range(1, 4)]]]
    for _ in range(10):
        old = [item for batch in found[1:] for delivery in batch for item in delivery]
        found.append(
            [
                [
                    _again(rng, rng.choice(old)) if old and rng.random() < 0.5 else _item(rng)
                    for _ in range(rng.randint(1, 6))
                ]
                for _ in range(rng.randint(1, 3))
            ]
        )
    return found


async def _marked(books: Books) -> int:
    """Hold each line that is marked to stand alone to all lines of its window; return how many there are."""
    lines: dict[Any, list[tuple[Line, int]]] = defaultdict(list)
    for row in await books.rows("select * from entries order by batch, line"):
        lines[_place(row)].append((line_of(row), row["mark"]))
    said: dict[Any, list[tuple[int, datetime]]] = defaultdict(list)
    for row in await books.rows("select * from confirmations"):
        said[_place(row)].append((row["mask"], row["confirmed_at"]))
    found = 0
    for key, own in lines.items():
        all_of, alone = [line for line, _ in own], [n for n, (_, mark) in enumerate(own) if mark & Mark.ALONE]
        for n in alone:
            (line, _), found = own[n], found + 1
            stand = Stand(0, line.observed_at, line.ref, line.flags & SAID)
            stands = {metric: stand._replace(value=value) for metric, value in line.metrics.items()}
            assert window_state(all_of[: n + 1], ()).stands == stands
        if alone:
            assert window_state(all_of[alone[-1] :], said[key]) == window_state(all_of, said[key])
    return found


def _place(row: Mapping[str, Any]) -> Any:
    return row["subject_id"], row["series_id"], row["valid_from"], row["valid_to"]


async def _books(database: Database, batches: Sequence[Sequence[Sequence[Item]]], seed: int) -> list[list[str]]:
    books = Books(database, fixed(at(61), seed))
    await books.open()
    source = await books.source()
    await books.campaign([Rule(hashtag="x")], zone="Europe/Berlin")
    for batch in batches:
        await books.post(source, *batch)
        async with database.snapshot(books.workspace_id) as connection:
            report = await verify(connection, books.workspace_id, lambda _delivery, _version: None)
        assert report.differences == []
        marked = await _marked(books)
    assert marked > 0
    return [
        sorted(str(dict(row)) for row in await books.rows(query))
        for query in (ENTRIES, CONFIRMATIONS, TALLIES, CAMPAIGNS)
    ]


def _reading_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every line of a window be read, also where one stood alone."""
    usual = statements.lines_of_windows

    def never_alone(metrics: tuple[str, ...]) -> str:
        mark = f"mark & {Mark.ALONE}"
        found = usual(metrics).replace(f"e.{mark} <> 0", "false")
        for condition, instead in (("<> 0", "false"), ("= 0", "true")):
            assert f"newest.{mark} {condition}" in found
            found = found.replace(f"newest.{mark} {condition}", instead)
        return found

    monkeypatch.setattr(statements, "lines_of_windows", never_alone)


def _verdicts(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return what will be told of the windows of each batch."""
    told: list[list[int]] = []
    asked = windows._held

    async def listening(*parts: Any) -> Any:
        found = await asked(*parts)
        told.append(found.tolist())
        return found

    monkeypatch.setattr(windows, "_held", listening)
    return told


@pytest.mark.parametrize("seed", seeds(6))
async def test_one_statement_and_one_by_one_agree(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = batches_of(seed)
    told = _verdicts(monkeypatch)
    # A reader of all lines finds many of them sooner.
    monkeypatch.setattr(windows, "book", partial(series.book, many=1000))
    # Every other case books its windows one by one, whatever the batch.
    monkeypatch.setattr(window_rows, "SCATTERED", 0 if seed % 2 else 1_000_000)
    at_once = await _books(database, batches, 1)
    assert {verdict for batch in told for verdict in batch} >= (set() if seed % 2 else {1, 2})
    monkeypatch.setattr(window_rows.Rows, "alone", lambda rows: np.zeros(len(rows), dtype=bool))
    _reading_all(monkeypatch)
    assert await _books(database, batches, 2) == at_once


def _day(subject: str, hour: int, **metrics: int) -> Item:
    """Return what is read of a day of a post at an hour."""
    window = day_window(date(2026, 6, 1), "UTC")
    return Observation(
        subject=SubjectRef(subject), kind=Kind.PERIOD, metrics=metrics, window=window, observed_at=at(3, hour)
    )


async def test_a_line_is_marked_where_nothing_else_stands_of_its_window(database: Database) -> None:
    books = Books(database, fixed(at(61), 1))
    await books.open()
    source = await books.source()
    await books.post(source, [_day("p", 9, views=5, likes=1)], [_day("q", 9, views=6, likes=2)])
    assert await _marked(books) == 2
    # One delivery takes the place of two: of each window what takes back comes first.
    await books.post(source, [_day("p", 10, views=6, likes=2), _day("q", 10, views=7, likes=3)])
    assert await _marked(books) == 4
    # The batch knows nothing of likes, which stand beside; then the other way round.
    await books.post(source, [_day("p", 11, views=8)])
    await books.post(source, [_day("p", 12, likes=4)])
    assert await _marked(books) == 4
    await books.post(source, [_day("p", 13, views=9, likes=5)], [_day("q", 13, views=7, likes=4)])
    assert await _marked(books) == 5
    await books.post(source, [_day("p", 14, views=10, likes=6, shares=1)], [_day("q", 14, likes=5)])
    assert await _marked(books) == 6
    # Known already, and nothing of it older than what stands.
    await books.post(source, [_day("p", 12, views=1)], [_day("p", 13, shares=2)], [_day("q", 15, views=7, likes=5)])
    rows = await books.rows(f"select views, likes, shares from {SUBJECT_DAYS} d order by views desc")
    assert rows == [{"views": 10, "likes": 6, "shares": 1}, {"views": 7, "likes": 5, "shares": None}]


async def test_of_a_day_of_which_some_numbers_move_few_lines_are_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    usual = series.book

    def listening(lines: Sequence[Line], *given: Any, **named: Any) -> Any:
        read.append(len(lines))
        return usual(lines, *given, **named)

    monkeypatch.setattr(windows, "book", listening)
    books = Books(database, fixed(at(61), 1))
    await books.open()
    source = await books.source()
    campaign = await books.campaign([Rule(source=source.source_id)])
    for hour in range(12):
        # Another process posts now and then, and its clock is behind.
        books.context = fixed(at(60 + hour % 2), hour)
        other = [[_day("q", hour, likes=1)]] if hour == 10 else []
        await books.post(source, [_day("p", hour, views=hour, likes=3)], *other)
    assert await _marked(books) == 4
    assert max(read) == series.MANY + 1
    question = Question(metrics=("likes",), preset="lifetime")
    async with database.snapshot(books.workspace_id) as connection:
        assert (await verify(connection, books.workspace_id, lambda _delivery, _version: None)).differences == []
        about = (connection, books.workspace_id, campaign, question, NOTES, at(61, 1))
        told = await campaign_history(*about, after=0, limit=50)
    # Likes were taken back and said again in the posting that brings another post's: its delivery alone moved them.
    assert [(change.new.value, change.deliveries_total) for change in told.data] == [(3, 1), (4, 1)]


async def test_what_is_older_than_all_that_is_known_is_told_apart_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _verdicts(monkeypatch)
    books = Books(database, fixed(at(61), 1))
    await books.open()
    source = await books.source()
    for hour, metrics in ((9, {"views": 5}), (12, {"views": 7}), (10, {"views": 6}), (10, {"views": 6, "likes": 1})):
        await books.post(source, [_day("p", hour, **metrics)])
    # New, newer, older, and older with a number that nobody has said since.
    assert told[1:] == [[3], [1], [3]]
    rows = await books.rows(f"select views, likes from {SUBJECT_DAYS} d")
    assert rows == [{"views": 7, "likes": 1}]
    assert await books.rows("select 1 from confirmations") == []
