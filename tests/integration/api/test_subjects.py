"""Subjects over HTTP, with the facts that deliveries said."""

from __future__ import annotations

from tests.integration.api.furniture import facts_of, furnish, members
from tests.integration.api.office import Desk, Office


async def test_subjects_show_their_facts(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    found = await desk.get(f"/v1/subjects/{things.subject}")
    assert (found["platform"], found["type"]) == ("grams", "post")
    assert facts_of(found)["creator"] == "ada"
    assert not any(name.startswith("source:") for name in found["facts"])
    assert things.subject in await members(desk, things.campaign)


async def test_lists_are_narrowed(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    everything = (await desk.get("/v1/subjects"))["data"]
    assert len((await desk.get("/v1/subjects?platform=grams&type=post"))["data"]) == 2
    assert (await desk.get("/v1/subjects?platform=other"))["data"] == []
    first = await desk.get("/v1/subjects?limit=1")
    rest = await desk.get(f"/v1/subjects?after={first['page']['next']}")
    assert [*first["data"], *rest["data"]] == everything
    for wrong in ("type=posts", "platform=A", "campaign=x", "after=cmp_1"):
        await desk.problem(422, "GET", f"/v1/subjects?{wrong}")
    strange = "cmp_" + "0" * 32
    assert (await desk.get(f"/v1/subjects?campaign={strange}"))["data"] == []
    assert things.subject in {one["id"] for one in everything}
