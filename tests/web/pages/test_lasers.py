"""The pages of laser work before the real flow: what their forms ask for, and what is said of a run at a laser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.domain.job import JobState
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.member import Member, Role
from orchestrator.domain.presence import CHECKLIST, Kiosk, ReleasePolicy
from orchestrator.domain.process import VINYL, CutKind, CutProcess
from orchestrator.domain.run import RunState
from orchestrator.domain.tariff import price, tariff_a
from orchestrator.domain.usage import Usage
from orchestrator.flow import act, release
from tests.builders import NOON, a_run
from tests.web.pages.cutviews import (
    LETTERS,
    PHOTO,
    RED,
    USED,
    a_beside,
    a_cut_quote,
    a_drawn_analysis,
    a_group,
    a_laser,
    cut_job_values,
)
from tests.web.pages.front import Front, Seen, Visitor, a_front
from tests.web.pages.test_words import EN, FR, plain
from tests.web.pages.views import a_machine_view, an_event
from web.pages import board, cuts, labels, reasons, story
from web.pages.i18n import load

SAY = {locale: texts.gettext for locale, texts in load().items()}

# --- what a form asks for -------------------------------------------------------------------------


def test_a_form_without_a_choice_asks_for_what_the_lab_usually_does() -> None:
    asked = cuts.process(
        {"making": "cut", "remove_duplicates": "yes", "kerf": "yes", "x_mm": "", "sheet_width": ""}
    )

    assert asked == CutProcess()


def test_a_form_says_where_how_large_and_in_what() -> None:
    asked = cuts.process(
        {
            "material": "mdf-3",
            "x_mm": "12.5",
            "y_mm": "0",
            "sheet_width": "300",
            "sheet_depth": "200",
            "rotation_degrees": "90",
            "tabs": "3",
            "own_sheet": "yes",
            "unit": "mm",
        }
    )

    assert asked == CutProcess(
        material="mdf-3",
        remove_duplicates=False,
        kerf=False,
        x_mm=12.5,
        y_mm=0.0,
        sheet_mm=(300, 200),
        rotation_degrees=90,
        tabs=3,
        own_sheet=True,
        unit="mm",
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({f"op:{RED}": "cut", f"rule:{RED}": "cut"}, ()),  # as the rule says: the rule may change its mind
        ({f"op:{RED}": "score", f"rule:{RED}": "cut"}, ((RED, CutKind.SCORE),)),
        ({f"op:{RED}": "cut"}, ((RED, CutKind.CUT),)),  # chosen before, and still
        ({f"op:{RED}": ""}, ()),  # back to the rule
    ],
)
def test_only_what_a_member_chose_overrules_the_rule(
    form: dict[str, str], expected: tuple[tuple[str, CutKind], ...]
) -> None:
    assert cuts.process(form).operations == expected


@pytest.mark.parametrize("form", [{"x_mm": "nan"}, {"x_mm": "-3"}, {"tabs": "99"}, {f"op:{RED}": "melt"}])
def test_what_no_form_of_ours_offers_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        cuts.process(form)


def test_rows_come_in_the_order_of_work_with_what_each_takes() -> None:
    rows = cuts.rows(a_drawn_analysis(), CutProcess(operations=((LETTERS, CutKind.CUT),)), a_cut_quote())

    assert [(row.group.key, row.kind, row.overruled) for row in rows] == [
        (PHOTO, CutKind.ENGRAVE, False),
        (RED, CutKind.CUT, False),
        (LETTERS, CutKind.CUT, True),
    ]
    assert rows[1].done is not None
    assert rows[2].done is None  # it was priced as something else


@pytest.mark.parametrize(
    ("key", "knife", "expected"),
    [
        (RED, False, set(CutKind)),
        (PHOTO, False, {CutKind.ENGRAVE, CutKind.IGNORE}),
        (RED, True, {CutKind.CUT, CutKind.IGNORE}),
        (PHOTO, True, {CutKind.IGNORE}),
    ],
)
def test_a_group_offers_what_its_paint_and_the_machine_can(
    key: str, knife: bool, expected: set[CutKind]
) -> None:
    assert set(cuts.kinds_for(a_group(key), knife=knife)) == expected


def test_the_work_is_drawn_where_it_lies_with_the_beds_back_on_top() -> None:
    stage = cuts.stage((600.0, 400.0), CutProcess(sheet_mm=(1000, 200)), a_cut_quote())

    assert [stage.x, stage.y, stage.width, stage.height] == [5.0, 330.0, 80.0, 60.0]
    assert list(stage.sheet_mm) == [600.0, 200.0]
    assert stage.grid.startswith("M100 0V400")


def test_a_knife_is_drawn_on_its_own_bed() -> None:
    laser = a_laser()
    machines = [
        laser,
        replace(laser, kind=laser.kind.VINYL, abilities=replace(laser.abilities, size_mm=(300, 900, 0))),
    ]

    assert cuts.bed_of(machines, "", CutProcess(material=VINYL)) == (300.0, 900.0)
    assert cuts.bed_of([], "", CutProcess()) == cuts.USUAL_BED_MM


# --- figures and words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (EN.length(314.4), "314 mm"),
        (EN.length(10_739), "10.74 m"),
        (FR.length(10_739), "10,74 m"),
        (EN.square_centimetres(9_700), "97 cm²"),
        (FR.square_centimetres(120_000), "1 200 cm²"),
    ],
)
def test_lengths_and_areas_read_as_people_write_them(shown: str, expected: str) -> None:
    assert plain(shown).replace("1200", "1 200") == expected


def test_a_bill_names_the_beam_and_the_sheet() -> None:
    named = [labels.line_text(line) for line in price(USED_OF_THE_LAB, tariff_a())]

    assert named == ["Set-up", "Laser on", "Sheet"]


USED_OF_THE_LAB: Usage = replace(
    USED, beam_seconds=900, sheet_material=tariff_a().sheets[0][0], sheet_mm2=100_000
)


@pytest.mark.parametrize(
    ("state", "mine", "expected"),
    [
        (RunState.STAGED, True, "Waiting for you at the machine"),
        (RunState.STAGED, False, "Waits for its release"),
        (RunState.RUNNING, True, "Cutting"),
        (RunState.PAUSED, False, "Held"),
        (RunState.FINISHED, True, "Finished"),
    ],
)
def test_a_run_at_a_laser_reads_otherwise_than_a_print(state: RunState, mine: bool, expected: str) -> None:
    assert labels.run_label(a_run(state=state), a_laser(), mine=mine).text == expected


def test_a_job_that_waits_for_its_member_says_so_instead_of_being_on_a_machine() -> None:
    view = cut_job_values(JobState.ACTIVE, a_run(state=RunState.STAGED))["view"]
    owner = replace(view.member, id=view.job.member_id)

    assert labels.shown_label(view, owner).text == "Waiting for you at the machine"
    assert labels.shown_label(view, None).text == "Waits for its release"
    assert labels.shown_label(replace(view, machines={}), owner).text == "On a machine"


def test_a_laser_that_holds_has_no_button_to_go_on_from_afar() -> None:
    view = cut_job_values(JobState.ACTIVE, a_run(state=RunState.PAUSED))["view"]

    assert not story.buttons(view, operates=True).resume


def test_an_interlock_speaks_both_languages_and_names_the_sensor() -> None:
    refusal = Refusal(rule="condition", reason="“lid” …", until=Until.PERSON, needed="lid")

    assert reasons.interlock_text(refusal, SAY["en"]) == "Not as it must be, or not known: the lid."
    assert plain(reasons.interlock_text(refusal, SAY["fr"])) == "Pas comme il faut, ou inconnu : le capot."


def test_the_story_of_a_cut_tells_who_may_start_it_why_it_held_and_what_was_measured() -> None:
    run = a_run(state=RunState.FINISHED)
    view = cut_job_values(JobState.DONE, run)["view"]
    named: dict[str, Any] = {"machine_id": run.machine_id, "run_id": run.id}
    events = [
        replace(an_event("run.staged"), **named),
        replace(an_event("run.held_back", rules=["presence"], words="…"), **named),
        replace(an_event("run.held_back", rules=["condition"], needed=["lid"], words="…"), **named),
        replace(an_event("run.start_refused", rules=["condition"], words="“lid” is open."), **named),
        replace(an_event("run.judged", verdict="burnt"), **named),
        replace(an_event("usage.recorded", beam_seconds=91, machine_seconds=130, sheet_mm2=9700), **named),
        replace(an_event("usage.recorded", beam_seconds=None, machine_seconds=130, sheet_mm2=9700), **named),
    ]

    told = [plain(chapter.text) for chapter in story.chapters(events, view, EN, SAY["en"])]

    name = view.machines[run.machine_id].name
    assert told == [
        f"{name} has the file and waits for you to release it there",
        f"{name} was told to hold. The person at the machine was not heard of any more.",
        f"{name} was told to hold. Not as it must be, or not known: the lid.",
        f"Released, but {name} was not started. “lid” is open.",
        "How it came out: Burnt",
        "Measured: laser on for 1m 31s, 2m 10s of machine time, 97 cm² of sheet",
        "Measured: 2m 10s of machine time, 97 cm² of sheet",
    ]


def test_an_ended_cut_is_asked_about_once() -> None:
    run = a_run(state=RunState.FINISHED, started_at=NOON, ended_at=NOON + timedelta(minutes=2))
    view = cut_job_values(JobState.DONE, run)["view"]

    assert story.may_judge([], view) == run
    assert story.may_judge([replace(an_event("run.judged", verdict="good"), run_id=run.id)], view) is None


def test_the_board_says_first_that_nobody_released_what_runs() -> None:
    machine = a_laser()
    view = a_machine_view(machine=machine, run=a_run(state=RunState.RUNNING))

    assert board.card(view, a_beside(machine)).headline.text == "Cutting"
    assert board.card(view, a_beside(machine, trouble="run_without_presence")).needs_person


# --- over HTTP ------------------------------------------------------------------------------------

DRAWING = "box-600s-.svg"


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def visitor(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        yield made


@pytest_asyncio.fixture
async def laser(front: Front) -> Machine:
    return await front.home.laser()


async def quoted(front: Front, visitor: Visitor) -> tuple[Member, Seen]:
    member = await front.person()
    await front.home.train(member)
    await visitor.sign_in(member)
    return member, await visitor.upload(DRAWING, b"<svg/>")


async def test_a_drawing_leads_to_its_own_page_with_minutes_of_beam_and_what_must_never_be_cut(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    _member, seen = await quoted(front, visitor)

    assert seen.status == 200
    assert seen.path.startswith("/quotes/")
    assert "Laser on" in seen.text
    assert "about 5m" in seen.text
    assert 'name="op:stroke:#ff0000"' in seen.html
    assert "Chlorine." in seen.text
    assert "<option disabled>PVC</option>" in seen.html
    assert "triangle" not in seen.text


async def test_another_choice_is_another_price_of_the_drawing(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    _member, first = await quoted(front, visitor)
    form = {
        "making": "cut",
        "file_id": first.html.split('name="file_id" value="')[1][:36],
        "op:stroke:#ff0000": "score",
        "rule:stroke:#ff0000": "cut",
        "x_mm": "40",
        "own_sheet": "yes",
    }

    seen = await visitor.post("/quotes", form)

    assert seen.path != first.path
    assert 'name="x_mm" value="40"' in seen.html
    assert "your own: not billed" in seen.text
    assert "As the lab usually does" in seen.text


async def test_a_drawing_without_a_machine_for_it_keeps_its_choices_beside_the_reason(
    front: Front, visitor: Visitor
) -> None:
    _member, seen = await quoted(front, visitor)

    assert seen.path.startswith("/files/")
    assert "The lab has no such machine: laser cutters." in seen.text
    assert "No price yet" in seen.text


async def staged(front: Front, visitor: Visitor) -> tuple[Member, Seen]:
    member, priced = await quoted(front, visitor)
    job = await visitor.post(priced.link("/quotes/[^/]+/accept"))
    await front.home.open()
    await front.home.clock.advance(5)
    return member, await visitor.get(job.path)


async def test_a_job_whose_turn_it_is_says_where_to_go_and_until_when(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    _member, seen = await staged(front, visitor)

    assert "Waiting for you at the machine" in seen.text
    assert "Go to Foucault and release it there, until " in seen.text
    assert "/resume" not in seen.html


async def test_the_board_says_whose_run_waits_and_that_no_tablet_stands_there(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    await staged(front, visitor)
    async with front.visitor() as technician:
        await technician.sign_in(await front.person(role=Role.TECH))
        seen = await technician.get("/machines")

    assert "Waits for its release" in seen.text
    assert "For Camille" in seen.text
    assert "No tablet stands here yet" in seen.text


async def test_two_people_do_without_a_sensor_and_one_cannot(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    url, form = f"/machines/{laser.id}/override", {"condition": "lid", "reason": "its switch is broken"}
    await visitor.sign_in(await front.person(role=Role.TECH, name="Alex"))
    silent = await visitor.post(url, form | {"reason": " "})
    asked = await visitor.post(url, form)
    again = await visitor.post(url, form)

    assert silent.status == 422
    assert "Say why the sensor is done without." in silent.text
    assert "Alex asks to do without “The lid is closed”: its switch is broken" in asked.text
    assert again.status == 409
    assert "one is not two" in again.text
    async with front.visitor() as other:
        await other.sign_in(await front.person(role=Role.TECH))
        confirmed = await other.post(url, {"condition": "lid"})
    assert "done without, until" in confirmed.text


async def test_a_technician_revokes_a_tablet(front: Front, visitor: Visitor, laser: Machine) -> None:
    kiosk = await release.enrol(front.home.lab, front.home.tech, laser.id, "Door tablet", "key")
    await visitor.sign_in(await front.person(role=Role.TECH))
    assert "Door tablet" in (await visitor.get("/machines")).text

    seen = await visitor.post(f"/kiosks/{kiosk.id}/revoke")

    assert "Door tablet" not in seen.text


async def finished(front: Front, visitor: Visitor, laser: Machine) -> Seen:
    member, job = await staged(front, visitor)
    home = front.home
    if (await _machine(front, laser)).bed is not Bed.CLEAR:
        await act.clear_bed(home.lab, home.tech, laser.id)
    kiosk: Kiosk = await release.enrol(home.lab, home.tech, laser.id, "Tablet", "key")
    run = await home.store.read(lambda unit: unit.active_run_at(laser.id))
    assert run is not None
    presence = await release.release(home.lab, kiosk, member, run.id, CHECKLIST)
    for _ in range(1400):
        await release.heartbeat(home.lab, kiosk, presence.id, run.id)
        await home.clock.advance(0.5)
        now = await home.store.read(lambda unit: unit.run(run.id))
        if now is not None and now.ended_at is not None:
            break
    return await visitor.get(job.path)


async def test_a_finished_cut_has_a_receipt_in_minutes_of_beam_and_takes_a_verdict(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    seen = await finished(front, visitor, laser)
    assert "Measured at the machine" in seen.text
    assert "counted by the machine" in seen.text
    run_path = seen.link("/runs/[^/]+/judge")
    job_id = seen.path.rpartition("/")[2]

    told = await visitor.post(run_path, {"job_id": job_id, "verdict": "burnt"})

    assert "How it came out: Burnt" in told.text
    assert "/judge" not in told.html
    assert (await visitor.post(run_path, {"job_id": job_id, "verdict": "melted"})).status == 422


async def _machine(front: Front, machine: Machine) -> Machine:
    found = await front.home.store.read(lambda unit: unit.machine(machine.id))
    assert found is not None
    return found


# --- the tablet's page ----------------------------------------------------------------------------


async def test_anybody_sees_the_page_of_the_tablet_and_only_staff_is_offered_to_enrol_it(
    front: Front, visitor: Visitor, laser: Machine
) -> None:
    stranger = await visitor.get("/kiosk")
    await visitor.sign_in(await front.person())
    member = await visitor.get("/kiosk")
    await visitor.post("/sign-out")
    await visitor.sign_in(await front.person(role=Role.TECH))
    staff = await visitor.get("/kiosk")

    assert stranger.status == 200
    assert 'href="/sign-in?next=/kiosk"' in stranger.html
    assert "Only the staff enrols a device." in member.text
    assert 'data-form="enrol"' not in member.html
    assert f'<option value="{laser.id}">Foucault</option>' in staff.html


async def test_every_policy_has_its_words_on_the_tablet(visitor: Visitor, laser: Machine) -> None:
    html = (await visitor.get("/kiosk")).html

    for policy in set(ReleasePolicy) - {ReleasePolicy.NONE}:
        assert f'data-policy="{policy.value}"' in html
