"""The lab of the simulated weeks: its hours, its machines and its people. All of it is ours, a mid-sized French fab
lab, but for what is named: professionals in working hours, individuals in the evening and on Saturday (booking-api.md,
R10); printers may print on while the lab is closed, lasers never do (booking-api.md, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.machine import Abilities, Activity, Bed, Kind, Link, Machine
from orchestrator.domain.member import Entitlement, Member, Organisation, Public, Role
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import Material

SITE = "lab"
WORKING = frozenset({Public.PROFESSIONAL, Public.INSTITUTIONAL, Public.STUDENT, Public.UNEMPLOYED})


def _hours(weekday: int, start: float, end: float, publics: frozenset[Public] = frozenset()) -> Opening:
    return Opening(weekday=weekday, from_minute=round(start * 60), to_minute=round(end * 60), publics=publics)


CALENDAR = SiteCalendar(
    site=SITE,
    openings=(
        _hours(0, 14, 19),
        *(_hours(day, 9.5, 12.5, WORKING) for day in (1, 2, 3, 4)),
        _hours(1, 13.5, 19),
        _hours(2, 13.5, 21.5),
        _hours(3, 13.5, 21.5),
        _hours(4, 13.5, 19),
        _hours(5, 10, 18),
    ),
)


class Model(NamedTuple):
    profile: str
    machines: int
    size_mm: tuple[int, int, int]
    petg: int  # how many of them have PETG loaded
    share: float  # of the printed jobs


PRINTERS = (
    Model("mk3s", 9, (250, 210, 210), 2, 0.42),
    Model("mini", 6, (180, 180, 180), 0, 0.26),
    Model("mk4", 5, (250, 210, 220), 2, 0.23),
    Model("xl", 2, (360, 360, 360), 1, 0.09),
)
LASERS = Model("co2", 3, (600, 400, 50), 0, 0.0)
MACHINE_CLASSES = ("fdm", "laser")


def an_id(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def fleet(rng: Random) -> tuple[Machine, ...]:
    """Every machine online, idle and clear."""
    printers = (
        a_machine(rng, model, number, Kind.PRINTER) for model in PRINTERS for number in range(model.machines)
    )
    lasers = (a_machine(rng, LASERS, number, Kind.LASER) for number in range(LASERS.machines))
    return (*printers, *lasers)


def a_machine(rng: Random, model: Model, number: int, kind: Kind) -> Machine:
    printer = kind is Kind.PRINTER
    petg = printer and number < model.petg
    return Machine(
        id=an_id(rng),
        site=SITE,
        name=f"{model.profile}-{number + 1}",
        kind=kind,
        machine_class="fdm" if printer else "laser",
        driver="simulated",
        abilities=Abilities(
            size_mm=model.size_mm,
            materials=(Material.PLA, Material.PETG) if printer else (),
            profile=model.profile,
            attended=not printer,
            release=ReleasePolicy.NONE if printer else ReleasePolicy.KIOSK_START,
        ),
        material=(Material.PETG if petg else Material.PLA) if printer else None,
        version=1,
        link=Link.ONLINE,
        activity=Activity.IDLE,
        bed=Bed.CLEAR,
    )


@dataclass(frozen=True, kw_only=True)
class People:
    members: tuple[Member, ...]
    organisations: Mapping[UUID, Organisation]
    weights: tuple[float, ...]  # how often each of `members` comes with work
    students: tuple[Member, ...]  # who only come with their class; not among `members`
    entitlements: Mapping[UUID, tuple[Entitlement, ...]]


MEMBERS, STUDENTS = 180, 20
ZIPF = 1.0
"""The n-th most eager member asks 1/n as often as the first: the classic law (Zipf), and NYU Tisch's complaint that
single students hold machines for themselves (develop3d.com, "NYU makerspace uses 3DPrinterOS")."""
COMPANIES = (12, 8, 6)  # members of each organisation; the school comes beside
PUBLICS: Mapping[Public, float] = MappingProxyType(
    {Public.INDIVIDUAL: 0.6, Public.YOUTH: 0.08, Public.STUDENT: 0.17, Public.UNEMPLOYED: 0.05}
    | {Public.PROFESSIONAL: 0.1}
)


def people(rng: Random) -> People:
    organisations = [
        Organisation(id=an_id(rng), name=f"company {number}", shares=max(1, size // 2))
        for number, size in enumerate(COMPANIES)
    ]
    school = Organisation(id=an_id(rng), name="school", shares=STUDENTS)
    belongs = [organisations[n].id for n, size in enumerate(COMPANIES) for _ in range(size)]
    members = [a_member(rng, rng.choices(list(PUBLICS), list(PUBLICS.values()))[0]) for _ in range(MEMBERS)]
    for place, organisation_id in zip(rng.sample(range(MEMBERS), len(belongs)), belongs, strict=True):
        members[place] = a_member(rng, Public.PROFESSIONAL, organisation_id)
    students = tuple(a_member(rng, Public.STUDENT, school.id) for _ in range(STUDENTS))
    everybody: Sequence[Member] = (*members, *students)
    return People(
        members=tuple(members),
        organisations={o.id: o for o in (*organisations, school)},
        weights=tuple(1 / (rank + 1) ** ZIPF for rank in range(MEMBERS)),
        students=students,
        entitlements={
            m.id: tuple(Entitlement(member_id=m.id, machine_class=c) for c in MACHINE_CLASSES)
            for m in everybody
        },
    )


def a_member(rng: Random, public: Public, organisation_id: UUID | None = None) -> Member:
    member_id = an_id(rng)
    return Member(
        id=member_id,
        email=f"{member_id.hex[:8]}@example.org",
        name="",
        role=Role.MEMBER,
        account_id=an_id(rng),
        password_hash="",
        public=public,
        organisation_id=organisation_id,
    )
