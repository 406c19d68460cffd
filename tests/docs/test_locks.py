"""The locks are what the project asks for, whole, and name no place to get things from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-runtime.lock")


def pins(lock: str) -> dict[str, set[str]]:
    """Return the pinned lines of a lock with the hashes of each."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line[:1].isalnum():
            current = found.setdefault(line.removesuffix("\\").strip(), set())
        elif hash_ := re.fullmatch(r"    --hash=(sha256:[0-9a-f]{64})(?: \\)?", line):
            current.add(hash_[1])
        else:
            assert line.startswith("    #"), line
    return found


def versions(lock: str) -> dict[str, list[str]]:
    """Return the versions per name: one for each range of Python where they differ."""
    found: dict[str, list[str]] = {}
    for line in pins(lock):
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier).removeprefix("=="))
    return found


def dependencies() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


@pytest.mark.parametrize("lock", LOCKS)
def test_each_pin_has_hashes_and_no_address(lock: str) -> None:
    assert all(pins(lock).values())
    assert not re.search(r"://|file:|https?:|--(extra-)?index|--find-links", (ROOT / lock).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_the_ranges_of_the_project(lock: str) -> None:
    locked = versions(lock)
    for requirement in dependencies():
        for version in locked[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(version), f"{requirement} but {version}"


def test_the_input_of_the_lock_names_what_the_project_names() -> None:
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    named = {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}
    assert {canonicalize_name(requirement.name) for requirement in dependencies()} <= named


def test_the_image_gets_what_was_tested_and_nothing_for_tests() -> None:
    tested, shipped = pins("requirements.lock"), pins("requirements-runtime.lock")
    assert {line: tested[line] for line in shipped} == shipped
    assert not {"pytest", "mypy", "ruff", "hypothesis", "schemathesis"} & set(versions("requirements-runtime.lock"))
