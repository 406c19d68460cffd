"""Reads the listings of an ad account: campaigns, ad sets and ads, what they are called and where their links lead.

Facts only, no numbers. UTM parameters are read from an ad's ``url_tags`` or its link; Meta's own placeholders for
ids and names are filled with what the listing says, any other placeholder is as good as absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors import graph_values, origin, pages, values
from connectors.contract import Delivery, Drop, Item, SubjectRef, SubjectSeen, SubjectType

PAGES: Mapping[str, SubjectType] = {
    "campaigns": SubjectType.AD_CAMPAIGN,
    "adsets": SubjectType.AD_SET,
    "ads": SubjectType.AD,
}
"""What each listing holds."""
_PARENTS = {SubjectType.AD: "adset_id", SubjectType.AD_SET: "campaign_id"}
_CONTENT_TYPES = {"VIDEO": "video", "PHOTO": "image", "SHARE": "link"}
_PLACEHOLDER = re.compile(r"\{\{([a-z_.]{1,40})\}\}")
_LONGEST_TEXT = 4000


def read_listing(delivery: Delivery) -> Iterator[Item]:
    """Read a page of a listing. Raises :class:`BadPayload` for a body that cannot be read."""
    kind = PAGES[delivery.request["page"]]
    for row, item in enumerate(pages.list_in(values.document(delivery.body), "data"), start=1):
        entry = pages.entry_of(item, row, graph_values.identifier)
        if isinstance(entry, Drop):
            yield entry
        else:
            yield from _read(SubjectRef(entry.id, kind), entry.fields, delivery, row)


def _read(subject: SubjectRef, fields: Mapping[str, Any], delivery: Delivery, row: int) -> Iterator[Item]:
    creative = values.mapping(fields.get("creative"))
    created = graph_values.instant(fields.get("created_time"), delivery.received_at)
    removed = fields.get("effective_status") == "DELETED"
    gone = graph_values.instant(fields.get("updated_time"), delivery.received_at)
    body = values.text(creative.get("body"), _LONGEST_TEXT)
    is_campaign = subject.type is SubjectType.AD_CAMPAIGN
    marks: dict[str, Any] = origin.marks(_place(fields, creative))
    yield SubjectSeen(
        subject=subject,
        published_at=values.known(created),
        title=values.text(fields.get("name"), 200),
        url=values.text(creative.get("instagram_permalink_url")) or values.text(creative.get("link_url")),
        content_type=_CONTENT_TYPES.get(values.text(creative.get("object_type")) or ""),
        hashtags=None if body is None else graph_values.TAGS.within(body),
        platform_campaign=subject.external_id if is_campaign else _id(fields.get("campaign_id")),
        parent=_id(fields.get(_PARENTS.get(subject.type, ""))),
        paid=True,
        removed_at=values.known(gone) if removed else None,
        **marks,
    )
    yield from pages.unread(created, row, "created_time")


def _id(value: Any) -> str | None:
    return values.known(graph_values.identifier(value))


# ------------------------------------------------------------------------------------------------ where links lead


def _place(fields: Mapping[str, Any], creative: Mapping[str, Any]) -> origin.Place:
    """Return the parameters of an ad by name: the tags that Meta adds to its links first, then its link's own."""
    known = _known(fields)
    tags, link = creative.get("url_tags"), creative.get("link_url")
    told = origin.pairs_in(tags.lstrip("?#")) if isinstance(tags, str) else ()
    own = origin.pairs_of(link) if isinstance(link, str) else ()
    return origin.of_pairs(((name, _filled(value, known)) for name, value in (*told, *own)), exact=True)


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


def _filled(value: str, known: Mapping[str, str]) -> str:
    """Return a value with what is known in it; empty where something is left to fill."""
    filled = _PLACEHOLDER.sub(lambda match: known.get(match.group(1), match.group(0)), value)
    return "" if "{{" in filled else filled
