"""The benchmarks' own arithmetic: goals, verdicts, percentiles, and rows that are the same for every contestant."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks import figures, load, pages, peers, plan, refresh
from benchmarks.children import child
from benchmarks.figures import GOALS, Figure, percentile, ratios, verdict
from benchmarks.office import Hook
from benchmarks.pages import Shape
from connectors.contract import Delivery, Observation, Secret, singly
from connectors.items import Defaults
from connectors.signatures import standard_webhooks
from service.context import fixed

SHAPE = Shape(rows=plan.SOURCES * 1200, metrics=plan.NARROW)
NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ingest_vs_dlt", 10.0, "met"),
        ("ingest_vs_dlt", 9.9, "below goal"),
        ("ingest_vs_dlt", 4.9, "MISSED"),
        ("kpi_p99_ms", 20.0, "met"),
        ("kpi_p99_ms", 60.1, "MISSED"),
        ("rss_mb", 301.0, "below goal"),
        ("rss_mb", 501.0, "MISSED"),
        ("bytes_per_observation", 1e9, "reported"),
    ],
)
def test_verdict(key: str, value: float, told: str) -> None:
    assert verdict(Figure(key=key, runs=(value,))) == told


def test_the_floor_is_never_harder_than_the_goal() -> None:
    for goal in GOALS.values():
        if goal.goal is not None and goal.floor is not None:
            assert (goal.goal > goal.floor) is goal.rises


def test_ratios_are_of_the_same_round() -> None:
    found = ratios("ingest_vs_dlt", [10, 20, 90], [1, 4, 10])
    assert found.runs == (10.0, 5.0, 9.0)
    assert found.value == 9


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_a_missed_goal_stands_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    found = [Figure(key="ingest_vs_dlt", runs=(1.0, 2.0, 3.0))]
    console = Console(width=200, record=True, quiet=True)
    console.print(figures.table(found))
    figures.write(tmp_path / "results.json", figures.document(found, {}, {"quick": True}))
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["figures"]["ingest_vs_dlt"]
    assert (kept["value"], kept["verdict"], kept["runs"]) == (2.0, "MISSED", [1.0, 2.0, 3.0])


def test_every_row_is_on_one_page_and_pages_lead_to_each_other() -> None:
    rendered = pages.rendered(SHAPE)
    for source in range(plan.SOURCES):
        seen: list[tuple[str, str, tuple[int, ...]]] = []
        cursor: str | None = "0"
        while cursor is not None:
            page = json.loads(rendered[f"/{pages.account(source)}/load", cursor])
            assert len(page["data"]) <= plan.PER_PAGE
            seen += [(row["id"], row["day"], tuple(row["m"].values())) for row in page["data"]]
            cursor = page["next"]
        assert seen == [(name, day.isoformat(), values) for name, day, values in pages.rows_of(SHAPE, source)]
        assert len({row[:2] for row in seen}) == SHAPE.rows // plan.SOURCES


@pytest.mark.parametrize("metrics", [plan.NARROW, plan.WIDE])
def test_the_connector_reads_every_row_of_a_page(metrics: tuple[str, ...]) -> None:
    shape = msgspec.structs.replace(SHAPE, metrics=metrics)
    body = pages.rendered(shape)["/account0/load", "0"]
    delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"list": "load"})
    items = list(singly(pages.CONNECTOR.parse(delivery, Defaults())))
    assert len(items) == plan.PER_PAGE
    assert all(isinstance(item, Observation) and tuple(item.metrics) == metrics for item in items)


def test_singer_gets_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    peers.write_messages(path, SHAPE, 700)
    said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [one["type"] for one in said] == ["SCHEMA", *["RECORD"] * 700, "STATE"]
    name, day, values = next(iter(pages.rows_of(SHAPE, 0)))
    assert said[1]["record"] == {"id": name, "day": day.isoformat(), **dict(zip(plan.NARROW, values, strict=True))}


def test_a_request_of_the_load_is_signed() -> None:
    hook = Hook(path="/v1/webhooks/x", secret="whsec_" + base64.b64encode(b"k" * 32).decode())
    body = load.message(7)
    head, _, sent = load.request(hook, "m-7", body, fixed(NOW)).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert sent == body
    assert standard_webhooks(headers, body, (Secret(value=hook.secret),), NOW) == "m-7"


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_an_answer_is_whole_with_its_last_byte(name: bytes) -> None:
    whole = b"HTTP/1.1 200 OK\r\n%b: 4\r\nx: y\r\n\r\nnull" % name
    assert [place for place in range(len(whole) + 1) if load._is_whole(whole[:place])] == [len(whole)]
    assert load._is_whole(b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n")


def test_the_lock_of_the_peers_pins_them_with_hashes_and_names_no_host() -> None:
    lock = (peers.HERE / "requirements.lock").read_text(encoding="utf-8")
    assert {"dlt==1.31.0", "meltanolabs-target-postgres==0.8.1"} <= set(lock.replace("[postgres]", "").split())
    assert "://" not in lock
    assert "-r /" not in lock
    pins = [line for line in lock.splitlines() if line[:1].isalnum()]
    assert all(line.endswith("\\") for line in pins)


def test_the_refresh_plan_is_compared_at_the_same_calls_and_knows_no_more_than_was_looked_at() -> None:
    start, hour = datetime(2026, 7, 1, tzinfo=UTC), timedelta(hours=1)

    def track(name: str, rate: int) -> refresh.Track:
        return refresh.Track(
            name=name,
            born=start - hour,
            found_at=start,
            gone_at=start + 1000 * hour,
            listed=True,
            truth=lambda at: rate * int((at - start) / hour),
        )

    scene = refresh.Scene(
        tracks=[track("loud", 1000), *(track(f"quiet {number}", 1) for number in range(9))],
        start=start,
        step=hour,
        steps=100,
        calls=lambda _present: 1,
    )
    found = refresh.compare(scene)
    assert found.calls <= 100
    assert found.plan < found.uniform / 2
    assert found.least <= min(found.plan, found.uniform, found.bands)
    # Uniform polling sees the loud one every tenth hour: it lacks 0 to 9 thousand, 4.5 on average.
    assert found.uniform == pytest.approx(4500 * 100, rel=0.1)


def test_the_scenes_are_the_whole_data() -> None:
    charts = refresh.trending(0.1)
    assert (len(charts.tracks), charts.steps) == (1736, 40)
    assert sum(one.truth(one.found_at) for one in charts.tracks) > 0
    assert len(refresh.simulated(1, 1).tracks) == 72


async def test_the_memory_of_a_process_is_its_own_and_not_that_of_who_started_it() -> None:
    ours = bytearray(256 * 1024 * 1024)
    code = "from benchmarks import children; children.answer(**children.usage())"
    async with child("-c", code) as process:
        told = await process.hear()
    assert 0 < told["rss_mb"] < len(ours) / 1024 / 1024
