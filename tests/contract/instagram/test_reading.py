"""What pages say: expected numbers are written by hand from the bodies."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    BadPayload,
    CreatorSeen,
    Drop,
    DropReason,
    Kind,
    Observation,
    Quality,
    SubjectSeen,
    SubjectType,
    day_window,
)
from tests.contract.instagram.desk import NOW, PROFILE, parsed, post, recorded, reel, story
from tests.contract.reading import drops, observations
from tests.fakes.graph import GONE, end_of, envelope, stamp
from tests.fakes.instagram import ACCOUNT, BEFORE_BUSINESS, TOO_FEW

PACIFIC = "America/Los_Angeles"
ESTIMATED = (Quality.ESTIMATED,)
FEED = {"page": "media_insights", "media_id": "17846368219941692", "media_product_type": "FEED"}


def test_a_listing_gives_subjects_with_their_facts_and_the_counting_likes_and_comments() -> None:
    items = recorded("media_listing", page="media")
    seen = [item for item in items if isinstance(item, SubjectSeen)]
    assert seen[0] == SubjectSeen(
        subject=post("17895695668004550"),
        published_at=datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC),
        title="Sommer in #Köln ☀️ #Summer2026",
        url="https://www.instagram.com/p/Cx1/",
        content_type="image",
        hashtags=("köln", "summer2026"),
        creator=ACCOUNT,
    )
    assert [(one.subject, one.content_type, one.hashtags) for one in seen[1:]] == [
        (reel("00895695668004551"), "reel", None),
        (post("17895695668004552"), "carousel", ()),
    ]
    assert [(one.subject, one.metrics, one.kind, one.check) for one in observations(items)] == [
        (post("17895695668004550"), {"likes": 2, "comments": 6}, Kind.LIFETIME, False),
        (reel("00895695668004551"), {"comments": 0}, Kind.LIFETIME, False),
        (post("17895695668004552"), {"likes": 31, "comments": 4}, Kind.LIFETIME, False),
    ]
    assert drops(items) == []


def test_a_reel_has_views_that_are_impressions_unique_reach_and_checks_of_its_likes() -> None:
    request = {"page": "media_insights", "media_id": "17895695668004553", "media_product_type": "REELS"}
    subject = reel("17895695668004553")
    assert recorded("media_insights_reel", **request) == [
        Observation(
            subject=subject,
            kind=Kind.LIFETIME,
            paid=False,
            metrics={
                "views": 5120,
                "impressions": 5120,
                "saves": 0,
                "shares": 17,
                "engagements_platform": 260,
                "watch_time": 18_432_000,
            },
        ),
        Observation(subject=subject, kind=Kind.UNIQUE, paid=False, quality=ESTIMATED, metrics={"reach": 4100}),
        Observation(
            subject=subject,
            kind=Kind.LIFETIME,
            paid=False,
            scope="insights",
            check=True,
            metrics={"likes": 231, "comments": 12},
        ),
    ]


def test_an_older_answer_has_impressions_alone() -> None:
    first, second = recorded("media_insights_legacy", **FEED)
    assert isinstance(first, Observation)
    assert isinstance(second, Observation)
    assert first.metrics == {"impressions": 8, "saves": 0}
    assert (second.kind, second.metrics) == (Kind.UNIQUE, {"reach": 5})


def test_days_of_a_series_end_at_pacific_midnight() -> None:
    items = observations(recorded("user_insights_day", page="account_series"))
    expected = {
        date(2017, 5, 3): {"impressions": 4, "reach": 3, "profile_views": 0},
        date(2017, 5, 4): {"impressions": 66, "reach": 36, "profile_views": 2},
    }
    for day, metrics in expected.items():
        window = day_window(day, PACIFIC)
        of_day = [item for item in items if item.window == window]
        assert {key: value for item in of_day for key, value in item.metrics.items()} == metrics
    assert {item.subject for item in items} == {PROFILE}
    assert {(key, item.kind, item.check) for item in items for key in item.metrics} == {
        ("impressions", Kind.PERIOD, True),
        ("reach", Kind.UNIQUE, False),
        ("profile_views", Kind.PERIOD, False),
    }


def test_the_day_before_the_clocks_change_and_the_day_of_23_hours() -> None:
    items = observations(recorded("account_series", page="account_series"))
    gained = {item.window: item.metrics for item in items if item.kind is Kind.PERIOD}
    assert gained == {
        day_window(date(2026, 3, 7), PACIFIC): {"followers_gained": 11},
        day_window(date(2026, 3, 8), PACIFIC): {"followers_gained": 0},
    }
    short = day_window(date(2026, 3, 8), PACIFIC)
    assert short.end - short.start == timedelta(hours=23)
    assert {item.scope for item in items if item.kind is Kind.UNIQUE} == {"account"}


@pytest.mark.parametrize(
    ("end", "day"),
    [
        ("2026-07-05T07:00:00+0000", date(2026, 7, 4)),  # summer
        ("2026-01-05T08:00:00+0000", date(2026, 1, 4)),  # winter
        ("2026-03-08T08:00:00+0000", date(2026, 3, 7)),  # ends as the day of the change begins
        ("2026-03-09T07:00:00+0000", date(2026, 3, 8)),  # 23 hours
        ("2026-03-09T08:00:00+0000", date(2026, 3, 8)),  # the same midnight, still told in winter time
        ("2025-11-02T07:00:00+0000", date(2025, 11, 1)),
        ("2025-11-03T08:00:00+0000", date(2025, 11, 2)),  # 25 hours
        ("2025-11-03T07:00:00+0000", date(2025, 11, 2)),  # the same midnight, still told in summer time
        ("2026-07-05T09:00:00+02:00", date(2026, 7, 4)),
    ],
)
def test_the_day_of_an_end(end: str, day: date) -> None:
    items = parsed(series({"value": 5, "end_time": end}), {"page": "account_series", "account": ACCOUNT})
    assert [item.window for item in observations(items)] == [day_window(day, PACIFIC)]


def series(*values: object) -> bytes:
    return msgspec.json.encode({"data": [{"name": "follower_count", "period": "day", "values": values}]})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"value": 5, "end_time": "2026-07-05T12:00:00+0000"}, DropReason.BAD_TIME),
        ({"value": 5, "end_time": "2026-07-05T07:00:00"}, DropReason.BAD_TIME),
        ({"value": 5, "end_time": "1989-07-05T07:00:00+0000"}, DropReason.BAD_TIME),
        ({"value": 5, "end_time": "2026-09-05T07:00:00+0000"}, DropReason.FUTURE_TIME),
        ({"value": 5, "end_time": True}, DropReason.BAD_TIME),
        ({"value": 5}, DropReason.MISSING_TIME),
        (5, DropReason.MISSING_TIME),
        ({"value": "5", "end_time": "2026-07-05T07:00:00+0000"}, DropReason.BAD_NUMBER),
        ({"value": 5.5, "end_time": "2026-07-05T07:00:00+0000"}, DropReason.BAD_NUMBER),
        ({"value": True, "end_time": "2026-07-05T07:00:00+0000"}, DropReason.BAD_NUMBER),
        ({"value": 2**63, "end_time": "2026-07-05T07:00:00+0000"}, DropReason.OUT_OF_RANGE),
        ({"value": -2, "end_time": "2026-07-05T07:00:00+0000"}, DropReason.OUT_OF_RANGE),
    ],
)
def test_one_bad_day_is_a_drop_and_its_neighbour_counts(value: object, reason: DropReason) -> None:
    good = {"value": 7, "end_time": "2026-07-04T07:00:00+0000"}
    items = parsed(series(value, good), {"page": "account_series", "account": ACCOUNT})
    assert [item.metrics for item in observations(items)] == [{"followers_gained": 7}]
    assert reason in {item.reason for item in items if isinstance(item, Drop)}


def test_the_bucket_of_the_day_in_progress_is_read() -> None:
    today = NOW.astimezone(day_window(NOW.date(), PACIFIC).start.tzinfo).date()
    items = parsed(
        series({"value": 1, "end_time": stamp(end_of(today))}), {"page": "account_series", "account": ACCOUNT}
    )
    assert [item.metrics for item in observations(items)] == [{"followers_gained": 1}]


def test_totals_of_a_day_are_checks_but_for_the_taps_on_links() -> None:
    items = recorded("account_totals", page="account_totals", day="2026-08-13")
    common: dict[str, Any] = {"subject": PROFILE, "kind": Kind.PERIOD, "window": day_window(date(2026, 8, 13), PACIFIC)}
    assert items == [
        Observation(
            **common,
            scope="account",
            check=True,
            metrics={
                "views": 812,
                "impressions": 812,
                "engagements_platform": 58,
                "likes": 40,
                "comments": 9,
                "shares": 5,
                "saves": 4,
            },
        ),
        Observation(**common, metrics={"clicks_all": 3}),
    ]


def test_followers_lost_count_and_the_gain_is_a_check() -> None:
    items = recorded("account_follows", page="account_follows", day="2026-08-13")
    assert [(item.metrics, item.check, item.scope) for item in observations(items)] == [
        ({"followers_gained": 21}, True, "follows_and_unfollows"),
        ({"followers_lost": 6}, False, ""),
    ]


def test_reach_as_a_total_is_the_accounts_and_its_breakdown_is_not_added() -> None:
    items = recorded("user_insights_total_value_breakdown", page="account_totals", day="2023-11-07")
    assert [(item.kind, item.scope, item.metrics) for item in observations(items)] == [
        (Kind.UNIQUE, "account", {"reach": 14_516_883})
    ]


def test_the_profile_gives_a_level_and_its_owner() -> None:
    items = recorded("profile", page="profile")
    assert items == [
        CreatorSeen(external_id=ACCOUNT, handle="brand"),
        SubjectSeen(subject=PROFILE, title="brand", creator=ACCOUNT),
        Observation(subject=PROFILE, kind=Kind.LEVEL, metrics={"followers": 4321}),
    ]


def insights(**values: object) -> bytes:
    data = [{"name": name, "period": "lifetime", "values": [{"value": value}]} for name, value in values.items()]
    return msgspec.json.encode({"data": data})


def test_empty_data_is_unknown_and_no_zero() -> None:
    assert parsed(b'{"data":[]}', {**FEED, "account": ACCOUNT}) == [Drop(reason=DropReason.NO_NUMBERS)]


def test_minus_one_and_null_are_not_reported_and_zero_is_zero() -> None:
    (item,) = parsed(insights(views=None, reach=-1, saved=0), {**FEED, "account": ACCOUNT})
    assert isinstance(item, Observation)
    assert item.metrics == {"saves": 0}


def test_bad_metrics_are_drops_and_their_neighbours_count() -> None:
    body = (
        b'{"data":[{"name":"views","values":[{"value":1e400}]},{"name":"shares","values":[{"value":"7"}]},'
        b'{"name":"saved","values":[{"value":3}]},{"name":"saved","values":[{"value":4}]},7,{"values":[]},'
        b'{"name":"follows","values":[{"value":3}]},{"name":"brand_new","values":[{"value":3}]},'
        b'{"name":"<b>x</b>","values":[{"value":3}]},{"name":"reach","values":"many"}]}'
    )
    items = parsed(body, {**FEED, "account": ACCOUNT})
    assert [item.metrics for item in observations(items)] == [{"saves": 3}]
    assert drops(items) == [
        ("bad_number", "views"),
        ("bad_number", "shares"),
        ("duplicate_field", "saved"),
        ("not_mapped", "follows"),
        ("unknown_metric", "brand_new"),
        ("unknown_metric", "a name that is none"),
        ("malformed", "name"),
        ("malformed", "name"),
    ]


def test_a_bad_item_of_a_listing_is_a_drop_and_its_neighbours_count() -> None:
    data = [
        {"timestamp": "2026-08-13T08:25:28+0000", "like_count": 1},
        {"id": 17895695668004550, "like_count": 1},
        "no object",
        {"id": "x" * 257, "like_count": 1},
        {"id": "1", "timestamp": "2026-08-20T12:05:01+0000", "like_count": 1},
        {"id": "2", "timestamp": "31.02.2026", "like_count": "many", "comments_count": 3},
        {"id": "3", "timestamp": "2026-08-20T12:05:00+0000"},
    ]
    items = parsed(msgspec.json.encode({"data": data}), {"page": "media", "account": ACCOUNT})
    assert [item.subject.external_id for item in items if isinstance(item, SubjectSeen)] == ["1", "2", "3"]
    assert [item.metrics for item in observations(items)] == [{"likes": 1}, {"comments": 3}]
    assert [(item.reason.value, item.row) for item in items if isinstance(item, Drop)] == [
        ("missing_id", 1),
        ("malformed", 2),
        ("malformed", 3),
        ("malformed", 4),
        ("future_time", 5),
        ("bad_time", 6),
        ("bad_number", 6),
        ("no_numbers", 7),
    ]


def test_stories_of_a_listing_are_stories_and_have_no_counts() -> None:
    data = [{"id": "180", "media_type": "VIDEO", "timestamp": "2026-08-20T08:00:00+0000"}]
    (item,) = parsed(msgspec.json.encode({"data": data}), {"page": "stories", "account": ACCOUNT})
    assert isinstance(item, SubjectSeen)
    assert (item.subject, item.content_type) == (story("180"), "story")


def test_media_of_an_ad_is_an_ad() -> None:
    node = {"id": "180", "media_type": "IMAGE", "media_product_type": "AD", "timestamp": "2026-08-20T08:00:00+0000"}
    seen, *_ = parsed(msgspec.json.encode({**node, "like_count": 4}), {"page": "media_node", "account": ACCOUNT})
    assert isinstance(seen, SubjectSeen)
    assert (seen.subject.type, seen.paid) == (SubjectType.AD, True)


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (BEFORE_BUSINESS, "not_available", "before_business (code 100, subcode 2108006)"),
        (TOO_FEW, "not_available", "too_few_viewers (code 10)"),
        (envelope(100, "(#100) The metric x is not supported"), "unknown_metric", "bad_metric (code 100)"),
    ],
)
def test_a_refused_media_is_a_drop_with_the_reason(body: bytes, reason: str, detail: str) -> None:
    items = parsed(body, {**FEED, "account": ACCOUNT})
    assert (drops(items), len(items)) == ([(reason, detail)], 1)


def test_a_media_that_is_gone_is_removed_and_a_story_has_only_run_out() -> None:
    removed, drop = parsed(GONE, {**FEED, "account": ACCOUNT})
    assert removed == SubjectSeen(subject=post("17846368219941692"), removed_at=NOW)
    assert drops([drop]) == [("not_available", "gone (code 100, subcode 33)")]
    items = parsed(GONE, {"page": "media_insights", "media_id": "9", "media_product_type": "STORY"})
    assert drops(items) == [("not_available", "gone (code 100, subcode 33)")]
    assert len(items) == 1


def test_metrics_refused_on_the_way_are_named() -> None:
    items = parsed(insights(reach=3), {**FEED, "refused": "likes,comments"})
    assert drops(items) == [("not_available", "likes"), ("not_available", "comments")]


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"", FEED),
        (b"<html>", FEED),
        (b"\x89PNG\r\n", FEED),
        (b"[]", FEED),
        (b"{}", FEED),
        (b'{"data":{}}', FEED),
        (b"[" * 100_000, FEED),
        (b'{"data":' * 50_000, FEED),
        (b'{"data":[]}', {"page": "media_insights"}),
        (b'{"data":[]}', {"page": "account_totals", "account": "1", "day": "2026-02-30"}),
        (b'{"data":[]}', {"page": "account_totals", "account": "1"}),
        (b'{"data":[]}', {"page": "another"}),
        (b'{"data":[]}', {"kind": "media"}),
    ],
)
def test_a_page_that_cannot_be_read_is_one_clear_line(body: bytes, request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body, request_)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("#हिन्दी #日本語。#Ünï_2 #ÀÉ", ("हिन्दी", "日本語", "ünï_2", "àé")),
        ("#one#two ##three (#four) #five-six", ("one", "two", "three", "four", "five")),
        ("a@b#no C#not &#39; # #! $#", ()),
        ("#Cafe\u0301 #CAFÉ", ("café",)),
        ("#🍕🎉 #👍🏽", ("🍕🎉", "👍🏽")),
        ("#" + "x" * 101, ()),
        ("#" * 5000, ()),
    ],
)
def test_hashtags_of_every_script(caption: str, tags: tuple[str, ...]) -> None:
    data = [{"id": "1", "timestamp": "2026-08-13T08:25:28+0000", "caption": caption, "like_count": 1}]
    seen, *_ = parsed(msgspec.json.encode({"data": data}), {"page": "media"})
    assert isinstance(seen, SubjectSeen)
    assert seen.hashtags == tags
