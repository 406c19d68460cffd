"""What pages say, and what the tables declare: expected numbers are written by hand from the bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors import x_values as values
from connectors.contract import BadPayload, CreatorSeen, DropReason, Item, SubjectRef, SubjectSeen, SubjectType
from connectors.x import CONNECTOR
from connectors.x_metrics import ANALYTICS, ANALYTICS_FIELDS, OWNER_MEDIA, OWNER_POST, PUBLIC, Part
from tests.contract.reading import counted, drops, observations
from tests.contract.x.desk import NOW, parsed, recorded
from tests.contract.x.desk import PUBLIC as AS_ANYONE
from tests.fakes.x import ACCOUNT

TIMELINE = {"page": "timeline", "account": ACCOUNT}


def of_post(options: Any = AS_ANYONE, **fields: Any) -> list[Item]:
    body = {"data": [{"id": "1346889436626259968", "created_at": "2021-01-06T18:40:40.000Z", **fields}], "meta": {}}
    return parsed(json.dumps(body).encode(), TIMELINE, options)


def numbers(**public: Any) -> list[Item]:
    return of_post(public_metrics=public)


def fact(items: list[Item]) -> SubjectSeen:
    return next(item for item in items if isinstance(item, SubjectSeen))


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("value", "drop"),
    [
        (-1, "out_of_range"),
        (2**63, "out_of_range"),
        (1.5, "bad_number"),
        (True, "bad_number"),
        ("1e3", "bad_number"),
        ([], "bad_number"),
        ("-3", "out_of_range"),
    ],
)
def test_a_number_that_is_none_is_a_drop_and_not_its_neighbours_loss(value: Any, drop: str) -> None:
    items = numbers(like_count=value, reply_count=3)
    assert counted(items) == {"comments": 3}
    assert (drop, "like_count") in drops(items)


def test_what_is_not_reported_is_left_out() -> None:
    assert counted(numbers(like_count=0, reply_count=None)) == {"likes": 0}
    items = numbers()
    assert (observations(items), drops(items)) == ([], [("no_numbers", "")])


def test_shares_need_both_of_their_summands() -> None:
    items = numbers(retweet_count=5, like_count=1)
    assert counted(items) == {"likes": 1}
    assert ("not_available", "a summand of shares") in drops(items)
    huge = numbers(retweet_count=2**63 - 1, quote_count=1, like_count=1)
    assert counted(huge) == {"likes": 1}
    assert ("out_of_range", "shares") in drops(huge)


def test_twins_in_text_stand_in_for_numbers_and_never_beside_them() -> None:
    assert counted(numbers(like_count_str="9007199254740993")) == {"likes": 9007199254740993}
    assert counted(numbers(like_count=5, like_count_str="7")) == {"likes": 5}


def test_both_names_of_one_number() -> None:
    both = {"retweet_count": 5, "repost_count": 5, "quote_count": 0}
    assert counted(numbers(**both)) == {"shares": 5}
    items = numbers(**{**both, "repost_count": 6})
    assert counted(items) == {"shares": 5}
    assert ("duplicate_field", "retweet_count") in drops(items)


def test_a_metric_that_nobody_knows_is_told() -> None:
    assert drops(numbers(like_count=1, brand_new=5)) == [("unknown_metric", "brand_new")]
    assert drops(numbers(**{"like_count": 1, "ü\n": 5})) == [("unknown_metric", "a name that is none")]


def test_every_part_of_the_owners_numbers_is_its_own_series() -> None:
    items = recorded("timeline_owner", page="timeline")
    series = {(one.subject, one.kind, one.paid, one.scope) for one in observations(items)}
    assert len(series) == len(observations(items))


def test_the_recorded_answer_of_another_time_has_authors_and_no_numbers() -> None:
    items = recorded("public_tweets", AS_ANYONE, page="posts", ids="1261326399320715264")
    assert [item.handle for item in items if isinstance(item, CreatorSeen)] == ["TwitterDev", "Twitter"]
    facts = [item for item in items if isinstance(item, SubjectSeen)]
    assert [(one.creator, one.title) for one in facts] == [
        (
            "2244994945",
            (
                "Tune in to the @MongoDB @Twitch stream featuring our very own @suhemparack to learn about Twitter "
                "Developer Labs - starting now! https://t.co/fAWpYi3o5O"
            ),
        ),
        ("783214", "Good news and bad news: "),
    ]
    assert drops(items) == [("no_numbers", ""), ("no_numbers", "")]


# ------------------------------------------------------------------------------------------------ facts


@pytest.mark.parametrize(
    ("fields", "content_type"),
    [
        ({"text": "a"}, "text"),
        ({}, None),
        ({"text": "a", "attachments": {"poll_ids": ["1"]}}, "poll"),
        ({"text": "a", "attachments": {"media_keys": ["3_1"]}}, None),  # not described
    ],
)
def test_what_a_post_shows(fields: dict[str, Any], content_type: str | None) -> None:
    assert fact(of_post(**fields)).content_type == content_type


@pytest.mark.parametrize(
    ("kinds", "content_type"), [(["photo"], "image"), (["photo", "photo"], "carousel"), (["animated_gif"], "gif")]
)
def test_what_the_media_of_a_post_are(kinds: list[str], content_type: str) -> None:
    media = [{"media_key": f"3_{number}", "type": kind} for number, kind in enumerate(kinds)]
    keys = [one["media_key"] for one in media]
    body = {"data": [{"id": "5", "text": "a", "attachments": {"media_keys": keys}}], "includes": {"media": media}}
    assert fact(parsed(json.dumps(body).encode(), TIMELINE)).content_type == content_type


def test_a_picture_is_no_video_subject() -> None:
    media = [{"media_key": "3_1", "type": "photo", "public_metrics": {"view_count": 5}}]
    body = {"data": [{"id": "5", "attachments": {"media_keys": ["3_1"]}}], "includes": {"media": media}}
    items = parsed(json.dumps(body).encode(), TIMELINE)
    assert not [item for item in items if isinstance(item, SubjectSeen) and item.subject.type is SubjectType.VIDEO]


@pytest.mark.parametrize("fields", [{"media_key": []}, {"media_key": {}}, {"media_key": "3_1", "type": {}}])
def test_a_media_that_is_none_takes_nothing_with_it(fields: dict[str, Any]) -> None:
    body = {"data": [{"id": "5", "attachments": {"media_keys": ["3_1"]}}], "includes": {"media": [fields]}}
    assert fact(parsed(json.dumps(body).encode(), TIMELINE)).subject == SubjectRef("5")


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        ("#One #two #ONE", ("one", "two")),
        ("a#b &#39; x.com/#top #123 #1a", ("1a",)),
        ("#köln_süd! \uff03全角 #日本語", ("köln_süd", "全角", "日本語")),
        ("no tags", ()),
        ("#" + "x" * 101, ()),
    ],
)
def test_hashtags_of_a_text(said: str, tags: tuple[str, ...]) -> None:
    assert fact(of_post(text=said)).hashtags == tags


def test_hashtags_that_x_names_go_before_the_text() -> None:
    entities = {"hashtags": [{"tag": "Ko\u0308ln"}, {"tag": 5}, {"tag": "KÖLN"}]}
    assert fact(of_post(text="#other", entities=entities)).hashtags == ("köln",)


@pytest.mark.parametrize(
    ("urls", "campaign"),
    [
        ([{"expanded_url": "https://a.example/?utm_campaign=x&utm_source=y"}], ("x", "y")),
        ([{"expanded_url": "https://a.example/"}, {"unwound_url": "https://b.example/?utm_campaign=z"}], ("z", None)),
        ([{"expanded_url": "https://a.example/?utm_source=y"}], (None, None)),
        ([{"expanded_url": "https://[bad"}, {"expanded_url": 5}, None], (None, None)),
        ([{"expanded_url": "https://a.example/?" + "&".join("a" * 200)}], (None, None)),
    ],
)
def test_the_campaign_of_a_link(urls: list[Any], campaign: tuple[str | None, str | None]) -> None:
    seen = fact(of_post(entities={"urls": urls}))
    assert (seen.utm_campaign, seen.utm_source) == campaign


def test_times_that_cannot_be() -> None:
    future = of_post(created_at="2999-01-01T00:00:00Z", text="a")
    assert fact(future).published_at is None
    assert ("future_time", "created_at") in drops(future)
    assert ("missing_time", "created_at") in drops(of_post(created_at=None))
    assert ("bad_time", "created_at") in drops(of_post(created_at="2021-01-06T18:40:40"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Mon Mar 26 16:33:26 +0000 2018", datetime(2018, 3, 26, 16, 33, 26, tzinfo=UTC)),
        ("1522081806000", datetime(2018, 3, 26, 16, 30, 6, tzinfo=UTC)),
        ("2018-03-26T18:33:26+02:00", datetime(2018, 3, 26, 16, 33, 26, tzinfo=UTC)),
        ("Mon Xyz 26 16:33:26 +0000 2018", DropReason.BAD_TIME),
        ("Mon Mar 26 16:33:26 +0100 2018", DropReason.BAD_TIME),
        ("9" * 19, DropReason.BAD_TIME),
        (1522081806000, DropReason.BAD_TIME),
    ],
)
def test_instants(text: Any, at: object) -> None:
    assert values.instant(text, NOW) == at


@pytest.mark.parametrize(
    ("identifier", "at"),
    [
        # Posts of which X says both.
        ("1346889436626259968", datetime(2021, 1, 6, 18, 40, 40, tzinfo=UTC)),
        ("7_2080761390344937796", datetime(2026, 7, 24, 21, 5, 48, tzinfo=UTC)),
        ("20", None),
        ("9" * 20, None),
    ],
)
def test_the_time_within_an_id(identifier: str, at: datetime | None) -> None:
    found = values.time_in(identifier, NOW)
    assert (found and found.replace(microsecond=0)) == at


# ------------------------------------------------------------------------------------------------ pages


@pytest.mark.parametrize("request_", [{}, {"page": "nothing"}])
def test_a_page_that_says_not_what_it_is(request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload):
        parsed(b'{"meta":{}}', {"account": ACCOUNT, **request_})


@pytest.mark.parametrize("page", ["timeline", "posts", "user", "analytics"])
@pytest.mark.parametrize("body", [b"{}", b'{"data":5}', b"[]", b""])
def test_a_page_without_data_or_a_reason_is_refused(page: str, body: bytes) -> None:
    with pytest.raises(BadPayload):
        parsed(body, {"account": ACCOUNT, "page": page})


def test_one_bad_post_is_not_the_loss_of_its_neighbours() -> None:
    body = b'{"data":[5,{"id":7.5},{"id":""},{"id":"9","public_metrics":{"like_count":1}}]}'
    items = parsed(body, TIMELINE, AS_ANYONE)
    assert counted(items) == {"likes": 1}
    assert drops(items)[:3] == [("malformed", "id"), ("malformed", "id"), ("missing_id", "id")]


# ------------------------------------------------------------------------------------------------ declared


def test_each_metric_counts_in_one_place() -> None:
    """Several wire metrics may count for one key only as its summands or as its organic and promoted parts."""
    places: dict[tuple[str, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        for subject in mapping.subject_types if mapping.counting and mapping.metric else ():
            if "(access public)" not in mapping.wire:
                places.setdefault((subject.value, str(mapping.metric)), set()).add(mapping.wire.split("/", 1)[1])
    parted = {key: wires for key, wires in places.items() if len(wires) > 1}
    both = {"organic_metrics", "promoted_metrics"}
    for (_, metric), wires in parted.items():
        assert {wire.split("/")[0] for wire in wires} == (both | {"public_metrics"} if metric == "shares" else both)
    assert {wire for wires in places.values() for wire in wires if wire.startswith("public")} == {
        "public_metrics/quote_count",
        "public_metrics/bookmark_count",
        "public_metrics/followers_count",
    }


@pytest.mark.parametrize("part", [*OWNER_POST, *OWNER_MEDIA, PUBLIC, ANALYTICS], ids=lambda one: one.name)
def test_every_rule_has_a_key_or_a_reason(part: Part) -> None:
    assert all(rule.keys or rule.note for rule in part.rules.values())


def test_only_what_is_booked_is_asked_for() -> None:
    asked = ANALYTICS_FIELDS.split(",")
    assert all(ANALYTICS.rules[name].keys for name in asked)
    assert all(rule.check for rule in ANALYTICS.rules.values() if rule.keys)
