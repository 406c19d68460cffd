"""Real numbers, from the raw files to the answers of the API: every figure here is counted again from the files."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import date
from importlib import resources
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from service import ids
from service.db import embedded
from service.db.embedded import Embedded
from service.pipeline.worker import Worker
from tests.database import TEMPLATE
from tests.integration.api.office import Desk, Office, open_office

pytestmark = pytest.mark.asyncio(loop_scope="module")

METRICS = ("views", "likes", "comments")
FLIGHT = {"starts": "2017-09-13", "ends": "2017-10-22"}


def raw(name: str) -> bytes:
    return resources.files("service.data").joinpath(name).read_bytes()


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw(name).decode("utf-8-sig"))))


UCI = rows("uci_facebook.csv")
GB = rows("gb_youtube.csv")


def day_of(row: Mapping[str, str]) -> date:
    day, month = row["date"].split(".")
    return date(2017, int(month), int(day))


def by_video() -> dict[str, list[dict[str, str]]]:
    """Return the snapshots of each video, oldest first."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in sorted(GB, key=day_of):
        found[row["video_id"]].append(row)
    return found


class Books:
    """A workspace with one file in it and a campaign of everything that the file names."""

    def __init__(self, office: Office, desk: Desk, campaign: str) -> None:
        self.office = office
        self.desk = desk
        self.campaign = campaign
        self.workspace_id = ids.read("workspace", desk.workspace or "")

    async def kpis(self, **question: str) -> Any:
        return await self.desk.get(f"/v1/campaigns/{self.campaign}/kpis", params=question)

    async def select(self, statement: str) -> list[Any]:
        async with self.office.services.db.workspace(self.workspace_id) as connection:
            return list(await connection.execute(sa.text(statement), {"workspace": self.workspace_id}))


async def drain(office: Office) -> None:
    parts = office.services
    await Worker(parts.db, parts.context, parts.settings, parts.connectors).drain()


