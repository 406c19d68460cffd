"""The worked values in the OpenAPI document are those of golden cases: G01, G02 and G05."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from service.app import openapi_document
from tests.golden.cases import CASES


def _ends(metric: Any) -> list[float | None] | None:
    found = metric["interval"]
    return found and [None if found[end] is None else float(found[end]) for end in ("low", "high")]


def test_the_examples_are_those_of_the_cases() -> None:
    document = openapi_document()
    rate, zero, cost, null = document["components"]["schemas"]["MetricOut"]["examples"]
    CASES["G01"].agrees({"ctr": rate["value"], "ci": _ends(rate)}, CASES["G01"].expected)
    CASES["G02"].agrees({"ctr": zero["value"], "ci": _ends(zero)}, CASES["G02"].expected[0])
    assert zero["state"] == "zero"
    CASES["G05"].agrees({"cpa": float(cost["value"]), "ci": _ends(cost)}, CASES["G05"].expected[0])
    CASES["G05"].agrees({"cpa": null["value"], "reason": null["reason"], "ci": _ends(null)}, CASES["G05"].expected[1])
    schema = {"$ref": "#/components/schemas/MetricOut", "components": document["components"]}
    for one in (rate, zero, cost, null):
        jsonschema_rs.Draft202012Validator(schema).validate(one)
