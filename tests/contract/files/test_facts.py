from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.contract import DropReason, SubjectRef, SubjectSeen, SubjectType
from tests.contract.files.sheet import drops, facts, numbers, observations, read

ALL = {
    "subject_type": "reel",
    "published_column": "published",
    "title_column": "title",
    "url_column": "url",
    "content_type_column": "type",
    "hashtags_column": "tags",
    "creator_column": "creator",
    "paid_column": "paid",
    "platform_campaign_column": "campaign",
    "utm_campaign_column": "utm",
}
SEEN = SubjectSeen(
    subject=SubjectRef("p", SubjectType.REEL),
    published_at=datetime(2026, 2, 1, 9, tzinfo=UTC),
    title="Spring",
    url="https://a.example/p",
    content_type="photo album",
    hashtags=("spring", "Sale"),
    creator="1789",
    paid=True,
    platform_campaign="77",
    utm_campaign="spring-26",
)


def test_every_fact_of_a_table() -> None:
    body = (
        "id,views,published,title,url,type,tags,creator,paid,campaign,utm\n"
        "p,1,2026-02-01T09:00:00Z, Spring ,https://a.example/p,"
        "Photo Album,#spring Sale  #spring,1789,Yes,77,spring-26\n"
    )
    assert facts(read(body, **ALL)) == [SEEN]


def test_every_fact_of_a_line() -> None:
    body = (
        '{"id":"p","views":1,"published":"2026-02-01 09:00","title":"Spring","url":"https://a.example/p",'
        '"type":"PHOTO ALBUM","tags":["#spring","Sale",""],"creator":1789,"paid":true,"campaign":77,"utm":"spring-26"}'
    )
    assert facts(read(body, **ALL)) == [SEEN]


def test_nothing_said_is_no_fact() -> None:
    items = read(
        "id,views,title,tags,at\np,1,, ,  \n", title_column="title", hashtags_column="tags", published_column="at"
    )
    assert facts(items) == []
    assert drops(items) == []
    assert numbers(items) == {"p": {"views": 1}}


def test_a_list_without_tags_says_that_there_are_none() -> None:
    items = read('{"id":"p","views":1,"tags":[]}\n{"id":"q","views":1,"tags":null}', hashtags_column="tags")
    assert [(item.subject.external_id, item.hashtags) for item in facts(items)] == [("p", ())]


def test_another_separator_between_tags() -> None:
    items = read("id;views;tags\np;1;#a, b c,,#d\n", hashtags_column="tags", hashtags_separator=",")
    assert [item.hashtags for item in facts(items)] == [("a", "b c", "d")]


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("paid", "perhaps", DropReason.MALFORMED),
        ("published", "soon", DropReason.BAD_TIME),
        ("published", "2027-01-01", DropReason.FUTURE_TIME),
        ("creator", "x" * 257, DropReason.MALFORMED),
        ("title", "x" * 5_000, DropReason.MALFORMED),
    ],
)
def test_a_bad_fact_is_a_drop_and_the_rest_of_the_row_counts(column: str, cell: str, reason: DropReason) -> None:
    items = read(f"id,views,url,{column}\np,1,u,{cell}\n", **{f"{column}_column": column}, url_column="url")
    assert [item.url for item in facts(items)] == ["u"]
    assert numbers(items) == {"p": {"views": 1}}
    assert drops(items) == [(reason, 1)]


def test_a_file_of_facts_alone() -> None:
    items = read("id,title\np,A\nq,\n", columns={}, title_column="title")
    assert [item.title for item in facts(items)] == ["A"]
    assert observations(items) == []
    assert drops(items) == []
