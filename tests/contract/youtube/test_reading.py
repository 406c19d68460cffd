"""What pages say: expected numbers are written by hand from the bodies."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    STORED,
    BadPayload,
    Drop,
    Kind,
    Observation,
    Quality,
    SubjectSeen,
    SubjectType,
    day_window,
)
from connectors.rules import asked
from connectors.youtube import CONNECTOR
from connectors.youtube_metrics import CHANNEL_DAYS, LAST_RESORT, VIDEO_DAYS
from tests.contract.reading import drops, observations
from tests.contract.youtube.desk import NOW, PROFILE, parsed, recorded, video
from tests.fakes.youtube import CHANNEL, QUOTA, FakeYoutube

PACIFIC = "America/Los_Angeles"
FILM = "dQw4w9WgXcQ"


def videos(*entries: Any, ids: str = FILM, kind: str = "youtube#videoListResponse") -> list[Any]:
    body = msgspec.json.encode({"kind": kind, "items": entries})
    return parsed(body, {"page": "videos", "ids": ids})


def resource(name: str = FILM, snippet: dict[str, Any] | None = None, **statistics: Any) -> dict[str, Any]:
    told = {"publishedAt": "2026-08-13T08:25:28Z", "channelId": CHANNEL, "title": "A film", **(snippet or {})}
    return {"id": name, "snippet": told, "statistics": statistics}


def table(columns: str, *rows: Any, **request: str) -> list[Any]:
    headers = [{"name": name} for name in columns.split()]
    body = msgspec.json.encode({"columnHeaders": headers, "rows": rows})
    return parsed(body, {"page": "video_days", "video": FILM, **request})


def metrics(items: list[Any]) -> list[dict[str, int]]:
    return [one.metrics for one in observations(items)]


# ------------------------------------------------------------------------------------------------ videos


def test_videos_with_their_facts_and_their_counters() -> None:
    items = recorded("videos.json", page="videos", ids=f"{FILM},00000000042,-_live_now_,gone0000000")
    seen = [item for item in items if isinstance(item, SubjectSeen)]
    assert seen[0] == SubjectSeen(
        subject=video(FILM),
        published_at=datetime(2026, 8, 13, 8, 25, 28, tzinfo=UTC),
        title="Sommer in #Köln ☀️",
        url=f"https://www.youtube.com/watch?v={FILM}",
        content_type="video",
        hashtags=("köln", "summer2026"),
        creator=CHANNEL,
    )
    assert [(one.subject.external_id, one.content_type) for one in seen[1:3]] == [
        ("00000000042", "video"),
        ("-_live_now_", "live"),
    ]
    assert seen[1].published_at == datetime(2026, 8, 14, 20, 37, 49, tzinfo=UTC)
    assert seen[3] == SubjectSeen(subject=video("gone0000000"), removed_at=NOW)
    assert [(one.subject.external_id, one.metrics) for one in observations(items)] == [
        (FILM, {"views": 8087, "likes": 190, "comments": 32}),
        ("00000000042", {"views": 3_000_000_000}),  # likes hidden, comments off: unknown, not zero
        ("-_live_now_", {"views": 12, "likes": 1, "comments": 0}),
    ]
    assert {(one.kind, one.scope, one.check, one.paid) for one in observations(items)} == {
        (Kind.LIFETIME, "", False, None)
    }
    assert drops(items) == []


def test_a_video_without_statistics_is_known_and_has_no_numbers() -> None:
    seen, drop = recorded("videos_info_single.json", page="videos", ids="D-lhorsDlUQ")
    assert isinstance(seen, SubjectSeen)
    assert seen.published_at == datetime(2019, 3, 21, 20, 37, 49, tzinfo=UTC)
    assert seen.subject == video("D-lhorsDlUQ")
    assert drops([drop]) == [("no_numbers", "")]


def test_impressions_are_never_known() -> None:
    keys = {mapping.metric for mapping in CONNECTOR.metrics}
    assert "impressions" not in keys
    assert "reach" not in keys


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("8087", 8087),
        (8087, 8087),
        ("0", 0),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), "out_of_range"),
        (2**80, "out_of_range"),
        ("-1", "out_of_range"),
        ("1e3", "bad_number"),
        ("1.5", "bad_number"),
        (1.5, "bad_number"),
        (True, "bad_number"),
        ("", "bad_number"),
        ("٣", "bad_number"),
        ("9" * 5000, "bad_number"),
        ([], "bad_number"),
    ],
)
def test_counters_are_digits_in_a_text(value: Any, found: int | str) -> None:
    items = videos(resource(viewCount=value, likeCount="7"))
    if isinstance(found, int):
        assert metrics(items) == [{"views": found, "likes": 7}]
    else:
        assert metrics(items) == [{"likes": 7}]
        assert drops(items) == [(found, "viewCount")]


def test_a_bad_video_is_a_drop_and_its_neighbours_count() -> None:
    items = videos(
        resource("", viewCount="1"),
        "no object",
        {"id": 17, "statistics": {"viewCount": "1"}},
        resource("x" * 65, viewCount="1"),
        resource(snippet={"publishedAt": "2026-08-20T12:05:01Z", "channelId": 5}, viewCount="5"),
        resource("00000000042", snippet={"publishedAt": "2026-08-13T08:25:28"}, viewCount="many"),
        ids=f"{FILM},gone0000000",
    )
    assert metrics(items) == [{"views": 5}]
    assert [(item.reason.value, item.row) for item in items if isinstance(item, Drop)] == [
        ("missing_id", 1),
        ("malformed", 2),
        ("malformed", 3),
        ("malformed", 4),
        ("future_time", 5),
        ("bad_time", 6),
        ("bad_number", 6),
        ("no_numbers", 6),
    ]
    # A list that is not whole removes nobody.
    assert not any(isinstance(item, SubjectSeen) and item.removed_at for item in items)


def test_only_a_list_of_videos_tells_by_what_it_leaves_out() -> None:
    assert videos(kind="youtube#searchListResponse") == []
    assert parsed(b"{}", {"page": "videos", "ids": FILM}) == []
    assert videos() == [SubjectSeen(subject=video(FILM), removed_at=NOW)]


@pytest.mark.parametrize(
    ("title", "description", "tags"),
    [
        ("#हिन्दी #日本語。#Ünï_2", "", ("हिन्दी", "日本語", "ünï_2")),
        ("a@b#no C#not &#39; # #!", "https://x.example/#part #yes", ("yes",)),
        ("#Cafe\u0301 #CAFÉ", "(#four) #five-six", ("café", "four", "five")),
        ("#" + "x" * 101, "#" * 5000, ()),
    ],
)
def test_hashtags_of_title_and_description(title: str, description: str, tags: tuple[str, ...]) -> None:
    seen, *_ = videos(resource(snippet={"title": title, "description": description}, viewCount="1"))
    assert isinstance(seen, SubjectSeen)
    assert seen.hashtags == tags


# ------------------------------------------------------------------------------------------------ the channel


def channel(**statistics: Any) -> list[Any]:
    found = {"id": CHANNEL, "snippet": {"title": "Brand"}, "statistics": statistics}
    return parsed(msgspec.json.encode({"items": [found]}), {"page": "channel"})


def test_subscribers_are_rounded_from_a_thousand_on() -> None:
    told = [(one.metrics, one.quality) for one in observations(channel(subscriberCount="1000"))]
    assert told == [({"followers": 1000}, (Quality.ESTIMATED,))]
    assert [one.quality for one in observations(channel(subscriberCount="999"))] == [()]


def test_hidden_subscribers_are_unknown() -> None:
    assert metrics(channel(subscriberCount="0", hiddenSubscriberCount=True)) == []


def test_views_of_the_channel_hold_those_of_the_videos() -> None:
    (one,) = observations(channel(viewCount="500", videoCount="3"))
    assert (one.subject, one.metrics, one.scope, one.check) == (PROFILE, {"views": 500}, "channel", True)


def test_a_channel_that_is_not_there_is_a_drop() -> None:
    assert drops(parsed(b'{"kind":"youtube#channelListResponse"}', {"page": "channel"})) == [
        ("not_available", "channel")
    ]


# ------------------------------------------------------------------------------------------------ reports


def test_days_are_pacific_and_columns_are_found_by_name() -> None:
    items = table("shares day views", [5, "2026-03-08", 1500])
    window = day_window(date(2026, 3, 8), PACIFIC)  # the day of 23 hours
    assert (window.end - window.start).total_seconds() == 23 * 3600
    assert observations(items) == [
        Observation(subject=video(FILM), kind=Kind.PERIOD, window=window, metrics={"shares": 5}),
        Observation(
            subject=video(FILM),
            kind=Kind.PERIOD,
            window=window,
            scope="analytics",
            check=True,
            metrics={"views": 1500},
        ),
    ]


def test_minutes_become_milliseconds_and_are_estimates() -> None:
    (one,) = observations(table("day estimatedMinutesWatched", ["2026-08-13", 2100]))
    assert (one.metrics, one.quality, one.check) == ({"watch_time": 126_000_000}, (Quality.ESTIMATED,), False)
    items = table("day estimatedMinutesWatched", ["2026-08-13", 2**62])
    assert drops(items) == [("out_of_range", "estimatedMinutesWatched"), ("no_numbers", "")]


def test_a_bad_row_is_a_drop_and_its_neighbours_count() -> None:
    items = table(
        "day shares likes",
        ["2026-08-10", 1, 1],
        ["2026-08-10", 2, 2],
        ["2026-08-11", 3],
        "no row",
        ["31.08.2026", 4, 4],
        [None, 5, 5],
        ["2026-08-21", 6, 6],
        ["2004-12-31", 7, 7],
        ["2026-08-12", None, -3],
        ["2026-08-13", 8, 8.5],
    )
    assert [one.metrics for one in observations(items) if not one.check] == [{"shares": 1}, {"shares": 8}]
    assert [(item.reason.value, item.row, item.detail) for item in items if isinstance(item, Drop)] == [
        ("duplicate_field", 2, "day"),
        ("malformed", 3, "row"),
        ("malformed", 4, "row"),
        ("bad_time", 5, "day"),
        ("missing_time", 6, "day"),
        ("future_time", 7, "day"),
        ("bad_time", 8, "day"),
        ("out_of_range", 9, "likes"),
        ("no_numbers", 9, ""),
        ("bad_number", 10, "likes"),
    ]


def test_the_last_pacific_day_is_no_future() -> None:
    assert metrics(table("day shares", ["2026-08-20", 1])) == [{"shares": 1}]


def test_columns_that_are_not_known_or_left_out_are_drops() -> None:
    items = table("day shares averageViewDuration brand_new <b>", ["2026-08-13", 1, 63, 4, 5])
    assert metrics(items) == [{"shares": 1}]
    assert drops(items) == [
        ("not_mapped", "averageViewDuration"),
        ("unknown_metric", "brand_new"),
        ("unknown_metric", "a name that is none"),
    ]


@pytest.mark.parametrize("columns", ["views shares", "day day", "day shares shares"])
def test_a_table_that_does_not_name_its_columns_is_refused(columns: str) -> None:
    with pytest.raises(BadPayload, match="which column"):
        table(columns, ["2026-08-13", 1])


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"", {"page": "videos", "ids": FILM}),
        (b"<html>", {"page": "videos", "ids": FILM}),
        (b"[]", {"page": "channel"}),
        (b"[" * 100_000, {"page": "channel"}),
        (QUOTA, {"page": "channel"}),
        (b'{"items":[]}', {"page": "videos"}),
        (b'{"rows":[]}', {"page": "video_days"}),
        (b'{"rows":[]}', {"page": "channel_days"}),
        (b'{"items":[]}', {"page": "another"}),
        (b'{"items":[]}', {"kind": "videos"}),
    ],
)
def test_a_page_that_cannot_be_read_is_one_clear_line(body: bytes, request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload) as caught:
        parsed(body, request_)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 100


# ------------------------------------------------------------------------------------------------ declared


def test_everything_that_is_asked_for_is_booked_and_known_to_the_platform() -> None:
    booked = {mapping.wire for mapping in CONNECTOR.metrics if mapping.metric}
    for answer, rules in (("video_days", VIDEO_DAYS), ("channel_days", CHANNEL_DAYS)):
        assert {f"{answer}/{name}" for name in asked(rules)} <= booked
        assert set(asked(rules)) <= FakeYoutube().metrics
        assert set(asked(rules)) & LAST_RESORT


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


def test_each_metric_counts_in_one_place() -> None:
    places: dict[tuple[SubjectType, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        if mapping.counting and mapping.metric:
            for subject in mapping.subject_types:
                places.setdefault((subject, mapping.metric), set()).add(mapping.wire)
    assert {key: wires for key, wires in places.items() if len(wires) > 1} == {}
    # No number of the channel is the sum of what its videos count.
    counted = {metric for subject, metric in places if subject is SubjectType.PROFILE}
    assert counted == {"followers", "followers_gained", "followers_lost"}
