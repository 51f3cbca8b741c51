"""Which machine may take which job: every refusal is a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.machine import Abilities, Activity, Bed, Kind, Link
from orchestrator.domain.matching import (
    BARS,
    JOB_FITS,
    MACHINE_FITS,
    PERSON_FITS,
    TIME_FITS,
    Candidate,
    Fit,
    Moment,
    Refusal,
    Station,
    Until,
    could_ever,
    fit,
    refusals,
    suits,
)
from orchestrator.domain.member import Entitlement, Level, Public
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import Colour, Material, Process
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation
from tests.builders import NOON, a_job, a_machine, a_member, an_artifact

NOW = Moment(now=NOON)  # Monday, 13:00 in Paris
MEMBER = a_member()
TRAINED = Entitlement(member_id=MEMBER.id, machine_class="fdm")
MORNING = SiteCalendar(
    site="lab", openings=(Opening(weekday=0, from_minute=540, to_minute=720),), unattended=False
)
UNTIL_TWO = SiteCalendar(site="lab", openings=(Opening(weekday=0, from_minute=540, to_minute=840),))
HOLIDAY = replace(UNTIL_TWO, holidays=(NOON.date(),), unattended=False)
NOT_FOR_IT = replace(
    UNTIL_TWO,
    openings=(replace(UNTIL_TWO.openings[0], to_minute=1200, publics=frozenset({Public.PROFESSIONAL})),),
)
ATTENDED: dict[str, Any] = {
    "kind": Kind.PRINTER,
    "abilities": Abilities(size_mm=(250, 210, 210), profile="mk3s", release=ReleasePolicy.KIOSK_START),
}


def a_window(purpose: Purpose = Purpose.BOOKING, in_minutes: int = 30, **other: Any) -> Reservation:
    starts_at = NOON + timedelta(minutes=in_minutes)
    values: dict[str, Any] = {"machine_id": None, "machine_class": None, "member_id": uuid4()}
    return Reservation(
        id=uuid4(),
        system="test",
        external_id="1",
        site="lab",
        purpose=purpose,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1),
        created_at=NOON,
        changed_at=NOON,
        **(values | other),
    )


def a_candidate(
    member: Any = MEMBER, entitlements: tuple[Entitlement, ...] = (TRAINED,), **job: Any
) -> Candidate:
    return Candidate(
        job=a_job(member_id=member.id, **job),
        member=member,
        entitlements=entitlements,
        takes=Spread(p50=3000, p90=3600),
    )


def a_station(
    *windows: Reservation, calendar: SiteCalendar | None = None, run_id: Any = None, **machine: Any
) -> Station:
    values: dict[str, Any] = {"activity": Activity.IDLE}
    return Station(machine=a_machine(**(values | machine)), windows=windows, calendar=calendar, run_id=run_id)


REFUSED = [
    ("class", Until.NEVER, a_candidate(machine_class="resin"), a_station()),
    ("profile", Until.NEVER, a_candidate(artifact=an_artifact(profile="mini")), a_station()),
    ("profile", Until.NEVER, a_candidate(artifact=None), a_station()),
    ("size", Until.NEVER, a_candidate(artifact=an_artifact(size_mm=(251, 20, 20))), a_station()),
    (
        "material",
        Until.PERSON,
        a_candidate(),
        a_station(
            material=Material.PETG,
            abilities=Abilities(
                size_mm=(250, 210, 210), profile="mk3s", materials=(Material.PLA, Material.PETG)
            ),
        ),
    ),
    ("material", Until.NEVER, a_candidate(process=Process(material=Material.PETG)), a_station()),
    ("material", Until.PERSON, a_candidate(), a_station(material=None)),
    ("colour", Until.PERSON, a_candidate(process=Process(colour=Colour.RED)), a_station()),
    ("colour", Until.PERSON, a_candidate(process=Process(colour=Colour.RED)), a_station(colour=Colour.BLUE)),
    ("nozzle", Until.PERSON, a_candidate(), a_station(nozzle_micrometres=600)),
    ("member_inactive", Until.PERSON, a_candidate(replace(MEMBER, active=False)), a_station()),
    ("member_inactive", Until.PERSON, a_candidate(replace(MEMBER, active_until=NOON)), a_station()),
    ("no_training", Until.PERSON, a_candidate(entitlements=()), a_station()),
    ("no_training", Until.PERSON, a_candidate(), a_station(machine_class="resin")),
    (
        "training_expired",
        Until.PERSON,
        a_candidate(entitlements=(replace(TRAINED, until=NOON),)),
        a_station(),
    ),
    (
        "supervised",
        Until.PERSON,
        a_candidate(entitlements=(replace(TRAINED, level=Level.SUPERVISED),)),
        a_station(),
    ),
    ("material_unavailable", Until.PERSON, a_candidate(), a_station(stock_milligrams=19_999)),
    ("outside_calendar", Until.TIME, a_candidate(), a_station(calendar=MORNING)),
    ("outside_calendar", Until.TIME, a_candidate(), a_station(calendar=UNTIL_TWO, **ATTENDED)),
    ("outside_calendar", Until.PERSON, a_candidate(), a_station(calendar=NOT_FOR_IT, **ATTENDED)),
    ("holiday", Until.TIME, a_candidate(), a_station(calendar=HOLIDAY)),
    ("booked_by_other", Until.TIME, a_candidate(), a_station(a_window())),
    ("booked_by_other", Until.TIME, a_candidate(), a_station(a_window(in_minutes=-5))),
    ("booked_by_other", Until.TIME, a_candidate(), a_station(a_window(Purpose.EVENT))),
    (
        "maintenance_planned",
        Until.TIME,
        a_candidate(),
        a_station(a_window(Purpose.MAINTENANCE, member_id=None)),
    ),
    ("closed", Until.TIME, a_candidate(), a_station(a_window(Purpose.CLOSURE, member_id=None))),
    ("attended", Until.PERSON, a_candidate(), a_station(kind=Kind.LASER)),
    ("maintenance", Until.PERSON, a_candidate(), a_station(maintenance=True)),
    ("held", Until.PERSON, a_candidate(), a_station(held="smells")),
    ("link", Until.MACHINE, a_candidate(), a_station(link=Link.OFFLINE)),
    ("busy", Until.MACHINE, a_candidate(), a_station(run_id=uuid4())),
    ("foreign", Until.MACHINE, a_candidate(), a_station(activity=Activity.PRINTING)),
    ("activity", Until.MACHINE, a_candidate(), a_station(activity=Activity.BUSY)),
    ("activity", Until.PERSON, a_candidate(), a_station(activity=Activity.FAULT)),
    ("bed", Until.PERSON, a_candidate(), a_station(bed=Bed.OCCUPIED)),
    ("bed", Until.PERSON, a_candidate(), a_station(bed=Bed.UNKNOWN)),
]


@pytest.mark.parametrize(("rule", "until", "candidate", "station"), REFUSED)
def test_it_is_refused(rule: str, until: Until, candidate: Candidate, station: Station) -> None:
    found = refusals(candidate, station, NOW)

    assert [(no.rule, no.until) for no in found] == [(rule, until)]
    assert found[0].reason.endswith((".", "smells"))
    assert fit(candidate, station, NOW) == found[0]


def test_every_rule_has_a_row() -> None:
    """Each row meets one rule alone; a rule that no row meets would be one too many."""
    rules = {*PERSON_FITS, *TIME_FITS, *BARS}
    seen = {rule for _, _, c, s in REFUSED for rule in rules if rule(c, s, NOW)}
    seen_of_jobs = {rule for _, _, c, s in REFUSED for rule in JOB_FITS if rule(c.needs, s.machine)}
    seen_of_machines = {rule for _, _, _, s in REFUSED for rule in MACHINE_FITS if rule(s)}

    assert (seen, seen_of_jobs, seen_of_machines) == (rules, set(JOB_FITS), set(MACHINE_FITS))


@pytest.mark.parametrize(
    ("candidate", "station"),
    [
        pytest.param(a_candidate(), a_station(), id="a job like any other"),
        pytest.param(a_candidate(), a_station(activity=Activity.DONE), id="the last one is off the bed"),
        pytest.param(
            a_candidate(artifact=an_artifact(size_mm=(205, 245, 20))), a_station(), id="turned about z"
        ),
        pytest.param(a_candidate(), a_station(stock_milligrams=20_000), id="just enough on the spool"),
        pytest.param(
            a_candidate(entitlements=(replace(TRAINED, level=Level.SUPERVISED),), approved_by=uuid4()),
            a_station(),
            id="the staff agreed",
        ),
        pytest.param(
            a_candidate(), a_station(calendar=replace(MORNING, unattended=True)), id="a printer alone"
        ),
        pytest.param(a_candidate(), a_station(a_window(member_id=MEMBER.id)), id="their own booking"),
        pytest.param(a_candidate(), a_station(a_window(in_minutes=65)), id="done just before the booking"),
        pytest.param(a_candidate(), a_station(a_window(in_minutes=-60)), id="the booking has just ended"),
    ],
)
def test_it_is_taken(candidate: Candidate, station: Station) -> None:
    assert fit(candidate, station, NOW) == Fit()


def test_all_that_stands_in_the_way_is_told_not_only_the_first() -> None:
    found = refusals(a_candidate(entitlements=()), a_station(bed=Bed.OCCUPIED, link=Link.OFFLINE), NOW)

    assert {no.rule for no in found} == {"no_training", "link", "bed"}


def test_a_refusal_by_a_window_says_until_when() -> None:
    window = a_window()

    found = fit(a_candidate(), a_station(window), NOW)

    assert isinstance(found, Refusal)
    assert found.at == window.ends_at


def test_a_refusal_by_the_hours_says_when_they_suit() -> None:
    found = fit(a_candidate(), a_station(calendar=MORNING), NOW)

    assert isinstance(found, Refusal)
    assert found.at == datetime(2026, 3, 9, 8, 0, tzinfo=UTC)


def test_what_somebody_could_mount_does_not_suit_but_could() -> None:
    station, needs = a_station(nozzle_micrometres=600), a_candidate().needs

    assert not suits(needs, station.machine)
    assert could_ever(needs, station.machine)
