"""The page where a member decides: picture, spread, what could go wrong, in a real Chromium with the real analyser."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import DemoLab
from tests.browser.test_main_job import STEP_MS, shot, signed_in
from tests.services import corpus_dir

pytestmark = pytest.mark.timeout(300)


async def dropped(browser: Browser, lab: DemoLab, name: str, **look: object) -> Page:
    """A member who has just dropped a model of the corpus."""
    page = await signed_in(browser, lab, "member", **look)
    await page.set_input_files("input[type=file]", corpus_dir() / "stl" / name)
    await expect(page.get_by_role("heading", name="How it is made")).to_be_visible(timeout=STEP_MS)
    return page


async def picture_width(page: Page) -> int:
    """Pixels of the picture that really came; 0 where none did."""
    image = page.locator(".preview img")
    await expect(image).to_be_visible()
    return int(await image.evaluate("image => image.decode().then(() => image.naturalWidth, () => 0)"))


async def test_the_page_shows_the_picture_the_spread_and_what_could_go_wrong(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await dropped(browser, demo_lab, "so_moving_jaw_so101.stl")

    assert await picture_width(page) >= 256
    await expect(page.locator(".spreads")).to_contain_text("nine in ten stay under")
    await expect(page.locator(".advice .banner").first).to_be_visible(timeout=STEP_MS)
    await expect(page.locator(".preview img")).to_have_attribute("src", re.compile("/quotes/.*preview.png"))
    assert await picture_width(page) >= 256
    await shot(page, "10-choices")

    page = await dropped(
        browser, demo_lab, "mk3_x-carriage.stl", color_scheme="dark", viewport={"width": 390, "height": 844}
    )
    assert await picture_width(page) >= 256
    await expect(page.locator(".advice .busy")).to_have_count(0, timeout=STEP_MS)
    assert await picture_width(page) >= 256
    await shot(page, "11-choices-phone-dark")


async def test_a_part_drawn_in_inches_is_made_right_with_one_click(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await dropped(browser, demo_lab, "tm_featuretype.stl")
    assert await picture_width(page) >= 256
    await shot(page, "12-inches")
    small = await page.locator(".amount").inner_text()

    await page.get_by_role("button", name="Yes, make it 127 × 63.5 × 34.9 mm").click()

    await expect(page.locator(".facts-line")).to_contain_text("127 × 63.5 × 34.9", timeout=STEP_MS)
    await expect(page.locator(".amount")).not_to_have_text(small)
    await expect(page.get_by_label("Size, %")).to_have_value("2540")


async def test_another_way_to_lie_is_another_picture_and_another_price(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await dropped(browser, demo_lab, "mk3_x-carriage.stl")
    before = await page.locator(".amount").inner_text()

    await page.get_by_label("How it lies").select_option("x90")

    await expect(page.locator(".facts-line")).to_contain_text("52 × 15 × 91.5", timeout=STEP_MS)
    await expect(page.locator(".amount")).not_to_have_text(before)
    assert "turn=x90" in str(await page.locator(".preview img").get_attribute("src"))
    assert await picture_width(page) >= 256


async def test_the_layers_of_a_sliced_job_can_be_leafed_through(browser: Browser, demo_lab: DemoLab) -> None:
    page = await dropped(browser, demo_lab, "mk3_y-belt-idler.stl")
    await page.get_by_role("button", name="Accept").click()
    await expect(page.locator("#layers img")).to_be_visible(timeout=90_000)
    slider = page.get_by_role("slider", name="Layer")
    assert await layer_width(page) > 0

    await slider.fill("5")

    await expect(page.locator("[data-layer-output]")).to_have_text("5")
    await expect(page.locator("#layers img")).to_have_attribute("src", re.compile("/layers/5.svg$"))
    assert await layer_width(page) > 0
    await shot(page, "13-layers")
    # The page goes on fetching itself while the job prints: what one looks at stays.
    await expect(page.locator("#job .story")).to_contain_text("Printing on", timeout=30_000)
    await expect(slider).to_have_value("5")
    await expect(page.locator("#layers img")).to_have_attribute("src", re.compile("/layers/5.svg$"))


async def layer_width(page: Page) -> int:
    image = page.locator("#layers img")
    await image.scroll_into_view_if_needed()
    return int(await image.evaluate("image => image.decode().then(() => image.naturalWidth, () => 0)"))


async def test_a_file_chosen_before_the_scripts_have_come_is_sent_all_the_same(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await signed_in(browser, demo_lab, "member")
    come = asyncio.Event()

    async def late(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route("**/js/upload.js*", late)
    await page.reload(wait_until="commit")
    await page.set_input_files("input[type=file]", corpus_dir() / "stl" / "mk3_y-belt-idler.stl")
    come.set()

    await expect(page.get_by_role("heading", name="How it is made")).to_be_visible(timeout=STEP_MS)
