"""Rules of campaigns as the API writes them: public ids outside, UUIDs inside, and only what exists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service import ids
from service.api.models import CreatorId, Input, Name, Output, Slug, SourceId, SubjectId, referred
from service.errors import Invalid
from service.records import Rule
from service.registry import creators, sources, subjects

_Missing = Callable[[AsyncConnection, UUID, Iterable[UUID]], Awaitable[set[UUID]]]


class RuleInput(Input):
    """One way for a subject to count: every stated condition holds; the rules of a campaign are alternatives."""

    source: SourceId | None = Field(None, description="named by this source")
    platform: Slug | None = None
    platform_campaign: Name | None = Field(None, description="the platform's own campaign id")
    hashtag: Name | None = Field(None, description="with or without `#`, compared without case")
    creator: CreatorId | None = Field(None, description="made by this creator's profiles, or one of them")
    utm_campaign: Name | None = None
    utm_source: Name | None = None
    utm_medium: Name | None = None
    promo_code: Name | None = Field(None, description="compared without case")
    click_id: Slug | None = Field(None, description="a visit came with this click id: `gclid`, `fbclid`, `ttclid`")
    subjects: list[SubjectId] | None = Field(None, min_length=1, max_length=1000)
    in_flight: bool = Field(False, description="published inside the flight")  # noqa: FBT003 - pydantic's first place


class RuleOutput(Output):
    """One way for a subject to count; null is no condition."""

    source: SourceId | None
    platform: str | None
    platform_campaign: str | None
    hashtag: str | None
    creator: CreatorId | None
    utm_campaign: str | None
    utm_source: str | None
    utm_medium: str | None
    promo_code: str | None
    click_id: str | None
    subjects: list[SubjectId] | None
    in_flight: bool


async def read_rules(connection: AsyncConnection, workspace_id: UUID, given: Sequence[RuleInput]) -> tuple[Rule, ...]:
    """Return rules out of what was sent. Raises :class:`Invalid` for what names nothing in this workspace."""
    rules = tuple(_read(rule, number) for number, rule in enumerate(given))
    named = {
        f"/rules/{number}/{kind}": value
        for number, rule in enumerate(rules)
        for kind, value in (("source", rule.source), ("creator", rule.creator))
        if value is not None
    }
    listed = {
        f"/rules/{number}/subjects/{place}": value
        for number, rule in enumerate(rules)
        for place, value in enumerate(rule.subjects or ())
    }
    for kind, missing in (("source", sources.missing), ("creator", creators.missing)):
        own = {pointer: value for pointer, value in named.items() if pointer.endswith(kind)}
        await _require(connection, workspace_id, kind, own, missing)
    await _require(connection, workspace_id, "subject", listed, subjects.missing)
    return rules


async def _require(
    connection: AsyncConnection, workspace_id: UUID, kind: str, wanted: dict[str, UUID], missing: _Missing
) -> None:
    absent = await missing(connection, workspace_id, wanted.values())
    for pointer, value in wanted.items():
        if value in absent:
            raise Invalid(f"no such {kind}", pointer=pointer, code="unknown_id")


def _read(given: RuleInput, number: int) -> Rule:
    at = f"/rules/{number}"
    named = given.subjects
    return Rule(
        source=referred("source", given.source, f"{at}/source") if given.source is not None else None,
        platform=given.platform,
        platform_campaign=given.platform_campaign,
        hashtag=_hashtag(given.hashtag, f"{at}/hashtag") if given.hashtag is not None else None,
        creator=referred("creator", given.creator, f"{at}/creator") if given.creator is not None else None,
        utm_campaign=given.utm_campaign,
        utm_source=given.utm_source,
        utm_medium=given.utm_medium,
        promo_code=given.promo_code,
        click_id=given.click_id,
        subjects=tuple(referred("subject", one, f"{at}/subjects") for one in named) if named is not None else None,
        in_flight=given.in_flight,
    )


def _hashtag(text: str, pointer: str) -> str:
    tag = text.strip().lstrip("#").lower()
    if not tag or any(letter.isspace() for letter in tag):
        raise Invalid("a hashtag is one word", pointer=pointer, code="malformed")
    return tag


def show_rule(rule: Rule) -> RuleOutput:
    """Return a rule as the API writes it."""
    named = rule.subjects
    return RuleOutput(
        source=ids.show("source", rule.source) if rule.source is not None else None,
        platform=rule.platform,
        platform_campaign=rule.platform_campaign,
        hashtag=rule.hashtag,
        creator=ids.show("creator", rule.creator) if rule.creator is not None else None,
        utm_campaign=rule.utm_campaign,
        utm_source=rule.utm_source,
        utm_medium=rule.utm_medium,
        promo_code=rule.promo_code,
        click_id=rule.click_id,
        subjects=[ids.show("subject", one) for one in named] if named is not None else None,
        in_flight=rule.in_flight,
    )
