"""Walking through listings, batches and days: on from any cursor, round in circles never."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors import pages, walks
from connectors.contract import ConnectorError, DropReason, NotSupported, Page, Response, Source, SubjectRef, Task

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
SOURCE = Source(id="src_1", platform="p", account="a", options=None)
DAYS = timedelta(days=7)


def task(kind: str = "posts", **more: Any) -> Task:
    return Task(kind=kind, source=SOURCE, **more)


def test_an_unknown_kind_is_not_supported() -> None:
    assert walks.fetcher_of(task(), "P", {"posts": 1}) == 1
    with pytest.raises(NotSupported, match="P has no task of the kind 'other'"):
        walks.fetcher_of(task("other"), "P", {"posts": 1})


# ------------------------------------------------------------------------------------------------ listings


def test_a_listing_goes_on_and_ends() -> None:
    turns = walks.Turns(3, "a")
    assert [turns.on_to(place) for place in ("b", "c", "")] == ["b", "c", ""]
    with pytest.raises(ConnectorError, match="comes back to a page it has shown"):
        turns.on_to("a")
    with pytest.raises(ConnectorError, match="a listing does not end after 3 pages"):
        turns.on_to("d")


@pytest.mark.parametrize("told", [None, "", 7, ["a"], "x" * 6])
def test_a_listing_that_goes_on_says_where(told: Any) -> None:
    with pytest.raises(ConnectorError, match="goes on without saying where"):
        walks.place(told, 5)
    assert walks.place("x" * 5, 5) == "x" * 5


def test_a_falling_place_falls() -> None:
    assert walks.lower_place(5, goes_on=True, before=None) == 5
    assert walks.lower_place(5, goes_on=False, before=6) is None
    for told, message in ((None, "without saying where"), (6, "comes back"), (7, "comes back")):
        with pytest.raises(ConnectorError, match=message):
            walks.lower_place(told, goes_on=True, before=6)


def test_a_listing_is_past_its_window_with_a_whole_page() -> None:
    old, new = NOW - DAYS, NOW
    assert walks.is_past([old, old], NOW - timedelta(days=1))
    within: list[list[datetime | DropReason | None]] = [[old, new], [old, None], [old, DropReason.BAD_TIME], []]
    assert not any(walks.is_past(page, NOW - timedelta(days=1)) for page in within)
    assert not walks.is_past([old], None)


class _Sized(walks.Left, frozen=True):
    size: int = 2


PAGES: dict[str, tuple[tuple[str, ...], str]] = {"": (("1", "2"), "x"), "x": ((), "y"), "y": (("3",), "")}


async def made(left: _Sized, most: int = 10, circle: str = "") -> list[tuple[str, dict[str, str]]]:
    def page(name: str, rest: _Sized) -> tuple[Page, _Sized]:
        answer = Response(status=200, headers={}, body=b"", received_at=NOW)
        return pages.page_of(answer, rest.cursor(), last=rest.is_done, name=name), rest

    async def listing(at: _Sized) -> tuple[Page, _Sized]:
        due, after = PAGES[at.after]
        after = circle or after
        return page(f"list {at.after}", _Sized(after=after, due=due, ended=not after))

    async def single(at: _Sized) -> tuple[Page, _Sized]:
        return page(f"one {at.due[0]}", msgspec.structs.replace(at, due=at.due[1:]))

    return [(one.request["name"], dict(one.cursor)) async for one in walks.walk(left, listing, single, most)]


async def test_each_page_is_followed_by_the_calls_it_leaves_due() -> None:
    whole = await made(_Sized())
    assert [name for name, _ in whole] == ["list ", "one 1", "one 2", "list x", "list y", "one 3"]
    assert whole[1][1] == {"after": "x", "due": "2"}
    assert whole[4][1] == {"due": "3", "ended": "1"}
    assert whole[-1][1] == {}


async def test_a_walk_goes_on_from_any_of_its_cursors() -> None:
    whole = await made(_Sized())
    for number, (_, cursor) in enumerate(whole[:-1], start=1):
        left = _Sized(after=cursor.get("after", ""), due=pages.listed(cursor, "due"), ended="ended" in cursor)
        assert await made(left) == whole[number:]


async def test_a_walk_in_a_circle_ends() -> None:
    with pytest.raises(ConnectorError, match="comes back"):
        await made(_Sized(), circle="x")
    with pytest.raises(ConnectorError, match="does not end after 1 pages"):
        await made(_Sized(), most=1)


# ------------------------------------------------------------------------------------------------ subjects and days


def test_named_subjects_come_once_and_in_batches() -> None:
    wanted = task(subjects=tuple(SubjectRef(name) for name in ("a", "b", "a", "?", "c")))
    ids = walks.named(wanted, lambda ref: ref.external_id.isalpha())
    assert ids == ["a", "b", "c"]
    assert list(walks.batches(ids, None, 2)) == [(["a", "b"], False), (["c"], True)]
    assert list(walks.batches(ids, "b", 2)) == [(["c"], True)]
    assert list(walks.batches(ids, "c", 2)) == []
    assert list(walks.batches(ids, "gone", 3)) == [(["a", "b", "c"], True)]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, (date(2026, 8, 13), date(2026, 8, 19))),
        ({"start": NOW - timedelta(days=2)}, (date(2026, 8, 18), date(2026, 8, 19))),
        ({"end": NOW + DAYS}, (date(2026, 8, 13), date(2026, 8, 19))),
        ({"start": NOW - timedelta(days=90)}, (date(2026, 8, 10), date(2026, 8, 19))),
        ({"start": NOW}, None),
    ],
)
def test_complete_days(more: dict[str, Any], found: tuple[date, date] | None) -> None:
    earliest = NOW - timedelta(days=10)
    assert walks.complete_days(task(**more), NOW, "America/Los_Angeles", DAYS, earliest) == found
