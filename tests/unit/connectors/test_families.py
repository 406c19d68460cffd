"""Who may import whom among the connectors, by the names of their modules.

The contracts in ``pyproject.toml`` name the modules that the service meets. This looks at every module: what belongs to
a platform has its name in front, and what is left is shared and knows no platform.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (ROOT / "connectors").glob("*.py") if path.stem != "__init__")
PLATFORMS = sorted(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["tallybook.connectors"],
    key=len,
    reverse=True,
)
DIALECTS = ("graph", "items", "testing")
"""What some platforms speak, and what tests of connectors are made of: shared by them, above what all share."""
BOTH = {("tiktok_display", "tiktok")}
"""Two interfaces of one platform."""


def family(module: str) -> str:
    names = (*PLATFORMS, *DIALECTS)
    return next((name for name in names if module == name or module.startswith(f"{name}_")), "")


def imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / "connectors" / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "connectors":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("connectors."):
            yield (node.module or "").removeprefix("connectors.")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_its_own_family_and_what_is_shared(module: str) -> None:
    own = family(module)
    for other in map(family, imported(module)):
        is_shared = not other or (own in PLATFORMS and other in DIALECTS)
        assert is_shared or other == own or (own, other) in BOTH, f"{module} imports a module of {other}"
