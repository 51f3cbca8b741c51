"""What a manager reads and does on the page of webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from orchestrator.domain.member import Role
from orchestrator.domain.webhook import FAMILIES, DeliveryState
from tests.web.pages.front import Front, a_front
from web.pages.webhooks import FAMILY_WORDS, NOTES, STATES


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


def test_everything_that_can_be_shown_has_a_name() -> None:
    assert set(FAMILY_WORDS) == set(FAMILIES)
    assert set(STATES) == set(DeliveryState)
    assert set(NOTES) == {"gone", "failing", "owner"}


async def test_a_lab_without_webhooks_says_what_they_are_for(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.MANAGER))
        seen = await visitor.get("/webhooks")
    assert seen.status == 200
    assert "No program is told anything yet." in seen.text


async def test_neither_a_member_nor_a_technician_comes_in(front: Front) -> None:
    async with front.visitor() as visitor:
        for role in (Role.MEMBER, Role.TECH):
            home = await visitor.sign_in(await front.person(role=role))
            assert 'href="/webhooks"' not in home.html
            assert (await visitor.get("/webhooks")).status == 403
            await visitor.post("/sign-out")


async def test_a_manager_makes_one_sees_its_secret_once_and_keeps_it(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.MANAGER))
        await visitor.get("/webhooks")
        made = await visitor.post("/webhooks", {"url": "http://127.0.0.1:9/hook", "topics": "job.*"})
        assert "whsec_" in made.text
        assert "http://127.0.0.1:9/hook" in made.text

        (webhook,) = await front.home.store.read(lambda unit: unit.webhooks())
        assert webhook.topics == ("job.*",)
        again = await visitor.get("/webhooks")
        assert "whsec_" not in again.text
        assert f"secret ending in {webhook.hint}" in again.text

        assert "Switch on" in (await visitor.post(f"/webhooks/{webhook.id}/off")).text
        assert (await visitor.post(f"/webhooks/{webhook.id}/test")).status == 409
        assert "Send a test" in (await visitor.post(f"/webhooks/{webhook.id}/on")).text
        assert "Waiting" in (await visitor.post(f"/webhooks/{webhook.id}/test")).text
        assert "whsec_" in (await visitor.post(f"/webhooks/{webhook.id}/rotate")).text
        assert (await visitor.post(f"/webhooks/{webhook.id}/explode")).status == 404
        assert (
            "No program is told anything yet." in (await visitor.post(f"/webhooks/{webhook.id}/delete")).text
        )


async def test_an_address_that_cannot_be_called_is_told_with_what_to_do(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.MANAGER))
        await visitor.get("/webhooks")
        refused = await visitor.post("/webhooks", {"url": "http://10.0.0.1/<b>"})

    assert refused.status == 422
    assert "10.0.0.1: private" in refused.text
    assert 'value="http://10.0.0.1/&lt;b&gt;"' in refused.html
