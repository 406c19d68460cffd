"""Hashtags in texts of any script, by the habits of a platform."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hashtags import EMOJI, EMOJI_JOINERS, LETTERS, LONGEST, MOST, Hashtags, distinct, named

PLAIN = Hashtags()
CHAINED = Hashtags(letters=(*LETTERS, EMOJI), joiners=EMOJI_JOINERS, shut="&", chained=True)
STRICT = Hashtags(joiners="", numbers=False)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", ()),
        ("no tag", ()),
        ("#One and \uff03TWO_2, #one again", ("one", "two_2")),
        ("#Cafe\u0301", ("caf\u00e9",)),
        ("#\u0928\u092e\u0938\u094d\u0924\u0947", ("\u0928\u092e\u0938\u094d\u0924\u0947",)),  # marks are part of it
        ("a#b c&#39; https://e.x/#top ##x", ("x",)),
        ("#a-b #.", ("a",)),
        ("# a", ()),
        ("#2026", ("2026",)),
        ("#one#two", ("one",)),
    ],
)
def test_tags(text: str, tags: tuple[str, ...]) -> None:
    assert PLAIN.within(text) == tags


def test_platforms_have_habits() -> None:
    assert CHAINED.within("#one#two a#b#c &#no#yes") == ("one", "two", "c", "yes")
    assert CHAINED.within("#\u2615 #\U0001f44d\U0001f3fd! /#x") == ("\u2615", "\U0001f44d\U0001f3fd", "x")
    assert STRICT.within("#2026 #a1") == ("a1",)
    assert Hashtags(shut="\\").within("\\#no &#yes") == ("yes",)


def test_several_texts_are_one_list() -> None:
    assert PLAIN.within("#a #b", "#b #c") == ("a", "b", "c")


def test_what_a_platform_names_itself() -> None:
    assert named(["One", "one", "", "Cafe\u0301"]) == ("one", "caf\u00e9")


def test_lists_and_tags_are_bounded() -> None:
    assert PLAIN.within("#" + "x" * (LONGEST + 1) + " #" + "y" * LONGEST) == ("y" * LONGEST,)
    assert len(distinct(str(number) for number in range(500))) == MOST


@given(st.text(alphabet="ab1_# \uff03&/.\n\u0301\u200d\u2615", max_size=40))
def test_a_tag_stands_in_its_text(text: str) -> None:
    composed = unicodedata.normalize("NFC", text).lower()
    for habits in (PLAIN, CHAINED, STRICT):
        for tag in habits.within(text):
            assert f"#{tag}" in composed.replace("\uff03", "#")
            assert not set(tag) & set("#\uff03 \n&/.")
