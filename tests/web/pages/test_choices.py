"""The page between a dropped file and an accepted price: picture, choices, spread, and what helps to decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from orchestrator.domain.member import Entitlement
from orchestrator.ports import Unit
from tests.flow.workshop import PICTURE
from tests.web.pages.front import Front, Seen, Visitor, a_front


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def visitor(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        member = await front.person()

        async def train(unit: Unit) -> None:
            await unit.put_entitlement(Entitlement(member_id=member.id, machine_class="fdm"))

        await front.home.store.write(train)
        await made.sign_in(member)
        yield made


def file_id_of(seen: Seen) -> str:
    return seen.html.split('name="file_id" value="')[1][:36]


async def test_a_quote_shows_a_time_and_a_weight_each_with_what_nine_in_ten_stay_under(
    visitor: Visitor,
) -> None:
    seen = await visitor.upload("part-600s-5000mg.stl", b"solid")
    assert "about 10m" in seen.text
    assert "nine in ten stay under 12m" in seen.text
    assert "about 5 g" in seen.text
    assert "nine in ten stay under 5.5 g" in seen.text
    assert "A fair estimate" in seen.text


async def test_the_picture_shows_the_part_as_it_is_chosen_to_lie(visitor: Visitor) -> None:
    first = await visitor.upload("part-600s-5000mg.stl", b"solid")
    seen = await visitor.post("/quotes", {"file_id": file_id_of(first), "turn": "x90"})
    assert f"/api/v1/files/{file_id_of(first)}/preview.png?turn=x90" in seen.html
    assert "on its front" in seen.text


async def test_a_turned_and_scaled_part_shows_the_size_it_will_have(visitor: Visitor) -> None:
    first = await visitor.upload("part-600s-5000mg.stl", b"solid")  # a cube of 20 mm
    seen = await visitor.post("/quotes", {"file_id": file_id_of(first), "scale_percent": "150"})
    assert "30 × 30 × 30" in seen.text


async def test_what_could_go_wrong_comes_after_the_price_with_what_to_do(visitor: Visitor) -> None:
    seen = await visitor.upload("hangs-600s-5000mg.stl", b"solid")
    assert "It hangs in the air." not in seen.text  # the price has not waited for it
    quote = seen.path.rpartition("/")[2]
    told = await visitor.get(f"/quotes/{quote}/advice")
    assert "It hangs in the air." in told.text
    assert "Ask for supports." in told.text
    assert "on its front" in told.text


async def test_a_better_way_to_lie_is_one_click_away(visitor: Visitor) -> None:
    seen = await visitor.upload("hangs-600s-5000mg.stl", b"solid")
    told = await visitor.get(f"/quotes/{seen.path.rpartition('/')[2]}/advice")
    form = dict(part.split('" value="') for part in told.html.split('name="')[1:] if '" value="' in part)
    chosen = {name: value.partition('"')[0] for name, value in form.items() if name != "csrf"}
    turned = await visitor.post("/quotes", chosen)
    assert turned.path.startswith("/quotes/")
    assert "?turn=x90" in turned.html


async def test_nothing_to_say_is_said(visitor: Visitor) -> None:
    seen = await visitor.upload("part-600s-5000mg.stl", b"solid")
    told = await visitor.get(f"/quotes/{seen.path.rpartition('/')[2]}/advice")
    assert "Nothing stands out: it should print well." in told.text


async def test_a_part_too_large_as_drawn_keeps_its_choices_and_says_the_scale_that_fits(
    front: Front, visitor: Visitor
) -> None:
    await front.home.machine("Ada")
    seen = await visitor.upload("part-600s-5000mg-400mm.stl", b"solid")
    assert seen.path.startswith("/files/")
    assert seen.status == 200
    assert "The part measures 400 × 400 × 400 mm" in seen.text
    assert "Scaled to 52 % it fits." in seen.text
    assert "No price yet" in seen.text

    mended = await visitor.post("/quotes", {"file_id": file_id_of(seen), "scale_percent": "50"})

    assert mended.path.startswith("/quotes/")
    assert "200 × 200 × 200" in mended.text


async def test_the_picture_is_the_owners_alone_and_kept_by_the_browser(
    front: Front, visitor: Visitor
) -> None:
    seen = await visitor.upload("part-600s-5000mg.stl", b"solid")
    picture = await visitor.get(f"/api/v1/files/{file_id_of(seen)}/preview.png")
    assert picture.status == 200
    assert picture.headers["Content-Type"] == "image/png"
    assert "immutable" in picture.headers["Cache-Control"]
    assert picture.html == PICTURE.decode()

    async with front.visitor() as other:
        await other.sign_in(await front.person())
        assert (await other.get(f"/api/v1/files/{file_id_of(seen)}/preview.png")).status == 404


async def test_no_picture_leaves_the_price_standing(visitor: Visitor) -> None:
    seen = await visitor.upload("nopicture-600s-5000mg.stl", b"solid")
    assert "Accept – at most" in seen.text
    assert (await visitor.get(f"/api/v1/files/{file_id_of(seen)}/preview.png")).status == 503
