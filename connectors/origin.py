"""Where somebody came from: UTM parameters, click ids and promo codes, wherever a link or an order holds them.

The same words have to be read in the same way on both sides, in the link of a post and in the order that it led to: a
campaign that is spelled in two ways is two campaigns. So a value is percent-decoded once, trimmed and composed (NFKC),
and its case stays. A click id is opaque and stays as it is. A code is compared as shops do, without regard to case.
What a template should have filled and did not (``{{ad.id}}``, ``__CID__``) is missing. The first of a name counts.

The places of an order are asked in one order, which is its platform's. The first place that names any UTM parameter
gives them all, so that a campaign of one visit never stands beside the source of another; the click id is looked for
likewise. Only when nothing is found does the referring host name the platform, as source with the medium *referral*.
Which of a code, a click id and a campaign is credited is not decided here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import msgspec

from connectors import values

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
    "fbclid",  # last: it is added to organic links too, so beside another one it is the weaker sign
)
_NAMES: Mapping[str, str] = {name.lower(): name for name in (*UTM, *CLICK_IDS)}
# fb.1.<milliseconds>.<fbclid>, as the cookie keeps it and themes of shops hand it on.
_FBC = re.compile(r"fb\.[0-9]\.[0-9]{10,16}\.(.+)")
_CODE_NAMES = frozenset({"promo_code", "promocode", "discount_code", "coupon", "coupon_code"})
_MACRO = re.compile(r"\{.*\}|__[A-Z0-9_]+__|%%.*%%")
_MOST_PAIRS = 200
_LONGEST_CLICK_ID = 1024
LONGEST_ADDRESS = 8192
LONGEST_NAME = 200
"""Of a campaign or a code: they become ids of subjects, which have 256 characters with their kind."""

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


Pairs = Iterable[tuple[Any, Any]]
Place = Mapping[str, str]
"""Parameters by their name as written in :data:`UTM` and :data:`CLICK_IDS`, the first of each."""


def origin(places: Iterable[Place], codes: Iterable[Any], referrers: Iterable[Any] = ()) -> Origin:
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


def marks(place: Place) -> dict[str, str | None]:
    """Return what a link says of its campaign, in the words of the facts about a subject."""
    return {name: place.get(name) for name in ("utm_campaign", "utm_source", "utm_medium")}


def _click_id(place: Place) -> str | None:
    return next((f"{name}:{place[name]}" for name in CLICK_IDS if name in place), None)


# ------------------------------------------------------------------------------------------------ places


def of_link(link: Any) -> Place:
    """Return the parameters of a whole address, as a post links to it; nothing for what is none.

    A link is made by hand or by a tool, and what reads it on the landing page knows one spelling of a name alone.
    """
    try:
        known = urlsplit(link) if isinstance(link, str) else None
    except ValueError:
        known = None
    return {} if known is None else of_pairs(pairs_of(link), exact=True)


def of_address(address: Any) -> Place:
    """Return the parameters of an address or of a path with a query; those after ``#`` too, which some links use."""
    return of_pairs(pairs_of(address)) if isinstance(address, str) else {}


def pairs_of(address: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of an address, those after ``#`` last."""
    front, _, fragment = address[:LONGEST_ADDRESS].partition("#")
    yield from pairs_in(front.partition("?")[2])
    yield from pairs_in(fragment.rpartition("?")[2])


def pairs_in(query: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a query, decoded once."""
    parts = query.split("&" if "&" in query else ";")
    for part in parts[:_MOST_PAIRS]:
        name, _, value = part.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def of_pairs(pairs: Pairs, *, exact: bool = False) -> Place:
    """Return the parameters among named texts, which are not encoded; an empty one is absent, as is an unfilled one.

    Names are taken in any spelling, or ``exact``.
    """
    found: dict[str, str] = {}
    for written, value in pairs:
        if not isinstance(written, str) or not isinstance(value, str):
            continue
        if exact and written not in _NAMES.values():
            continue
        cookie = _FBC.fullmatch(value) if written in {"_fbc", "fbc"} else None
        name = "fbclid" if cookie else _NAMES.get(written.strip().lower())
        said = cookie[1] if cookie else value
        kept = None if name is None else name_in(said) if name in UTM else opaque_in(said)
        if name is not None and kept is not None:
            found.setdefault(name, kept)
    return found


def name_in(value: str) -> str | None:
    """Return a name of a campaign, a source or a code; None for an empty one and for one that was never filled."""
    said = values.trimmed(unicodedata.normalize("NFKC", value), LONGEST_NAME)
    return None if said is None or _MACRO.fullmatch(said) else said


def opaque_in(value: Any) -> str | None:
    """Return a click id as it is; one that is cut names nobody, so one that is too long is none."""
    said = values.trimmed(value, _LONGEST_CLICK_ID + 1)
    return None if said is None or len(said) > _LONGEST_CLICK_ID or _MACRO.fullmatch(said) else said


# ------------------------------------------------------------------------------------------------ codes and hosts


def promo_code(value: Any) -> str | None:
    """Return a code as codes are compared: composed, trimmed and upper-case."""
    said = name_in(value) if isinstance(value, str) else None
    return None if said is None else said.upper()[:LONGEST_NAME]


def codes_among(pairs: Pairs) -> Iterator[Any]:
    """Yield the values of named texts that are named like a code."""
    return (value for name, value in pairs if isinstance(name, str) and name.strip().lower() in _CODE_NAMES)


def _platform_of(referrer: Any) -> str | None:
    """Return the platform that a referring host belongs to; None for any other site."""
    try:
        host = urlsplit(referrer[:LONGEST_ADDRESS]).hostname if isinstance(referrer, str) else None
    except ValueError:
        return None
    labels = (host or "").split(".")
    if "pinterest" in labels[:-1]:  # one domain in each country
        return "pinterest"
    ends = (".".join(labels[start:]) for start in range(len(labels)))
    return next((_HOSTS[end] for end in ends if end in _HOSTS), None)
