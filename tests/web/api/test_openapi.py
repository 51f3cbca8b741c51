"""The OpenAPI document is valid, complete and true, in what it promises and in what it lets callers send."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from tests.web.api.server import Desk, Program, a_desk
from web.routes import API
from web.typed import AT_MACHINE, PUBLIC, Route

DOCUMENT = "/api/v1/openapi.json"


async def document_of(desk: Desk) -> dict[str, Any]:
    seen = await desk.nobody.ask("GET", DOCUMENT)
    assert (seen.status, seen.kind) == (200, "application/json")
    made: dict[str, Any] = seen.json
    return made


def faults_of(document: dict[str, Any], method: str, path: str, status: int, body: object) -> list[str]:
    """What of an answer is not as the document says."""
    answers = document["paths"][path][method.lower()]["responses"]
    (content,) = answers.get(str(status), answers["default"])["content"].values()
    schema = content["schema"] | {"components": document["components"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(body)]


async def test_the_document_is_valid_openapi_3_1(desk: Desk) -> None:
    document = await document_of(desk)
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_that_is_served_is_in_it_and_nothing_else(desk: Desk) -> None:
    document = await document_of(desk)
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert told == {(row.method, row.path) for row in API}


@pytest.mark.parametrize("row", API, ids=lambda row: f"{row.method} {row.path}")
async def test_every_operation_says_who_may_call_it_and_how_it_fails(desk: Desk, row: Route) -> None:
    operation = (await document_of(desk))["paths"][row.path][row.method.lower()]
    assert ("security" in operation) == (row.permission not in {PUBLIC, AT_MACHINE})
    assert operation["summary"]
    assert str(row.status) in operation["responses"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]


async def test_the_answers_of_the_main_job_are_as_the_document_says(desk: Desk) -> None:
    machine = await desk.machine()
    asker = await desk.program()
    document = await document_of(desk)
    job = await asker.job()
    ids = {
        "jobs": job["id"],
        "files": job["file_id"],
        "quotes": job["quote_id"],
        "machines": str(machine.id),
        "sources": str(machine.id),
    }
    checked = 0
    for row in API:
        kind = row.path.split("/")[3] if row.path.startswith("/api/") else ""
        path = row.path.replace("{id}", "me" if kind == "accounts" else ids.get(kind, job["id"]))
        path = re.sub(r"\{\w+\}", "any", path.replace("{number}", "1"))
        if row.method == "GET":
            seen = await asker.ask("GET", f"{path}?profile=any" if path.endswith("/materials") else path)
            # The quote is of a model: it has no cut.
            no_cut = row.path.endswith(("/cut", "/drawing.svg"))
            assert seen.status in ({404} if no_cut else {200, 403}), path
            if row.media_type == "application/json":
                assert faults_of(document, "GET", row.path, seen.status, seen.json) == [], path
                checked += seen.status == 200
    assert checked >= 12
    wrong = await asker.post("/quotes", {"price": 1})
    assert faults_of(document, "POST", "/api/v1/quotes", wrong.status, wrong.json) == []
    assert faults_of(document, "GET", "/api/v1/me", 200, {"id": 7}), "a check that cannot fail is none"


async def test_nothing_that_the_document_allows_is_a_mistake_of_ours(tmp_path: Path) -> None:
    """Every operation gets a few bodies and parameters made from its schema, the same every time."""
    async with a_desk(tmp_path) as desk:
        await desk.machine()
        asker = await desk.program()
        document = json.dumps(await document_of(desk))
        sent = await asyncio.to_thread(_fuzzed, desk, asker, document)
        assert sent >= 2 * len(API)


def _fuzzed(desk: Desk, asker: Program, document: str) -> int:
    """How many requests were made; raises with the first answer that is a 5xx."""
    schema = schemathesis.openapi.from_dict(json.loads(document))
    settings = hypothesis.settings(
        max_examples=4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    sent = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings
        @hypothesis.given(case=operation.as_strategy())
        def attack(case: schemathesis.Case[Any]) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(
                base_url=desk.base, headers=asker.headers, checks=[not_a_server_error], timeout=10
            )

        attack()
    return sent
