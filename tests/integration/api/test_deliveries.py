"""Uploads and deliveries over HTTP: kept, looked at, handed back byte by byte, read again."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.access.keys import Scope
from tests.integration.api.furniture import FILE, furnish, read_all
from tests.integration.api.office import Desk, Office, open_office

SOURCE = {"connector": "files", "name": "F", "platform": "grams"}


async def test_an_upload_is_kept_once_and_read(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    found = await desk.get(f"/v1/deliveries/{things.delivery}")
    assert (found["fate"], found["channel"], found["size"]) == ("posted", "upload", len(FILE))
    assert (found["source"], found["request"]) == (things.source, {"filename": "a.csv"})
    assert found["turns"][0]["items"] > 0
    assert found["turns"][-1] == found["last"]
    again = await desk.ask("POST", f"/v1/sources/{things.source}/uploads?filename=b.csv", content=FILE)
    assert (again.status_code, again.json()) == (202, {"delivery": things.delivery, "outcome": "duplicate"})


async def test_the_bytes_come_back_as_they_were(office: Office, desk: Desk) -> None:
    things = await furnish(office, desk)
    answer = await desk.ask("GET", f"/v1/deliveries/{things.delivery}/body")
    assert answer.content == FILE
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    reader = await office.caller(desk, [Scope.REGISTRY_READ])
    await reader.get(f"/v1/deliveries/{things.delivery}")
    problem = await reader.problem(403, "GET", f"/v1/deliveries/{things.delivery}/body")
    assert "provenance:read" in problem["detail"]


async def test_options_of_one_file_override_those_of_the_source(desk: Desk) -> None:
    source = await desk.post("/v1/sources", SOURCE | {"options": {"columns": {"likes": "Likes"}}})
    path = f"/v1/sources/{source['id']}/uploads"
    chosen = quote('{"delimiter": ";"}')
    ok = await desk.ask("POST", f"{path}?options={chosen}", content=b"Likes;Id\n1;a\n")
    assert ok.status_code == 202, ok.text
    for given, pointer in (
        ("[]", "?options"),
        ("{", "?options"),
        ("[" * 5000, "?options"),
        ('{"delimeter": ";"}', "?options/delimeter"),
        ('{"columns": {"lykes": "a"}}', "?options"),
    ):
        problem = await desk.problem(422, "POST", f"{path}?options={quote(given)}", content=b"x")
        assert problem["errors"][0]["pointer"] == pointer
    assert (await desk.problem(422, "POST", f"{path}?file=x", content=b"x"))["errors"][0]["pointer"] == "?file"


async def test_what_is_no_file_is_refused(desk: Desk) -> None:
    source = await desk.post("/v1/sources", SOURCE | {"options": {"columns": {"likes": "Likes"}}})
    problem = await desk.problem(422, "POST", f"/v1/sources/{source['id']}/uploads", content=b"")
    assert problem["errors"][0]["code"] == "empty"
    other = await desk.post("/v1/sources", {"connector": "chirper", "name": "C"})
    problem = await desk.problem(422, "POST", f"/v1/sources/{other['id']}/uploads", content=b"x")
    assert problem["errors"][0]["code"] == "not_supported"


async def test_a_file_may_be_large_and_not_too_large(database_url: str) -> None:
    async with open_office(database_url, max_upload=3_000_000) as office:
        desk = await office.workspace()
        source = await desk.post("/v1/sources", SOURCE | {"options": {"columns": {"likes": "Likes"}}})
        path = f"/v1/sources/{source['id']}/uploads"
        large = await desk.ask("POST", path, content=b"Likes\n" + b"1\n" * 1_000_000)
        assert large.status_code == 202, large.text
        body = b"1\n" * 1_500_001
        problem = await desk.problem(413, "POST", path, content=body)
        assert "3000000" in problem["detail"]

        async def dripped() -> object:
            for place in range(0, len(body), 100_000):
                yield body[place : place + 100_000]

        await desk.problem(413, "POST", path, content=dripped())


async def test_dead_letters_are_listed_and_replayed(office: Office, desk: Desk) -> None:
    source = await desk.post("/v1/sources", SOURCE | {"options": {"columns": {"likes": "Likes"}}})
    path = f"/v1/sources/{source['id']}/uploads"
    names = [(await desk.ask("POST", path, content=b"Nope\n%d\n" % number)).json()["delivery"] for number in range(3)]
    good = (await desk.ask("POST", path, content=b"Likes\n5\n")).json()["delivery"]
    await read_all(office)
    dead = await desk.get("/v1/deliveries?fate=dead")
    assert sorted(one["id"] for one in dead["data"]) == sorted(names)
    assert "Likes" in dead["data"][0]["last"]["error"]
    assert [one["id"] for one in (await desk.get("/v1/deliveries?fate=posted"))["data"]] == [good]
    assert await desk.post(f"/v1/deliveries/{names[0]}/replay", status=202) == {"queued": 1}
    assert await desk.post(f"/v1/deliveries/{names[0]}/replay", status=202) == {"queued": 0}
    assert await desk.post("/v1/deliveries/replay", {"fate": "dead"}, status=202) == {"queued": 2}
    assert len((await desk.get("/v1/deliveries?fate=queued"))["data"]) == 3
    await read_all(office)
    assert len((await desk.get(f"/v1/deliveries/{names[1]}"))["turns"]) == 2
    body = {"deliveries": names[:2], "source": source["id"]}
    assert await desk.post("/v1/deliveries/replay", body, status=202) == {"queued": 2}
    assert await desk.post("/v1/deliveries/replay", {"until": "2020-01-01T00:00:00Z"}, status=202) == {"queued": 0}


async def test_wrong_replays_are_refused(desk: Desk) -> None:
    wrong: tuple[Any, ...] = (
        {},
        {"fate": None},
        {"fate": "gone"},
        {"deliveries": []},
        {"deliveries": ["x"]},
        {"since": "now"},
        [1],
    )
    for body in wrong:
        await desk.problem(422, "POST", "/v1/deliveries/replay", body)
    await desk.problem(404, "POST", "/v1/deliveries/dlv_1/replay")


async def test_pages_go_back_in_time(desk: Desk) -> None:
    source = await desk.post("/v1/sources", SOURCE | {"options": {"columns": {"likes": "Likes"}}})
    path = f"/v1/sources/{source['id']}/uploads"
    made = [(await desk.ask("POST", path, content=b"Likes\n%d\n" % number)).json()["delivery"] for number in range(5)]
    seen: list[str] = []
    query = f"limit=2&source={source['id']}"
    page = await desk.get(f"/v1/deliveries?{query}")
    seen += [one["id"] for one in page["data"]]
    while page["page"]["has_more"]:
        page = await desk.get(f"/v1/deliveries?{query}&after={page['page']['next']}")
        seen += [one["id"] for one in page["data"]]
    assert seen == made[::-1]
    for wrong in ("after=dlv_" + "0" * 32, "after=x", "source=x", "fate=x", "since=x"):
        await desk.problem(422, "GET", f"/v1/deliveries?{wrong}")
