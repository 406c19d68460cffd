"""Reads posts of X: what a post is, what a video in it is, and the numbers of both; the same for pages and pushes.

A retweet carries the numbers of the post it repeats and is no subject. An edited post is a chain of ids: the first is
its identity for good, and only the newest version speaks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors import values, x_values
from connectors import x_metrics as metrics
from connectors.contract import (
    INT64_MAX,
    Drop,
    DropReason,
    Item,
    SubjectRef,
    SubjectSeen,
    SubjectType,
)
from connectors.rules import Series, observations

_LONGEST_TEXT = 5000
_CONTENT_TYPES = {"photo": "image", "video": "video", "animated_gif": "gif"}
_PLAYED = frozenset({"video", "animated_gif"})


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post as an answer has it: its id, the ids of its versions from the first on, and the fields."""

    id: str
    versions: tuple[str, ...]
    fields: Mapping[str, Any]

    @property
    def subject(self) -> SubjectRef:
        """The subject that all versions are."""
        return SubjectRef(self.versions[0], SubjectType.POST)

    @property
    def is_newest(self) -> bool:
        """Whether a newer version does not replace this one."""
        return self.id == self.versions[-1]

    def references(self, kind: str) -> bool:
        """Whether this is a ``retweeted``, ``quoted`` or ``replied_to`` post."""
        return any(reference.get("type") == kind for reference in references_of(self.fields))


def post_of(value: Any) -> Post | DropReason:
    """Return the post that a JSON value is, or why it is none."""
    fields = values.mapping(value)
    found = x_values.identifier(fields) if isinstance(value, dict) else DropReason.MALFORMED
    if isinstance(found, DropReason):
        return found
    chain = values.items(fields.get("edit_history_tweet_ids", fields.get("edit_history_post_ids")))
    versions = [one for one in (x_values.known_id({"id": part}, "id") for part in chain) if one is not None]
    return Post(id=found, versions=tuple(sorted({*versions, found}, key=int)), fields=fields)


