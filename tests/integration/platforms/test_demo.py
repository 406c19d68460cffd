"""The demo of each platform: its real connector, its fake and the table that a person sees, in one database for all."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from service import cli, plugins
from service.commands.endings import Code, Ended
from service.demo_platforms import play, stage_of, stages
from tests.fakes.stages import STAGES
from tests.integration.api.office import settings_for

# By hand from the stages: what the platform says a day later, each number once.
EXPECTED: Mapping[str, Mapping[str, str]] = {
    "facebook": {"impressions": "520", "views": "1,020", "likes": "61", "clicks_all": "36", "saves": "-"},
    "ga4": {"sessions": "145", "conversions_platform": "5", "conversion_value_platform": "550.40 EUR"},
    "instagram": {"impressions": "130", "likes": "12", "engagements": "19", "followers_lost": "3", "clicks_all": "11"},
    "linkedin": {"impressions": "360", "likes": "6", "clicks_all": "12", "ctr_all": "3.333 %", "saves": "-"},
    "meta_ads": {"impressions": "5,000", "spend_media": "80.00 EUR", "cpc": "5.71 EUR", "conversions_platform": "4"},
    "shopify": {"orders": "2", "refunds": "1", "conversion_value": "124.90 EUR"},
    "stripe": {"orders": "2", "refunds": "1", "conversion_value": "119.90 EUR"},
    "threads": {"views": "127", "shares": "7", "clicks_link": "7", "impressions": "-"},
    "tiktok": {"views": "5,388", "likes": "229", "clicks_all": "8", "impressions": "-"},
    "tiktok_display": {"views": "240", "likes": "7", "engagements": "10", "saves": "-"},
    "x": {"impressions": "6,500", "likes": "224", "clicks_link": "99", "ctr": "1.523 %"},
    "youtube": {"views": "8,100", "watch_time": "150,000", "clicks_all": "3", "impressions": "-"},
}


async def shown(name: str, url: str, folder: Path) -> tuple[dict[str, str], str]:
    """Run a demo; return its values by KPI, and the line about its books."""
    console = Console(file=io.StringIO(), width=200, markup=False)
    settings = settings_for(url, data_dir=folder, port=0)
    await play(settings, console, name, stage_of(name, stages()))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    (books,) = [line for line in lines if line.startswith("Books at posting ")]
    return {row[0]: row[1] for row in rows if len(row) > 2 and row[0] in STAGES[name].metrics}, books


async def test_every_platform_is_shown_and_a_second_run_changes_no_number(database_url: str, tmp_path: Path) -> None:
    for name, expected in EXPECTED.items():
        values, books = await shown(name, database_url, tmp_path)
        assert (name, {**values, **expected}) == (name, values)
        assert ": 0 differences; " in books
        if name == "instagram":
            again, still = await shown(name, database_url, tmp_path)
            assert (again, still.split(".")[0]) == (values, books.split(".")[0])


def test_whatever_is_fetched_from_a_platform_has_a_demo() -> None:
    fetched = {
        name for name, one in plugins.load().items() if one.capabilities.fetch and not one.capabilities.simulated
    }
    assert set(EXPECTED) == set(STAGES) == fetched


def test_a_platform_without_a_stage_and_a_machine_without_a_checkout_are_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--platform", "myspace", "--once"]) == Code.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tallybook: there is no demo of 'myspace': choose one of facebook, ga4, ")
    with pytest.raises(Ended, match="needs a checkout of the source") as ended:
        stages(tmp_path)
    assert ended.value.exit_code == Code.USAGE
