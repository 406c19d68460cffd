"""A workspace with one of everything, made the way callers make it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from service import ids
from service.pipeline.run import posting_with
from service.pipeline.worker import Worker
from tests.integration.api.office import Desk, Office

AUTHOR = "ada"
OPTIONS = {
    "columns": {"likes": "Likes", "impressions": "Shown"},
    "id_column": "Id",
    "creator_column": "By",
    "subject_type": "post",
}
FILE = b"Id,By,Likes,Shown\np1,ada,3,100\np2,bob,4,200\n"


class Things(msgspec.Struct, frozen=True, kw_only=True):
    """Public ids of one of everything; ``author`` made the post ``subject`` on ``platform``."""

    workspace: str
    key: str
    strategy: str
    campaign: str
    source: str
    creator: str
    subject: str
    delivery: str
    platform: str = "grams"
    author: str = AUTHOR

    def of(self, kind: str) -> str:
        """Return the id of one kind."""
        found: str = getattr(self, kind)
        return found


async def furnish(office: Office, desk: Desk) -> Things:
    """Make one of everything in a workspace and have its delivery read."""
    source = await desk.post(
        "/v1/sources", {"connector": "files", "name": "Files", "platform": "grams", "options": OPTIONS}
    )
    strategy = await desk.post("/v1/strategies", {"name": "Strategy"})
    body = {"name": "Campaign", "kind": "broad", "starts": "2026-06-01", "ends": "2026-07-15"}
    rules = [{"platform": "grams"}]
    campaign = await desk.post("/v1/campaigns", body | {"strategy": strategy["id"], "rules": rules})
    creator = await desk.post("/v1/creators", {"name": "Zoe", "profiles": [{"platform": "x", "external_id": "zoe"}]})
    key = await desk.post("/v1/keys", {"name": "Spare", "scopes": ["kpis:read"]})
    upload = await desk.ask("POST", f"/v1/sources/{source['id']}/uploads?filename=a.csv", content=FILE)
    assert upload.status_code == 202, upload.text
    await read_all(office)
    subjects = (await desk.get("/v1/subjects?type=post"))["data"]
    assert desk.workspace is not None
    return Things(
        workspace=desk.workspace,
        key=key["id"],
        strategy=strategy["id"],
        campaign=campaign["id"],
        source=source["id"],
        creator=creator["id"],
        subject=next(one["id"] for one in subjects if one["external_id"].endswith("p1")),
        delivery=upload.json()["delivery"],
    )


async def read_all(office: Office) -> None:
    """Read every delivery that waits."""
    parts = office.services
    post = posting_with(parts.vault)
    await Worker(parts.db, parts.context, parts.settings, parts.connectors, post=post, vault=parts.vault).drain()


async def members(desk: Desk, campaign: str) -> list[str]:
    """Return the subjects that count in a campaign."""
    return [one["id"] for one in (await desk.get(f"/v1/subjects?campaign={campaign}"))["data"]]


def workspace_of(desk: Desk) -> UUID:
    """Return the UUID of a caller's workspace."""
    return ids.read("workspace", desk.workspace or "")


def facts_of(subject: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a subject by name."""
    return {name: fact["value"] for name, fact in subject["facts"].items()}
