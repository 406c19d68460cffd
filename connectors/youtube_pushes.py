"""Reads the Atom feeds that the hub pushes: a video is new or changed, or it was deleted or made private.

No number is in them, so each asks for a refresh; what a feed says of the video itself is kept as facts. Uploads and
edits look alike and come several times: all of them say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from connectors import pages, values, youtube_values
from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    RefreshHint,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.webhooks import hints_once
from connectors.youtube_atom import Element, read

_ATOM = "http://www.w3.org/2005/Atom"
_YT = "http://www.youtube.com/xml/schemas/2015"
_TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
_REFERENCE = "yt:video:"
_LONGEST_TITLE = 200


def read_push(delivery: Delivery) -> Iterator[Item]:
    """Read a feed. Hints come once per video. Raises :class:`BadPayload` for what is no feed."""
    root = read(delivery.body)
    if root.name != f"{_ATOM} feed":
        raise BadPayload("the body is no Atom feed")
    yield from hints_once(_read_entries(root, delivery.received_at))


def _read_entries(root: Element, received_at: datetime) -> Iterator[Item]:
    gone = f"{_TOMBSTONES} deleted-entry"
    entries = [child for child in root.children if child.name in {f"{_ATOM} entry", gone}]
    for row, entry in enumerate(entries, start=1):
        reader = _read_tombstone if entry.name == gone else _read_entry
        yield from reader(entry, row, received_at)
    if not entries:
        yield Drop(reason=DropReason.MALFORMED, detail="entry")


def _read_entry(entry: Element, row: int, received_at: datetime) -> Iterator[Item]:
    subject = _subject(entry.first(f"{_YT} videoId") or _referred(entry.first(f"{_ATOM} id")))
    if isinstance(subject, DropReason):
        yield Drop(reason=subject, row=row, detail="videoId")
        return
    updated = youtube_values.instant(entry.first(f"{_ATOM} updated"), received_at)
    published = youtube_values.instant(entry.first(f"{_ATOM} published"), received_at)
    creator = youtube_values.identifier(entry.first(f"{_YT} channelId"))
    yield SubjectSeen(
        subject=subject,
        observed_at=values.known(updated),
        published_at=values.known(published),
        title=values.text(entry.first(f"{_ATOM} title"), _LONGEST_TITLE),
        url=f"https://www.youtube.com/watch?v={subject.external_id}",
        creator=values.known(creator),
    )
    for name, at in (("published", published), ("updated", updated)):
        yield from pages.unread(at, row, name)
    yield RefreshHint(subject=subject, reason="feed")


def _read_tombstone(entry: Element, row: int, received_at: datetime) -> Iterator[Item]:
    """Read that a video is gone. No channel is named in it; the hint proves it, since private ones may come back."""
    subject = _subject(_referred(entry.attributes.get("ref")))
    if isinstance(subject, DropReason):
        yield Drop(reason=subject, row=row, detail="ref")
        return
    when = youtube_values.instant(entry.attributes.get("when"), received_at)
    if isinstance(when, DropReason):
        yield Drop(reason=when, row=row, detail="when")
    else:
        yield SubjectSeen(subject=subject, observed_at=when, removed_at=when)
    yield RefreshHint(subject=subject, reason="deleted")


def _referred(reference: str | None) -> str | None:
    found = reference or ""
    return found.removeprefix(_REFERENCE) if found.startswith(_REFERENCE) else None


def _subject(video: str | None) -> SubjectRef | DropReason:
    found = youtube_values.identifier(video)
    return found if isinstance(found, DropReason) else SubjectRef(found, SubjectType.VIDEO)
