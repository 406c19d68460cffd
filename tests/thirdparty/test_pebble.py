"""A connector of somebody else's: a package of its own, installed, found, proved and booked by a service as it is.

Nothing of the service or of this project's connectors knows that it exists. It is installed without network into a
directory of its own, as ``pip install`` would into an environment.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from connectors.contract import Connector
from service import ids, plugins
from service.app import rounds_of
from service.fetch.plan import slot_of
from tests.integration.platforms.road import Road, road

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)


def run(*command: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of this interpreter; ``path`` is where installed packages are found beside its own."""
    places = [str(ROOT), *([str(path)] if path else [])]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYBOOK_", "PYTEST_"))}
    environ = {**own, "PYTHONPATH": os.pathsep.join(places), "PIP_NO_INDEX": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=environ, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package: building one writes beside its sources."""
    place = tmp_path_factory.mktemp("thirdparty") / "pebble"
    shutil.copytree(Path(__file__).parent / "pebble", place, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.fixture(scope="module")
def installed(cloned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it, without network and into a directory of its own, and return that."""
    target = tmp_path_factory.mktemp("site")
    words = ("install", "--no-index", "--no-deps", "--no-build-isolation", "--no-compile", "--quiet")
    done = run("pip", *words, "--target", str(target), str(cloned), cwd=cloned)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def pebble(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    """Return the connector as the service finds it."""
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    found = plugins.discover()
    assert not found.broken
    yield found.connectors["pebble"]
    sys.modules.pop("tallybook_pebble", None)


@pytest.fixture
def platform(cloned: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the fake platform that the package's own tests use."""
    spec = importlib.util.spec_from_file_location("pond", cloned / "tests" / "pond.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pond", module)
    spec.loader.exec_module(module)
    return module


def test_a_service_lists_what_was_installed(installed: Path, tmp_path: Path) -> None:
    done = run("service", "connectors", "--json", cwd=tmp_path, path=installed)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (found,) = [one for one in told["connectors"] if one["name"] == "pebble"]
    assert (found["title"], found["version"], found["webhook"]) == ("Pebble", "3", True)
    assert [kind["kind"] for kind in found["fetch"]] == ["pebbles", "pond_days"]
    assert told["broken"] == {}
    plain = run("service", "connectors", "--json", cwd=tmp_path)
    assert "pebble" not in {one["name"] for one in json.loads(plain.stdout)["connectors"]}


def test_its_own_tests_pass_where_it_is_installed(cloned: Path, installed: Path) -> None:
    done = run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=cloned, path=installed)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


async def later(way: Road, pond: Any, step: timedelta) -> None:
    way.clock.forward(step)
    pond.now = way.clock.at


async def test_from_its_platform_to_the_kpis(pebble: Connector, platform: ModuleType, database_url: str) -> None:
    stones = [
        platform.Stone("a1", NOW - timedelta(days=6), "#one", {"sightings": 1200, "splashes": 60, "echoes": 10}),
        platform.Stone("a2", NOW - timedelta(days=2), "#two", {"sightings": 300, "splashes": 30, "ripples": 0}),
        platform.Stone("a3", NOW - timedelta(days=1), "#three", {"sightings": 0}),
    ]
    pond = platform.Pond(now=NOW, stones=stones, days={date(2026, 8, 14): 40, date(2026, 8, 19): 2})
    keys = {"access_token": platform.TOKEN, "webhook_secret": platform.SECRET}
    source = {"account": platform.ACCOUNT, "credentials": keys}
    transport = httpx.ASGITransport(app=pond)
    async with road(database_url, pebble, NOW, transport=transport, source=source, zone="Europe/Lisbon") as way:
        pulled = await way.fetch()
        assert [(one.kind, one.pages, one.error) for one in pulled] == [("pebbles", 2, ""), ("pond_days", 1, "")]
        asked = "impressions,likes,comments,shares,profile_views,er_impressions"
        assert await way.totals(asked) == {
            "impressions": 1500,
            "likes": 90,
            "comments": 10,
            "shares": 0,
            "profile_views": 42,
            "er_impressions": pytest.approx(100 / 1500),
        }
        days = await way.days("profile_views")
        assert {day: value for day, value in days.items() if value} == {"2026-08-14": 40, "2026-08-19": 2}

        # A day is restated, robots are taken back; a round later the books say what the platform says.
        pond.days[date(2026, 8, 14)] = 35
        stones[0].counts["sightings"] = 1100
        await later(way, pond, timedelta(hours=12))
        await way.fetch()
        assert await way.totals("impressions,profile_views") == {"impressions": 1400, "profile_views": 37}

        # All are read at the beginning of a slot; whom a push says something of is asked for by name after it.
        kind = pebble.capabilities.fetch[0]
        begun = slot_of(way.clock.at, kind.every, ids.read("source", way.source["id"]), kind.name)
        await later(way, pond, begun + kind.every - way.clock.at)
        await rounds_of(way.services).fetch_due()
        stones[2].counts["sightings"] = 500
        body, headers = platform.pushed("a3")
        assert (await way.push(body, headers)).status_code == 200
        assert (await way.push(body + b" ", headers)).status_code == 401
        await later(way, pond, timedelta(minutes=2))
        pond.calls.clear()
        await rounds_of(way.services).fetch_due()
        await way.settle()
        assert any("ids=" in call and "a3" in call for call in pond.calls)
        assert await way.totals("impressions") == {"impressions": 1900}