async def opened(office: Office, name: str, preset: str, platform: str, **source: str) -> Books:
    desk = await office.workspace(name)
    wanted = {"connector": "files", "name": name, "platform": platform, "options": {"preset": preset}}
    made = await desk.post("/v1/sources", wanted | source)
    plan = {"name": name, "kind": "broad", "rules": [{"source": made["id"]}], **FLIGHT}
    campaign = await desk.post("/v1/campaigns", plan)
    await desk.post(f"/v1/sources/{made['id']}/uploads", status=202, content=raw(f"{name}.csv"))
    await drain(office)
    return Books(office, desk, campaign["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(postgres: Embedded) -> AsyncIterator[Office]:
    """Open one database for all these tests: they read what two uploads wrote."""
    name = "t_real_data"
    postgres.psql(f"create database {name} template {TEMPLATE} strategy file_copy owner {embedded.OWNER}")
    async with open_office(postgres.url(embedded.SERVICE, name)) as found:
        yield found
    postgres.psql(f"drop database {name} with (force)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def uci(office: Office) -> Books:
    return await opened(office, "uci_facebook", "uci-facebook", "facebook")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gb(office: Office) -> Books:
    return await opened(office, "gb_youtube", "gb-youtube", "youtube", tracks_from="2017-09-01T00:00:00Z")


async def test_uci_sums_are_those_of_the_file(uci: Books) -> None:
    asked = "impressions,clicks_all,likes,comments,shares"
    totals = (await uci.kpis(range="lifetime", metrics=asked))["totals"]
    columns = {
        "impressions": "Lifetime Post Total Impressions",
        "clicks_all": "Lifetime Post Consumptions",
        "likes": "like",
        "comments": "comment",
        "shares": "share",
    }
    wanted = {metric: sum(int(row[name]) for row in UCI if row[name]) for metric, name in columns.items()}
    assert {metric: totals[metric]["value"] for metric in columns} == wanted
    assert totals["impressions"]["value"] == 14_792_974


async def test_uci_has_no_link_clicks_and_says_so(uci: Books) -> None:
    totals = (await uci.kpis(range="lifetime", metrics="ctr,ctr_all"))["totals"]
    assert totals["ctr"]["value"] is None
    assert totals["ctr"]["reason"]
    clicks = sum(int(row["Lifetime Post Consumptions"]) for row in UCI)
    assert totals["ctr_all"]["value"] == float(f"{clicks / 14_792_974:.12g}")
    assert totals["ctr_all"]["interval"]["low"] < totals["ctr_all"]["value"] < totals["ctr_all"]["interval"]["high"]


async def test_uci_reach_is_bounded_and_never_summed(uci: Books) -> None:
    reach = (await uci.kpis(range="lifetime", metrics="reach"))["totals"]["reach"]
    each = [int(row["Lifetime Post Total Reach"]) for row in UCI]
    assert (reach["value"], reach["state"]) == (None, "bounded")
    assert reach["bounds"] == {"lower": max(each), "upper": sum(each)}


async def test_uci_empty_cells_are_unknown_and_not_zero(uci: Books) -> None:
    found = {
        row.external_id: row
        for row in await uci.select(
            "select s.external_id, b.likes, b.shares, b.impressions from balances b"
            " join subjects s using (workspace_id, subject_id)"
            " join series using (workspace_id, series_id)"
            " where b.workspace_id = :workspace and series.kind = 'lifetime'"
        )
    }
    assert len(found) == 500
    blank = {f"uci-row-{number}": row for number, row in enumerate(UCI, start=1) if not row["like"] or not row["share"]}
    assert len(blank) == 4
    for name, row in blank.items():
        assert (found[name].likes is None, found[name].shares is None) == (not row["like"], not row["share"])
        assert found[name].impressions == int(row["Lifetime Post Total Impressions"])
    zero = next(
        name for number, row in enumerate(UCI, start=1) if row["share"] == "0" for name in [f"uci-row-{number}"]
    )
    assert found[zero].shares == 0


async def test_gb_every_balance_is_the_last_snapshot(gb: Books) -> None:
    found = await gb.select(
        "select s.external_id, b.views, b.likes, b.comments from balances b"
        " join subjects s using (workspace_id, subject_id) where b.workspace_id = :workspace"
    )
    columns = ("views", "likes", "comment_total")
    last = {name: tuple(int(shots[-1][column]) for column in columns) for name, shots in by_video().items()}
    assert {row.external_id: tuple(row)[1:] for row in found} == last
    assert len(last) == 1736


async def test_gb_opening_and_daily_entries_are_the_balance(gb: Books) -> None:
    entries = await gb.select(
        "select s.external_id, e.valid_from, e.valid_to, e.views, e.likes, e.comments from entries e"
        " join subjects s using (workspace_id, subject_id) where e.workspace_id = :workspace"
    )
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    steps: dict[str, int] = defaultdict(int)
    for row in entries:
        steps[row.external_id] += 1
        for place, metric in enumerate(METRICS):
            sums[row.external_id][place] += getattr(row, metric) or 0
    for name, shots in by_video().items():
        last = shots[-1]
        assert sums[name] == [int(last["views"]), int(last["likes"]), int(last["comment_total"])], name
        assert steps[name] >= len(shots), name


async def test_gb_days_and_openings_are_the_lifetime(gb: Books) -> None:
    days = await gb.kpis(**{"from": FLIGHT["starts"], "to": FLIGHT["ends"]}, granularity="day", metrics="views")
    whole = (await gb.kpis(range="lifetime", metrics="views"))["totals"]["views"]["value"]
    first = sum(int(shots[0]["views"]) for shots in by_video().values())
    last = sum(int(shots[-1]["views"]) for shots in by_video().values())
    counted = sum(row["metrics"]["views"]["value"] or 0 for row in days["data"])
    assert whole == last
    assert counted == last - first
    assert days["totals"]["views"]["value"] == counted


async def test_gb_counters_that_collapse_are_not_answered(gb: Books) -> None:
    """Comments were switched off and likes hidden: the books keep it, and no total is made of it unasked."""
    collapsed = {
        metric
        for metric, column in (("likes", "likes"), ("comments", "comment_total"), ("views", "views"))
        for shots in by_video().values()
        for before, after in itertools.pairwise(int(row[column]) for row in shots)
        if after * 10 < before
    }
    answer = await gb.kpis(range="lifetime", metrics="views,likes,comments,er_views")
    unanswered = {metric for metric in METRICS if answer["totals"][metric]["value"] is None}
    assert unanswered == collapsed == {"likes", "comments"}
    assert all("reset" in answer["totals"][metric]["reason"] for metric in unanswered)
    assert "suspected_reset" in {warning["code"] for warning in answer["meta"]["warnings"]}


async def test_gb_impressions_are_unknown_on_youtube(gb: Books) -> None:
    totals = (await gb.kpis(range="lifetime", metrics="impressions,er_impressions"))["totals"]
    assert [totals[name]["value"] for name in ("impressions", "er_impressions")] == [None, None]
    assert all(totals[name]["reason"] for name in ("impressions", "er_impressions"))


async def test_the_same_file_again_changes_nothing(gb: Books) -> None:
    before = await gb.select("select max(posting) from postings where workspace_id = :workspace")
    (source,) = (await gb.desk.get("/v1/sources"))["data"]
    again = await gb.desk.post(f"/v1/sources/{source['id']}/uploads", status=202, content=raw("gb_youtube.csv"))
    assert again["outcome"] == "duplicate"
    await drain(gb.office)
    assert await gb.select("select max(posting) from postings where workspace_id = :workspace") == before
