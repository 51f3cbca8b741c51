"""The page of the tablet that stands at a machine. It holds no secret and decides nothing: the device proves itself by
its own key, every answer comes from the API, and all words of the page are written here, in both languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from orchestrator.domain.machine import Machine, needs_release
from orchestrator.domain.member import Permission
from orchestrator.domain.presence import HEARTBEAT_SECONDS
from orchestrator.flow import advise, report
from orchestrator.flow.lab import Lab
from web.pages.cuts import in_words
from web.pages.face import lab_of, locale_of, page, reader_of
from web.security import current

ASK_SECONDS = 60
"""How often the page asks whether the person is still there."""
GRACE_SECONDS = 10


async def kiosk_page(request: web.Request) -> web.StreamResponse:
    """The same for everybody; who looks after machines is also offered to enrol the device."""
    lab, caller = lab_of(request), current(request)
    operates = reader_of(request).may(Permission.OPERATE)
    machines: Sequence[Machine] = ()
    if caller is not None and operates:
        machines = [view.machine for view in await report.fleet(lab, caller.member)]
    return page(request, "kiosk.html", **await values(lab, machines, operates, locale_of(request)))


async def values(lab: Lab, machines: Sequence[Machine], operates: bool, locale: str) -> dict[str, Any]:
    return {
        "operates": operates,
        "machines": [machine for machine in machines if needs_release(machine)],
        "sheets": await _sheet_names(lab, locale),
        "ask_seconds": ASK_SECONDS,
        "grace_seconds": GRACE_SECONDS,
        "press_seconds": round(lab.limits.press_seconds),
        "beat_ms": round(HEARTBEAT_SECONDS * 1000),
    }


async def _sheet_names(lab: Lab, locale: str) -> dict[str, str]:
    """What people call each sheet that a machine of the lab may be given."""
    machines = await lab.store.read(lambda unit: unit.machines())
    profiles = {m.abilities.profile for m in machines if needs_release(m) and m.abilities.profile}
    found = [sheet for profile in sorted(profiles) for sheet in advise.sheets(lab, profile)]
    return {sheet.name: in_words(sheet.texts, locale) or sheet.name for sheet in found if not sheet.refusals}
