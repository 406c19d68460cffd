"""Rules of numbers: what is booked where, what is a drop, what is asked for and declared."""

from __future__ import annotations

from typing import Any

import msgspec

from connectors import rules, values
from connectors.contract import (
    INT64_MAX,
    Drop,
    DropReason,
    Item,
    Kind,
    MetricMapping,
    Observation,
    Quality,
    SubjectRef,
    SubjectType,
)
from connectors.rules import Rule, Rules, checked, left_out

POST = SubjectRef("1")
TABLE: Rules = {
    "views": Rule(keys=("views", "impressions"), mapping="views@1"),
    "impressions": Rule(keys=("impressions",), note="older"),
    "minutes": Rule(keys=("watch_time",), factor=60_000, quality=(Quality.ESTIMATED,)),
    "account_views": checked("views", scope="account", kind=Kind.PERIOD, paid=True),
    "rate": left_out("a rate"),
}
CLICKS: Rules = {"site": Rule(keys=("clicks_link", "clicks_all")), "mail": Rule(keys=("clicks_all",))}


def booked(told: dict[str, Any], found: Rules = TABLE, **more: Any) -> list[Item]:
    return list(rules.book(told.items(), found, POST, 3, **more))


def numbers(items: list[Item]) -> list[dict[str, int]]:
    return [item.metrics for item in items if isinstance(item, Observation)]


def drops(items: list[Item]) -> list[tuple[str, str]]:
    assert all(item.row == 3 for item in items if isinstance(item, Drop))
    return [(item.reason.value, item.detail) for item in items if isinstance(item, Drop)]


def test_numbers_of_one_series_travel_together() -> None:
    items = booked({"views": 5, "minutes": 2, "account_views": 9}, paid=False)
    assert items == [
        Observation(subject=POST, kind=Kind.LIFETIME, metrics={"views": 5, "impressions": 5}, paid=False),
        Observation(
            subject=POST,
            kind=Kind.LIFETIME,
            metrics={"watch_time": 120_000},
            paid=False,
            quality=(Quality.ESTIMATED,),
        ),
        Observation(subject=POST, kind=Kind.PERIOD, metrics={"views": 9}, scope="account", check=True, paid=True),
    ]


def test_whatever_is_not_booked_is_a_drop() -> None:
    items = booked({"views": "5", "rate": 7, "<b>": 1, "odd": 1, "minutes": INT64_MAX})
    assert numbers(items) == []
    assert drops(items) == [
        ("bad_number", "views"),
        ("not_mapped", "rate"),
        ("unknown_metric", "a name that is none"),
        ("unknown_metric", "odd"),
        ("out_of_range", "minutes"),
        ("no_numbers", ""),
    ]


def test_what_is_not_reported_is_neither() -> None:
    items = booked({"views": None, "impressions": 0})
    assert (numbers(items), drops(items)) == ([{"impressions": 0}], [])
    assert drops(booked({})) == [("no_numbers", "")]


def test_of_two_names_for_one_key_the_first_counts() -> None:
    items = booked({"views": 5, "impressions": 4})
    assert (numbers(items), drops(items)) == ([{"views": 5, "impressions": 5}], [("duplicate_field", "impressions")])


def test_numbers_of_a_key_may_add_up() -> None:
    assert numbers(booked({"site": 2, "mail": 3}, CLICKS, adds=True)) == [{"clicks_link": 2, "clicks_all": 5}]
    assert numbers(booked({"site": 2, "mail": None}, CLICKS, adds=True)) == [{"clicks_link": 2, "clicks_all": 2}]


def test_a_sum_with_an_unreadable_part_stays_unknown() -> None:
    items = booked({"site": 2, "mail": "x"}, CLICKS, adds=True)
    assert (numbers(items), drops(items)) == ([{"clicks_link": 2}], [("bad_number", "mail")])
    assert drops(booked({"mail": "x"}, CLICKS, adds=True)) == [("bad_number", "mail"), ("no_numbers", "")]
    assert drops(booked({"site": INT64_MAX, "mail": 1}, CLICKS, adds=True)) == []


def test_a_platform_reads_numbers_its_own_way() -> None:
    assert numbers(booked({"minutes": "2"}, number=values.written_count)) == [{"watch_time": 120_000}]


def test_what_is_asked_for_becomes_something() -> None:
    assert rules.asked(TABLE) == ("views", "impressions", "minutes", "account_views")
    assert list(rules.told({"views": 1, "rate": 2, "odd": 3}, {**CLICKS, "views": TABLE["views"]})) == [
        ("site", None),
        ("mail", None),
        ("views", 1),
    ]
    assert list(rules.meant({"views": 1, "rate": 2, "odd": 3}, TABLE)) == [("views", 1), ("odd", 3)]


def test_all_of_it_is_declared() -> None:
    table = {"views": TABLE["views"], "only": Rule(keys=("saves",), only=(SubjectType.REEL,)), "rate": TABLE["rate"]}
    answers = (("posts", table, (SubjectType.POST,)), ("", {"a": TABLE["account_views"]}, (SubjectType.PROFILE,)))
    views = MetricMapping(
        wire="posts/views", metric="views", mapping="views@1", kind=Kind.LIFETIME, subject_types=(SubjectType.POST,)
    )
    assert list(rules.declared(answers)) == [
        views,
        msgspec.structs.replace(views, metric="impressions"),
        MetricMapping(wire="posts/only", metric="saves", kind=Kind.LIFETIME, subject_types=(SubjectType.REEL,)),
        MetricMapping(wire="posts/rate", metric=None, counting=False, note="a rate"),
        MetricMapping(wire="a", metric="views", kind=Kind.PERIOD, subject_types=(SubjectType.PROFILE,), counting=False),
    ]


def test_a_reason_is_of_the_closed_set() -> None:
    assert all(isinstance(item.reason, DropReason) for item in booked({"odd": 1}) if isinstance(item, Drop))
