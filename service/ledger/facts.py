"""Subjects and their dated facts: found or made, with the newest value of each name.

A fact is ordered by (instant, value), like a point: whichever order facts arrive in, the newest stands. What became
the newest is a line of ``subject_facts`` under its posting; ``subjects.facts`` is the cache of what stands now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
    """Return the subjects of a platform by external id, making those that are new."""
    types: dict[str, str] = {}
    for ref in refs:
        known = types.get(ref.external_id)
        if known is None or (known != ref.type and rank(ref.type) > rank(known)):
            types[ref.external_id] = str(ref.type)
    names = sorted(types)
    found = await _select(connection, posting, platform, types)
    missing = [name for name in names if name not in found]
    if missing:
        ids = [context.new_id() for _ in missing]
        made = await connection.fetch(
            statements.INSERT_SUBJECTS,
            posting.workspace_id,
            platform,
            posting.batch,
            ids,
            missing,
            [types[name] for name in missing],
        )
        for row in made:
            name = row["external_id"]
            found[name] = Subject(
                subject_id=row["subject_id"], external_id=name, said=types[name], facts={}, fresh=True
            )
        raced = [name for name in missing if name not in found]
        if raced:
            found |= await _select(connection, posting, platform, {name: types[name] for name in raced})
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
    subjects: Mapping[str, Subject],
    facts: Iterable[Fact],
    *,
    source_id: UUID,
) -> None:
    """Book facts, and that this source named these subjects.

    Where a known subject learns something all that are known are locked first, in one order: their rows are written
    once more when their lines are, and a second order would lead two postings into each other.
    """
    learnt = list(facts)
    _learn_all(subjects, learnt, source_id)
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
        _learn_all({subject.external_id: subject for subject in known}, learnt, source_id)
    await _write(connection, posting, [subject for subject in subjects.values() if subject.touched])


def _learn_all(subjects: Mapping[str, Subject], facts: Iterable[Fact], source_id: UUID) -> None:
    for fact in facts:
        subject = subjects.get(fact.subject.external_id)
        if subject is not None:
            learn(subject, fact.name, fact.observed_at, fact.value)
    named = f"source:{source_id.hex}"
    for subject in subjects.values():
        learn(subject, "type", *rank(subject.said))
        if named not in subject.facts:
            learn(subject, named, TIMELESS, value=True)


async def _write(connection: asyncpg.Connection[Any], posting: Posting, touched: Sequence[Subject]) -> None:
    if not touched:
        return
    rows = sorted(touched, key=lambda subject: subject.subject_id)
    await connection.execute(
        statements.UPDATE_FACTS,
        posting.workspace_id,
        [subject.subject_id for subject in rows],
        [_encode(subject.facts).decode() for subject in rows],
        [subject.type for subject in rows],
    )
    lines = [(subject, name) for subject in rows for name in sorted(subject.changed)]
    if lines:
        await connection.execute(
            statements.INSERT_FACTS,
            posting.workspace_id,
            posting.batch,
            [subject.subject_id for subject, _ in lines],
            [name for _, name in lines],
            [datetime.fromisoformat(subject.facts[name][0]) for subject, name in lines],
            [_encode(subject.facts[name][1]).decode() for subject, name in lines],
        )


def sources_of(facts: Mapping[str, Any]) -> frozenset[UUID]:
    """Return the sources that named a subject."""
    prefix = "source:"
    return frozenset(UUID(hex=name.removeprefix(prefix)) for name in facts if name.startswith(prefix))
