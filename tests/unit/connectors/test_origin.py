"""Where somebody came from, out of links, named texts and codes. The places of an order are tested with its shop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import origin

REFERRAL = {"utm_source": "instagram", "utm_medium": "referral"}


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("https://e.x/?utm_campaign=%EF%BC%A1%20b&utm_source=ig", {"utm_campaign": "A b", "utm_source": "ig"}),
        ("https://e.x/?UTM_Source=a&utm_source=b", {"utm_source": "b"}),
        ("https://e.x/?utm_campaign=&utm_campaign=late", {"utm_campaign": "late"}),
        ("https://e.x/?utm_campaign=%00%0a", {}),
        ("https://e.x/?utm_campaign=50%2525", {"utm_campaign": "50%25"}),
        ("https://e.x/?utm_id=__CID__&utm_content={{ad.id}}&utm_medium=%%m%%", {}),
        ("https://e.x/#/shop?utm_source=x", {"utm_source": "x"}),
        ("https://[broken/?utm_campaign=a", {}),
        (None, {}),
        (7, {}),
    ],
)
def test_a_link_says_its_campaign(link: Any, found: dict[str, str]) -> None:
    assert origin.of_link(link) == found


@given(st.text(), st.text(max_size=300))
def test_any_link_says_something_or_nothing(link: str, value: str) -> None:
    for told in (link, f"https://e.x/?utm_campaign={value}", f"https://e.x/?{value}&gclid={link}#{value}"):
        for name, said in origin.of_link(told).items():
            assert name in {*origin.UTM, *origin.CLICK_IDS}
            assert said == said.strip() != ""
            assert not set(said) & set("\x00\x0a\x1f\x7f")


def test_the_marks_of_a_link_are_facts_about_its_post() -> None:
    place = origin.of_link("https://e.x/?utm_campaign=a&utm_content=b&gclid=c")
    assert origin.marks(place) == {"utm_campaign": "a", "utm_source": None, "utm_medium": None}


def test_an_order_is_read_whatever_its_shop_wrote() -> None:
    assert origin.of_address("/p?UTM_Source=a&utm_source=b") == {"utm_source": "a"}


def test_named_texts_are_read_like_parameters() -> None:
    told = [("utm_campaign", " Spring "), ("sccid", "AbC"), ("_fbc", "fb.1.1554763741205.Iw")]
    found = origin.of_pairs([*told, (7, "x"), ("gclid", None)])
    assert found == {"utm_campaign": "Spring", "ScCid": "AbC", "fbclid": "Iw"}
    assert origin.of_pairs([("fbclid", "x" * 1025)]) == {}
    assert origin.of_pairs([("utm_campaign", "x" * 500)]) == {"utm_campaign": "x" * 200}


def test_the_first_place_gives_all_parameters_and_the_click_id_is_looked_for_by_itself() -> None:
    found = origin.origin([{"utm_source": "a"}, {"utm_campaign": "b", "fbclid": "f", "gclid": "g"}], [])
    assert (found.utm_source, found.utm_campaign, found.click_id) == ("a", None, "gclid:g")


@pytest.mark.parametrize(
    ("place", "referrers", "found"),
    [
        ({}, ["https://l.instagram.com/"], REFERRAL),
        ({}, ["https://shop.example/", "android-app://com.instagram.android/"], REFERRAL),
        ({}, ["https://www.pinterest.de/"], {"utm_source": "pinterest", "utm_medium": "referral"}),
        ({}, ["https://notinstagram.com/", "https://[half", None], {"utm_source": None, "utm_medium": None}),
        ({"gclid": "g"}, ["https://l.instagram.com/"], {"utm_source": None, "utm_medium": None}),
    ],
)
def test_a_referring_host_speaks_last(place: origin.Place, referrers: list[Any], found: dict[str, str | None]) -> None:
    told = origin.origin([place], [], referrers)
    assert {"utm_source": told.utm_source, "utm_medium": told.utm_medium} == found


def test_codes_are_compared_without_regard_to_case() -> None:
    assert origin.origin([], [None, "", "{{code}}", " \uff21nna10 "]).promo_code == "ANNA10"
    assert list(origin.codes_among([("Coupon ", "a"), ("note", "b"), (None, "c"), ("promo_code", 7)])) == ["a", 7]
