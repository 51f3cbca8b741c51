"""Requests made up from our own description: whatever it allows, and much it does not, the answer is one it names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import schemathesis
from schemathesis import checks
from schemathesis.core.result import Ok

from orchestrator.domain.member import Role
from tests.web.api.desk import Client, Desk, a_desk

EXAMPLES = 6


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path) as made:
        yield made


def walk(document: dict[str, Any], client: Client) -> int:
    """Try every operation of the description; returns how many requests were sent. Runs beside the server's loop."""
    sent = 0
    schema = schemathesis.openapi.from_dict(document)
    for found in schema.get_all_operations():
        if not isinstance(found, Ok):
            raise found.err()
        operation = found.ok()

        @hypothesis.seed(20260302)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(case=operation.as_strategy())
        def one(case: Any) -> None:
            nonlocal sent
            response = case.call(base_url=client.base_url, headers=client.own, timeout=10)
            sent += 1
            case.validate_response(response, checks=[checks.not_a_server_error])
            assert response.headers.get("Content-Type", "application/json").startswith("application/"), case

        if not operation.path.endswith(("/events", "/sessions/current")):
            one()
    return sent


@pytest.mark.slow
async def test_nothing_that_our_description_leads_to_is_our_mistake(desk: Desk) -> None:
    await desk.home.machine("Ada")
    client = await desk.of(Role.MANAGER)
    document = (await desk.stranger.get("/openapi.json")).json

    sent = await asyncio.to_thread(walk, document, client)

    assert sent > 50
