"""Reads the listings of an ad account: campaigns, ad sets and ads, what they are called and where their links lead.

Facts only, no numbers. UTM parameters are read from an ad's ``url_tags`` or its link; Meta's own placeholders for
ids and names are filled with what the listing says, any other placeholder is as good as absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors import graph_values, values
from connectors.contract import BadPayload, Delivery, Drop, DropReason, Item, SubjectRef, SubjectSeen, SubjectType

PAGES: Mapping[str, SubjectType] = {
    "campaigns": SubjectType.AD_CAMPAIGN,
    "adsets": SubjectType.AD_SET,
    "ads": SubjectType.AD,
}
"""What each listing holds."""
_PARENTS = {SubjectType.AD: "adset_id", SubjectType.AD_SET: "campaign_id"}
_CONTENT_TYPES = {"VIDEO": "video", "PHOTO": "image", "SHARE": "link"}
_PLACEHOLDER = re.compile(r"\{\{([a-z_.]{1,40})\}\}")
_UTM = ("utm_campaign", "utm_source", "utm_medium")
_LONGEST_QUERY = 4096
_MOST_PARAMETERS = 100
_LONGEST_TEXT = 4000
_LONGEST = 255


def read_listing(delivery: Delivery) -> Iterator[Item]:
    """Read a page of a listing. Raises :class:`BadPayload` for a body that cannot be read."""
    kind = PAGES[delivery.request["page"]]
    data = values.document(delivery.body).get("data")
    if not isinstance(data, list):
        raise BadPayload("the page has no list named data")
    for row, entry in enumerate(data, start=1):
        fields = values.mapping(entry)
        found = graph_values.identifier(fields.get("id")) if isinstance(entry, dict) else DropReason.MALFORMED
        if isinstance(found, DropReason):
            yield Drop(reason=found, row=row, detail="id")
        else:
            yield from _read(SubjectRef(found, kind), fields, delivery, row)


def _read(subject: SubjectRef, fields: Mapping[str, Any], delivery: Delivery, row: int) -> Iterator[Item]:
    creative = values.mapping(fields.get("creative"))
    created = graph_values.instant(fields.get("created_time"), delivery.received_at)
    removed = fields.get("effective_status") == "DELETED"
    gone = graph_values.instant(fields.get("updated_time"), delivery.received_at) if removed else None
    body = values.text(creative.get("body"), _LONGEST_TEXT)
    is_campaign = subject.type is SubjectType.AD_CAMPAIGN
    utm = _utm(fields, creative)
    yield SubjectSeen(
        subject=subject,
        published_at=None if isinstance(created, DropReason) else created,
        title=values.text(fields.get("name"), 200),
        url=values.text(creative.get("instagram_permalink_url")) or values.text(creative.get("link_url")),
        content_type=_CONTENT_TYPES.get(values.text(creative.get("object_type")) or ""),
        hashtags=None if body is None else graph_values.TAGS.within(body),
        platform_campaign=subject.external_id if is_campaign else _id(fields.get("campaign_id")),
        parent=_id(fields.get(_PARENTS.get(subject.type, ""))),
        paid=True,
        removed_at=None if isinstance(gone, DropReason) else gone,
        utm_campaign=utm.get("utm_campaign"),
        utm_source=utm.get("utm_source"),
        utm_medium=utm.get("utm_medium"),
    )
    if isinstance(created, DropReason):
        yield Drop(reason=created, row=row, detail="created_time")


def _id(value: Any) -> str | None:
    found = graph_values.identifier(value)
    return None if isinstance(found, DropReason) else found


# ------------------------------------------------------------------------------------------------ where links lead


def _utm(fields: Mapping[str, Any], creative: Mapping[str, Any]) -> dict[str, str]:
    """Return the UTM parameters of an ad by name: the tags that Meta adds to its links first, then its link's own."""
    known = _known(fields)
    found: dict[str, str] = {}
    for query in (creative.get("url_tags"), _query(creative.get("link_url"))):
        for name, value in _pairs(query):
            filled = _filled(value, known)
            if name in _UTM and name not in found and filled:
                found[name] = filled
    return found


def _known(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what can stand in for a placeholder."""
    told = {
        "ad.id": fields.get("id"),
        "ad.name": fields.get("name"),
        "adset.id": fields.get("adset_id"),
        "adset.name": values.mapping(fields.get("adset")).get("name"),
        "campaign.id": fields.get("campaign_id"),
        "campaign.name": values.mapping(fields.get("campaign")).get("name"),
    }
    return {name: value for name, value in told.items() if isinstance(value, str)}


def _query(link: Any) -> str:
    try:
        parts = urlsplit(link if isinstance(link, str) else "")
    except ValueError:
        return ""
    return parts.query or parts.fragment


def _pairs(query: Any) -> list[tuple[str, str]]:
    """Return the parameters of a query, decoded once; the first of a name counts, so order is kept."""
    if not isinstance(query, str):
        return []
    try:
        return parse_qsl(query.lstrip("?#")[:_LONGEST_QUERY], max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return []


def _filled(value: str, known: Mapping[str, str]) -> str:
    filled = _PLACEHOLDER.sub(lambda match: known.get(match.group(1), match.group(0)), value)
    text = values.text(filled.strip(), _LONGEST) or ""
    return "" if "{{" in text else text
