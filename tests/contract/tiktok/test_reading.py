"""What pages say: expected numbers are written by hand from the bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connectors.contract import STORED, BadPayload, Drop, SubjectSeen, SubjectType
from connectors.tiktok import CONNECTOR
from connectors.tiktok_metrics import DAY_FIELDS, FACTS, LAST_RESORT, NEEDED, PROFILE_FIELDS, VIDEO_FIELDS
from tests.contract.reading import drops, observations
from tests.contract.tiktok.desk import NOW, RECORDINGS, parsed, photo, video
from tests.fakes.tiktok import _DAYS, _FACTS, _INSIGHTS, _PLAIN, _PROFILE, DEAD_TOKEN, MISSING

FILM = "7109065174526479622"


def answer(data: Any, **request: str) -> list[Any]:
    return parsed(msgspec.json.encode({"code": 0, "message": "OK", "data": data}), {"page": "videos", **request})


def videos(*entries: Any, **request: str) -> list[Any]:
    return answer({"videos": entries, "has_more": False}, **request)


def post(**fields: Any) -> dict[str, Any]:
    return {"item_id": FILM, "create_time": "1786618906", **fields}


def days(*entries: Any) -> list[Any]:
    return answer({"metrics": entries}, page="account_days")


def metrics(items: list[Any]) -> list[dict[str, int]]:
    return [one.metrics for one in observations(items)]


# ------------------------------------------------------------------------------------------------ posts


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (120, 120),
        ("120", 120),
        (120.0, 120),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (2**63, "out_of_range"),
        (-1, "out_of_range"),
        (1.5, "bad_number"),
        ("1.5", "bad_number"),
        ("many", "bad_number"),
        ("", "bad_number"),
        (True, "bad_number"),
        ("٣", "bad_number"),
        ("9" * 5000, "bad_number"),
        ({}, "bad_number"),
    ],
)
def test_counts_are_numbers_or_their_text(value: Any, found: int | str) -> None:
    items = videos(post(video_views=value, likes=7))
    if isinstance(found, int):
        assert metrics(items) == [{"views": found, "likes": 7}]
    else:
        assert metrics(items) == [{"likes": 7}]
        assert drops(items) == [(found, "video_views")]


@pytest.mark.parametrize("raw", [b"1e400", b"1E+99999999999999999999", b"-1e400"])
def test_numbers_without_bounds_are_drops(raw: bytes) -> None:
    body = b'{"code":0,"data":{"videos":[{"item_id":"1","create_time":1786618906,"likes":7,"video_views":' + raw
    items = parsed(body + b',"total_time_watched":' + raw + b"}]}}", {"page": "videos"})
    assert metrics(items) == [{"likes": 7}]
    assert {detail for _, detail in drops(items)} == {"video_views", "total_time_watched"}


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(18432.5, 18_432_500), ("0.0004", 0), (3, 3000), (0.1234567, 123)]
)
def test_seconds_become_milliseconds(seconds: Any, milliseconds: int) -> None:
    assert metrics(videos(post(total_time_watched=seconds))) == [{"watch_time": milliseconds}]


def test_clicks_on_links_and_buttons_add_up_and_a_bad_part_takes_the_sum() -> None:
    clicks = {"website_clicks": 6, "email_clicks": 2, "address_clicks": 0}
    assert metrics(videos(post(**clicks))) == [{"clicks_link": 6, "clicks_all": 8}]
    items = videos(post(**{**clicks, "email_clicks": "many"}))
    assert metrics(items) == [{"clicks_link": 6}]
    assert drops(items) == [("bad_number", "email_clicks")]
    items = videos(post(website_clicks=2**62, email_clicks=2**62))
    assert metrics(items) == [{"clicks_link": 2**62}]


def test_leads_are_claims_of_the_platform_in_millionths() -> None:
    (one,) = observations(videos(post(lead_submissions=2)))
    assert (one.metrics, one.goal, one.check) == ({"conversions_platform": 2_000_000}, "lead_submission", False)


def test_nothing_is_said_of_organic_or_paid() -> None:
    assert {one.paid for one in observations(videos(post(video_views=1, reach=1)))} == {None}


def test_impressions_and_conversions_are_never_known() -> None:
    keys = {mapping.metric for mapping in CONNECTOR.metrics}
    assert not keys & {"impressions", "conversions", "conversion_value", "spend_media"}


def test_a_photo_is_a_post_and_an_unknown_medium_a_video() -> None:
    types = [videos(post(media_type=one, likes=1))[0] for one in ("PHOTO", "VIDEO", "TEXT", ["VIDEO"])]
    assert [(one.subject, one.content_type) for one in types] == [
        (photo(FILM), "image"),
        (video(FILM), "video"),
        (video(FILM), None),
        (video(FILM), "video"),
    ]


def test_a_bad_post_is_a_drop_and_its_neighbours_count() -> None:
    items = videos(
        {"create_time": "1786618906", "likes": 1},
        "no object",
        {"item_id": "../x", "likes": 1},
        {"item_id": 7109065174526479622, "create_time": 1786618906, "likes": 5},
        {"item_id": "1", "create_time": "1787227501", "likes": 6},
        {"item_id": "2", "create_time": "yesterday", "likes": "many"},
        {"item_id": "3", "create_time": 2**80},
        ids=f"{FILM},77",
    )
    seen = [item for item in items if isinstance(item, SubjectSeen)]
    assert [one.subject.external_id for one in seen] == [FILM, "1", "2", "3"]
    assert metrics(items) == [{"likes": 5}, {"likes": 6}]
    assert [(item.reason.value, item.row) for item in items if isinstance(item, Drop)] == [
        ("missing_id", 1),
        ("malformed", 2),
        ("malformed", 3),
        ("future_time", 5),
        ("bad_time", 6),
        ("bad_number", 6),
        ("no_numbers", 6),
        ("bad_time", 7),
        ("no_numbers", 7),
    ]


@pytest.mark.parametrize("name", [0, -5, True, 10**20, 1.5, "٣", "v_pub_url~1", [], "1" * 21])
def test_an_id_is_digits_or_their_number(name: Any) -> None:
    items = videos({"item_id": name, "create_time": 1_786_618_906, "likes": 1})
    assert (drops(items), len(items)) == ([("malformed", "item_id")], 1)


def test_only_a_whole_list_tells_by_what_it_leaves_out() -> None:
    gone = SubjectSeen(subject=video(FILM), removed_at=NOW)
    assert videos(ids=FILM) == [gone]
    assert answer({"videos": [], "has_more": True}, ids=FILM) == []
    assert answer({"videos": []}, ids=FILM) == []
    assert videos() == []
    assert videos(ids="x,,../y") == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"https://www.tiktok.com/@b/video/{FILM}?utm_source=1#x", f"https://www.tiktok.com/@b/video/{FILM}"),
        ("http://www.tiktok.com/@b", None),
        ("javascript:alert(1)", None),
        ("https://[x", None),
        ("", None),
        (5, None),
    ],
)
def test_addresses_lose_what_names_who_shared_them(address: Any, shown: str | None) -> None:
    seen, *_ = videos(post(share_url=address, likes=1))
    assert isinstance(seen, SubjectSeen)
    assert seen.url == shown


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("#हिन्दी #日本語。#Ünï_2", ("हिन्दी", "日本語", "ünï_2")),
        ("#one#two ##three (#four) #five-six", ("one", "two", "three", "four", "five")),
        ("a@b#no C#not &#39; # #! https://x.example/#no", ()),
        ("#Cafe\u0301 #CAFÉ", ("café",)),
        ("#🍕🎉", ("🍕🎉",)),
        ("#" + "x" * 101, ()),
        ("#" * 5000, ()),
    ],
)
def test_hashtags_of_every_script(caption: str, tags: tuple[str, ...]) -> None:
    seen, *_ = videos(post(caption=caption, likes=1))
    assert isinstance(seen, SubjectSeen)
    assert seen.hashtags == tags


def test_a_caption_that_was_not_asked_for_says_nothing_of_hashtags() -> None:
    seen, *_ = videos(post(likes=1))
    assert isinstance(seen, SubjectSeen)
    assert (seen.hashtags, seen.title, seen.content_type) == (None, None, None)
    assert seen.published_at == datetime(2026, 8, 13, 11, 1, 46, tzinfo=UTC)


# ------------------------------------------------------------------------------------------------ days


def test_a_bad_day_is_a_drop_and_its_neighbours_count() -> None:
    items = days(
        {"date": "2026-08-10", "profile_views": 1, "video_views": "x"},
        {"date": "2026-08-10", "profile_views": 2},
        {"profile_views": 3},
        {"date": "31.08.2026", "profile_views": 4},
        {"date": "2026-08-21", "profile_views": 5},
        "no object",
        {"date": "2026-08-11"},
        {"date": "2026-08-12", "profile_views": 6, "brand_new": 7, "daily_total_followers": -3},
    )
    assert metrics(items) == [{"profile_views": 1}, {"profile_views": 6}]
    assert [(item.reason.value, item.row, item.detail) for item in items if isinstance(item, Drop)] == [
        ("bad_number", 1, "video_views"),
        ("duplicate_field", 2, "date"),
        ("missing_time", 3, "date"),
        ("bad_time", 4, "date"),
        ("future_time", 5, "date"),
        ("missing_time", 6, "date"),
        ("no_numbers", 7, ""),
        ("unknown_metric", 8, "brand_new"),
        ("not_mapped", 8, "daily_total_followers"),
    ]


def test_an_account_without_days_says_nothing() -> None:
    assert drops(days()) == [("no_numbers", "")]


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b"", {"page": "videos"}),
        (b"<html>", {"page": "videos"}),
        (b"[]", {"page": "profile"}),
        (b"[" * 100_000, {"page": "profile"}),
        (b"{}", {"page": "profile"}),
        (DEAD_TOKEN, {"page": "profile"}),
        (MISSING, {"page": "videos"}),
        (b'{"code":0,"data":{}}', {"page": "videos"}),
        (b'{"code":0,"data":{}}', {"page": "profile", "account": ""}),
        (b'{"code":0,"data":{}}', {"page": "another"}),
        (b'{"code":0,"data":{}}', {"kind": "videos"}),
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
    assert {f"videos/{name}" for name in VIDEO_FIELDS if name not in FACTS} <= booked
    assert {f"account_days/{name}" for name in DAY_FIELDS} <= booked
    assert set(VIDEO_FIELDS) <= _FACTS | _PLAIN | _INSIGHTS
    assert set(PROFILE_FIELDS) <= _PROFILE
    assert set(DAY_FIELDS) <= _DAYS
    assert NEEDED <= LAST_RESORT <= set(VIDEO_FIELDS)
    # Asked for with the days it would come twice.
    assert "followers_count" not in DAY_FIELDS


def test_every_mapping_is_to_a_stored_key_or_says_why_not() -> None:
    for mapping in CONNECTOR.metrics:
        assert mapping.metric in STORED if mapping.metric else mapping.note


def test_each_metric_counts_in_one_place() -> None:
    places: dict[tuple[SubjectType, str], set[str]] = {}
    for mapping in CONNECTOR.metrics:
        if mapping.counting and mapping.metric and mapping.metric != "clicks_all":
            for subject in mapping.subject_types:
                places.setdefault((subject, mapping.metric), set()).add(mapping.wire)
    assert {key: wires for key, wires in places.items() if len(wires) > 1} == {}
    of_account = {metric for subject, metric in places if subject is SubjectType.PROFILE}
    of_posts = {metric for subject, metric in places if subject is SubjectType.VIDEO}
    # Reach is unique people in two scopes, and never added.
    assert of_account & of_posts == {"reach"}


# ------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize("name", ["business_token_resp", "business_refresh_resp"])
def test_tokens_are_found_where_the_flow_says(name: str) -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    call = flow.refresh if "refresh" in name else flow.code
    found = msgspec.json.decode((RECORDINGS / "tokens" / f"{name}.json").read_bytes())
    for key in call.answer:
        found = found[key]
    assert found["access_token"] == "act.token"
    assert flow.lifetime is not None
    assert found["expires_in"] == flow.lifetime.total_seconds()
    assert set(CONNECTOR.auth.scopes) <= set(found["scope"].split(flow.scope_separator))
