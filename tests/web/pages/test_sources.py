"""The page of booking systems: what the manager reads, tries and presses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.domain.errors import Rejected
from orchestrator.domain.member import Role
from tests.rigs.fake_feed import FakeFeed, calendar, event
from tests.web.pages.front import Front, a_front
from web.pages.sources import mapping_of, mapping_text


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def feed() -> AsyncIterator[FakeFeed]:
    async with FakeFeed().serving() as fake:
        yield fake


def test_a_mapping_is_read_as_it_is_written() -> None:
    assert mapping_of(" 12 = Ada \n\n* = * ") == {"12": "Ada", "*": "*"}
    assert mapping_of(mapping_text({"12": "Ada", "training:3": "fdm"})) == {"12": "Ada", "training:3": "fdm"}
    with pytest.raises(Rejected):
        mapping_of("12 Ada")


async def test_only_the_manager_sees_it(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.TECH))
        assert (await visitor.get("/sources")).status == 403
        await visitor.post("/sign-out")
        home = await visitor.sign_in(await front.person(role=Role.MANAGER))
        assert 'href="/sources"' in home.html
        assert "No booking system is connected." in (await visitor.get("/sources")).text


async def test_a_calendar_is_refused_with_reasons_and_what_was_typed_stays(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.MANAGER))
        await visitor.get("/sources")
        wish = {"act": "add", "kind": "ical", "system": "agenda", "url": "ftp://x", "minutes": "5"}
        seen = await visitor.post("/sources", wish | {"machines": "* = Nobody", "secret": "hush"})
    assert seen.status == 422
    assert "This is no address that can be asked." in seen.text
    assert 'value="ftp://x"' in seen.html
    assert "hush" not in seen.html


async def test_a_calendar_is_tried_connected_asked_switched_off_and_removed(
    front: Front, feed: FakeFeed
) -> None:
    await front.home.machine("Ada")
    feed.text = calendar(event("one", "DTSTART:20260303T120000Z", "DURATION:PT2H"))
    wish = {"kind": "ical", "system": "agenda", "url": feed.url, "minutes": "5", "machines": "* = Ada"}
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.MANAGER))
        await visitor.get("/sources")
        tried = await visitor.post("/sources", wish | {"act": "test"})
        assert "It answers. 1 window would be read." in tried.text

        added = await visitor.post("/sources", wish | {"act": "add"})
        assert "Not asked yet" in added.text
        one = added.link("/sources/[0-9a-f-]{36}")
        asked = await visitor.post(f"{one}/poll")
        assert "Windows held 1" in asked.text

        feed.text = "<html>"
        failed = await visitor.post(f"{one}/poll")
        assert "There is no calendar at that address." in failed.text
        assert "1 try failed in a row; the windows it told last are kept." in failed.text

        changed = await visitor.post(one, wish | {"minutes": "0,1"})
        assert changed.status == 422
        assert "Switched off" in (await visitor.post(f"{one}/off")).text
        assert (await visitor.post(f"{one}/dance")).status == 404
        assert "No booking system is connected." in (await visitor.post(f"{one}/remove")).text
