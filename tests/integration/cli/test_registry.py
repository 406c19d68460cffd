"""``workspace``, ``key``, ``source``, ``campaign``: what is kept, what is shown once, what is refused in one line."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import Tallybook


def test_a_workspace_is_made_with_a_key_and_listed(tallybook: Tallybook) -> None:
    made = tallybook("workspace", "create", "Acme", "--zone", "Europe/Berlin", "--json").json()
    assert made["key"]["token"].startswith("tbk_live_")
    (listed,) = tallybook("workspace", "list", "--json").json()["data"]
    assert listed == {"id": made["id"], "name": "Acme", "zone": "Europe/Berlin", "currency": "EUR"}
    shown = tallybook("workspace", "list").out
    assert made["id"] in shown
    assert made["key"]["token"] not in shown


def test_no_workspace_is_an_empty_list(tallybook: Tallybook) -> None:
    assert tallybook("workspace", "list").out == "there is no workspace\n"
    assert tallybook("workspace", "list", "--json").json() == {"data": []}


def test_a_workspace_that_makes_no_sense_is_wrong_usage(tallybook: Tallybook) -> None:
    for options, word in (
        (("--zone", "Europe/Berln"), "zone: not an IANA time zone; did you mean 'Europe/Berlin'?"),
        (("--currency", "EURO"), "currency: String should match pattern"),
        (("--currency", "EUX"), "currency: not an ISO 4217 currency in use; did you mean"),
    ):
        assert tallybook("workspace", "create", "Acme", *options, code=2).word.startswith(word), options


def test_commands_need_to_know_the_workspace_once_there_are_two(tallybook: Tallybook) -> None:
    assert "tallybook workspace create" in tallybook("key", "list", code=1).word
    first = tallybook.workspace("One")
    assert tallybook("key", "list", "--json").json()["data"][0]["name"] == "first key"
    tallybook.workspace("Two")
    assert tallybook("key", "list", code=2).word == "--workspace: there are several workspaces: name one"
    assert len(tallybook("key", "list", "--workspace", first, "--json").json()["data"]) == 1
    assert tallybook("key", "list", "--workspace", "wsp_" + "0" * 32, code=1).word == "no such workspace"
    assert tallybook("key", "list", "--workspace", "nonsense", code=1).word == "no such workspace"


def test_keys_are_made_listed_and_revoked(tallybook: Tallybook) -> None:
    tallybook.workspace()
    made = tallybook(
        "key", "create", "--name", "dash", "--scope", "kpis:read", "--scope", "costs:read", "--json"
    ).json()
    listed = {key["id"]: key for key in tallybook("key", "list", "--json").json()["data"]}
    assert sorted(listed[made["id"]]["scopes"]) == ["costs:read", "kpis:read"]
    assert made["token"] not in tallybook("key", "list").out
    assert tallybook("key", "revoke", made["id"]).out == f"revoked {made['id']}\n"
    tallybook("key", "revoke", made["id"])
    assert "revoked" in tallybook("key", "list").out
    assert tallybook("key", "revoke", "key_" + "0" * 32, code=1).word == "no such key"


def test_keys_of_the_instance_belong_to_no_workspace(tallybook: Tallybook) -> None:
    made = tallybook("key", "create", "--instance", "--json").json()
    assert tallybook("key", "create", "--instance", "--scope", "admin", code=2).word
    tallybook("key", "revoke", made["id"], "--instance")
    assert tallybook("key", "revoke", made["id"], "--instance", code=1).word == "no such key"


def test_a_key_that_makes_no_sense_is_wrong_usage(tallybook: Tallybook) -> None:
    tallybook.workspace()
    for options in (("--scope", "kpis:rea"), ("--expires", "tomorrow"), ("--expires", "2001-01-01T00:00:00Z")):
        assert tallybook("key", "create", *options, code=2).word


def test_sources_are_added_listed_and_rotated(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    secret = tmp_path / "token"
    secret.write_text("a-very-secret-token\n")
    options = ("--account", "page", "--credential", f"access_token=@{secret}", "--json")
    made = tallybook("source", "add", "synthetic", "--name", "Sim", *options).json()
    assert made["webhook_path"].startswith("/v1/webhooks/")
    assert made["secret"].startswith("whsec_")
    assert made["missing_credentials"] == []
    listed = tallybook("source", "list", "--json").out
    assert made["id"] in listed
    assert not [word for word in ("very-secret", made["secret"], made["webhook_path"]) if word in listed]
    address = tallybook("source", "rotate", "Sim", "--address", "--json").json()["webhook_path"]
    assert address not in {None, made["webhook_path"]}
    turned = tallybook("source", "rotate", made["id"], "--secret", "--overlap", "60").out
    assert turned.startswith("secret whsec_")
    assert made["secret"] not in turned
    assert "Sim" in tallybook("source", "list").out


def test_what_a_source_still_needs_is_said(tallybook: Tallybook) -> None:
    tallybook.workspace()
    lines = tallybook("source", "add", "synthetic").out.splitlines()
    assert [line.split()[0] for line in lines] == ["source", "webhook", "secret", "still"]
    assert lines[-1] == "still needs the credential access_token"


SENSELESS_SOURCES = (
    (("filse",), "connector: no such connector; did you mean 'files'?"),
    (("files",), "platform: files needs to know the platform"),
    (
        ("files", "--platform", "x", "--option", "colums=1"),
        "options.colums: no such option; did you mean 'columns'?",
    ),
    (("files", "--platform", "x", "--option", "columns"), "--option: write NAME=VALUE, not 'columns'"),
    (("files", "--platform", "x", "--option", "year=soon"), "options.year: "),
    (("synthetic", "--credential", "access_token=abc"), "--credential: write NAME=@FILE"),
    (("synthetic", "--platform", "facebook"), "platform: synthetic speaks for synthetic alone"),
    (("synthetic", "--tracks-from", "soon"), "tracks_from: "),
)


def test_a_source_that_makes_no_sense_is_wrong_usage(tallybook: Tallybook) -> None:
    tallybook.workspace()
    for words, word in SENSELESS_SOURCES:
        assert tallybook("source", "add", *words, code=2).word.startswith(word), words


def test_a_credential_that_is_nowhere_is_said(tallybook: Tallybook, tmp_path: Path) -> None:
    tallybook.workspace()
    missing = tmp_path / "nothing"
    ended = tallybook("source", "add", "synthetic", "--credential", f"access_token=@{missing}", code=1)
    assert ended.word == f"{missing}: No such file or directory"


def test_rotating_says_what_it_needs(tallybook: Tallybook) -> None:
    tallybook.workspace()
    assert tallybook("source", "rotate", "x", "--address", code=1).word == "no such source: x"
    tallybook("source", "add", "synthetic", "--name", "Sim")
    assert tallybook("source", "rotate", "Sim", code=2).word == "say --address or --secret"
    tallybook("source", "add", "synthetic", "--name", "Sim", "--account", "b")
    assert "several sources have this name" in tallybook("source", "rotate", "Sim", "--address", code=2).word


def test_campaigns_are_planned_and_listed(tallybook: Tallybook) -> None:
    tallybook.workspace()
    preset = ("--option", "preset=gb-youtube", "--json")
    source = tallybook("source", "add", "files", "--platform", "tiktok", *preset).json()["id"]
    made = tallybook(
        "campaign", "add", "Spring", "--kind", "micro", "--starts", "2026-03-01", "--ends", "2026-03-05",
        "--budget", "1200.50", "--goal", "ctr=0.02", "--tactic", "unboxing",
        "--rule", f"source={source},in_flight=yes", "--rule", "hashtag=#Spring", "--json",
    ).json()  # fmt: skip
    assert made["rules"][0] | {"source": source, "in_flight": True} == made["rules"][0]
    assert made["rules"][1]["hashtag"] == "spring"
    assert (made["budget"], made["goals"]) == ("1200.50", [{"metric": "ctr", "target": "0.02"}])
    (listed,) = tallybook("campaign", "list", "--json").json()["data"]
    assert listed == made
    assert "1200.50 EUR" in tallybook("campaign", "list").out


SENSELESS_CAMPAIGNS = (
    ("--kind", "huge", "--starts", "2026-03-01", "--ends", "2026-03-05"),
    ("--kind", "micro", "--starts", "2026-03-06", "--ends", "2026-03-05"),
    ("--kind", "micro", "--starts", "1.3.2026", "--ends", "2026-03-05"),
    ("--kind", "micro", "--starts", "2026-03-01", "--ends", "2026-03-05", "--rule", "hashtags=a"),
    ("--kind", "micro", "--starts", "2026-03-01", "--ends", "2026-03-05", "--rule", "in_flight=maybe"),
    ("--kind", "micro", "--starts", "2026-03-01", "--ends", "2026-03-05", "--rule", "source=src_" + "0" * 32),
    ("--kind", "micro", "--starts", "2026-03-01"),
)


def test_a_campaign_that_makes_no_sense_is_wrong_usage(tallybook: Tallybook) -> None:
    tallybook.workspace()
    for words in SENSELESS_CAMPAIGNS:
        assert tallybook("campaign", "add", "Spring", *words, code=2).word, words
    assert tallybook("campaign", "list").out == "there is no campaign\n"
