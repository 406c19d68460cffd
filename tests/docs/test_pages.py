"""Every document: its links lead somewhere, the files and names that it mentions exist, its examples are true."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(
    r"`((?:\.ci|benchmarks|connectors|deploy|docs|migrations|service|tests|tools)/[\w./-]+?|[\w-]+\.(?:toml|lock|md|yaml))"
    r"(?::(\w+))?`"
)
MADE_LATER = {"deploy/secrets"}
"""Named as what a command makes."""


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what a link may point to inside a page: its headings, as they are addressed."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading).lower() for heading in headings)
    return frozenset(text.replace(" ", "-") for text in words)


@cache
def names_in(module: Path) -> frozenset[str]:
    """Return what a module defines at its top."""

    def defined() -> Iterator[str]:
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    yield target.id

    return frozenset(defined())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_exists(page: Path) -> None:
    for path, name in NAMED.findall(prose(page)):
        if "<" in path or path in MADE_LATER:
            continue
        target = ROOT / path
        assert target.exists(), path
        assert not name or name in names_in(target), f"{path}:{name}"


def test_the_worked_example_is_true() -> None:
    page = ROOT / "docs" / "architecture.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.FAIL_FAST)
    assert tried
    assert not failed
