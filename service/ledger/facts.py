"""Subjects and their dated facts: found or made, with the newest value of each name.

A fact is ordered by (instant, value), like a point: whichever order facts arrive in, the newest stands. What became
the newest is a line of ``subject_facts`` under its posting; ``subjects.facts`` is the cache of what stands now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from connectors.contract import SubjectRef, SubjectType
from service.context import Context
from service.ledger import statements
from service.ledger.posting import Posting
from service.ledger.readings import Fact
from service.ledger.rows import iso

Stored = dict[str, list[Any]]
"""Name to [instant as sortable text, value]."""
TIMELESS = datetime(1990, 1, 1, tzinfo=UTC)

_SOURCE = "source:"
_encode = msgspec.json.Encoder(order="sorted").encode


def rank(kind: str) -> tuple[datetime, str]:
    """Return how strongly a type is said: *post* is what a sender says who says nothing, and gives way."""
    return (TIMELESS if kind == SubjectType.POST else TIMELESS + timedelta(days=1), kind)


class Subject(msgspec.Struct, kw_only=True):
    """A subject in the hands of a posting. ``fresh``: made by it; ``changed``: names of facts with a new value.

    ``said`` is the type that the posting's deliveries give it; its type is a fact like others.
    """

    subject_id: UUID
    external_id: str
    said: str
    facts: Stored
    fresh: bool = False
    changed: set[str] = msgspec.field(default_factory=set)
    touched: bool = False

    @property
    def type(self) -> str:
        """Return what it is, as far as that is known."""
        known = self.facts.get("type")
        return str(known[1]) if known else self.said

    def values(self) -> Mapping[str, Any]:
        """Return name to value."""
        return {name: value for name, (_, value) in self.facts.items()}

    def published_at(self) -> datetime | None:
        """Return when it was published, where that is known."""
        known = self.facts.get("published_at")
        return datetime.fromisoformat(known[1]) if known else None


async def resolve(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    platform: str,
    refs: Iterable[SubjectRef],
    context: Context,
) -> dict[str, Subject]:
    """Return the subjects of a platform by external id; those that are new are in no table before :func:`keep`."""
    types: dict[str, str] = {}
    for ref in refs:
        known = types.get(ref.external_id)
        if known is None or (known != ref.type and rank(ref.type) > rank(known)):
            types[ref.external_id] = str(ref.type)
    found = await _select(connection, posting, platform, types)
    for name in sorted(types.keys() - found.keys()):
        found[name] = Subject(subject_id=context.new_id(), external_id=name, said=types[name], facts={}, fresh=True)
    return found


async def _select(
    connection: asyncpg.Connection[Any], posting: Posting, platform: str, types: Mapping[str, str]
) -> dict[str, Subject]:
    rows = await connection.fetch(statements.SUBJECTS, posting.workspace_id, platform, sorted(types))
    return {
        row["external_id"]: Subject(
            subject_id=row["subject_id"],
            external_id=row["external_id"],
            said=types[row["external_id"]],
            facts=row["facts"],
        )
        for row in rows
    }


def learn(subject: Subject, name: str, observed_at: datetime, value: Any) -> None:
    """Let a subject take a fact if it is newer than what it knows; an equal value only moves its instant."""
    at = iso(observed_at)
    known = subject.facts.get(name)
    if known is None or (at, _encode(value)) > (known[0], _encode(known[1])):
        if known is None or known[1] != value:
            subject.changed.add(name)
        subject.facts[name] = [at, value]
        subject.touched = True


async def keep(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    platform: str,
    subjects: Mapping[str, Subject],
    facts: Sequence[Fact],
    *,
    source_id: UUID,
) -> None:
    """Make new subjects, book facts that subjects have heard, and that this source named these subjects.

    Where a known subject learns something all that are known are locked first, in one order: their rows are written
    once more when their lines are, and a second order would lead two postings into each other.
    """
    await make(connection, posting, platform, [subject for subject in subjects.values() if subject.fresh])
    known = [subject for subject in subjects.values() if not subject.fresh]
    if any(subject.touched for subject in known):
        rows = await connection.fetch(
            statements.LOCK_SUBJECTS, posting.workspace_id, sorted(subject.subject_id for subject in known)
        )
        newest = {row["subject_id"]: row["facts"] for row in rows}
        for subject in known:
            subject.facts = newest[subject.subject_id]
            subject.changed.clear()
            subject.touched = False
        hear({subject.external_id: subject for subject in known}, facts, source_id)
    await write(connection, posting, [subject for subject in subjects.values() if subject.touched])


async def make(connection: asyncpg.Connection[Any], posting: Posting, platform: str, fresh: Sequence[Subject]) -> None:
    """Insert new subjects with their facts, which are their first line; one that another posting made meanwhile is not
    fresh any more.
    """
    if not fresh:
        return
    texts = [_encode(subject.facts).decode() for subject in fresh]
    rows = await connection.fetch(
        statements.INSERT_SUBJECTS,
        posting.workspace_id,
        platform,
        posting.batch,
        [subject.subject_id for subject in fresh],
        [subject.external_id for subject in fresh],
        [subject.type for subject in fresh],
        texts,
    )
    made = {row["external_id"] for row in rows}
    own = zip(fresh, texts, strict=True)
    lines = [(subject.subject_id, text) for subject, text in own if subject.external_id in made]
    await _insert_lines(connection, posting, lines)
    raced = {subject.external_id: subject for subject in fresh if subject.external_id not in made}
    if raced:
        for row in await connection.fetch(statements.SUBJECTS, posting.workspace_id, platform, sorted(raced)):
            raced[row["external_id"]].subject_id = row["subject_id"]
            raced[row["external_id"]].fresh = False


def hear(subjects: Mapping[str, Subject], facts: Iterable[Fact], source_id: UUID) -> None:
    """Let subjects take facts, and that a source named them, in memory alone: what is known of them may be old."""
    for fact in facts:
        subject = subjects.get(fact.subject.external_id)
        if subject is not None:
            learn(subject, fact.name, fact.observed_at, fact.value)
    named = f"source:{source_id.hex}"
    for subject in subjects.values():
        learn(subject, "type", *rank(subject.said))
        if named not in subject.facts:
            learn(subject, named, TIMELESS, value=True)


async def write(
    connection: asyncpg.Connection[Any],
    posting: Posting,
    touched: Iterable[Subject],
    before: Mapping[str, Stored] = MappingProxyType({}),
) -> None:
    """Write what stands now of subjects that were known, and what has changed as lines.

    ``before`` holds the facts of then, of which some may be gone.
    """
    known = sorted((one for one in touched if not one.fresh), key=lambda subject: subject.subject_id)
    if not known:
        return
    texts, types = [_encode(subject.facts).decode() for subject in known], [subject.type for subject in known]
    ids = [subject.subject_id for subject in known]
    await connection.execute(statements.UPDATE_FACTS, posting.workspace_id, ids, texts, types)
    lines = [(subject.subject_id, _line(subject, before)) for subject in known if subject.changed]
    await _insert_lines(connection, posting, lines)


async def _insert_lines(
    connection: asyncpg.Connection[Any], posting: Posting, lines: Sequence[tuple[UUID, str]]
) -> None:
    if lines:
        ids, texts = [subject_id for subject_id, _ in lines], [text for _, text in lines]
        await connection.execute(statements.INSERT_FACTS, posting.workspace_id, posting.batch, ids, texts)


def _line(subject: Subject, before: Mapping[str, Stored]) -> str:
    """Return what has changed as JSON; a fact that nobody says any more has no value."""
    gone = subject.changed - subject.facts.keys()
    stated = {name: subject.facts[name] for name in subject.changed - gone}
    return _encode(stated | {name: [before[subject.external_id][name][0], None] for name in gone}).decode()


def sources_of(facts: Mapping[str, Any]) -> frozenset[UUID]:
    """Return the sources that named a subject."""
    return frozenset(UUID(hex=name.removeprefix(_SOURCE)) for name in facts if is_source(name))


def is_source(name: str) -> bool:
    """Tell whether a fact is that a source named a subject."""
    return name.startswith(_SOURCE)
