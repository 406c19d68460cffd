"""Writes the files that are made from the code, or with ``--check`` names those that are stale.

To add a file: one line in :data:`FILES`. What is generated is kept in git, so that readers and reviewers see it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from connectors.contract import METRICS, Connector
from connectors.standard_webhooks import CONNECTOR as WEBHOOKS
from service import plugins, settings
from service.app import openapi_document
from service.kpi.catalogue import ALIASES, CATALOGUE, CONVENTIONS, NOT_KEPT
from tools import connector_pages, pages

ROOT = Path(__file__).resolve().parents[1]


class Generated(msgspec.Struct, frozen=True):
    """A file, by its path in the project, and what makes its whole text from the text that it has now."""

    path: str
    text: Callable[[str], str]


def fresh(make: Callable[[], str]) -> Callable[[str], str]:
    """Return a maker that has no use for the text of before."""
    return lambda _now: make()


def region(name: str, body: Callable[[], str], now: str) -> str:
    """Return ``now`` with what stands between the markers of ``name`` replaced. Raises ValueError without them."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = now.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no {begin} ... {end}")
    return f"{before}{begin}\n{body()}{end}{after}"


def installed(found: plugins.Plugins) -> Iterable[Connector]:
    """Return all connectors. Raises ValueError where one does not work or none is there: the page must not lack any."""
    if found.broken or not found.connectors:
        broken = ", ".join(f"{name} {why}" for name, why in sorted(found.broken.items()))
        raise ValueError(broken or "no connector is installed: run `make setup`")
    return found.connectors.values()


_KPIS = (*CATALOGUE.values(), *CONVENTIONS.values())
FILES = (
    Generated("README.md", partial(region, "settings", lambda: pages.settings_table(settings.describe()))),
    Generated("docs/connectors.md", fresh(lambda: connector_pages.connectors_page(installed(plugins.discover())))),
    Generated("docs/kpis.md", fresh(lambda: pages.kpis_page(_KPIS, ALIASES, NOT_KEPT))),
    Generated("docs/metrics.md", fresh(lambda: pages.metrics_page(METRICS.values()))),
    Generated("docs/schemas/standard_webhooks.json", fresh(lambda: pages.document(WEBHOOKS.schema()))),
    Generated("docs/settings.md", fresh(lambda: pages.settings_page(settings.describe()))),
    Generated("openapi.json", fresh(lambda: pages.document(openapi_document()))),
)


def settle(file: Generated, root: Path, *, check: bool) -> bool:
    """Write the file where it is missing or says something else, or only say so under ``check``. False: not right."""
    path = root / file.path
    now = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        text = file.text(now)
    except ValueError as error:
        print(f"{file.path}: {error}", file=sys.stderr)
        return False
    if text == now:
        return True
    if check:
        print(f"{file.path} is stale: run `make generate`", file=sys.stderr)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {file.path}")
    return True


def main(arguments: Sequence[str], files: Iterable[Generated] = FILES, root: Path = ROOT) -> int:
    """Run from the command line; 1 when a file is not right, 2 for arguments that are not understood."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m tools.generate [--check]", file=sys.stderr)
        return 2
    wrong = [file for file in files if not settle(file, root, check=bool(arguments))]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
