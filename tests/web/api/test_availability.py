"""A machine's calendar: the JSON and the iCalendar say the same, and neither says whose to strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import icalendar
import pytest_asyncio

from orchestrator.domain.member import Permission, Role
from tests.web.api.bookingworld import SYSTEM, World, a_world, named
from tests.web.api.server import V1, Program, Seen
from tests.web.api.test_bookings import at_work


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


def kind_of(event: icalendar.Event) -> str:
    return event["categories"].to_ical().decode()  # type: ignore[union-attr]


async def a_full_calendar(world: World) -> None:
    await world.tell("camille", name="Camille Secret-Name")
    await at_work(world, await world.desk.person(), permille=250)
    await world.book("for-camille", 24, 26, member=named("camille"), note="Camille; comma, and\nnewline")
    await world.book("e1", 30, 33, site="lab", purpose="event")
    await world.book("m1", 40, 41, purpose="maintenance")
    await world.book("c1", 50, 60, machine_class="fdm", purpose="closure")
    await world.book("far", 24 * 20, 24 * 20 + 1)


async def read(
    world: World, by: Program, query: str = ""
) -> tuple[list[dict[str, Any]], icalendar.Calendar, Seen]:
    path = f"/machines/{world.machine.id}/availability"
    told, drawn = await by.get(f"{path}{query}"), await by.get(f"{path}.ics{query}")
    assert (told.status, drawn.status) == (200, 200), (told.raw, drawn.raw)
    return told.json["items"], icalendar.Calendar.from_ical(drawn.raw.decode()), drawn


async def test_both_say_the_same(world: World) -> None:
    await a_full_calendar(world)

    items, calendar, _seen = await read(world, world.booking)

    told = [(i["kind"], i["starts_at"][:19], i["ends_at"]["p90"][:19]) for i in items]
    drawn = [
        (kind_of(e), e.decoded("dtstart").isoformat()[:19], e.decoded("dtend").isoformat()[:19])
        for e in calendar.events
    ]
    assert told == drawn
    assert [kind for kind, _start, _end in told] == ["running", "reserved", "event", "maintenance", "closure"]
    assert all(
        e.decoded(edge).utcoffset() == timedelta() for e in calendar.events for edge in ("dtstart", "dtend")
    )


async def test_a_run_has_a_middle_and_a_late_end_and_a_window_has_one(world: World) -> None:
    await a_full_calendar(world)
    items, _calendar, _seen = await read(world, world.booking)
    run, *windows = items

    assert run["ends_at"]["p50"] == "2026-03-02T12:45:00.000Z"
    assert run["ends_at"]["p90"] > run["ends_at"]["p50"]
    assert all(w["ends_at"]["p50"] == w["ends_at"]["p90"] for w in windows)


async def test_what_has_no_end_is_shown_to_the_end_of_the_window(world: World) -> None:
    tech = await world.desk.program(Role.TECH)
    await tech.post(f"/machines/{world.machine.id}/hold", {"reason": "smells"})

    (item,), calendar, _seen = await read(world, world.booking)

    assert (item["kind"], item["ends_at"]) == ("held", None)
    (event,) = calendar.events
    assert event.decoded("dtend") - event.decoded("dtstart") == timedelta(days=14)


async def test_the_calendar_is_as_rfc_5545_has_it_and_its_uids_stay(world: World) -> None:
    await a_full_calendar(world)
    _items, first, seen = await read(world, world.booking)
    await world.desk.clock.advance(60)
    _items, later, _seen = await read(world, world.booking)

    assert seen.kind == "text/calendar"
    assert seen.raw.count(b"\n") == seen.raw.count(b"\r\n")
    assert max(len(line) for line in seen.raw.split(b"\r\n")) <= 75
    assert [e["uid"] for e in first.events] == [e["uid"] for e in later.events]
    assert len({e["uid"] for e in first.events}) == len(first.events)
    assert all("dtstamp" in e for e in first.events)


async def test_strangers_learn_when_but_not_whose(world: World) -> None:
    await a_full_calendar(world)
    member = await world.desk.program(Role.MEMBER)

    for asker, sees in ((member, False), (world.booking, True)):
        items, _calendar, seen = await read(world, asker)
        assert {i["external_id"] for i in items if i["kind"] == "reserved"} == {
            "for-camille" if sees else None
        }
        assert b"Camille" not in seen.raw
        assert b"for-camille" not in seen.raw


async def test_a_calendars_address_takes_only_a_token_that_looks(world: World) -> None:
    path = f"{V1}/machines/{world.machine.id}/availability"
    looker = await world.looker(Permission.FLEET)

    async def by_address(program: Program, ending: str) -> int:
        token = program.headers["Authorization"].removeprefix("Bearer ")
        return (await world.desk.nobody.ask("GET", f"{path}{ending}?token={token}")).status

    assert await by_address(looker, ".ics") == 200
    assert await by_address(world.booking, ".ics") in {401, 403}
    assert await by_address(looker, "") in {401, 422}
    assert (await world.desk.nobody.ask("GET", f"{path}.ics?token=etb_x_y")).status == 401


async def test_a_plus_that_was_not_escaped_is_understood(world: World) -> None:
    await world.book("1", 24, 26)
    start = world.at(0).isoformat()

    seen = await world.booking.ask(
        "GET", f"{V1}/machines/{world.machine.id}/availability?from={start.replace('+', ' ')}"
    )

    assert [i["external_id"] for i in seen.json["items"]] == ["1"]
    assert seen.json["items"][0]["system"] == SYSTEM
