"""Hours, windows, deadlines and keys in a real Chromium: by keyboard, in French, and while the page lives on."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from orchestrator import samples
from tests.browser.conftest import DemoLab
from tests.browser.test_main_job import STEP_MS, shot, signed_in

pytestmark = pytest.mark.timeout(300)


async def in_french(browser: Browser, lab: DemoLab, who: str, **look: object) -> Page:
    page = await signed_in(browser, lab, who, **look)
    await page.get_by_role("button", name="Français").click()
    await expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    return page


async def press(page: Page, name: str, role: str = "button") -> None:
    """As somebody without a mouse: reach it, see where one is, press Enter."""
    target = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    await target.focus()
    await expect(target).to_be_focused()
    await page.keyboard.press("Enter")


async def all_in_maintenance(page: Page, lab: DemoLab) -> None:
    """So that jobs wait."""
    headers = {"Authorization": f"Bearer {lab.users['tech']['token']}"}
    listed = await page.request.get(f"{lab.base_url}/api/v1/machines", headers=headers)
    for machine in (await listed.json())["items"]:
        url = f"{lab.base_url}/api/v1/machines/{machine['id']}/maintenance"
        assert (await page.request.post(url, headers=headers, data={"on": True})).ok


async def wide(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"))


async def test_a_manager_sets_hours_and_keeps_a_machine_free_by_keyboard_in_french(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await in_french(browser, demo_lab, "manager")
    await page.goto(f"{demo_lab.base_url}/hours")
    await expect(page.locator(".empty")).to_contain_text("toujours ouvert")

    # hours
    await press(page, "Modifier…", "link")
    await press(page, "Ajouter un créneau")
    await press(page, "Ajouter un créneau")
    await expect(page.get_by_label("Jour").nth(1)).to_have_value("1")
    await page.get_by_label("De", exact=True).first.fill("19:00")
    await press(page, "Enregistrer")
    await expect(page.locator("#wrong-0")).to_contain_text("La fin doit venir après le début")
    await page.get_by_label("De", exact=True).first.fill("10:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").filter(has_text="Enregistré")).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("lundi"))).to_contain_text("10:00–18:00")
    await expect(page.get_by_role("row", name=re.compile("dimanche"))).to_contain_text("fermé")
    await shot(page, "20-hours-fr")

    # a window
    await page.goto(f"{demo_lab.base_url}/reservations")
    summary = page.locator("#making summary")
    await summary.focus()
    await page.keyboard.press("Enter")
    start = (datetime.now() + timedelta(hours=30)).replace(minute=0)  # noqa: DTZ005  # as a person types it
    await page.get_by_label("De", exact=True).fill(start.strftime("%Y-%m-%dT%H:%M"))
    await page.get_by_label("À", exact=True).fill((start + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"))
    await page.get_by_label("Note").fill("buse à changer")
    await press(page, "La garder libre")
    await expect(page.locator(".block.maintenance")).to_have_count(1)
    await expect(page.locator("#plan .rows")).to_contain_text("buse à changer")
    await shot(page, "21-reservations-fr")
    for path in ("/reservations", "/hours", "/hours/main", "/tokens", "/queue"):
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.goto(demo_lab.base_url + path)
        assert not await wide(page), path


async def test_a_deadline_is_told_in_place_survives_the_live_page_and_counts_in_the_queue(
    browser: Browser, demo_lab: DemoLab
) -> None:
    technician = await signed_in(browser, demo_lab, "tech", color_scheme="dark")
    await all_in_maintenance(technician, demo_lab)
    member = await signed_in(browser, demo_lab, "member")
    drop = {"name": "star.stl", "mimeType": "model/stl", "buffer": samples.star()}
    await member.set_input_files("input[type=file]", drop)  # type: ignore[arg-type]
    await expect(member.get_by_label("Colour")).to_be_visible(timeout=STEP_MS)
    await member.get_by_role("button", name="Accept").click()
    await expect(member.locator("#job .story")).to_contain_text("Sliced and in the queue", timeout=90_000)

    # told in place
    field = member.get_by_label("Deadline")
    soon = datetime.now() + timedelta(hours=3)  # noqa: DTZ005
    await field.fill(soon.strftime("%Y-%m-%dT%H:%M"))
    await member.get_by_role("button", name="Set it").click()
    await expect(member.locator("#deadline-wrong")).to_contain_text("The lab asks for 24 hours’ notice.")
    await expect(field).to_have_value(soon.strftime("%Y-%m-%dT%H:%M"))

    # what is being typed outlives a look at the present state
    later = (datetime.now() + timedelta(hours=36)).strftime("%Y-%m-%dT%H:%M")  # noqa: DTZ005
    await field.fill(later)
    async with member.expect_response(lambda answer: "/jobs/" in answer.url):
        await member.evaluate("document.body.dispatchEvent(new CustomEvent('etabli:changed'))")
    await member.wait_for_timeout(300)
    await expect(field).to_have_value(later)
    await member.get_by_role("button", name="Set it").click()
    await expect(member.locator("#steering")).to_contain_text("Needed by")
    await shot(member, "22-deadline")

    # and counts
    await technician.goto(f"{demo_lab.base_url}/queue")
    place = technician.locator(".place").first
    await expect(place).to_contain_text("star.stl")
    await place.locator(".points summary").click()
    await expect(place.get_by_role("row", name=re.compile("Deadline"))).to_be_visible()
    await shot(technician, "23-queue-dark")
