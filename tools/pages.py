"""The texts of the generated files: pure functions from the product's own data to Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.contract import Metric
from service.kpi.catalogue import Kpi


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def code(text: str | None) -> str:
    """Return the text as code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def page(title: str, introduction: str, body: str) -> str:
    """Return a page of the documentation that says where it comes from."""
    return f"# {title}\n\n{introduction}\n\nWritten by `make generate` from the code; edit the code.\n\n{body}"


def document(value: Mapping[str, Any]) -> str:
    """Return JSON for a file: indented, in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def settings_table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the table of (variable, default, meaning)."""
    return table(
        ("variable", "default", "meaning"), [(code(name), code(default), text) for name, default, text in rows]
    )


def settings_page(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the page of the settings."""
    introduction = "Each is an environment variable; with `_FILE` appended it names a file that holds the value."
    return page("Settings", introduction, settings_table(rows))


def metrics_page(metrics: Iterable[Metric]) -> str:
    """Return the page of the canonical metrics."""
    rows = [
        (code(m.key), m.title, m.unit, yes(m.additive), ", ".join(code(part) for part in m.parts), m.definition)
        for m in metrics
    ]
    introduction = "A key has one meaning on every platform. What a platform does not report is null, never zero."
    return page("Metrics", introduction, table(("key", "title", "unit", "summed", "sum of", "meaning"), rows))


def kpis_page(kpis: Iterable[Kpi], aliases: Mapping[str, str], not_kept: Mapping[str, str] | None = None) -> str:
    """Return the page of the KPI dictionary: one table, the rules by kind, other names, and what is not kept."""
    listed = list(kpis)
    head = ("definition", "title", "formula", "unit", "kind", "made of", "interval", "note")
    rules = dict.fromkeys((kpi.kind, kpi.aggregate, kpi.nulls) for kpi in listed)
    body = table(head, [_kpi_row(kpi) for kpi in listed])
    body += "\n## By kind\n\n" + table(("kind", "several members", "null"), rules)
    body += "\n## Other names\n\n" + table(("name", "KPI"), [(code(k), code(v)) for k, v in sorted(aliases.items())])
    if not_kept:
        why = table(("name", "why"), [(code(name), text) for name, text in sorted(not_kept.items())])
        body += "\n## What the books do not hold\n\n" + why
    return page("KPIs", "A ratio is a ratio of sums, never a mean of ratios. Null is not zero and has a reason.", body)


def _kpi_row(kpi: Kpi) -> tuple[str, ...]:
    made_of = ", ".join(code(key) for key in kpi.needs)
    intervals = " or ".join(method for method in (kpi.interval, kpi.small_sample) if method)
    return (code(kpi.definition), kpi.title, kpi.formula, kpi.unit, kpi.kind, made_of, intervals, kpi.note or "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def yes(value: object) -> str:
    """Return *yes*, or nothing."""
    return "yes" if value else ""