def references_of(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the posts that a post refers to, under either name."""
    named = fields.get("referenced_tweets", fields.get("referenced_posts"))
    return [values.mapping(one) for one in values.items(named)]


def attached(fields: Mapping[str, Any]) -> list[str]:
    """Return the keys of the media of a post."""
    keys = values.items(values.mapping(fields.get("attachments")).get("media_keys"))
    return [key for key in map(x_values.media_key, keys) if not isinstance(key, DropReason)]


# ------------------------------------------------------------------------------------------------ facts


def facts_of(post: Post, received_at: datetime, types: Mapping[str, str], creator: str | None) -> SubjectSeen:
    """Return what a post says of itself; ``types`` are the types of the media of its answer by key."""
    said = values.text(post.fields.get("text"), _LONGEST_TEXT)
    named = entities_of(post.fields)
    campaign: dict[str, Any] = x_values.campaign_of(values.items(named.get("urls")))
    return SubjectSeen(
        subject=post.subject,
        published_at=_published(post, received_at),
        title=values.first_line(post.fields.get("text")),
        url=f"https://x.com/i/status/{post.id}",
        content_type=_content_type(post.fields, types),
        hashtags=_hashtags(said, named),
        creator=x_values.known_id(post.fields, "author_id") or creator,
        **campaign,
    )


def _published(post: Post, received_at: datetime) -> datetime | None:
    """Return when the first version was published: later versions say when they were written."""
    if len(post.versions) > 1:
        return x_values.time_in(post.versions[0], received_at)
    return values.known(x_values.instant(post.fields.get("created_at"), received_at))


def entities_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the platform has found in the text of a post."""
    return values.mapping(fields.get("entities"))


def _hashtags(said: str | None, named: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "hashtags" in named:
        return x_values.named_tags(values.items(named["hashtags"]))
    return None if said is None else x_values.tags_in(said)


def _content_type(fields: Mapping[str, Any], types: Mapping[str, str]) -> str | None:
    """Return what the post shows; None where its media are not described."""
    keys = attached(fields)
    if keys:
        first = types.get(keys[0], "")
        return "carousel" if len(keys) > 1 and first == "photo" else _CONTENT_TYPES.get(first)
    if values.items(values.mapping(fields.get("attachments")).get("poll_ids")):
        return "poll"
    return "text" if "text" in fields else None


def video_facts(key: str, holder: SubjectSeen, received_at: datetime) -> SubjectSeen:
    """Return what is known of a video: the facts of the post that holds it, but for when it was made.

    That is told by its key. The post may be newer than the video, and the views count from the beginning.
    """
    return msgspec.structs.replace(
        holder,
        subject=SubjectRef(key, SubjectType.VIDEO),
        published_at=x_values.time_in(key, received_at),
        content_type="video",
        parent=holder.subject.external_id,
    )


# ------------------------------------------------------------------------------------------------ numbers


def book(
    fields: Mapping[str, Any], parts: Sequence[metrics.Part], subject: SubjectRef, row: int | None = None, **common: Any
) -> Iterator[Item]:
    """Yield the observations of the parts of an object, then the drops; an object without numbers is a drop."""
    found: dict[Series, dict[str, int]] = {}
    drops: list[Drop] = []
    for part in parts:
        _gather(part, values.mapping(fields.get(part.name)), found, drops)
    yield from observations(found, subject, **common)
    if not found:
        drops.append(Drop(reason=DropReason.NO_NUMBERS))
    yield from (msgspec.structs.replace(drop, row=row) for drop in dict.fromkeys(drops))


def _gather(
    part: metrics.Part, told: Mapping[str, Any], found: dict[Series, dict[str, int]], drops: list[Drop]
) -> None:
    numbers = _numbers(part, told, drops)
    summands: dict[tuple[str, bool], list[str]] = {}
    for name, rule in part.rules.items():
        for key in rule.keys:
            summands.setdefault((key, rule.check), []).append(name)
    for (key, check), names in summands.items():
        known = [numbers[name] for name in names if name in numbers]
        if known and len(known) < len(names):
            drops.append(Drop(reason=DropReason.NOT_AVAILABLE, detail=f"a summand of {key}"))
        elif sum(known) > INT64_MAX:
            drops.append(Drop(reason=DropReason.OUT_OF_RANGE, detail=key))
        elif known:
            series = Series(kind=part.kind, paid=part.paid, scope=part.name if check else "", check=check)
            found.setdefault(series, {})[key] = sum(known)


def _numbers(part: metrics.Part, told: Mapping[str, Any], drops: list[Drop]) -> dict[str, int]:
    """Return the readable numbers of a part by their older names.

    What is left out on purpose makes no drop: the whole object comes with every post, asked for or not.
    """
    found: dict[str, int] = {}
    for name, value in _named(told):
        rule = part.rules.get(name)
        number = values.written_count(value)
        if rule is None:
            drops.append(Drop(reason=DropReason.UNKNOWN_METRIC, detail=values.shown(name)))
        elif isinstance(number, DropReason):
            drops.append(Drop(reason=number, detail=name))
        elif rule.keys and number is not None and found.setdefault(name, number) != number:
            drops.append(Drop(reason=DropReason.DUPLICATE_FIELD, detail=name))
    return found


def _named(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a part under their older names, a twin in text only where the number is missing."""
    for name, value in told.items():
        plain = name.removesuffix("_str")
        if name == plain or plain not in told:
            yield metrics.NEWER_NAMES.get(plain, plain), value


def types_in(includes: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of each described media by its key."""
    found = {}
    for media in map(values.mapping, values.items(includes.get("media"))):
        key, kind = x_values.media_key(media.get("media_key")), values.text(media.get("type"), 32)
        if not isinstance(key, DropReason) and kind is not None:
            found[key] = kind
    return found


def is_played(media: Mapping[str, Any]) -> bool:
    """Whether a media has views: a picture has none."""
    return values.text(media.get("type"), 32) in _PLAYED
