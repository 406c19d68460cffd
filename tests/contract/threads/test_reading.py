"""What pages say: the three shapes of numbers, sums of parts, what is missing and what is wrong."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from connectors.contract import BadPayload, Drop, SubjectSeen, day_window
from tests.contract.reading import counting, drops, observations, sight
from tests.contract.threads.desk import NOW, PROFILE, parsed, post, recorded
from tests.fakes.graph import GONE, envelope
from tests.fakes.threads import ACCOUNT

INSIGHTS = {"page": "insights", "media_id": "1", "account": ACCOUNT}
TOTALS = {"page": "account_totals", "day": "2026-08-13", "account": ACCOUNT}
VIEWS = {"page": "account_views", "account": ACCOUNT}


def insights(**values: Any) -> bytes:
    data = [{"name": name, "period": "lifetime", "values": [{"value": value}]} for name, value in values.items()]
    return msgspec.json.encode({"data": data})


def totals(**entries: Any) -> bytes:
    return msgspec.json.encode({"data": [{"name": name, "period": "day", **entry} for name, entry in entries.items()]})


@pytest.mark.parametrize(
    ("parts", "shares"),
    [
        ({"reposts": 3, "quotes": 2, "shares": 1}, 6),
        ({"reposts": 3, "quotes": 2}, 5),  # a kind of post that has no shares
        ({"reposts": 0, "quotes": 0, "shares": 0}, 0),
        ({"reposts": None, "quotes": 2, "shares": -1}, 2),
        ({"reposts": None, "quotes": None}, None),
        ({"reposts": "3", "quotes": 2}, 2),
    ],
)
def test_shares_are_what_people_passed_on(parts: dict[str, Any], shares: int | None) -> None:
    counted = counting(parsed(insights(**parts), INSIGHTS))
    assert counted == ([] if shares is None else [(post(1), {"shares": shares})])


def test_views_are_no_impressions_and_nothing_is_paid_or_reached() -> None:
    items = observations(parsed(insights(views=7), INSIGHTS))
    assert [(one.metrics, one.paid) for one in items] == [({"views": 7}, None)]


def test_a_repost_of_somebody_elses_post_has_no_numbers() -> None:
    assert drops(parsed(b'{"data":[]}', INSIGHTS)) == [("no_numbers", "")]
    assert ("not_available", "REPOST_FACADE") in drops(recorded("posts", page="posts"))


@pytest.mark.parametrize(
    ("entry", "clicks", "reason"),
    [
        ({"link_total_values": [{"value": 3, "link_url": "a"}, {"value": 4, "link_url": "b"}]}, 7, None),
        ({"link_total_values": [{"value": 0, "link_url": "a"}]}, 0, None),
        ({"link_total_values": []}, None, "no_numbers"),
        ({"link_total_values": [{"link_url": "a"}]}, None, "no_numbers"),
        ({"link_total_values": [{"value": "3"}]}, None, "bad_number"),
        ({"link_total_values": [{"value": 2**63}]}, None, "bad_number"),
        ({"link_total_values": [{"value": 2**62}, {"value": 2**62}]}, None, "out_of_range"),
        ({"link_total_values": 5}, None, "no_numbers"),
        ({"total_value": {"value": 9}}, 9, None),
        ({}, None, "no_numbers"),
    ],
)
def test_clicks_are_summed_over_links(entry: dict[str, Any], clicks: int | None, reason: str | None) -> None:
    items = parsed(totals(clicks=entry), TOTALS)
    assert counting(items) == ([] if clicks is None else [(PROFILE, {"clicks_link": clicks})])
    assert reason is None or reason in [found for found, _ in drops(items)]


def test_totals_stand_on_the_day_that_was_asked_for() -> None:
    items = observations(recorded("account_totals", page="account_totals", day="2026-03-08"))
    assert {one.window for one in items} == {day_window(date(2026, 3, 8), "America/Los_Angeles")}


@pytest.mark.parametrize(
    ("end", "day"),
    [
        ("2026-08-01T07:00:00+0000", date(2026, 7, 31)),
        ("2026-01-05T08:00:00+0000", date(2026, 1, 4)),
        ("2026-03-09T07:00:00+0000", date(2026, 3, 8)),
        ("2025-11-03T08:00:00+0000", date(2025, 11, 2)),
    ],
)
def test_the_day_of_a_bucket(end: str, day: date) -> None:
    body = totals(views={"values": [{"value": 5, "end_time": end}]})
    assert [one.window for one in observations(parsed(body, VIEWS))] == [day_window(day, "America/Los_Angeles")]


def test_one_bad_number_is_a_drop_and_its_neighbours_count() -> None:
    body = totals(
        likes={"total_value": {"value": "many"}},
        replies={"total_value": {"value": 2}},
        quotes={"total_value": 5},
        follower_demographics={"total_value": {"breakdowns": []}},
        brand_new={"total_value": {"value": 1}},
    )
    items = parsed(body, TOTALS)
    assert [one.metrics for one in observations(items)] == [{"comments": 2}]
    assert drops(items) == [
        ("bad_number", "likes"),
        ("not_mapped", "follower_demographics"),
        ("unknown_metric", "brand_new"),
    ]


def test_a_bad_entry_of_a_listing_is_a_drop_and_its_neighbours_count() -> None:
    data = [
        {"timestamp": "2026-08-13T08:25:28+0000"},
        {"id": 18},
        "no object",
        {"id": "1", "timestamp": "2026-08-20T12:05:01+0000"},
        {"id": "2", "timestamp": "2026-08-13T08:25:28+0000", "media_type": {}, "root_post": 5},
    ]
    items = parsed(msgspec.json.encode({"data": data}), {"page": "posts", "account": ACCOUNT})
    assert [one.subject for one in sight(items)] == [post(1), post(2)]
    assert [(item.reason.value, item.row) for item in items if isinstance(item, Drop)] == [
        ("missing_id", 1),
        ("malformed", 2),
        ("malformed", 3),
        ("future_time", 4),
    ]


def test_a_post_that_is_gone_is_removed_and_a_refused_metric_named() -> None:
    removed, drop = parsed(GONE, INSIGHTS)
    assert removed == SubjectSeen(subject=post(1), removed_at=NOW)
    assert drops([drop]) == [("not_available", "gone (code 100, subcode 33)")]
    wrong = envelope(100, "(#100) metric must be one of the following values: views")
    assert drops(parsed(wrong, INSIGHTS)) == [("unknown_metric", "bad_metric (code 100)")]
    items = parsed(insights(views=3), {**INSIGHTS, "refused": "shares"})
    assert drops(items) == [("not_available", "shares")]


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"", INSIGHTS),
        (b"[]", INSIGHTS),
        (b"{}", INSIGHTS),
        (b"[" * 100_000, INSIGHTS),
        (b'{"data":[]}', {"page": "insights"}),
        (b'{"data":[]}', {"page": "account_totals", "account": "1", "day": "2026-02-30"}),
        (b'{"data":[]}', {"page": "another"}),
    ],
)
def test_a_page_that_cannot_be_read_is_one_clear_line(body: bytes, request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body, request_)
    assert len(str(caught.value)) < 100
