"""Deadlines, the queue's order, hours, reservations, keys and colours over HTTP: what forms do, and to whom."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from orchestrator.domain.job import Job, Priority
from orchestrator.domain.machine import Activity, Link, Machine
from orchestrator.domain.member import Entitlement, Level, Member, Permission, Public, Role
from orchestrator.domain.process import Colour, Material, Process
from orchestrator.domain.reservation import Purpose
from orchestrator.flow import booking, steer
from orchestrator.flow.booking import Wanted
from orchestrator.flow.tokens import LIVE_MAX
from orchestrator.ports import Unit
from tests.builders import an_event
from tests.web.pages.front import PASSWORD, Front, Seen, Visitor, a_front
from web.identity import make_token

PART = "part-600s-5000mg.stl"
OWN_ZONE = "Europe/Paris"


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def member(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        await made.sign_in(await trained(front))
        yield made


@pytest_asyncio.fixture
async def technician(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        await made.sign_in(await front.person(role=Role.TECH))
        yield made


@pytest_asyncio.fixture
async def manager(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        await made.sign_in(await front.person(role=Role.MANAGER))
        yield made


async def trained(front: Front, level: Level = Level.AUTONOMOUS) -> Member:
    person = await front.person()
    training = Entitlement(member_id=person.id, machine_class="fdm", level=level)
    await front.home.store.write(lambda unit: unit.put_entitlement(training))
    return person


async def queued(visitor: Visitor, **form: str) -> Seen:
    """The page of a job that waits."""
    priced = await visitor.upload(PART, b"solid")
    file_id = priced.html.split('name="file_id" value="')[1][:36]
    priced = await visitor.post("/quotes", {"file_id": file_id} | form)
    return await visitor.post(priced.link("/quotes/[^/]+/accept"))


async def job_at(front: Front, path: str) -> Job:
    job = await front.home.store.read(lambda unit: unit.job(UUID(path.rpartition("/")[2])))
    assert job is not None
    return job


def in_hours(front: Front, hours: float) -> str:
    """As a field for a date with time holds it: in Paris, an hour ahead of UTC."""
    return (front.home.clock.now() + timedelta(hours=hours + 1)).strftime("%Y-%m-%dT%H:%M")


# --- deadline, urgency, consent ----------------------------------------------------------------------


async def test_a_member_sets_and_clears_a_deadline(front: Front, member: Visitor) -> None:
    page = await queued(member)

    seen = await member.post(f"{page.path}/deadline", {"deadline": in_hours(front, 30)})

    assert "Needed by" in seen.text
    wanted = (await job_at(front, page.path)).deadline
    assert wanted is not None
    assert abs(wanted - front.home.clock.now() - timedelta(hours=30)) < timedelta(minutes=1)
    cleared = await member.post(f"{page.path}/deadline", {"do": "clear", "deadline": in_hours(front, 40)})
    assert "No deadline." in cleared.text
    assert (await job_at(front, page.path)).deadline is None


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (2, "This deadline is too near for a member to set. Give more notice, or ask the staff."),
        (-2, "This deadline has passed."),
    ],
)
async def test_a_deadline_that_cannot_be_is_told_beside_its_field(
    front: Front, member: Visitor, hours: int, words: str
) -> None:
    page, given = await queued(member), in_hours(front, hours)

    seen = await member.post(f"{page.path}/deadline", {"deadline": given})

    assert seen.status == 422
    assert words in seen.text
    assert f'value="{given}"' in seen.html
    assert 'aria-describedby="deadline-wrong"' in seen.html
    assert (await job_at(front, page.path)).deadline is None


@pytest.mark.parametrize(
    "given", ["tomorrow", "0001-01-01T00:00", "9999-12-31T23:59:59.999999", "2026-03-29T02:30", "<b>"]
)
async def test_what_is_no_instant_is_refused_in_words(front: Front, member: Visitor, given: str) -> None:
    page = await queued(member)

    seen = await member.post(f"{page.path}/deadline", {"deadline": given})

    assert seen.status in {422, 200}
    assert "<b>" not in seen.html.split("<main")[1].split("</main>")[0].replace("<b>x", "")


async def test_a_deadline_that_has_passed_does_not_keep_the_staff_from_giving_another_urgency(
    front: Front, member: Visitor, technician: Visitor
) -> None:
    page = await queued(member)
    await technician.post(f"{page.path}/deadline", {"deadline": in_hours(front, 1)})
    await front.home.clock.advance(2 * 3600)

    seen = await technician.post(f"{page.path}/priority", {"priority": "urgent"})

    assert seen.status == 200
    job = await job_at(front, page.path)
    assert job.priority is Priority.URGENT
    assert job.deadline is not None
    assert "Asked for otherwise: urgency “Urgent”, needed by" in seen.text


async def test_a_member_gives_no_urgency_and_sees_no_points(front: Front, member: Visitor) -> None:
    page = await queued(member)

    assert "Its points in the queue" not in page.text
    assert 'name="priority"' not in page.html
    assert (await member.post(f"{page.path}/priority", {"priority": "urgent"})).status == 403
    assert (await member.post(f"{page.path}/approve")).status == 403
    assert (await job_at(front, page.path)).priority is Priority.STANDARD


async def test_another_members_deadline_is_nobody_elses_to_set(front: Front, member: Visitor) -> None:
    page = await queued(member)

    async with front.visitor() as other:
        await other.sign_in(await trained(front))
        seen = await other.post(f"{page.path}/deadline", {"deadline": in_hours(front, 30)})

    assert seen.status == 404


async def test_the_staff_agrees_to_the_job_of_a_supervised_member(front: Front, technician: Visitor) -> None:
    await front.home.machine("Ada")
    async with front.visitor() as novice:
        await novice.sign_in(await trained(front, Level.SUPERVISED))
        page = await queued(novice)
        assert "somebody of the staff must agree" in page.text
        assert "I agree to it" not in page.text
        assert "I agree to it" in (await technician.get(page.path)).text

        seen = await technician.post(f"{page.path}/approve")

        assert "The lab has agreed to it" in seen.text
        assert "I agree to it" not in seen.text
        assert (await job_at(front, page.path)).approved_by is not None


# --- the queue ----------------------------------------------------------------------------------------


async def test_the_queue_shows_points_term_by_term_and_where_the_weights_are_set(
    front: Front, member: Visitor, technician: Visitor
) -> None:
    await front.home.machine("Ada")
    first, second = await queued(member), await queued(member)
    await technician.post(f"{second.path}/priority", {"priority": "urgent"})

    seen = await technician.get("/queue")

    assert re.findall(r'href="(/jobs/[^"]+)"', seen.html)[:2] == [second.path, first.path]
    assert "Fair share 100% × 3,000 3,000" in seen.text
    assert "schedule_age_per_day" in seen.text
    assert (await member.get("/queue")).status == 403


# --- hours --------------------------------------------------------------------------------------------


def hours_form(**other: str) -> dict[str, str]:
    usual = {
        "rows": "1",
        "days": "1",
        "weekday-0": "2",
        "from-0": "09:30",
        "to-0": "00:00",
        "staffed-0": "yes",
        "public-0-student": "yes",
        "holiday-0": "2026-12-25",
        "zone": "Europe/Paris",
        "version": "0",
    }
    return usual | other


async def test_a_manager_sets_the_hours_and_everybody_reads_them(
    front: Front, manager: Visitor, member: Visitor
) -> None:
    site = front.home.lab.site
    assert "always open and somebody is always there" in (await member.get("/hours")).text

    seen = await manager.post(f"/hours/{site}", hours_form())

    assert seen.path == f"/hours?saved={site}"
    kept = await steer.hours(front.home.lab, site)
    (opening,) = kept.openings
    assert (opening.weekday, opening.from_minute, opening.to_minute) == (2, 570, 1440)
    assert opening.publics == {Public.STUDENT}
    assert (kept.unattended, [day.isoformat() for day in kept.holidays]) == (False, ["2026-12-25"])
    read = (await member.get("/hours")).text
    assert "09:30–24:00 Students" in read
    assert "25 December 2026" in read
    assert "Change…" not in read


async def test_rows_are_added_and_taken_away_without_a_script_and_nothing_is_kept(
    front: Front, manager: Visitor
) -> None:
    url = f"/hours/{front.home.lab.site}"

    more = await manager.post(url, hours_form(do="add"))
    none = await manager.post(url, hours_form(do="remove-0"))
    no_day = await manager.post(url, hours_form(do="forget-0"))

    assert (more.html.count('class="opening"'), none.html.count('class="opening"')) == (2, 0)
    assert 'name="weekday-1"' in more.html
    assert 'value="2026-12-25"' not in no_day.html
    assert (await steer.hours(front.home.lab, front.home.lab.site)).openings == ()


async def test_hours_that_cannot_be_stand_beside_their_rows_as_they_were_written(
    front: Front, manager: Visitor
) -> None:
    wrong = {"rows": "3", "weekday-1": "1", "from-1": "18:00", "to-1": "09:00", "weekday-2": "9"}
    wrong |= {"from-2": "25:99", "to-2": "<b>", "holiday-0": "soon", "zone": "Mars/Olympus"}

    seen = await manager.post(f"/hours/{front.home.lab.site}", hours_form(**wrong))

    assert seen.status == 422
    for words in (
        "The end must come after the beginning, on the same day.",
        "This is no time of a day: 25:99–<b>.",
        "This is no day: soon.",
        "There is no such time zone: Mars/Olympus.",
    ):
        assert words in seen.text
    assert 'value="18:00"' in seen.html
    assert (await steer.hours(front.home.lab, front.home.lab.site)).version == 0


async def test_two_managers_at_once_do_not_overwrite_each_other(front: Front, manager: Visitor) -> None:
    url = f"/hours/{front.home.lab.site}"
    await manager.post(url, hours_form())

    seen = await manager.post(url, hours_form(**{"to-0": "12:00"}))

    assert seen.status == 409
    assert "It has changed meanwhile." in seen.text


async def test_only_the_manager_changes_hours_and_only_of_a_site_there_is(
    front: Front, manager: Visitor, technician: Visitor
) -> None:
    url = f"/hours/{front.home.lab.site}"

    assert (await technician.get(url)).status == 403
    assert (await technician.post(url, hours_form())).status == 403
    assert (await manager.post("/hours/nowhere", hours_form())).status == 404
    assert (await manager.post(url, hours_form(csrf="0" * 64))).status == 403


# --- reservations ----------------------------------------------------------------------------------------


def window_form(front: Front, machine: Machine, **other: str) -> dict[str, str]:
    usual = {
        "key": "k1",
        "of": f"machine:{machine.id}",
        "purpose": "maintenance",
        "from": in_hours(front, 2),
        "to": in_hours(front, 4),
        "note": "<b>nozzle</b>",
    }
    return usual | other


async def test_the_staff_keeps_a_machine_free_and_gives_it_back(front: Front, technician: Visitor) -> None:
    machine, store = await front.home.machine("Ada"), front.home.store
    now = front.home.clock.now()

    seen = await technician.post("/reservations", window_form(front, machine))
    again = await technician.post("/reservations", window_form(front, machine))

    assert (seen.status, again.status) == (200, 200)
    (window,) = await store.read(lambda unit: unit.reservations(now, now + timedelta(days=1)))
    assert (window.purpose, window.machine_id, window.system) == (Purpose.MAINTENANCE, machine.id, "etabli")
    assert "&lt;b&gt;nozzle&lt;/b&gt;" in seen.html
    await technician.post(seen.link("/reservations/[^/]+/cancel"), {"day": "2026-03-02"})
    assert await store.read(lambda unit: unit.reservations(now, now + timedelta(days=1))) == []


async def test_a_window_that_another_holds_is_told_with_the_form_as_it_was(
    front: Front, technician: Visitor
) -> None:
    machine = await front.home.machine("Ada")
    await technician.post("/reservations", window_form(front, machine))

    seen = await technician.post("/reservations", window_form(front, machine, key="k2"))

    assert seen.status == 409
    assert "Another reservation holds it then." in seen.text
    assert f'value="{in_hours(front, 2)}"' in seen.html


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": ""},
        {"from": "0001-01-01T00:00"},
        {"of": "moon:1"},
        {"of": "machine:x"},
        {"of": "site:nowhere"},
        {"purpose": "party"},
        {"to": "2026-01-01T00:00"},
    ],
)
async def test_a_window_that_cannot_be_is_refused(
    front: Front, technician: Visitor, wrong: dict[str, str]
) -> None:
    machine, now = await front.home.machine("Ada"), front.home.clock.now()

    seen = await technician.post("/reservations", window_form(front, machine, **wrong))

    assert seen.status in {404, 422}
    far = now + timedelta(days=900)
    assert await front.home.store.read(lambda unit: unit.reservations(now - timedelta(days=900), far)) == []


async def test_what_a_booking_system_made_is_not_cancelled_here(front: Front, technician: Visitor) -> None:
    machine, now = await front.home.machine("Ada"), front.home.clock.now()
    system = await front.person(role=Role.BOOKING)
    wanted = Wanted(
        machine_id=machine.id, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2)
    )
    made, _ = await booking.book(front.home.lab, system, "fabman", "7", wanted)

    page = await technician.get("/reservations")
    seen = await technician.post(f"/reservations/{made.id}/cancel")

    assert "made by fabman" in page.text
    assert seen.status == 409
    assert "The booking system made it" in seen.text


@pytest.mark.parametrize("query", ["", "?span=week", "?day=2026-03-29", "?day=x&span=y", "?day=9999-12-31"])
async def test_the_plan_is_drawn_for_any_day_to_the_staff_alone(
    front: Front, technician: Visitor, member: Visitor, query: str
) -> None:
    await front.home.machine("Ada")

    assert "Ada" in (await technician.get(f"/reservations{query}")).text
    assert (await member.get(f"/reservations{query}")).status == 403


async def test_jobs_that_wait_stand_in_the_plan_where_they_are_expected(
    front: Front, technician: Visitor, member: Visitor
) -> None:
    machine = await front.home.machine("Ada")
    seen_online = replace(machine, link=Link.ONLINE, activity=Activity.IDLE)
    await front.home.store.write(lambda unit: unit.change_machine(machine, seen_online, an_event()))
    page = await queued(member)

    plan = await technician.get("/reservations")

    words = re.sub(r"\s+", " ", plan.html)
    assert re.search(rf'expected: 1\d:\d\d – 1\d:\d\d · <a href="{page.path}">', words)
    told = await member.get(page.path)
    assert re.search(
        r"Starts any moment now .*Part ready at about 1\d:\d\d .*Where Ada next there", told.text
    )


# --- keys --------------------------------------------------------------------------------------------------


def key_form(**other: str) -> dict[str, str]:
    usual = {"name": "<b>till</b>", "scope-jobs:read": "yes", "days": "30", "password": PASSWORD}
    return usual | other


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(front: Front, member: Visitor) -> None:
    made = await member.post("/tokens", key_form())

    assert made.status == 201
    key = re.findall(r'value="(etb_[0-9a-f]+_[\w-]+)"', made.html)[0]
    assert "&lt;b&gt;till&lt;/b&gt;" in made.html
    assert made.headers["Cache-Control"] == "no-store"
    listed = await member.get("/tokens")
    assert key not in listed.html
    async with front.visitor() as program:
        bearer = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        assert (await program.get("/api/v1/jobs", **bearer)).status == 200
        assert (await program.post("/api/v1/quotes", None, **bearer)).status == 403
        revoke = listed.link("/tokens/[^/]+/revoke")
        assert (await member.post(revoke, {"password": "no"})).status == 401
        assert (await program.get("/api/v1/jobs", **bearer)).status == 200
        assert "There is no key." in (await member.post(revoke, {"password": PASSWORD})).text
        assert (await program.get("/api/v1/jobs", **bearer)).status == 401


@pytest.mark.parametrize(
    ("wrong", "status", "words"),
    [
        ({"password": "no"}, 401, "This is not your password."),
        ({"password": ""}, 422, "No key was made"),
        ({"name": " "}, 422, "Say what it is for, in a few words."),
        ({"scope-jobs:read": ""}, 422, "Choose what it may do."),
        ({"scope-admin": "yes"}, 422, "Choose what it may do."),
    ],
)
async def test_a_key_that_cannot_be_is_refused_with_the_form_as_it_was(
    front: Front, member: Visitor, wrong: dict[str, str], status: int, words: str
) -> None:
    seen = await member.post("/tokens", key_form(**wrong))

    assert seen.status == status
    assert words in seen.text
    assert "etb_" not in seen.html
    assert await front.home.store.read(lambda unit: unit.api_tokens()) == []


async def test_a_manager_makes_the_booking_systems_keys_and_nobody_elses(
    front: Front, manager: Visitor, member: Visitor
) -> None:
    system = await front.person(role=Role.BOOKING, name="Fabman")
    other = await front.person()
    form = {"member_id": str(system.id), "scope-jobs:read": "", "scope-bookings:write": "yes"}

    seen = await manager.post("/tokens", key_form(**form))

    assert seen.status == 201
    (token,) = await front.home.store.read(lambda unit: unit.api_tokens(system.id))
    assert token.scopes == {Permission.BOOK}
    assert (await manager.post("/tokens", key_form(member_id=str(other.id)))).status == 404
    assert (await member.post("/tokens", key_form(**form))).status == 404
    assert (await member.post(f"/tokens/{token.id}/revoke", {"password": PASSWORD})).status == 404


async def test_there_is_an_end_to_the_keys_of_one_member(front: Front) -> None:
    person, now = await front.person(), front.home.clock.now()

    async def work(unit: Unit) -> None:
        for number in range(LIVE_MAX):
            await unit.add_api_token(make_token(person, f"k{number}", {Permission.READ}, now)[0])

    await front.home.store.write(work)
    async with front.visitor() as visitor:
        await visitor.sign_in(person)
        seen = await visitor.post("/tokens", key_form())

    assert seen.status == 409
    assert "There are keys enough already" in seen.text


# --- colours ------------------------------------------------------------------------------------------------


async def test_a_colour_that_is_loaded_may_be_chosen_and_costs_nothing(
    front: Front, member: Visitor, technician: Visitor
) -> None:
    machine = await front.home.machine("Ada")
    form = {"material": "pla", "colour": "red", "grams": "640", "nozzle": "0.6"}
    loaded = await technician.post(f"/machines/{machine.id}/material", form)
    assert "PLA, red, 640 g left" in loaded.text

    plain = await member.upload(PART, b"solid")
    file_id = plain.html.split('name="file_id" value="')[1][:36]
    red = await member.post("/quotes", {"file_id": file_id, "colour": "red"})

    assert '<option value="red">red</option>' in plain.html
    assert '<option value="red" selected>red</option>' in red.html
    assert re.findall(r"Total €[\d.]+", red.text) == re.findall(r"Total €[\d.]+", plain.text) != []
    page = await member.post(red.link("/quotes/[^/]+/accept"))
    assert "PLA, red · Normal" in page.text
    making = (await job_at(front, page.path)).process
    assert isinstance(making, Process)
    assert making.colour is Colour.RED


@pytest.mark.parametrize(
    "wrong", [{"colour": "mauve"}, {"grams": "-1"}, {"grams": "nan"}, {"nozzle": "inf"}, {"nozzle": "9"}]
)
async def test_what_no_spool_or_nozzle_is_changes_nothing(
    front: Front, technician: Visitor, wrong: dict[str, str]
) -> None:
    machine = await front.home.machine("Ada")

    seen = await technician.post(f"/machines/{machine.id}/material", {"material": "petg"} | wrong)

    assert seen.status == 422
    after = await front.home.store.read(lambda unit: unit.machine(machine.id))
    assert after is not None
    assert after.material is Material.PLA


# --- where people find them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "found"),
    [
        (Role.MEMBER, []),
        (Role.TECH, ["/queue", "/reservations"]),
        (Role.MANAGER, ["/queue", "/reservations", "/hours"]),
    ],
)
async def test_everybody_has_in_their_menu_what_they_work_with(
    front: Front, role: Role, found: list[str]
) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=role))
        seen = await visitor.get("/account")

    menu = seen.html.split("<nav")[1].split("</nav>")[0]
    assert [path for path in ("/queue", "/reservations", "/hours") if f'href="{path}"' in menu] == found
    assert 'href="/tokens"' in seen.html
