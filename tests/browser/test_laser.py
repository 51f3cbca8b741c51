"""Laser work as a member and a technician live it: a drawing, its price, the tablet at the machine, the receipt."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from orchestrator import samples
from tests.browser.conftest import DemoLab
from tests.browser.test_main_job import STEP_MS, amounts, cents, shot, signed_in
from tests.services import corpus_dir

pytestmark = pytest.mark.timeout(300)

TABLET = {"viewport": {"width": 1180, "height": 820}}
BLUE = "op:stroke:#0000ff"


async def dropped(page: Page, name: str = "coaster.svg", content: bytes | None = None) -> None:
    """The page of a drawing, with the work inked on its bed."""
    body = samples.coaster() if content is None else content
    await page.set_input_files(
        "input[type=file]", {"name": name, "mimeType": "image/svg+xml", "buffer": body}
    )
    await expect(page.get_by_role("heading", name="On the bed")).to_be_visible(timeout=STEP_MS)
    await inked(page)


async def inked(page: Page) -> None:
    """The cut has been fetched and its lines lie on the bed."""
    await expect(page.locator(".ink").first).to_be_attached(timeout=STEP_MS)
    await expect(page.locator("[data-play]")).to_be_enabled(timeout=STEP_MS)


async def priced_anew(page: Page, former: str) -> None:
    """Another quote stands on the page than the one that was fetched as `former`."""
    await expect(page.locator("[data-bed]")).not_to_have_attribute("data-cut", former, timeout=STEP_MS)
    await inked(page)


async def quote_of(page: Page) -> str:
    return str(await page.locator("[data-bed]").get_attribute("data-cut"))


async def place(page: Page) -> tuple[float, float]:
    return tuple([float(await page.locator(f"#place-{axis}").input_value()) for axis in "xy"])  # type: ignore[return-value]


async def drag(page: Page, right_px: int, up_px: int) -> None:
    box = await page.locator(".work-box").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + right_px, y - up_px, steps=5)
    await page.mouse.up()


def screen(tablet: Page, *names: str) -> Locator:
    """The one of these that is shown."""
    return tablet.locator(", ".join(f'[data-screen="{name}"]:not([hidden])' for name in names))


async def enrolled(browser: Browser, lab: DemoLab) -> Page:
    """A tablet that a technician has put beside the laser; nobody is signed in there any more."""
    tablet = await signed_in(browser, lab, "tech", **TABLET)
    await tablet.goto(f"{lab.base_url}/kiosk")
    await expect(screen(tablet, "enrol")).to_be_visible()
    await shot(tablet, "20-kiosk-enrol")
    await tablet.get_by_role("button", name="Enrol this device").click()
    await expect(screen(tablet, "clear", "idle")).to_be_visible(timeout=STEP_MS)
    kept = await tablet.context.request.get(f"{lab.base_url}/api/v1/me")
    assert kept.status == 401, "a technician's session was left on the tablet"
    return tablet


async def known(form: Locator, lab: DemoLab, who: str) -> None:
    for check in await form.get_by_role("checkbox").all():
        await check.check()
    await form.get_by_label("E-mail address").fill(lab.users[who]["email"])
    await form.get_by_label("Password").fill(lab.users[who]["password"])


async def cleared(tablet: Page, lab: DemoLab) -> None:
    """Somebody who is trained has looked into the machine."""
    if await screen(tablet, "clear").is_visible():
        form = tablet.locator('[data-form="clear"]')
        await known(form, lab, "member")
        await form.get_by_role("button").click()
    await expect(screen(tablet, "idle", "turn")).to_be_visible(timeout=STEP_MS)


async def released(tablet: Page, lab: DemoLab, form_name: str = "release", who: str = "member") -> None:
    form = tablet.locator(f'[data-form="{form_name}"]')
    await known(form, lab, who)
    await form.get_by_role("button").click()


async def test_a_drawing_is_priced_cut_by_a_person_who_stays_and_billed_by_the_beam(
    browser: Browser, demo_lab: DemoLab
) -> None:
    tablet = await enrolled(browser, demo_lab)
    await cleared(tablet, demo_lab)
    await shot(tablet, "21-kiosk-idle")
    member = await signed_in(browser, demo_lab, "member")

    # a colour mapped, a sheet chosen, the work moved: each is another price
    await dropped(member)
    former = await quote_of(member)
    await member.locator(f'select[name="{BLUE}"]').select_option("ignore")
    await priced_anew(member, former)
    assert await member.locator(".ink-score").count() == 0
    former = await quote_of(member)
    await member.locator('select[name="material"]').select_option("mdf-3")
    await priced_anew(member, former)
    former = await quote_of(member)
    await drag(member, 150, 90)
    await priced_anew(member, former)
    x, y = await place(member)
    assert x > 100
    assert y > 60
    await shot(member, "22-cut-quote")
    lines = await amounts(member.locator(".price .bill tbody td:last-child"))
    assert sum(lines) == cents(await member.locator(".amount").inner_text()) > 0

    # accepted: it waits for its member at the machine, and nobody else may
    await member.get_by_role("button", name="Accept").click()
    await expect(member.get_by_text("Go to Foucault and release it there, until")).to_be_visible(
        timeout=90_000
    )
    await shot(member, "23-job-waits")
    await expect(screen(tablet, "turn")).to_be_visible(timeout=STEP_MS)
    await shot(tablet, "24-kiosk-turn")
    await released(tablet, demo_lab, who="member2")
    await expect(screen(tablet, "turn").locator("[data-answer]")).to_contain_text("Only whose job it is")
    await shot(tablet, "25-kiosk-refused")

    # released, held, gone on, ended
    await released(tablet, demo_lab)
    await expect(screen(tablet, "running")).to_be_visible(timeout=STEP_MS)
    await shot(tablet, "26-kiosk-running")
    await tablet.get_by_role("button", name="HOLD").click()
    await expect(screen(tablet, "paused")).to_be_visible(timeout=STEP_MS)
    await expect(member.get_by_text("It holds. Go to Foucault")).to_be_visible(timeout=STEP_MS)
    await expect(member.get_by_role("button", name="Go on")).to_have_count(0)
    await shot(tablet, "27-kiosk-held")
    await released(tablet, demo_lab, "go-on")
    await expect(screen(tablet, "ended")).to_be_visible(timeout=120_000)
    await shot(tablet, "28-kiosk-ended")
    await tablet.get_by_role("button", name="It is good").click()
    await expect(tablet.get_by_text("Thank you, it is noted.")).to_be_visible()

    # billed by the beam
    receipt = member.locator(".receipt")
    await expect(receipt).to_contain_text("Laser on", timeout=STEP_MS)
    await expect(receipt.locator(".measured")).to_contain_text("counted by the machine")
    lines = await amounts(receipt.locator(".bill tbody td:last-child"))
    assert sum(lines) == cents(await receipt.locator(".bill tfoot td").inner_text()) > 0
    await expect(member.locator("#job .story")).to_contain_text("How it came out: It is good")
    await shot(member, "29-cut-receipt")


async def test_whoever_hides_the_tablet_or_is_silent_makes_the_machine_hold(
    browser: Browser, demo_lab: DemoLab
) -> None:
    tablet = await enrolled(browser, demo_lab)
    await cleared(tablet, demo_lab)
    member = await signed_in(browser, demo_lab, "member")
    await dropped(member)
    former = await quote_of(member)
    await member.get_by_label("Quantity").fill("12")  # long enough to go away from
    await priced_anew(member, former)
    await member.get_by_role("button", name="Accept").click()
    await expect(screen(tablet, "turn")).to_be_visible(timeout=90_000)
    await released(tablet, demo_lab)
    await expect(screen(tablet, "running")).to_be_visible(timeout=STEP_MS)

    await tablet.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )

    await expect(member.get_by_text("It holds. Go to Foucault")).to_be_visible(timeout=10_000)
    await expect(screen(tablet, "paused")).to_contain_text("This page was hidden or closed")

    # a new page knows of nobody beside the machine either; this one asks every two seconds
    async def impatient(route: Route) -> None:
        answer = await route.fetch()
        page = (await answer.text()).replace('data-ask-seconds="60"', 'data-ask-seconds="2"')
        await route.fulfill(
            response=answer, body=page.replace('data-grace-seconds="10"', 'data-grace-seconds="2"')
        )

    address = f"{demo_lab.base_url}/kiosk"  # the page alone: its calls end in the same word
    await tablet.route(address, impatient)
    await tablet.goto(address)
    await tablet.unroute(address)
    await expect(screen(tablet, "paused")).to_be_visible(timeout=STEP_MS)
    await released(tablet, demo_lab, "go-on")
    still = tablet.locator("[data-still]")
    await expect(still).to_be_visible(timeout=10_000)
    await shot(tablet, "32-kiosk-still-here")
    await tablet.get_by_role("button", name="I am here").click()
    await expect(still).to_be_hidden()
    await expect(screen(tablet, "paused")).to_contain_text("Nobody answered", timeout=10_000)


async def test_the_bed_is_reached_by_keyboard_and_the_cut_is_played_there(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await signed_in(browser, demo_lab, "member", color_scheme="dark")
    await dropped(page, "box.svg", (corpus_dir() / "svg" / "boxes_RegularBox.svg").read_bytes())
    await page.locator("[data-work]").focus()
    former = await quote_of(page)

    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowUp")
    await priced_anew(page, former)

    x, y = await place(page)
    assert (x % 1, y >= 10) == (0.0, True)
    assert await page.evaluate("document.activeElement.matches('[data-work]')")
    former = await quote_of(page)
    await page.keyboard.press("ArrowRight")
    await priced_anew(page, former)
    assert await place(page) == (x + 1, y)

    await page.get_by_role("button", name="Play the cut").click()
    await expect(page.locator("[data-clock]")).not_to_have_text(re.compile("^0:00"), timeout=STEP_MS)
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("slider", name="Time in the cut").fill("60")
    await expect(page.locator("[data-clock]")).to_have_text(re.compile("^1:00 / "))
    await page.get_by_role("button", name="Closer").click()
    assert await page.locator("[data-canvas]").evaluate("c => !c.hidden && c.width > 400")
    await shot(page, "30-cut-played-dark")
    await page.set_viewport_size({"width": 360, "height": 740})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await shot(page, "31-cut-phone-dark")


async def test_nothing_moves_by_itself_for_whoever_asked_for_calm(
    browser: Browser, demo_lab: DemoLab
) -> None:
    page = await signed_in(browser, demo_lab, "member", reduced_motion="reduce")
    await dropped(page)

    await page.get_by_role("button", name="Play the cut").click()

    shown = await page.locator("[data-clock]").inner_text()
    assert shown.split(" / ")[0] == shown.split(" / ")[1]
    assert await page.locator("[data-canvas]").is_visible()
