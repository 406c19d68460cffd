"""Which questions can still be answered after retention: what needs what was taken is refused, never guessed.

Additive numbers over a range that begins after the edge are sums of kept lines, as of any posting. What was before is
known as one carried sum per series since the posting that carried it: enough for balances, levels, people reached since
publication and the range ``lifetime`` as they are now, and for nothing that was known earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.errors import Gone
from service.ledger.history.knowledge import Knowledge

_NEWEST = """
select r.kept_from, r.since, r.observed, p.posting
from retentions r join postings p on p.workspace_id = $1 and p.batch = r.batch
where r.workspace_id = $1 order by r.kept_from desc limit 1
"""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The edge of the books, and from when on answers lost nothing to it; the posting that carried what was before.

    ``observed`` is the newest reading of each platform among what was taken.
    """

    kept_from: datetime
    since: datetime
    posting: int
    observed: Mapping[str, datetime]

    def is_before(self, number: int | None) -> bool:
        """Tell whether a posting is older than the one that carried."""
        return number is not None and number < self.posting


async def load(connection: asyncpg.Connection[Any], workspace_id: UUID) -> Kept | None:
    """Return the newest edge of a workspace's books, if retention ever was there."""
    row = await connection.fetchrow(_NEWEST, workspace_id)
    if row is None:
        return None
    return Kept(
        kept_from=row["kept_from"],
        since=row["since"],
        posting=row["posting"],
        observed={platform: datetime.fromisoformat(at) for platform, at in row["observed"].items()},
    )


def refuse(kept: Kept | None, start: datetime | None, knowledge: Knowledge, *, people: bool) -> None:
    """Raise :class:`Gone` for a question that needs what was taken.

    ``start`` is where its range begins (None: with the books); ``people``: it asks for levels or distinct people.
    """
    if kept is None:
        return
    if start is not None and start < kept.since:
        raise Gone(f"retention took what was before {_text(kept.since)}")
    if kept.is_before(knowledge.number) and (start is None or people):
        what = "levels and people" if people else "the range lifetime"
        raise Gone(f"what was known of {what} before posting {kept.posting} went with what retention took")


def refuse_instants(kept: Kept | None, instants: list[datetime]) -> None:
    """Raise :class:`Gone` where a level is asked for at an instant whose month was taken."""
    if kept is not None and any(at < kept.kept_from for at in instants):
        raise Gone(f"retention took the levels of before {_text(kept.kept_from)}: followers at publication among them")


def refuse_history(kept: Kept | None, start: datetime | None, after: int, *, people: bool) -> None:
    """Raise :class:`Gone` for restatements whose sums began with what was taken."""
    if kept is not None and (start is None or people) and after < kept.posting:
        raise Gone(f"retention took what was before; the history begins after={kept.posting}")


def refuse_freshness(
    kept: Kept | None, knowledge: Knowledge, freshness: Mapping[str, datetime], platforms: set[str]
) -> None:
    """Raise :class:`Gone` where the newest reading that was known may be among what was taken."""
    if kept is None or not kept.is_before(knowledge.number):
        return
    for platform in platforms & kept.observed.keys():
        if platform not in freshness or freshness[platform] < kept.observed[platform]:
            raise Gone("how fresh the numbers were went with what retention took")


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
