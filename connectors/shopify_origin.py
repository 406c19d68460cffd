"""Where an order came from: promo codes, UTM parameters and click ids in everything that an order says of its visit.

The places are asked in one order: the page the visit landed on, the note attributes of the cart (themes copy the
parameters there, since a landing page may have lost its query), the parameters that Shopify parsed of the last visit,
the first visit, the query of the referring site. The first place that names any UTM parameter gives them all, so that a
campaign of one visit never stands beside the source of another; the click id is looked for likewise. Only when nothing
is found does the referring host name the platform, as source with the medium *referral*.

A promo code beats all of that in attribution, and all of it is kept beside the code: which of them is credited is not
decided here. An applied code comes before one in a note attribute, and that before the code of a discount link
(``/discount/CODE``), which says whose link it was even where it was not used. A code is compared as shops do: without
regard to case.

A value is percent-decoded once, trimmed and composed (NFKC); its case stays. A click id is opaque and stays as it is.
What a platform's macro should have filled and did not (``{{ad.id}}``, ``__CID__``) is missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import msgspec

from connectors import shopify_values as values

UTM = ("utm_campaign", "utm_source", "utm_medium", "utm_content", "utm_id")
CLICK_IDS = (
    "gclid",
    "wbraid",
    "gbraid",
    "dclid",
    "ttclid",
    "li_fat_id",
    "twclid",
    "ScCid",
    "rdt_cid",
    "epik",
    "msclkid",
    "irclickid",
    "cjevent",
    "ranSiteID",
    "awc",
    "fbclid",  # last: Meta adds it to organic links too, so beside another one it is the weaker sign
)
_NAMES: Mapping[str, str] = {name.lower(): name for name in (*UTM, *CLICK_IDS)}
# fb.1.<milliseconds>.<fbclid>, as Meta's cookie keeps it and themes hand it on.
_FBC = re.compile(r"fb\.[0-9]\.[0-9]{10,16}\.(.+)")
_PROMO_NAMES = frozenset({"promo_code", "promocode", "discount_code", "coupon", "coupon_code"})
_DISCOUNT_LINK = re.compile(r"/discount/([^/?#]+)")
_MACRO = re.compile(r"\{.*\}|__[A-Z0-9_]+__|%%.*%%")
_MOST_PAIRS = 200
_LONGEST_ADDRESS = 8192
_LONGEST_CLICK_ID = 1024
_LONGEST_NAME = 200  # of a campaign or a code: they become ids of subjects, which have 256 characters with their kind

_HOSTS: Mapping[str, str] = {
    "instagram.com": "instagram",
    "com.instagram.android": "instagram",
    "facebook.com": "facebook",
    "fb.me": "facebook",
    "com.facebook.katana": "facebook",
    "threads.net": "threads",
    "threads.com": "threads",
    "tiktok.com": "tiktok",
    "youtube.com": "youtube",
    "youtu.be": "youtube",
    "t.co": "x",
    "x.com": "x",
    "twitter.com": "x",
    "linkedin.com": "linkedin",
    "lnkd.in": "linkedin",
    "reddit.com": "reddit",
    "snapchat.com": "snapchat",
    "bsky.app": "bluesky",
}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an order says of where it came from, in the words of a conversion. None is *not said*."""

    promo_code: str | None = None
    click_id: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_content: str | None = None
    platform_campaign: str | None = None


Place = Mapping[str, str]
"""Parameters by their name as written in :data:`UTM` and :data:`CLICK_IDS`, the first of each."""


def origin(places: Iterable[Place], codes: Iterable[Any], referrers: Iterable[Any]) -> Origin:
    """Return the origin of an order out of its places, its codes and its referring sites, each in order of weight."""
    asked = list(places)
    code = next((found for found in map(promo_code, codes) if found), None)
    click_id = next((found for found in map(_click_id, asked) if found), None)
    utm = next((place for place in asked if any(name in place for name in UTM)), {})
    if not utm and not click_id:
        platform = next((found for found in map(_platform_of, referrers) if found), None)
        utm = {"utm_source": platform, "utm_medium": "referral"} if platform else {}
    return Origin(
        promo_code=code,
        click_id=click_id,
        utm_campaign=utm.get("utm_campaign"),
        utm_source=utm.get("utm_source"),
        utm_medium=utm.get("utm_medium"),
        utm_content=utm.get("utm_content"),
        platform_campaign=utm.get("utm_id"),
    )


