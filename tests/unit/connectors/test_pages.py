"""Pages: handed on with all that reading them takes, read again by what their request says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial

import pytest

from connectors import pages, values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    Response,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    day_window,
)

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)
ANSWER = Response(status=200, headers={}, body=b"{}", received_at=NOW)
WORD = partial(values.identifier, allowed=re.compile(r"[a-z]+"))


def delivery(channel: str = "fetch", **request: str) -> Delivery:
    return Delivery(channel=channel, body=b"{}", received_at=NOW, request=request)


def test_a_page_holds_no_empty_texts_and_a_last_one_no_cursor() -> None:
    page = pages.page_of(ANSWER, {"after": "x", "due": ""}, last=False, kind="posts", refused="")
    assert (page.request, page.cursor, page.received_at) == ({"kind": "posts"}, {"after": "x"}, NOW)
    last = pages.page_of(ANSWER, {"after": "x"}, last=True, kind="posts")
    assert (last.cursor, last.last) == ({}, True)


def test_lists_in_texts() -> None:
    assert pages.listed({"ids": "a,,b"}, "ids") == ("a", "b")
    assert pages.listed({}, "ids") == ()


def test_a_delivery_is_read_by_its_channel() -> None:
    def push(_: Delivery) -> Iterator[Item]:
        yield Drop(reason=DropReason.TEST_EVENT)

    def page(_: Delivery) -> Iterator[Item]:
        yield Drop(reason=DropReason.NO_NUMBERS)

    assert [item.reason for item in pages.read(delivery("webhook"), "T", push, page)] == ["test_event"]  # type: ignore[union-attr]
    assert [item.reason for item in pages.read(delivery(), "T", push, page)] == ["no_numbers"]  # type: ignore[union-attr]
    with pytest.raises(BadPayload, match="T is pushed or fetched, not uploaded"):
        pages.read(delivery("upload"), "T", push, page)


def test_a_request_says_which_page_it_is_and_what_was_asked_for() -> None:
    assert pages.reader_of(delivery(page="posts"), {"posts": 1}) == 1
    assert pages.asked(delivery(post="7"), "post") == "7"
    for missing in (delivery(), delivery(page="other", post="")):
        with pytest.raises(BadPayload, match="which page it is"):
            pages.reader_of(missing, {"posts": 1})
        with pytest.raises(BadPayload, match="does not say its post"):
            pages.asked(missing, "post")


def test_what_was_refused_is_said() -> None:
    assert list(pages.refused(delivery(refused="reach,likes"))) == [
        Drop(reason=DropReason.NOT_AVAILABLE, detail="reach"),
        Drop(reason=DropReason.NOT_AVAILABLE, detail="likes"),
    ]


def test_a_list_must_be_there() -> None:
    assert pages.list_in({"data": []}, "data") == []
    with pytest.raises(BadPayload, match="the page has no list named data"):
        pages.list_in({"data": {}}, "data")


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"id": ""}, "missing_id"), ({}, "missing_id"), ({"id": "A"}, "malformed"), (7, "malformed"), (None, "malformed")],
)
def test_an_entry_without_an_id_is_a_drop(value: object, reason: str) -> None:
    assert pages.entry_of(value, 2, WORD) == Drop(reason=DropReason(reason), row=2, detail="id")


def test_an_entry_is_known_by_its_id() -> None:
    entry = pages.entry_of({"item_id": "a", "x": 1}, None, WORD, "item_id")
    assert entry == pages.Entry(None, "a", {"item_id": "a", "x": 1})
    assert list(pages.unread(DropReason.BAD_TIME, 1, "at")) == [Drop(reason=DropReason.BAD_TIME, row=1, detail="at")]
    assert list(pages.unread(NOW, 1, "at")) == []


def test_a_day_stands_once_in_a_table() -> None:
    days, one = pages.Days("date"), day_window(date(2026, 8, 1), "UTC")
    assert days.place(one, 1) == one
    assert days.place(one, 2) == Drop(reason=DropReason.DUPLICATE_FIELD, row=2, detail="date")
    assert days.place(DropReason.BAD_TIME, 3) == Drop(reason=DropReason.BAD_TIME, row=3, detail="date")


def test_what_was_asked_for_and_is_not_shown_is_gone() -> None:
    gone = SubjectSeen(subject=SubjectRef("b", SubjectType.VIDEO), removed_at=NOW)
    assert list(pages.removed(delivery(), ["a", "b"], {"a"})) == [gone]
