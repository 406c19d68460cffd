from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from connectors.contract import (
    Auth,
    AuthKind,
    Budget,
    Capabilities,
    Connector,
    FetchKind,
    Kind,
    MetricMapping,
    OAuth2,
    SubjectType,
    TokenCall,
)
from service.kpi.catalogue import resolve
from service.plugins import Plugins
from tools import connector_pages, pages
from tools.generate import Generated, fresh, installed, main, region

FILES = (Generated("docs/one.md", fresh(lambda: "one\n")), Generated("two.json", fresh(lambda: "{}\n")))


class Options(msgspec.Struct, frozen=True):
    pass


class Example(Connector):
    name = "example"
    title = "Example"
    version = "3"
    options = Options
    capabilities = Capabilities(
        webhook=True, fetch=(FetchKind(name="posts", every=timedelta(minutes=90)),), settle=timedelta(days=28)
    )
    metrics = (
        MetricMapping(wire="imp", metric="impressions", kind=Kind.PERIOD, subject_types=(SubjectType.AD,)),
        MetricMapping(wire="odd", metric=None, note="means\nnothing | here"),
    )


def test_check_names_each_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.json").write_text("[]\n", encoding="utf-8")
    assert main(["--check"], FILES, tmp_path) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["docs/one.md", "two.json"]
    assert not (tmp_path / "docs").exists()


def test_what_was_written_is_not_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], FILES, tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote docs/one.md", "wrote two.json"]
    assert main(["--check"], FILES, tmp_path) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "two.json").unlink()
    assert main(["--check"], FILES, tmp_path) == 1


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    assert main(["--chek"], FILES, tmp_path) == 2
    assert not list(tmp_path.iterdir())


def test_a_region_leaves_the_rest_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- t:begin -->\nold\n<!-- t:end -->\nbelow\n", encoding="utf-8")
    files = (Generated("README.md", partial(region, "t", lambda: "new\n")),)
    assert main([], files, tmp_path) == 0
    assert readme.read_text(encoding="utf-8") == "above\n<!-- t:begin -->\nnew\n<!-- t:end -->\nbelow\n"
    assert main(["--check"], files, tmp_path) == 0


def test_a_file_without_markers_is_named_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (Generated("README.md", partial(region, "t", lambda: "new\n")), *FILES)
    assert main([], files, tmp_path) == 1
    assert capsys.readouterr().err == "README.md: no <!-- t:begin --> ... <!-- t:end -->\n"
    assert (tmp_path / "two.json").is_file()


@pytest.mark.parametrize("text", ["", "<!-- t:begin -->", "<!-- t:end --><!-- t:begin -->"])
def test_a_region_needs_its_markers(text: str) -> None:
    with pytest.raises(ValueError, match="t:begin"):
        region("t", lambda: "new\n", text)


def test_kpis_are_shown_with_their_rules() -> None:
    text = pages.kpis_page([resolve("ctr"), resolve("likes")], {"clicks": "clicks_link"})
    (line,) = [line for line in text.splitlines() if line.startswith("| `ctr@1` |")]
    assert "clicks_link / impressions" in line
    assert f"| ratio | {resolve('ctr').aggregate} | {resolve('ctr').nulls} |" in text
    assert "| `clicks` | `clicks_link` |" in text


@pytest.mark.parametrize("broken", [{}, {"odd": "cannot be imported"}])
def test_no_connector_is_left_out_silently(broken: dict[str, str]) -> None:
    working = {"example": Example()} if broken else {}
    with pytest.raises(ValueError, match="odd cannot be imported" if broken else "no connector"):
        installed(Plugins(connectors=working, broken=broken))
    assert list(installed(Plugins(connectors={"example": Example()})))


def test_connectors_are_shown_with_what_they_map() -> None:
    text = connector_pages.connectors_page([Example()])
    assert "| `example` | Example | 3 | yes | posts every 90 min |  | 28 d |  |  |" in text
    assert "| `imp` | `impressions` | period | count | ad | counted |  |  |  |" in text
    assert "| `odd` |  |  |  |  | not mapped |  |  | means nothing \\| here |" in text


def test_a_page_has_all_that_a_connector_declares() -> None:
    class Whole(Example):
        base_url = "https://api.example.com"
        auth = Auth(
            kind=AuthKind.OAUTH2,
            credentials={"access_token": "read only"},
            scopes=("read",),
            oauth2=OAuth2(
                authorize_url="https://example.com/login",
                code=TokenCall(url="https://example.com/token", grant="authorization_code", sends="code"),
                refresh=TokenCall(url="https://example.com/token", grant="refresh_token", sends="refresh_token"),
                rotates=True,
                lifetime=timedelta(hours=2),
            ),
        )
        capabilities = Capabilities(
            webhook=True,
            fetch=(
                FetchKind(name="posts", every=timedelta(hours=1), subjects=True, batch=50, sweep=timedelta(days=7)),
            ),
            lease=timedelta(days=5),
            signature_headers=("x-mac",),
            budgets=(Budget(bucket="all", calls=600, window=timedelta(minutes=1), per="app"),),
        )

    lines = connector_pages.connectors_page([Whole()]).splitlines()
    for line in (
        "| hosts | `https://api.example.com` |",
        "| webhooks | set up at the platform; renewed before 5 d are over; verified with `x-mac` |",
        "| budget | `all`: 600 calls in 1 min for each app |",
        "| `posts` | 1 h |  | 50 at a time; all of them every 7 d |",
        "| token in | `authorization: Bearer ...` |",
        "| refresh | `https://example.com/token` as form, grant `refresh_token` |",
        "| token lives | 2 h |",
        "| refresh token lives | without a stated end; dies with its use |",
    ):
        assert line in lines
