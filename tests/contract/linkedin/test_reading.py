"""What pages say, and what the tables declare: expected numbers are written by hand from the bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.contract import BadPayload, Item, Kind, SubjectSeen, Withdrawal
from connectors.linkedin import CONNECTOR
from connectors.linkedin_metrics import VIDEO, VIDEO_SET
from connectors.linkedin_reading import READERS
from tests.contract.linkedin.desk import NOW, parsed
from tests.contract.reading import drops, observations
from tests.fakes.linkedin import ORGANISATION, midnight, milliseconds

SHARE = "urn:li:share:7094637247487995904"
DAY = {"start": 1786924800000, "end": 1787011200000}


def page(name: str, *elements: Any, **request: str) -> list[Item]:
    body = json.dumps({"elements": list(elements)}).encode()
    return parsed(body, {"account": ORGANISATION, "page": name, **request})


def statistics(**numbers: Any) -> list[Item]:
    return page("share_statistics", {"share": SHARE, "totalShareStatistics": numbers}, posts=SHARE)


def fact(**fields: Any) -> SubjectSeen:
    (item, *_) = page("posts", {"id": SHARE, "publishedAt": 1786784400000, **fields})
    assert isinstance(item, SubjectSeen)
    return item


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("value", "drop"), [(-1, "out_of_range"), (2**63, "out_of_range"), (1.5, "bad_number"), ("5", "bad_number")]
)
def test_a_number_that_is_none_is_a_drop_and_not_its_neighbours_loss(value: Any, drop: str) -> None:
    items = statistics(likeCount=value, commentCount=3)
    assert [one.metrics for one in observations(items)] == [{"comments": 3}]
    assert drops(items) == [(drop, "likeCount")]


def test_what_is_not_reported_is_left_out_and_a_rate_is_no_number() -> None:
    items = statistics(impressionCount=0, likeCount=None, engagement=0.05, shareMentionsCount=3)
    assert [one.metrics for one in observations(items)] == [{"impressions": 0}]
    assert drops(items) == []


def test_a_metric_that_nobody_knows_is_told() -> None:
    assert drops(statistics(likeCount=1, brandNew=5)) == [("unknown_metric", "brandNew")]


def test_a_time_bound_number_of_a_post_is_no_lifetime() -> None:
    element = {"share": SHARE, "timeRange": DAY, "totalShareStatistics": {"likeCount": 1}}
    items = page("share_statistics", element, posts=SHARE)
    assert (observations(items), drops(items)[0]) == ([], ("not_available", "timeRange"))


@pytest.mark.parametrize(
    ("within", "drop"),
    [
        ({"start": 1786924800000, "end": 1786928400000}, "bad_time"),
        ({"start": 1786928400000, "end": 1787014800000}, "bad_time"),
        ({"start": 1786924800000}, "bad_time"),
        ({"start": "1786924800000", "end": 1787011200000}, "bad_time"),
        ({"start": 2**70, "end": 2**70}, "bad_time"),
        ({"start": 4102444800000, "end": 4102531200000}, "future_time"),
        (None, "missing_time"),
    ],
)
@pytest.mark.parametrize("name", ["share_days", "follower_days", "page_days"])
def test_a_time_that_is_no_utc_day(name: str, within: Any, drop: str) -> None:
    numbers = {"followerGains": {"organicFollowerGain": 1}, "totalShareStatistics": {"likeCount": 1}}
    items = page(name, {"timeRange": within, **numbers})
    assert (observations(items), drops(items)) == ([], [(drop, "timeRange")])


def test_the_day_in_progress_is_a_day() -> None:
    today = {"start": milliseconds(midnight(NOW.date())), "end": milliseconds(midnight(NOW.date())) + 86_400_000}
    assert observations(page("share_days", {"timeRange": today, "totalShareStatistics": {"commentCount": 1}}))


@pytest.mark.parametrize(("gain", "drop"), [(1.5, "bad_number"), (-(2**70), "out_of_range"), ("4", "bad_number")])
def test_a_gain_that_is_none(gain: Any, drop: str) -> None:
    items = page("follower_days", {"timeRange": DAY, "followerGains": {"organicFollowerGain": gain}})
    assert (observations(items), drops(items)) == ([], [(drop, "organicFollowerGain")])


@pytest.mark.parametrize(
    ("gain", "booked", "withdrawn"),
    [
        (0, {"followers_gained": 0}, "followers_lost"),
        (7, {"followers_gained": 7}, "followers_lost"),
        (-7, {"followers_lost": 7}, "followers_gained"),
    ],
)
def test_a_net_gain_stands_on_one_side(gain: int, booked: dict[str, int], withdrawn: str) -> None:
    items = page("follower_days", {"timeRange": DAY, "followerGains": {"paidFollowerGain": gain}})
    assert [(one.metrics, one.paid, one.kind) for one in observations(items)] == [(booked, True, Kind.PERIOD)]
    assert [item.metrics for item in items if isinstance(item, Withdrawal)] == [(withdrawn,)]


# ------------------------------------------------------------------------------------------------ facts


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (None, "text"),
        ({}, "text"),
        ({"media": {"id": "urn:li:image:C1"}}, "image"),
        ({"media": {"id": "urn:li:video:C1"}}, "video"),
        ({"media": {"id": "urn:li:document:C1"}}, "document"),
        ({"media": {"id": 5}}, None),
        ({"article": {"source": "https://a.example/"}}, "link"),
        ({"poll": {}}, "poll"),
        ({"multiImage": {}}, "carousel"),
        ({"brandNew": {}}, None),
        ("text", "text"),
    ],
)
def test_what_a_post_shows(content: Any, content_type: str | None) -> None:
    assert fact(content=content).content_type == content_type


@pytest.mark.parametrize(
    ("commentary", "title", "tags"),
    [
        ("{hashtag|\\#|Köln} and #two", "#Köln and #two", ("köln", "two")),
        ("#नमस्ते", "#नमस्ते", ("नमस्ते",)),
        ("\\#no \\(plain\\) \\*text\\*", "#no (plain) *text*", ()),
        ("@[The Company](urn:li:organization:1) says", "The Company says", ()),
        ("a#b x/#top #123 #1a", "a#b x/#top #123 #1a", ("1a",)),
        ("\n\n", None, ()),
        ("", None, ()),
        (5, None, None),
    ],
)
def test_the_text_of_a_post(commentary: Any, title: str | None, tags: tuple[str, ...] | None) -> None:
    seen = fact(commentary=commentary)
    assert (seen.title, seen.hashtags) == (title, tags)


def test_times_that_cannot_be() -> None:
    assert drops(page("posts", {"id": SHARE, "publishedAt": 4102444800000})) == [("future_time", "publishedAt")]
    assert drops(page("posts", {"id": SHARE, "publishedAt": "2026"})) == [("bad_time", "publishedAt")]
    assert drops(page("posts", {"id": SHARE})) == [("missing_time", "publishedAt")]


def test_one_bad_post_is_not_the_loss_of_its_neighbours() -> None:
    items = page("posts", 5, {"id": 7.5}, {"id": ""}, {"id": SHARE, "publishedAt": 1786784400000})
    assert drops(items) == [("malformed", "id"), ("malformed", "id"), ("missing_id", "id")]
    assert isinstance(items[-1], SubjectSeen)


# ------------------------------------------------------------------------------------------------ pages


@pytest.mark.parametrize("request_", [{}, {"page": "nothing"}])
def test_a_page_that_says_not_what_it_is(request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload):
        parsed(b'{"elements":[]}', {"account": ORGANISATION, **request_})


@pytest.mark.parametrize("name", sorted(set(READERS) - {"node", "organization", "network_size"}))
@pytest.mark.parametrize("body", [b"{}", b'{"elements":5}', b"[]", b""])
def test_a_page_without_elements_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(body, {"account": ORGANISATION, "page": name, "posts": SHARE, "post": SHARE, "metric": "VIDEO_VIEW"})


def test_a_page_that_says_not_what_was_asked_for() -> None:
    with pytest.raises(BadPayload):
        parsed(b'{"firstDegreeSize":5}', {"page": "network_size"})
    with pytest.raises(BadPayload):
        page("video", {"value": 5}, metric="VIDEO_VIEW", post="urn:li:activity:1")


def test_only_a_post_that_was_asked_for_itself_is_gone() -> None:
    body = b'{"status":404}'
    batch = parsed(body, {"account": ORGANISATION, "page": "share_statistics", "posts": SHARE, "lack": "gone"})
    assert drops(batch) == [("not_available", "gone")]
    assert len(batch) == 1


# ------------------------------------------------------------------------------------------------ declared


def test_each_metric_counts_in_one_place() -> None:
    places: dict[tuple[str, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        for subject in mapping.subject_types if mapping.counting and mapping.metric else ():
            places.setdefault((subject.value, str(mapping.metric)), set()).add(mapping.wire)
    gains = {"follower_statistics_day/organicFollowerGain", "follower_statistics_day/paidFollowerGain"}
    assert {key: wires for key, wires in places.items() if len(wires) > 1} == {
        ("profile", "followers_gained"): gains,
        ("profile", "followers_lost"): gains,
    }


def test_what_is_asked_for_of_videos_is_booked() -> None:
    assert all(VIDEO[name].keys for name in VIDEO_SET)
