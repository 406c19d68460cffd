"""A client generated from the description of the API compiles, strictly, and the code that uses it needs no cast."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NPM = shutil.which("npm")
MISTAKES = {
    "metric.value;": "metric.valu;",
    'scopes: ["kpis:read"]': 'scopes: ["kpis:rea"]',
    "| null = metric.reason": "= metric.reason",
}
"""What the client says, and what it may not say."""


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the generator and the compiler, installed from the lock, and the generated types."""
    if NPM is None:
        pytest.skip("there is no Node.js")
    made = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "client.ts"):
        shutil.copy(HERE / name, made)
    done = run(made, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    if done.returncode:
        pytest.skip(f"npm cannot install what is locked: {done.stderr.strip().splitlines()[-1:]}")
    made_types = run(made, "node_modules/.bin/openapi-typescript", str(ROOT / "openapi.json"), "-o", "schema.ts")
    assert made_types.returncode == 0, made_types.stderr
    return made


def test_the_client_compiles_without_casts_and_mistakes_do_not(place: Path) -> None:
    client = (HERE / "client.ts").read_text(encoding="utf-8")
    code = "\n".join(line for line in client.splitlines() if not line.startswith("//"))
    assert " as " not in code.replace(" as of ", " ")
    assert "any" not in code.split()
    for number, (right, mistake) in enumerate(MISTAKES.items()):
        assert right in client
        (place / f"wrong{number}.ts").write_text(client.replace(right, mistake), encoding="utf-8")
    done = run(place, "node_modules/.bin/tsc", "--project", "tsconfig.json")
    found = {line.partition("(")[0] for line in done.stdout.splitlines() if ": error TS" in line}
    assert found == {f"wrong{number}.ts" for number in range(len(MISTAKES))}, done.stdout


def test_the_lock_names_no_place_to_get_things_from() -> None:
    assert '"resolved"' not in (HERE / "package-lock.json").read_text(encoding="utf-8")
