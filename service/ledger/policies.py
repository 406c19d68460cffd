"""Writing policies: tiers and benchmarks in versions, each dated by a posting of its own and never updated.

What is in a policy is checked by whoever writes it; ``history.policies`` reads them as they stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.context import Context
from service.db.engine import driver
from service.ledger.posting import close_posting, open_posting

_INSERT = """
insert into policies (workspace_id, kind, name, version, batch, body)
select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5::jsonb from policies
where workspace_id = $1 and kind = $2 and name = $3 returning version
"""


async def record_policy(
    connection: AsyncConnection, workspace_id: UUID, kind: str, name: str, body: Mapping[str, Any], context: Context
) -> int:
    """Write the next version of a policy and return its number. The workspace's transaction is the caller's."""
    posting = await open_posting(connection, workspace_id, context, cause="policy", exclusive=True)
    raw = await driver(connection)
    text = msgspec.json.encode(body).decode()
    version = await raw.fetchval(_INSERT, workspace_id, kind, name, posting.batch, text)
    await close_posting(connection, posting, context)
    return int(version)
