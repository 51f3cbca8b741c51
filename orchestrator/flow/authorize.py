"""May this member use this machine then, and if not, why: the matching's own rules, asked about a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.domain.calendar import FOR_EVER, open_until
from orchestrator.domain.errors import NotFound
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import (
    ASKER_FITS,
    Asker,
    Moment,
    Refusal,
    Station,
    Until,
    machine_refusals,
)
from orchestrator.domain.member import Member
from orchestrator.domain.quote import Spread
from orchestrator.domain.units import Money, Quantity
from orchestrator.flow.lab import Lab
from orchestrator.flow.notice import today
from orchestrator.flow.sight import stations_of
from orchestrator.ports import Unit

SECONDS_MAX = 31 * 86_400
STANDING = frozenset({"attended", "maintenance", "held"})
"""What is said of a machine whenever the plan is; whether it is busy or switched off now, only of now."""
ADVISORY = frozenset({"supervised"})
"""Told, and no reason to refuse: somebody of the staff will be there."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`refusals` per machine that was asked about; where it is allowed, the machine, and for how long at most."""

    allowed: bool
    machine: Machine | None
    max_seconds: int | None  # None: no end in sight, or not allowed
    price: Money | None  # of the time asked for; None: no tariff is published
    refusals: tuple[tuple[Machine | None, Refusal], ...]


NOBODY = Refusal(rule="not_member", reason="No such member is known here.", until=Until.PERSON)


async def authorize(
    lab: Lab,
    member_id: UUID | None,
    *,
    machine_id: UUID | None,
    machine_class: str | None,
    at: datetime,
    seconds: int,
) -> Verdict:
    """A machine, or the first of its class that may be used. Each denial is counted as demand.

    Raises NotFound for a machine or a class that the lab does not have.
    """

    async def work(unit: Unit) -> tuple[Member | None, Verdict]:
        stations = await _asked_about(unit, machine_id, machine_class, at)
        people = await unit.people_of([member_id]) if member_id else ()
        price = await _price(unit, seconds)
        if not people:
            refused = Verdict(
                allowed=False, machine=None, max_seconds=None, price=price, refusals=((None, NOBODY),)
            )
            return None, refused
        member, entitlements = people[0]
        takes = Spread(p50=seconds, p90=seconds)
        asker = Asker(member=member, entitlements=entitlements, takes=takes, in_person=True)
        moment = Moment(now=at, policy=lab.policy)
        return member, _verdict(asker, stations, moment, price, is_now=at <= lab.clock.now() + NOW)

    member, verdict = await lab.store.read(work)
    if not verdict.allowed and member is not None:
        await lab.store.write(lambda unit: _count(lab, unit, member, verdict))
    return verdict


NOW = timedelta(minutes=1)


async def _asked_about(
    unit: Unit, machine_id: UUID | None, machine_class: str | None, at: datetime
) -> Sequence[Station]:
    stations = [
        s
        for s in await stations_of(unit, None, at)
        if (machine_id is not None and s.machine.id == machine_id)
        or (machine_id is None and s.machine.machine_class == machine_class)
    ]
    if not stations:
        raise NotFound("The lab has no such machine.")
    return stations


async def _price(unit: Unit, seconds: int) -> Money | None:
    tariff = await unit.current_tariff()
    if tariff is None:
        return None
    return tariff.time.amount(tariff.time.billable(Quantity.seconds(seconds)), tariff.currency)


def _verdict(
    asker: Asker, stations: Sequence[Station], moment: Moment, price: Money | None, *, is_now: bool
) -> Verdict:
    told: list[tuple[Machine | None, Refusal]] = []
    for station in stations:
        noes = _refusals(asker, station, moment, is_now=is_now)
        told += [(station.machine, no) for no in noes]
        if all(no.rule in ADVISORY for no in noes):
            return Verdict(
                allowed=True,
                machine=station.machine,
                max_seconds=_max_seconds(asker, station, moment),
                price=price,
                refusals=tuple((station.machine, no) for no in noes),
            )
    return Verdict(allowed=False, machine=None, max_seconds=None, price=price, refusals=tuple(told))


def _refusals(asker: Asker, station: Station, moment: Moment, *, is_now: bool) -> list[Refusal]:
    own = [no for rule in ASKER_FITS if (no := rule(asker, station, moment)) is not None]
    return own + [no for no in machine_refusals(station) if is_now or no.rule in STANDING]


def _max_seconds(asker: Asker, station: Station, moment: Moment) -> int | None:
    """Until the next window of somebody else, or closing time."""
    ends = [w.starts_at for w in station.windows if w.starts_at > moment.now and not w.is_for(asker.member)]
    closes = open_until(station.calendar, asker.member.public, moment.now, staffed=station.attended)
    if closes is not None and closes is not FOR_EVER:
        ends.append(closes)
    return min((round((end - moment.now).total_seconds()) for end in ends), default=None)


async def _count(lab: Lab, unit: Unit, member: Member, verdict: Verdict) -> None:
    day = today(lab)
    counted = {(no.rule, machine.machine_class if machine else "") for machine, no in verdict.refusals}
    for rule, machine_class in sorted(counted):
        await unit.count_refusal(day, member.id, rule, machine_class, member.public.value)
