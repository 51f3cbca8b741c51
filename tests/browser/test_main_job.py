"""The main job as a member and a technician live it: real shape, slicer and browser, simulated machines."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.conftest import DemoLab
from tests.services import ROOT, corpus_dir

SHOTS = ROOT / "var" / "screenshots"
STEP_MS = 30_000
DONE_SECONDS = 150

pytestmark = pytest.mark.timeout(300)


async def signed_in(browser: Browser, lab: DemoLab, who: str, **look: object) -> Page:
    """A browser of its own for one person, in English."""
    usual: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}
    context = await browser.new_context(**usual | look)
    page = await context.new_page()
    await page.goto(lab.base_url)
    await page.get_by_role("button", name="English").click()
    await page.get_by_label("E-mail address").fill(lab.users[who]["email"])
    await page.get_by_label("Password").fill(lab.users[who]["password"])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


async def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def cents(text: str) -> int:
    """`€12.01`, also with a minus sign."""
    return int(re.sub(r"[^\d-]", "", text.replace("−", "-")))


async def amounts(rows: Locator) -> list[int]:
    return [cents(text) for text in await rows.all_inner_texts()]


async def clear_what_asks(technician: Page) -> None:
    """Press each “The bed is clear” there is."""
    await technician.goto(technician.url.partition("?")[0])
    buttons = technician.get_by_role("button", name="The bed is clear", exact=True)
    while await buttons.count():
        await buttons.first.click()
        await expect(technician.get_by_role("status").filter(has_text="is marked clear")).to_be_visible()
        await technician.goto(technician.url.partition("?")[0])


async def until_done(member: Page, technician: Page) -> None:
    """The member only watches; the technician clears what must be cleared."""
    done = member.locator("#job .state-name", has_text=re.compile("^Done$"))
    for _ in range(DONE_SECONDS // 5):
        await clear_what_asks(technician)
        try:
            await expect(done).to_be_visible(timeout=5_000)
        except AssertionError:
            continue
        return
    raise AssertionError(f"not done in time: {await member.locator('#job').inner_text()}")


async def test_a_dropped_shape_is_priced_accepted_made_and_billed(
    browser: Browser, demo_lab: DemoLab
) -> None:
    member = await signed_in(browser, demo_lab, "member")
    technician = await signed_in(browser, demo_lab, "tech")
    await technician.goto(f"{demo_lab.base_url}/machines")
    await shot(member, "1-jobs")
    await shot(technician, "2-machines")

    # priced
    await member.set_input_files("input[type=file]", corpus_dir() / "stl" / "mk3_y-belt-idler.stl")
    await expect(member.get_by_role("heading", name="What it costs")).to_be_visible(timeout=STEP_MS)
    first = await member.locator(".amount").inner_text()
    await member.get_by_label("Quantity").fill("2")
    await expect(member.locator(".amount")).not_to_have_text(first, timeout=STEP_MS)
    await member.get_by_label("Quantity").fill("1")
    await expect(member.locator(".amount")).to_have_text(first, timeout=STEP_MS)
    lines = await amounts(member.locator(".price .bill tbody td:last-child"))
    assert sum(lines) == cents(first) > 0
    await shot(member, "3-quote")

    # accepted
    button = member.get_by_role("button", name="Accept")
    most = cents(await button.inner_text())
    await button.dblclick(no_wait_after=True)
    await expect(member.get_by_role("heading", name="What has happened")).to_be_visible(timeout=STEP_MS)
    await shot(member, "4-job")

    # made
    await expect(member.locator("#job .story")).to_contain_text("Sliced and in the queue", timeout=90_000)
    await shot(member, "5-sliced")
    await until_done(member, technician)
    await shot(technician, "6-machines-after")

    # billed
    receipt = member.locator(".receipt")
    lines = await amounts(receipt.locator(".bill tbody td:last-child"))
    total = cents(await receipt.locator(".bill tfoot td").inner_text())
    held, released = await amounts(receipt.locator("dd"))
    assert sum(lines) == total > 0
    assert (held, total + released) == (most, held)
    await shot(member, "7-receipt")
    await member.goto(f"{demo_lab.base_url}/account")
    await expect(member.get_by_role("row").filter(has_text="mk3_y-belt-idler.stl")).to_have_count(1)
    await shot(member, "8-account")


async def test_a_file_that_is_no_shape_is_refused_in_words(browser: Browser, demo_lab: DemoLab) -> None:
    member = await signed_in(browser, demo_lab, "member2", color_scheme="dark")

    await member.set_input_files(
        "input[type=file]",
        {"name": "part.stl", "mimeType": "model/stl", "buffer": b"<html><body>no</body></html>"},
    )

    await expect(member.locator("#refusal")).to_contain_text("What to do:", timeout=STEP_MS)
    await shot(member, "9-refused-dark")
    await member.goto(f"{demo_lab.base_url}/jobs")
    await expect(member.locator("#jobs .empty")).to_be_visible()
