"""Bodies become queries or are refused: nothing else may happen, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.api.queries import query_of
from service.api.query_models import QueryInput
from service.api.query_strings import CampaignQuery, body_of
from service.errors import Invalid, NotFound, TooLarge
from service.kpi.buckets import Grain
from service.reports.query import cursors

CAMPAIGN = "cmp_" + "0" * 32
SCOPE = {"campaigns": [CAMPAIGN]}
WORDS = st.sampled_from(
    ("ctr", "reach", "emv", "tier", "day", "and", "is", "gte", "desc", "EUR", "2026-06-01", "last_7d")
)
KEYS = st.sampled_from(("key", "to", "from", "by", "rates", "id")) | WORDS
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2000) | st.floats() | st.text(max_size=6) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(sorted(QueryInput.model_fields)), VALUES, max_size=6)


def read(body: dict[str, Any]) -> Any:
    return query_of(QueryInput.model_validate({"scope": SCOPE} | body), costs=True, evidence=None)


@given(BODIES)
def test_a_body_is_a_query_or_a_mistake_with_a_place(body: dict[str, Any]) -> None:
    place = "?"
    try:
        read(body)
    except Invalid as error:
        place = error.pointer
    except (TooLarge, NotFound, ValidationError):
        place = "?"
    assert place.startswith("?")


def test_a_query_string_is_the_body_that_it_stands_for() -> None:
    dates = {"from": "2026-06-01", "to": "2026-06-03"}
    words = {"metrics": "ctr, clicks", "order": '["ctr","asc"]', "limit": "5", "level": "0.9"}
    asked = CampaignQuery.model_validate(words | dates)
    body = {
        "metrics": ["ctr", "clicks"],
        "range": dates,
        "order": ["ctr", "asc"],
        "page": {"limit": 5},
        "options": {"interval": {"level": 0.9}},
    }
    assert query_of(body_of(asked, CAMPAIGN), costs=True, evidence=None) == read(body)


def test_words_stand_for_what_they_name() -> None:
    query = read(
        {"metrics": ["clicks", {"key": "spend"}], "compare": "previous_year", "range": "last_7d", "granularity": "auto"}
    )
    assert query.question.metrics == ("clicks_link", "spend_media")
    assert (query.compare.to, query.auto, query.question.granularity) == ("previous_year", True, Grain.TOTAL)
    several = read({"scope": {"campaigns": [CAMPAIGN, "cmp_" + "1" * 32]}})
    assert several.question.preset == "lifetime"
    with pytest.raises(Invalid, match="one attribution"):
        read({"metrics": [{"key": "cpa", "attribution": {"model": model}} for model in ("linear", "first")]})


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_a_word_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="page"):
        cursors.read(text, "0" * 16)
