from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Invalid, TooLarge
from service.reports.query.filters import Names, meets, read
from service.reports.query.pattern import Pattern

NAMES = Names(words=("platform", "hashtag", "tier"), numbers=("followers",), closed={"tier": ("nano", "mega")})
POST: dict[str, tuple[str | None, ...]] = {"platform": ("instagram",), "hashtag": ("Tea", "spring"), "tier": (None,)}


def met(filters: Any, followers: int | None = 500) -> bool:
    node = read(filters, NAMES, "?filters")
    assert node is not None
    known = None if followers is None else Fraction(followers)
    return meets(node, lambda name: POST.get(name, ()), lambda name: known if name == "followers" else None)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["is", "platform", ["instagram", "tiktok"]], True),
        (["is", "hashtag", "tea"], False),
        (["is", "hashtag", "tea", {"case_sensitive": False}], True),
        (["is_not", "hashtag", ["spring"]], False),
        (["contains", "hashtag", ["pri"]], True),
        (["contains_not", "hashtag", ["x"]], True),
        (["matches", "hashtag", "^T.a$"], True),
        (["is_null", "tier"], True),
        (["is_not", "tier", ["nano"]], True),
        (["is", "tier", ["nano"]], False),
        (["gte", "followers", 500], True),
        (["gt", "followers", "500"], False),
        (["lte", "followers", 499.5], False),
        (["lt", "followers", 501], True),
        (["is", "followers", [1, 500]], True),
        (["is_not", "followers", [500]], False),
        (["is_null", "followers"], False),
        (["not", ["is", "platform", ["tiktok"]]], True),
        (["or", [["is", "platform", ["x"]], ["is", "hashtag", ["spring"]]]], True),
        ([["is", "platform", ["instagram"]], ["is", "hashtag", ["x"]]], False),
    ],
)
def test_conditions_mean_what_they_say(filters: list[Any], expected: bool) -> None:
    assert met(filters) is expected
    assert met(["not", filters]) is not expected


def test_what_is_unknown_is_not_small() -> None:
    assert not met(["lt", "followers", 10], None)
    assert met(["is_not", "followers", [10]], None)
    assert met(["is_null", "followers"], None)


WORDS = st.sampled_from(("and", "or", "not", "is", "gte", "is_null", "platform", "followers"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_given_is_read_or_refused(given_: Any) -> None:
    place = "?filters"
    try:
        read(given_, NAMES, "?filters")
    except Invalid as error:
        place = error.pointer
    except TooLarge:
        place = "?filters"
    assert place.startswith("?filters")


ATOM = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w"])
PIECE = st.builds(lambda atom, sign: atom + sign, ATOM, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}"]))
SEQUENCE = st.lists(PIECE, max_size=5).map("".join)
WHOLE = st.builds(lambda one, other: f"(?:{one}|{other})", SEQUENCE, SEQUENCE) | SEQUENCE


@given(WHOLE, st.booleans(), st.booleans(), st.text(alphabet="abc1", max_size=8))
def test_patterns_find_what_regular_expressions_find(core: str, begins: bool, ends: bool, text: str) -> None:
    pattern = ("^" if begins else "") + core + ("$" if ends else "")
    expression = ("^" if begins else "") + core + (r"\Z" if ends else "")
    assert Pattern(pattern).found_in(text) == bool(re.search(expression, text))


NONE = ("(", ")", "a**", "[a", "a{2", "a{9,2}", "a{99}", "*a", "\\q", "x" * 101, "(" * 30 + ")" * 30)


@pytest.mark.parametrize("text", NONE)
def test_no_patterns(text: str) -> None:
    with pytest.raises(Invalid, match="pattern"):
        Pattern(text)


def test_a_pattern_that_makes_engines_run_for_ever_does_not() -> None:
    assert not Pattern("^(a|a|aa)*(a|b)*c$").found_in("a" * 300)
    with pytest.raises(Invalid, match="too large"):
        Pattern("(((a{50}){50}){50})")