def _click_id(place: Place) -> str | None:
    return next((f"{name}:{place[name]}" for name in CLICK_IDS if name in place), None)


# ------------------------------------------------------------------------------------------------ places


def of_address(address: Any) -> Place:
    """Return the parameters of a URL or of a path with a query; those after ``#`` too, which some links use."""
    if not isinstance(address, str):
        return {}
    front, _, fragment = address[:_LONGEST_ADDRESS].partition("#")
    return _place((*_pairs(front.partition("?")[2]), *_pairs(fragment.rpartition("?")[2])))


def of_attributes(pairs: Iterable[tuple[Any, Any]]) -> Place:
    """Return the parameters among note attributes, which are not encoded."""
    return _place(pair for pair in pairs if isinstance(pair[0], str) and isinstance(pair[1], str))


def of_parameters(parameters: Any) -> Place:
    """Return what Shopify parsed of a visit: ``source``, ``medium``, ``campaign``, ``content``."""
    found = values.mapping(parameters)
    return _place((f"utm_{name}", value) for name, value in found.items() if isinstance(value, str))


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    parts = query.split("&" if "&" in query else ";")
    for part in parts[:_MOST_PAIRS]:
        name, _, value = part.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def _place(pairs: Iterable[tuple[str, str]]) -> Place:
    """Keep the first of each name that says something: an empty value is absent, a macro was never filled."""
    found: dict[str, str] = {}
    for written, value in pairs:
        name = _NAMES.get(written.strip().lower())
        cookie = _FBC.fullmatch(value) if written in {"_fbc", "fbc"} else None
        if cookie:
            name, value = "fbclid", cookie[1]  # noqa: PLW2901 - the cookie is a wrapping of the id
        said = None if name is None else (_utm if name in UTM else _opaque)(value)
        if name is not None and said is not None:
            found.setdefault(name, said)
    return found


def _utm(value: str) -> str | None:
    said = values.text(unicodedata.normalize("NFKC", value), _LONGEST_NAME)
    return None if said is None or _MACRO.fullmatch(said) else said


def _opaque(value: str) -> str | None:
    """Return a click id as it is; one that is cut names nobody, so one that is too long is none."""
    said = values.text(value, _LONGEST_CLICK_ID + 1)
    return None if said is None or len(said) > _LONGEST_CLICK_ID or _MACRO.fullmatch(said) else said


# ------------------------------------------------------------------------------------------------ codes and hosts


def promo_code(value: Any) -> str | None:
    """Return a code as codes are compared: composed, trimmed and upper-case."""
    said = values.text(unicodedata.normalize("NFKC", value)) if isinstance(value, str) else None
    return None if said is None or _MACRO.fullmatch(said) else said.upper()[:_LONGEST_NAME]


def promo_attributes(pairs: Iterable[tuple[Any, Any]]) -> Iterator[Any]:
    """Yield the values of note attributes that are named like a code."""
    return (value for name, value in pairs if isinstance(name, str) and name.strip().lower() in _PROMO_NAMES)


def linked_code(address: Any) -> str | None:
    """Return the code of a discount link."""
    path = address[:_LONGEST_ADDRESS].partition("?")[0] if isinstance(address, str) else ""
    found = _DISCOUNT_LINK.search(path)
    return unquote_plus(found[1]) if found else None


def _platform_of(referrer: Any) -> str | None:
    """Return the platform that a referring host belongs to; None for any other site."""
    try:
        host = urlsplit(referrer[:_LONGEST_ADDRESS]).hostname if isinstance(referrer, str) else None
    except ValueError:
        return None
    labels = (host or "").split(".")
    if "pinterest" in labels[:-1]:  # one domain in each country
        return "pinterest"
    ends = (".".join(labels[start:]) for start in range(len(labels)))
    return next((_HOSTS[end] for end in ends if end in _HOSTS), None)
