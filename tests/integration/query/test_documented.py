"""Every example of the page about queries is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from service.app import openapi_document
from tests.integration.query.world import World

pytestmark = pytest.mark.asyncio(loop_scope="package")
PAGE = (Path(__file__).parents[3] / "docs" / "queries.md").read_text(encoding="utf-8")
DOCUMENT = openapi_document()
SCHEMA = jsonschema_rs.validator_for(
    {"$ref": "#/components/schemas/QueryInput", "components": DOCUMENT["components"]}, validate_formats=False
)
EXAMPLES = re.findall(r"```json\n(.*?)```\n(?:\nAnswer: (\d+) `(\w+)` at `([^`]+)`)?", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_an_example_says_what_it_does(world: World, example: tuple[str, str, str, str]) -> None:
    text, status, code, pointer = example
    names = {"CAMPAIGN": world.broad, "OTHER": world.micro, "STRATEGY": world.strategy}
    for name, value in names.items():
        text = text.replace(f'"{name}"', f'"{value}"')
    body: dict[str, Any] = json.loads(text)
    if not status:
        assert SCHEMA.is_valid(body), list(SCHEMA.iter_errors(body))
        answer = await world.desk.post("/v1/kpis/query", body, 200)
        assert answer["data"]
        assert answer["totals"]
        return
    problem = await world.desk.problem(int(status), "POST", "/v1/kpis/query", body)
    (mistake,) = problem["errors"]
    assert (mistake["code"], mistake["pointer"]) == (code, pointer)


async def test_the_page_has_examples_of_both_kinds(world: World) -> None:
    assert world.broad
    assert len(EXAMPLES) >= 12
    assert sum(1 for _, status, *_ in EXAMPLES if status) >= 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": ["impresions"]},
        {"dimensions": ["tiers"]},
        {"filters": ["is", "platfrom", ["x"]]},
        {"filters": ["gte", "platform", 3]},
        {"having": ["gte", "impressions", "many", 1]},
        {"order": ["ctr", "down"]},
        {"granularity": "dy"},
        {"metrix": []},
    ],
)
async def test_the_schema_knows_the_words(world: World, wrong: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid({"scope": {"campaigns": [world.broad]}} | wrong)
