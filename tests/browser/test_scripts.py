"""The scripts of the pages in a real Chromium, under the real policy, against a stage that we lead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.stage import TOKEN, Stage, a_stage


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with a_stage() as made:
        yield made


@pytest_asyncio.fixture
async def tab(page: Page) -> AsyncIterator[Page]:
    """A page whose scripts must not fail and must not be stopped by the policy."""
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if "Security Policy" in said.text else None)
    yield page
    assert trouble == []


async def choose(tab: Page, name: str) -> None:
    await tab.set_input_files(
        "input[type=file]", {"name": name, "mimeType": "model/stl", "buffer": b"x" * 2000}
    )


async def test_a_change_reaches_the_page_in_place_and_a_half_read_question_stays_open(
    tab: Page, stage: Stage
) -> None:
    await tab.goto(stage.address + stage.job_path)
    await expect(tab.locator("progress")).to_have_attribute("value", "100")
    await tab.click("text=Cancel this job…")
    await tab.evaluate("document.getElementById('job').dataset.same = 'yes'")

    stage.progress_permille = 640
    await stage.happen()

    await expect(tab.locator("progress")).to_have_attribute("value", "640")
    await expect(tab.get_by_text("64%")).to_be_visible()
    await expect(tab.get_by_role("button", name="Yes, cancel it")).to_be_visible()


async def test_a_run_in_progress_is_looked_at_without_any_event(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + stage.job_path)
    stage.progress_permille = 700

    await expect(tab.locator("progress")).to_have_attribute("value", "700", timeout=10_000)


async def test_a_broken_stream_is_told_and_comes_back_with_what_was_missed(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + stage.job_path)
    await expect(tab.locator("progress")).to_have_attribute("value", "100")

    stage.streams_allowed = False
    await stage.cut()
    await expect(tab.locator("#lost")).to_be_visible(timeout=10_000)
    stage.progress_permille = 900
    stage.streams_allowed = True

    await expect(tab.locator("#lost")).to_be_hidden(timeout=20_000)
    await expect(tab.locator("progress")).to_have_attribute("value", "900", timeout=10_000)


async def test_a_stream_that_is_refused_at_first_is_tried_again(tab: Page, stage: Stage) -> None:
    stage.streams_allowed = False
    await tab.goto(stage.address + stage.job_path)
    await expect(tab.locator("#lost")).to_be_visible(timeout=10_000)

    stage.streams_allowed = True

    await expect(tab.locator("#lost")).to_be_hidden(timeout=20_000)


async def test_an_upload_shows_its_progress_then_the_price(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + "/jobs")

    await choose(tab, "cube.stl")

    await expect(tab.get_by_text("Checking the shape…")).to_be_visible()
    await expect(tab.get_by_text("cube.stl")).to_be_visible()
    stage.upload_may_end.set()
    await expect(tab.get_by_role("heading", name="What it costs")).to_be_visible()
    assert tab.url.endswith("/quotes/1")
    assert stage.tokens == [TOKEN]


async def test_a_file_dropped_anywhere_on_the_page_is_sent(tab: Page, stage: Stage) -> None:
    stage.upload_may_end.set()
    await tab.goto(stage.address + "/jobs")
    files = await tab.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['x'], 'dropped.stl')); return d; }"
    )

    await tab.dispatch_event("footer", "drop", {"dataTransfer": files})

    await expect(tab.get_by_role("heading", name="What it costs")).to_be_visible()


async def test_a_refused_file_is_answered_in_place_and_another_can_follow(tab: Page, stage: Stage) -> None:
    stage.upload_refused = True
    stage.upload_may_end.set()
    await tab.goto(stage.address + "/jobs")

    await choose(tab, "empty.stl")

    await expect(tab.locator("#upload #refusal")).to_contain_text("It holds no <b>triangle</b>.")
    await expect(tab.locator("#upload #refusal")).to_contain_text("Export again.")
    stage.upload_refused = False
    await choose(tab, "better.stl")
    await expect(tab.get_by_role("heading", name="What it costs")).to_be_visible()


async def test_an_upload_can_be_cancelled(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + "/jobs")
    await choose(tab, "cube.stl")

    await tab.get_by_role("button", name="Cancel").click()

    await expect(tab.get_by_text("Cancelled. Nothing was kept.")).to_be_visible()
    await expect(tab.get_by_text("Choose a file")).to_be_visible()


async def test_another_choice_is_priced_at_once_without_leaving_the_page(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + "/quotes/1")

    await tab.get_by_label("PETG").check()

    await expect(tab.locator(".amount")).to_have_text("€42.42")
    await expect(tab.get_by_label("PETG")).to_be_checked()
    await expect(tab.get_by_role("button", name="Accept – at most €46.67")).to_be_visible()
    await tab.get_by_label("Quantity").fill("3")
    await tab.get_by_label("Quantity").press("Enter")
    await expect(tab.get_by_label("Quantity")).to_have_value("3")
    assert stage.asked["quote"] >= 2


async def test_a_double_click_on_accept_sends_it_once(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + "/quotes/1")

    await tab.get_by_role("button", name="Accept").dblclick(no_wait_after=True)
    stage.upload_may_end.set()

    await expect(tab.locator("progress")).to_be_visible()
    assert stage.asked["accept"] == 1


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_page_is_wider_than_its_window(tab: Page, stage: Stage, width: int) -> None:
    await tab.set_viewport_size({"width": width, "height": 740})
    for path in ("/jobs", "/quotes/1", stage.job_path):
        await tab.goto(stage.address + path)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_drop_zone_is_reached_by_keyboard_and_shows_where_one_is(tab: Page, stage: Stage) -> None:
    await tab.goto(stage.address + "/jobs")

    for _ in range(20):
        await tab.keyboard.press("Tab")
        if await tab.evaluate("document.activeElement.matches('input[type=file]')"):
            break

    assert await tab.evaluate("getComputedStyle(document.querySelector('.pick')).outlineStyle") == "solid"
