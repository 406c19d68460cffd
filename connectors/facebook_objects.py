"""What a post of a Facebook page is: whose it is, whether it leads to a reel, and what it shows.

The one place that decides on identity. A reel may stand among the posts as well as among the reels; it is one subject
under the id of its video, whatever listing shows it. Every other post is the subject of its own id, a video too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from connectors import graph_values, values
from connectors.contract import DropReason, SubjectRef, SubjectType

_SITE = "https://www.facebook.com"
_REEL = re.compile(r"(?:https://(?:www|m)\.facebook\.com)?/reel/([0-9]{1,64})/?(?:\?.*)?")
_SHOWN = {
    "photo": "image",
    "album": "carousel",
    "video": "video",
    "video_inline": "video",
    "link": "link",
    "share": "link",
    "event": "event",
}
_STATUSES = {
    "added_photos": "image",
    "added_video": "video",
    "shared_story": "link",
    "mobile_status_update": "text",
    "created_event": "event",
}


def reel_of(fields: Mapping[str, Any]) -> str | None:
    """Return the id of the reel that a post leads to, or None."""
    link = values.text(fields.get("permalink_url"))
    found = _REEL.fullmatch(link) if link else None
    return found[1] if found else None


def attachment_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first attachment of a post; empty where there is none."""
    return values.first(values.mapping(fields.get("attachments")).get("data"))


def content_of(fields: Mapping[str, Any]) -> str | None:
    """Return what a post shows."""
    for shown, names in ((attachment_of(fields).get("media_type"), _SHOWN), (fields.get("status_type"), _STATUSES)):
        name = values.text(shown, 64)
        if name in names:
            return names[name or ""]
    return None


def kind_of(fields: Mapping[str, Any]) -> SubjectType:
    """Return the type of a post that is no reel."""
    return SubjectType.VIDEO if content_of(fields) == "video" else SubjectType.POST


def subject_of(fields: Mapping[str, Any]) -> SubjectRef | DropReason:
    """Return the subject that an entry among the posts is about, or why it has none."""
    post = graph_values.identifier(fields.get("id"))
    reel = reel_of(fields)
    if reel is not None and not isinstance(post, DropReason):
        return SubjectRef(reel, SubjectType.REEL)
    return post if isinstance(post, DropReason) else SubjectRef(post, kind_of(fields))


def is_of(fields: Mapping[str, Any], page: str) -> bool:
    """Whether a post is the page's own: visitors write on a page too. One that does not say is taken for its own."""
    author = values.mapping(fields.get("from")).get("id")
    return author is None or author == page


def address_of(fields: Mapping[str, Any]) -> str | None:
    """Return the whole address of a post or video; those of videos come without the site."""
    link = values.text(fields.get("permalink_url"))
    return urljoin(_SITE, link) if link and link.startswith("/") and not link.startswith("//") else link
