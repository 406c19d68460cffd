"""The demo, run twice as a person would: its figures are those of the files and of the simulated world, both times."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.contract import MICRO
from connectors.synthetic_world import Plan, World
from service import demo_plan

ROOT = Path(__file__).resolve().parents[2]


def demo(data_dir: Path) -> str:
    """Run the demo in a process and return what it prints; it is not to touch a database that the environment names."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TALLYBOOK_")}
    named = {"TALLYBOOK_DATA_DIR": str(data_dir), "TALLYBOOK_PORT": "0"}
    foreign = {"TALLYBOOK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/production", "TALLYBOOK_ENV": "prod"}
    command = [sys.executable, "-m", "service", "demo", "--once"]
    done = subprocess.run(
        command, cwd=ROOT, env=own | named | foreign, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def tables(printed: str) -> dict[str, dict[str, list[str]]]:
    """Return the cells of each campaign's table by KPI."""
    found: dict[str, dict[str, list[str]]] = {}
    for block in printed.split("\n\n"):
        title, *lines = block.strip().splitlines() or [""]
        rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
        if rows and rows[0][0] == "KPI":
            found[title] = {row[0]: row[1:] for row in rows[2:]}
    return found


def truth(world: World, plan: Plan, until: datetime) -> Mapping[str, str]:
    """Return what the world itself says of a campaign's flight, as the demo writes it."""
    first, last = demo_plan.flight(world, plan)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    posts = [post for post in world.posts if post.plan.key == plan.key]
    cost = sum(sum(world.daily(post, day, until).values()) for post in posts for day in days)
    sales = [
        sale
        for sale in world.sales
        if sale.post.plan.key == plan.key
        and sale.known_by in {"subject", "utm"}
        and first <= sale.at.astimezone(ZoneInfo(world.zone)).date() <= last
    ]
    value = sum((sale.value or 0) * (-1 if sale.kind == "refund" else 1) for sale in sales)
    return {
        "cost": f"{Decimal(cost) / MICRO:,.2f} EUR",
        "conversions": f"{sum(sale.kind != 'refund' for sale in sales):,}",
        "conversion_value": f"{Decimal(value) / MICRO:,.2f} EUR",
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder of the temporary directory itself: pytest closes its own to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="tbk-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name) / "books"


def test_the_demo_shows_the_truth_and_a_second_run_changes_no_number(folder: Path) -> None:
    first = demo(folder)
    found = tables(first)
    assert list(found) == [
        demo_plan.UCI,
        demo_plan.GB,
        f"{demo_plan.BROAD}  simulated",
        f"{demo_plan.MICRO}  simulated",
    ]

    uci = found[demo_plan.UCI]
    assert uci["impressions"][0] == "14,792,974"
    assert uci["ctr"] == ["-", "missing: missing numerator"]
    assert uci["ctr_all"][0].endswith(" %")
    assert found[demo_plan.GB]["impressions"] == ["-", "-", "-", "-", "missing: not reported"]

    kept = json.loads((folder / "demo.json").read_text())
    until = datetime.fromisoformat(kept["until"])
    world = demo_plan.world_until(until)
    broad, micro = (truth(world, plan, until) for plan in world.plans)
    shown_broad, shown_micro = found[f"{demo_plan.BROAD}  simulated"], found[f"{demo_plan.MICRO}  simulated"]
    assert {name: shown_broad[name][0] for name in ("cost", "conversions")} == {
        name: broad[name] for name in ("cost", "conversions")
    }
    assert {name: shown_micro[name][0] for name in micro} == micro

    assert stat.S_IMODE((folder / "demo.json").stat().st_mode) == 0o600
    again = demo(folder)
    assert tables(again) == found
    assert posting(again) == posting(first)
    assert json.loads((folder / "demo.json").read_text()) == kept


def posting(printed: str) -> str:
    """Return the number of the books' newest posting; the proof beside it found no difference."""
    line = next(line for line in printed.splitlines() if line.startswith("Books at posting "))
    assert ": 0 differences; " in line
    return line.split(".")[0]
