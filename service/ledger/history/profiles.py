"""The profiles behind posts, as subjects of their own: those whose followers are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

_FIND = """
select s.platform, s.external_id, s.subject_id
from unnest($2::text[], $3::text[]) as given (platform, external_id)
join subjects s on s.workspace_id = $1 and s.platform = given.platform and s.external_id = given.external_id
"""


async def profiles(
    connection: asyncpg.Connection[Any], workspace_id: UUID, named: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], UUID]:
    """Return the subjects of profiles by platform and external id; one that nobody read has none."""
    if not named:
        return {}
    platforms, names = [platform for platform, _ in named], [name for _, name in named]
    rows = await connection.fetch(_FIND, workspace_id, platforms, names)
    return {(row["platform"], row["external_id"]): row["subject_id"] for row in rows}
