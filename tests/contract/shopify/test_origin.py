"""Where an order came from: landing page, note attributes, journey, referring site and codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors import origin as origins
from connectors.contract import Conversion
from tests.contract.reading import drops, only
from tests.contract.shopify.desk import at, parsed, pushed
from tests.fakes.shopify import Order, node


def order(**more: Any) -> Order:
    return Order(1, at(9), **more)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "/p?utm_source=Instagram&utm_medium=paid_social&utm_campaign=Spring%20Launch&utm_content=23850&fbclid=IwAR3xK8",
            {
                "utm_source": "Instagram",
                "utm_medium": "paid_social",
                "utm_campaign": "Spring Launch",
                "utm_content": "23850",
                "fbclid": "IwAR3xK8",
            },
        ),
        (
            "/p?utm_source=tiktok&utm_campaign=__CAMPAIGN_NAME__&ttclid=E.C.P.abc",
            {"utm_source": "tiktok", "ttclid": "E.C.P.abc"},
        ),
        ("/p?ScCid=AbC&sccid=zzz", {"ScCid": "AbC"}),
        ("/p?utm_source=a&utm_source=b", {"utm_source": "a"}),
        ("/p?utm_campaign=Fr%C3%BChling+1", {"utm_campaign": "Frühling 1"}),
        ("/p?utm_campaign=50%2525", {"utm_campaign": "50%25"}),  # decoded once
        ("/p#utm_source=x", {"utm_source": "x"}),
        ("/p#/route?utm_source=x", {"utm_source": "x"}),
        ("/p?utm_source=a;utm_medium=b", {"utm_source": "a", "utm_medium": "b"}),
        ("/p?utm_campaign=a;b&utm_source=c", {"utm_campaign": "a;b", "utm_source": "c"}),
        ("/p?gclid=&msclkid=1", {"msclkid": "1"}),
        ("/p?UTM_Source=x&Utm_campaign=%20y%20", {"utm_source": "x", "utm_campaign": "y"}),
        ("/p?utm_id={{campaign.id}}&utm_content={{ad.id}}", {}),
        ("https://[not-an-address?utm_source=x", {"utm_source": "x"}),
        ("/p?utm_campaign=a%00b%0A", {"utm_campaign": "a b"}),
        ("/p?igshid=1&si=2&ref_src=3", {}),  # shares are no clicks on ads
        ("/p?%zz=%zz&utm_source=%ff", {"utm_source": "�"}),
        (f"/p?fbclid={'a' * 512}", {"fbclid": "a" * 512}),
        (f"/p?fbclid={'a' * 1100}", {}),
        (f"/p?utm_campaign={'a' * 500}", {"utm_campaign": "a" * 200}),
        (None, {}),
        (7, {}),
    ],
)
def test_an_address(address: Any, said: dict[str, str]) -> None:
    assert origins.of_address(address) == said


@pytest.mark.parametrize(
    ("landing", "click_id"),
    [
        ("/?fbclid=f&gclid=g", "gclid:g"),
        ("/?fbclid=f", "fbclid:f"),
        ("/?ttclid=T.t&msclkid=m", "ttclid:T.t"),
        ("/?SCCID=AbC", "ScCid:AbC"),
        ("/?irclickid=i", "irclickid:i"),
        ("/?x=1", None),
    ],
)
def test_one_click_id_is_given_with_its_name(landing: str, click_id: str | None) -> None:
    assert only(pushed(order(landing=landing))).click_id == click_id


def test_parameters_of_two_places_are_not_mixed() -> None:
    notes = {"utm_campaign": "autumn", "utm_source": "tiktok", "ttclid": "E.C.P.x"}
    found = only(pushed(order(landing="/?utm_source=instagram", notes=notes)))
    assert (found.utm_source, found.utm_campaign, found.click_id) == ("instagram", None, "ttclid:E.C.P.x")
    found = only(pushed(order(landing="/?page=2", notes=notes)))
    assert (found.utm_source, found.utm_campaign) == ("tiktok", "autumn")


def test_the_cookie_of_meta_holds_a_click_id() -> None:
    found = only(pushed(order(notes={"_fbc": "fb.1.1554763741205.IwAR2F4-dbP0l7Mn1IawQQGCINEz"})))
    assert found.click_id == "fbclid:IwAR2F4-dbP0l7Mn1IawQQGCINEz"
    assert only(pushed(order(notes={"_fbc": "fb.nothing"}))).click_id is None


def test_utm_id_is_the_campaign_of_the_platform() -> None:
    found = only(pushed(order(landing="/?utm_id=120208&utm_campaign=spring")))
    assert (found.platform_campaign, found.utm_campaign) == ("120208", "spring")


@pytest.mark.parametrize(
    ("referrer", "platform"),
    [
        ("https://l.instagram.com/", "instagram"),
        ("https://lm.facebook.com/l.php", "facebook"),
        ("android-app://com.instagram.android/", "instagram"),
        ("https://t.co/abc", "x"),
        ("https://out.reddit.com/", "reddit"),
        ("https://www.pinterest.de/", "pinterest"),
        ("https://www.youtube.com/", "youtube"),
        ("https://notinstagram.com/", None),
        ("https://www.example.org/", None),
        ("https://[half", None),
        (None, None),
    ],
)
def test_a_referring_host_names_the_platform_when_nothing_else_does(referrer: str | None, platform: str | None) -> None:
    found = only(pushed(order(referrer=referrer)))
    assert (found.utm_source, found.utm_medium) == (platform, "referral" if platform else None)
    tagged = only(pushed(order(referrer=referrer, landing="/?utm_campaign=spring")))
    assert (tagged.utm_source, tagged.utm_campaign) == (None, "spring")


def test_the_query_of_a_referring_site_is_read_before_its_host() -> None:
    found = only(pushed(order(referrer="https://l.instagram.com/?utm_campaign=spring&utm_source=ig")))
    assert (found.utm_source, found.utm_campaign) == ("ig", "spring")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"codes": [" anna10 "]}, "ANNA10"),
        ({"codes": ["ＡＮＮＡ１０"]}, "ANNA10"),  # noqa: RUF001 - full-width letters, as a keyboard may give them
        ({"codes": ["ANNA1O"]}, "ANNA1O"),  # a letter that only looks like a digit is another code
        ({"codes": ["FIRST", "SECOND"]}, "FIRST"),
        ({"codes": [""], "notes": {"Promo_Code": "note5"}}, "NOTE5"),
        ({"codes": ["REAL"], "notes": {"coupon": "note5"}}, "REAL"),
        ({"landing": "/discount/link%2D5?redirect=/products/x"}, "LINK-5"),
        ({"landing": "https://shop.example/discount/LINK5"}, "LINK5"),
        ({"notes": {"coupon": "note5"}, "landing": "/discount/LINK5"}, "NOTE5"),
        ({"landing": "/products/discount-5"}, None),
        ({}, None),
    ],
)
def test_a_code_is_compared_as_shops_do(more: dict[str, Any], code: str | None) -> None:
    assert only(pushed(order(**more))).promo_code == code


def test_other_codes_are_told() -> None:
    assert drops(pushed(order(codes=["FIRST", "SECOND"]))) == [("not_mapped", "discount_codes")]


# ------------------------------------------------------------------------------------------------ the journey


def fetched(one: Order, **changes: Any) -> Conversion:
    body = {"data": {"orders": {"nodes": [{**node(one), **changes}]}}}
    return only(parsed(json.dumps(body).encode(), request={"page": "orders"}))


def visit(landing: str | None = None, referrer: str | None = None, **parameters: str) -> dict[str, Any]:
    return {"landingPage": landing, "referrerUrl": referrer, "utmParameters": parameters or None}


def journey(last: Any = None, first: Any = None, index: Any = None) -> dict[str, Any]:
    return {
        "customerJourneySummary": {"ready": True, "customerOrderIndex": index, "lastVisit": last, "firstVisit": first}
    }


def test_the_last_visit_weighs_more_than_the_first() -> None:
    last, first = visit("https://shop.example/?utm_campaign=last"), visit("https://shop.example/?utm_campaign=first")
    assert fetched(order(), **journey(last, first)).utm_campaign == "last"
    assert fetched(order(), **journey(visit("https://shop.example/"), first)).utm_campaign == "first"
    assert fetched(order(), **journey(None, first)).utm_campaign == "first"


def test_what_shopify_parsed_of_a_visit_is_read() -> None:
    last = visit(source="tiktok", medium="social", campaign="spring", content="71", term="unread")
    found = fetched(order(), **journey(last))
    assert (found.utm_source, found.utm_medium, found.utm_campaign, found.utm_content) == (
        "tiktok",
        "social",
        "spring",
        "71",
    )


def test_a_journey_that_is_not_ready_says_nothing() -> None:
    found = fetched(order(journey_ready=False, landing="/?utm_campaign=spring", nth=1))
    assert (found.utm_campaign, found.first_order) == (None, None)


@pytest.mark.parametrize(
    ("index", "first"), [(1, True), (0, True), (2, False), (7, False), (None, None), (-1, None), ("1", None)]
)
def test_the_place_among_the_orders_of_a_customer(index: Any, first: bool | None) -> None:
    assert fetched(order(), **journey(index=index)).first_order is first


def test_pushed_and_fetched_tell_the_same_origin() -> None:
    one = order(
        landing="/discount/ANNA10?utm_source=instagram&utm_campaign=spring&fbclid=F",
        notes={"coupon": "other"},
        codes=["anna10"],
        referrer="https://l.instagram.com/",
        customer=7,
        nth=1,
    )
    assert fetched(one) == only(pushed(one))


def test_pushed_and_fetched_tell_the_same_referring_site() -> None:
    one = order(referrer="https://l.instagram.com/")
    assert fetched(one) == only(pushed(one))
