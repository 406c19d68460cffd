"""What pages say: expected numbers are written by hand from the bodies."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.contract import BadPayload, Drop, DropReason, Kind, SubjectSeen, day_window
from tests.contract.facebook.desk import NOW, PROFILE, parsed, post, recorded, reel, video
from tests.contract.reading import counting, drops, observations, sight
from tests.fakes.facebook import ACCOUNT, NO_METRIC
from tests.fakes.graph import GONE, end_of, stamp

PACIFIC = "America/Los_Angeles"
INSIGHTS = {"page": "insights", "object_id": f"{ACCOUNT}_1", "object_type": "POST", "account": ACCOUNT}
REEL = {"page": "video_insights", "object_id": "31", "object_type": "REEL", "account": ACCOUNT}


def test_a_listing_gives_subjects_with_their_facts() -> None:
    seen = sight(recorded("posts", page="posts"))
    assert seen[0] == SubjectSeen(
        subject=post(3344),
        published_at=datetime(2026, 7, 4, 19, 50, 58, tzinfo=UTC),
        title="Sommer in #Köln ☀️",
        url=f"https://www.facebook.com/{ACCOUNT}/posts/3344",
        content_type="image",
        hashtags=("köln", "summer2026"),
        creator=ACCOUNT,
    )
    assert [(one.subject, one.content_type) for one in seen[1:]] == [
        (post(3345), "link"),
        (reel("777001"), "reel"),
        (video(3347), "video"),
    ]
    assert [(one.utm_campaign, one.utm_source, one.utm_medium) for one in seen[:2]] == [
        (None, None, None),
        ("summer", "facebook", "social"),
    ]


def test_comments_and_shares_count_on_the_post_and_reactions_are_checks() -> None:
    items = recorded("posts", page="posts")
    assert counting(items) == [
        (post(3344), {"comments": 5, "shares": 3}),
        (post(3345), {"comments": 0}),  # no shares are told by a missing field: null and not zero
        (video(3347), {"comments": 2}),
    ]
    assert [(one.subject, one.metrics) for one in observations(items) if one.check] == [
        (post(3344), {"likes": 41}),
        (post(3345), {"likes": 0}),
        (reel("777001"), {"likes": 9, "comments": 1, "shares": 2}),  # a reel counts by its insights
        (video(3347), {"likes": 7}),
    ]


def test_a_reel_is_one_subject_wherever_it_is_listed() -> None:
    among_posts = sight(recorded("posts", page="posts"))[2]
    among_reels = sight(recorded("reels", page="reels"))[0]
    assert among_posts.subject == among_reels.subject == reel("777001")
    assert among_posts.url == among_reels.url == "https://www.facebook.com/reel/777001/"


def test_a_total_that_is_not_told_apart_stands_in_the_same_series() -> None:
    plain, split = recorded("insights_plain", **INSIGHTS)[0], recorded("insights_views", **INSIGHTS)[0]
    (one,), (other,) = observations([plain]), observations([split])
    assert (one.metrics["views"], other.metrics["views"]) == (512, 450)
    assert (one.kind, one.scope, one.paid, one.check) == (other.kind, other.scope, other.paid, other.check)


def insights(name: str, *values: Any, **more: Any) -> bytes:
    return msgspec.json.encode({"data": [{"name": name, "period": "lifetime", "values": list(values), **more}]})


@pytest.mark.parametrize(
    ("body", "organic", "by_ads"),
    [
        (insights("post_media_view", {"value": 512}), 512, None),
        (insights("post_media_view", {"value": 0}), 0, None),
        (insights("post_media_view", {"value": {"organic": 400, "paid": 112}}), 400, 112),
        (insights("post_media_view", {"value": {"0": 400, "1": 112}}), 400, 112),
        (insights("post_media_view", {"value": {"false": 400, "true": 112}}), 400, 112),
        (insights("post_media_view", {"value": {"feed": 400, "other": 112}}), 512, None),
        (insights("post_media_view", {"value": 3, "is_from_ads": "1"}), None, 3),
        (insights("post_media_view", {"value": 3, "is_from_ads": 1}, {"value": 4, "is_from_ads": 0}), 4, 3),
        (insights("post_media_view", {"value": 3, "is_from_ads": True}, {"value": 4, "is_from_ads": False}), 4, 3),
        (insights("post_media_view", total_value={"value": 9}), 9, None),
        (
            insights(
                "post_media_view",
                total_value={
                    "breakdowns": [
                        {
                            "dimension_keys": ["is_from_ads"],
                            "results": [
                                {"dimension_values": ["0"], "value": 7},
                                {"dimension_values": ["1"], "value": 2},
                            ],
                        }
                    ]
                },
            ),
            7,
            2,
        ),
    ],
)
def test_views_in_every_shape(body: bytes, organic: int | None, by_ads: int | None) -> None:
    found = {one.check: one.metrics for one in observations(parsed(body, INSIGHTS))}
    assert {key: both["views"] for key, both in found.items()} == {
        key: number for key, number in ((False, organic), (True, by_ads)) if number is not None
    }
    assert all(both["views"] == both["impressions"] for both in found.values())


@pytest.mark.parametrize("value", [{}, None])
def test_what_says_no_number_says_nothing(value: Any) -> None:
    for name in ("post_media_view", "post_reactions_by_type_total", "post_clicks"):
        items = parsed(insights(name, {"value": value}), INSIGHTS)
        assert (observations(items), drops(items)) == ([], [("no_numbers", "")])
    assert drops(parsed(b'{"data":[]}', INSIGHTS)) == [("no_numbers", "")]


def test_one_bad_number_is_a_drop_and_its_neighbours_count() -> None:
    body = msgspec.json.encode(
        {
            "data": [
                {"name": "post_clicks", "values": [{"value": "many"}]},
                {"name": "post_reactions_by_type_total", "values": [{"value": {"like": 3, "love": 1.5}}]},
                {"name": "post_total_media_view_unique", "values": [{"value": 2**63}]},
                {"name": "post_media_view", "values": [{"value": 7}]},
                {"name": "post_impressions", "values": [{"value": 9}]},
                {"name": "brand_new", "values": [{"value": 9}]},
                5,
            ]
        }
    )
    items = parsed(body, INSIGHTS)
    assert counting(items) == [(post(1), {"views": 7, "impressions": 7})]
    assert drops(items) == [
        ("bad_number", "post_clicks"),
        ("bad_number", "post_reactions_by_type_total"),
        ("out_of_range", "post_total_media_view_unique"),
        ("not_mapped", "post_impressions"),
        ("unknown_metric", "brand_new"),
        ("malformed", "name"),
    ]


def test_kinds_of_actions_in_either_spelling() -> None:
    for kinds in ({"COMMENT": 4, "SHARE": 5}, {"comments": 4, "shares": 5}, {"comment": 4, "share": 5, "other": 6}):
        items = parsed(insights("post_video_social_actions", {"value": kinds}), REEL)
        assert counting(items) == [(reel("31"), {"comments": 4, "shares": 5})]
        assert drops(items) == ([("not_mapped", "post_video_social_actions")] if "other" in kinds else [])


def test_page_days_are_pacific_days_of_23_hours_too() -> None:
    items = observations(recorded("page_days", page="page_days"))
    expected = {
        date(2026, 3, 7): {
            "engagements_platform": 55,
            "profile_views": 21,
            "followers_gained": 11,
            "followers_lost": 2,
        },
        date(2026, 3, 8): {"engagements_platform": 0, "profile_views": 22, "followers_gained": 4, "followers_lost": 3},
    }
    for day, metrics in expected.items():
        window = day_window(day, PACIFIC)
        of_day = [one for one in items if one.window == window and not one.check and one.kind is Kind.PERIOD]
        assert [one.metrics for one in of_day] == [metrics]
    short = day_window(date(2026, 3, 8), PACIFIC)
    assert short.end - short.start == timedelta(hours=23)
    assert [(one.scope, one.metrics) for one in items if one.kind is Kind.UNIQUE] == [
        ("account", {"reach": 700}),
        ("account", {"reach": 710}),
    ]


def test_followers_at_the_end_of_a_day_are_a_level_and_a_check() -> None:
    levels = [one for one in observations(recorded("page_days", page="page_days")) if one.kind is Kind.LEVEL]
    assert [(one.observed_at, one.metrics, one.check, one.window) for one in levels] == [
        (datetime(2026, 3, 8, 8, tzinfo=UTC), {"followers": 1209}, True, None),
        (datetime(2026, 3, 9, 7, tzinfo=UTC), {"followers": 1210}, True, None),
    ]


def test_a_level_of_a_day_that_has_not_ended_is_no_level_yet() -> None:
    bucket = {"value": 5, "end_time": stamp(end_of(NOW.date()))}
    body = msgspec.json.encode({"data": [{"name": "page_follows", "values": [bucket]}]})
    items = parsed(body, {"page": "page_days", "account": ACCOUNT})
    assert items == [Drop(reason=DropReason.FUTURE_TIME, detail="end_time")]


def test_views_of_the_pages_days_are_checks_without_and_by_ads() -> None:
    items = observations(recorded("page_views", page="page_views"))
    assert [(one.metrics["views"], one.paid, one.scope, one.check) for one in items] == [
        (25, False, "account", True),
        (4, True, "account_ads", True),
        (30, False, "account", True),
        (0, True, "account_ads", True),
    ]


def test_a_post_of_a_visitor_is_not_the_pages() -> None:
    node = {"id": f"{ACCOUNT}_1", "created_time": "2026-08-13T08:25:28+0000", "from": {"id": "5", "name": "Somebody"}}
    items = parsed(msgspec.json.encode(node), {"page": "post", "object_id": f"{ACCOUNT}_1", "account": ACCOUNT})
    assert drops(items) == [("not_mapped", "from")]
    assert len(items) == 1
    own = parsed(
        msgspec.json.encode({**node, "from": {"id": ACCOUNT}}),
        {"page": "post", "object_id": f"{ACCOUNT}_1", "account": ACCOUNT},
    )
    assert [one.subject for one in sight(own)] == [post(1)]


@pytest.mark.parametrize(
    ("link", "subject"),
    [
        ("https://www.facebook.com/reel/31/", reel("31")),
        ("https://www.facebook.com/reel/31", reel("31")),
        ("https://m.facebook.com/reel/31/?s=1", reel("31")),
        ("/reel/31/", reel("31")),
        ("https://evil.example/reel/31/", video(1)),
        ("https://www.facebook.com/1/videos/31/", video(1)),
        ("https://www.facebook.com/reel/x31/", video(1)),
        (None, video(1)),
    ],
)
def test_what_is_a_reel(link: str | None, subject: Any) -> None:
    node = {"id": f"{ACCOUNT}_1", "created_time": "2026-08-13T08:25:28+0000", "permalink_url": link}
    node |= {"status_type": "added_video"}
    items = parsed(msgspec.json.encode({"data": [node]}), {"page": "posts", "account": ACCOUNT})
    assert [one.subject for one in sight(items)] == [subject]


@pytest.mark.parametrize(
    ("link", "marks"),
    [
        ("https://shop.example/?utm_campaign=a%20b&utm_source=fb", ("a b", "fb", None)),
        ("https://shop.example/?UTM_CAMPAIGN=a", (None, None, None)),
        ("https://shop.example/?utm_campaign=%00%0a", (None, None, None)),
        ("https://[broken/?utm_campaign=a", (None, None, None)),
        ("https://shop.example/?" + "a=1&" * 500, (None, None, None)),
        (5, (None, None, None)),
    ],
)
def test_the_marks_of_a_link(link: Any, marks: tuple[str | None, ...]) -> None:
    attachments = {"data": [{"media_type": "link", "unshimmed_url": link}]}
    node = {"id": f"{ACCOUNT}_1", "created_time": "2026-08-13T08:25:28+0000", "attachments": attachments}
    (seen,) = sight(parsed(msgspec.json.encode({"data": [node]}), {"page": "posts", "account": ACCOUNT}))
    assert (seen.utm_campaign, seen.utm_source, seen.utm_medium) == marks


def test_a_bad_entry_of_a_listing_is_a_drop_and_its_neighbours_count() -> None:
    data = [
        {"created_time": "2026-08-13T08:25:28+0000"},
        {"id": 17895695668004550},
        "no object",
        {"id": f"{ACCOUNT}_1", "created_time": "2026-08-20T12:05:01+0000", "shares": {"count": 4}},
        {"id": f"{ACCOUNT}_2", "created_time": "31.02.2026", "shares": {"count": "many"}},
        {"id": f"{ACCOUNT}_3", "created_time": "2026-08-13T08:25:28+0000", "shares": 5, "comments": [], "reactions": 1},
    ]
    items = parsed(msgspec.json.encode({"data": data}), {"page": "posts", "account": ACCOUNT})
    assert counting(items) == [(post(1), {"shares": 4})]
    assert [(item.reason.value, item.row) for item in items if isinstance(item, Drop)] == [
        ("missing_id", 1),
        ("malformed", 2),
        ("malformed", 3),
        ("future_time", 4),
        ("bad_time", 5),
        ("bad_number", 5),
        ("no_numbers", 5),
        ("no_numbers", 6),
    ]


def test_a_post_that_is_gone_is_removed() -> None:
    removed, drop = parsed(GONE, INSIGHTS)
    assert removed == SubjectSeen(subject=post(1), removed_at=NOW)
    assert drops([drop]) == [("not_available", "gone (code 100, subcode 33)")]
    gone = sight(parsed(GONE, REEL) + parsed(GONE, {"page": "reel", "object_id": "31", "account": ACCOUNT}))
    assert [one.subject for one in gone] == [reel("31"), reel("31")]


def test_a_refused_metric_and_refused_fields_are_named() -> None:
    assert drops(parsed(NO_METRIC, INSIGHTS)) == [("unknown_metric", "bad_metric (code 100)")]
    items = parsed(insights("post_clicks", {"value": 3}), {**INSIGHTS, "refused": "post_video_views"})
    assert drops(items) == [("not_available", "post_video_views")]


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"", INSIGHTS),
        (b"[]", INSIGHTS),
        (b"{}", INSIGHTS),
        (b"[" * 100_000, INSIGHTS),
        (b'{"data":[]}', {"page": "insights"}),
        (b'{"data":[]}', {"page": "page_days"}),
        (b'{"data":[]}', {"page": "another"}),
    ],
)
def test_a_page_that_cannot_be_read_is_one_clear_line(body: bytes, request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body, request_)
    assert len(str(caught.value)) < 100


def test_the_profile_stands_under_the_pages_id() -> None:
    assert [one.subject for one in observations(recorded("profile", page="profile"))] == [PROFILE]
