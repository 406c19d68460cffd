"""Falls over HTTP: listed while numbers are withheld for them, settled by who may, answered again after that."""

from __future__ import annotations

from typing import Any

from service.access.keys import Scope
from tests.integration.api.furniture import furnish, read_all
from tests.integration.api.office import Desk, Office

FALLEN = b"Id,By,Likes,Shown\np1,ada,0,100\np2,bob,4,10\n"


async def test_a_fall_is_listed_settled_and_answered(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    falls = f"/v1/campaigns/{things.campaign}/falls"
    kpis = f"/v1/campaigns/{things.campaign}/kpis?metrics=likes&range=lifetime"
    assert await desk.get(falls) == {"data": [], "page": {"next": None, "has_more": False}}
    upload = await desk.ask("POST", f"/v1/sources/{things.source}/uploads?filename=b.csv", content=FALLEN)
    assert upload.status_code == 202, upload.text
    await read_all(office)
    doubted = await desk.get(kpis)
    assert doubted["totals"]["likes"]["reason"] == "suspected_reset"

    listed = await desk.get(falls)
    likes, shown = sorted(listed["data"], key=lambda one: one["metric"], reverse=True)
    assert (likes["metric"], likes["old"], likes["new"], likes["state"], likes["said"]) == ("likes", 3, 0, "open", None)
    assert (shown["metric"], shown["old"], shown["new"], shown["suspected"]) == ("impressions", 200, 10, True)
    assert likes["subject"] == things.subject
    first = await desk.get(f"{falls}?limit=1")
    second = await desk.get(falls, params={"limit": 1, "after": first["page"]["next"]})
    assert first["data"] + second["data"] == listed["data"]
    assert second["page"] == {"next": None, "has_more": False}

    here = f"/v1/subjects/{things.subject}/falls"
    said: dict[str, Any] = {"metric": "likes", "at": likes["at"], "verdict": "reset"}
    reader = await office.caller(desk, [Scope.PROVENANCE_READ, Scope.KPIS_READ])
    assert (await reader.get(falls))["data"] == listed["data"]
    await reader.problem(403, "POST", here, said)
    settled = await desk.post(here, said, 200)
    assert (settled["old"], settled["new"], settled["verdict"]) == (3, 0, "reset")
    assert await desk.post(here, said, 200) == settled
    answered = await desk.get(kpis)
    assert (answered["totals"]["likes"]["value"], answered["totals"]["likes"]["reason"]) == (7, None)
    assert answered["meta"]["posting"] == settled["posting"]
    then = await desk.ask("GET", f"{kpis}&as_of={doubted['meta']['as_of']}")
    assert then.json()["totals"]["likes"]["reason"] == "suspected_reset"
    assert [one["metric"] for one in (await desk.get(falls))["data"]] == ["impressions"]
    (known,) = [one for one in (await desk.get(f"{falls}?state=any"))["data"] if one["metric"] == "likes"]
    assert (known["state"], known["said"]["posting"]) == ("reset", settled["posting"])
    assert known["said"]["by"].startswith("key_")
    await desk.post(here, said | {"verdict": "correction"}, 200)
    assert (await desk.get(kpis))["totals"]["likes"]["value"] == 4

    for wrong, pointer in (
        (said | {"at": "2026-06-01T00:00:00Z"}, "/at"),
        (said | {"metric": "nonsense"}, "/metric"),
        (said | {"verdict": "suspected"}, "/verdict"),
    ):
        problem = await desk.problem(422, "POST", here, wrong)
        assert problem["errors"][0]["pointer"] == pointer
    await desk.problem(404, "POST", here.replace(things.subject, "sub_" + "0" * 32), said)
    for after in ("x", "x/y/z", "2026-06-01T00:00:00/" + "0" * 32 + "/likes"):
        await desk.problem(422, "GET", falls, params={"after": after})
