"""Asking booking systems: pull outside any transaction, then mirror what they say in one write; tell them what they
are to know.

A system that fails keeps its last known windows, is asked more and more rarely, and its source says why. A poll may
run twice at once without harm: it says what is, and the database refuses what has changed under it.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from orchestrator.domain.errors import (
    Conflict,
    EtabliError,
    Misconfigured,
    NotFound,
    Rejected,
    Unavailable,
)
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.domain.mirror import Mirrored, Step, Wanted, mirror
from orchestrator.domain.reservation import Reservation
from orchestrator.domain.source import (
    HORIZON,
    ForeignEntitlement,
    ForeignMember,
    ForeignReservation,
    Found,
    Pulled,
    Source,
    wait_seconds,
)
from orchestrator.flow.lab import Workbench
from orchestrator.flow.telling import tell
from orchestrator.ports import BookingSystem, DurableWork, Unit, WorkKind
from orchestrator.ports import Step as WorkStep

POLL = "poll"
POLLS = "polls"
EVERY_MINUTE = "* * * * *"
POLL_SECONDS = 120.0
LOOK_BACK = timedelta(days=3)
SLACK = timedelta(seconds=30)
"""What falls due before the next look but one is asked now: a source of every minute is asked every minute."""
NAME_CHARACTERS_MAX = 200


def poll_work(lab: Workbench, work: Callable[[], DurableWork]) -> tuple[WorkKind, WorkKind]:
    """The look each minute at what falls due, and one poll, in the lane of its source: never two of one at once.
    `work` is where both are done, which is only there once its kinds are known."""

    async def look(_args: Mapping[str, Json]) -> Json:
        now = lab.clock.now()
        due = await lab.store.read(lambda unit: unit.sources(due=now + SLACK))
        for source in due:
            lane = str(source.id)
            await work().start(POLL, f"poll-{lane}-{now:%Y%m%dT%H%M}", {"source_id": lane}, lane=lane)
        return len(due)

    async def ask(args: Mapping[str, Json]) -> Json:
        return (await poll(lab, UUID(str(args["source_id"])))).note

    async def nothing(_args: Mapping[str, Json], _reason: str) -> None:
        """The next minute looks again."""

    async def failed(args: Mapping[str, Json], _reason: str) -> None:
        await fail(
            lab, UUID(str(args["source_id"])), Misconfigured("A fault of ours.", code="source.internal")
        )

    return (
        WorkKind(name=POLLS, steps=(WorkStep(name="look", run=look),), failed=nothing, queue="notify"),
        WorkKind(name=POLL, steps=(WorkStep(name="ask", run=ask),), failed=failed, queue="notify"),
    )


# --- one poll -----------------------------------------------------------------------------------


async def poll(lab: Workbench, source_id: UUID, *, now_or_never: bool = False) -> Source:
    """Ask it, if its time has come (or at once), and do here what it says. Returns the source as it then is.

    What the system does wrong is written on the source and not raised. Raises NotFound."""
    source = await one(lab, source_id)
    now = lab.clock.now()
    if not now_or_never and (not source.active or source.due_at is None or source.due_at > now + SLACK):
        return source
    try:
        pulled = await pull(lab, source)
        after = await lab.store.write(lambda unit: _mirrored(lab, unit, source, pulled, lab.clock.now()))
        await tell(lab, after, pulled.down)
    except (Rejected, Misconfigured, Unavailable) as error:
        if isinstance(error, Conflict) and error.code == "changed":
            return await one(lab, source_id)  # somebody else was at it, and the next poll sees what they did
        return await fail(lab, source_id, error)
    return await one(lab, source_id)


async def pull(lab: Workbench, source: Source) -> Pulled:
    """What it says, without doing anything about it."""
    zone = await lab.store.read(lambda unit: _zone(lab, unit, source.site))
    try:
        async with asyncio.timeout(POLL_SECONDS):
            return await system_of(lab, source).pull(source, lab.clock.now(), zone)
    except TimeoutError as slow:
        raise Unavailable("The booking system takes too long.", code="source.slow") from slow


async def one(lab: Workbench, source_id: UUID) -> Source:
    source = await lab.store.read(lambda unit: unit.source(source_id))
    if source is None:
        raise NotFound("There is no such source.")
    return source


def system_of(lab: Workbench, source: Source) -> BookingSystem:
    system = lab.systems.get(source.kind)
    if system is None:
        raise Misconfigured(f"There is no adapter for {source.kind.value}.", code="source.kind")
    return system


async def fail(lab: Workbench, source_id: UUID, error: EtabliError) -> Source:
    """Write on the source why it could not be asked, and when it is asked again. Its windows stay."""

    async def work(unit: Unit) -> Source:
        source = await unit.source(source_id)
        if source is None:
            raise NotFound("There is no such source.")
        failing = replace(source, failures=source.failures + 1, note=Found(code=error.code).text)
        now = lab.clock.now()
        due = now + timedelta(seconds=wait_seconds(failing, error))
        event = _event("source.failed", now, {"system": source.system, "code": error.code})
        return await unit.change_source(
            source, replace(failing, due_at=due), event if source.note != failing.note else None
        )

    return await lab.store.write(work)


async def _zone(lab: Workbench, unit: Unit, site: str) -> str:
    calendar = await unit.calendar(site)
    return calendar.zone if calendar else lab.time_zone


# --- mirroring ----------------------------------------------------------------------------------


async def _mirrored(lab: Workbench, unit: Unit, asked: Source, pulled: Pulled, now: datetime) -> Source:
    """All that a pull changes here. Raises Conflict (`changed`) where the source is no longer what was asked."""
    source = await unit.source(asked.id)
    if source is None or _config(source) != _config(asked):
        raise Conflict("The source has changed in the meantime.", code="changed")
    due = now + timedelta(seconds=source.interval_seconds)
    after = replace(source, polled_at=now, due_at=due, failures=0)
    if pulled.unchanged:
        return await unit.change_source(source, after)
    await _meet(unit, source, pulled.members)
    await _train(unit, source, pulled.entitlements)
    done, skipped = await _windows(unit, source, pulled, now)
    found = Found(held=done.held, changed=len(done.steps), conflicts=done.conflicts, skipped=skipped)
    return await unit.change_source(source, replace(after, etag=pulled.etag, note=found.text))


def _config(source: Source) -> tuple[object, ...]:
    return source.url, source.secret, source.site, dict(source.machines), source.kind


async def _windows(unit: Unit, source: Source, pulled: Pulled, now: datetime) -> tuple[Mirrored, int]:
    machines = await unit.machines()
    resolve = Resolve(source=source, machines=machines, people=await _people(unit, source, pulled))
    live = [window for window in pulled.reservations if not window.cancelled]
    wanted = [wish for window in live if (wish := resolve.wanted(window))]
    around = await unit.reservations(now - LOOK_BACK, now + HORIZON, all_states=True)
    known = {one.external_id: one for one in around if one.system == source.system}
    for wish in wanted:  # from outside the horizon
        if wish.external_id not in known and (old := await unit.reservation(source.system, wish.external_id)):
            known[wish.external_id] = old
    others = [one for one in around if one.system != source.system and one.holds]
    done = mirror(source.system, wanted, known, others, machines, since=pulled.since, now=now)
    await _apply(unit, done.steps, now)
    return done, pulled.skipped + len(live) - len(wanted)


async def _apply(unit: Unit, steps: Sequence[Step], now: datetime) -> None:
    current: dict[UUID, Reservation] = {}
    for step in steps:
        event = reservation_event(step, now)
        if step.before is None:
            await unit.add_reservation(step.after, event)
            continue
        before = current.get(step.after.id, step.before)
        after = replace(step.after, version=before.version)
        current[after.id] = await unit.change_reservation(before, after, event)


def reservation_event(step: Step, now: datetime) -> Event:
    one = step.after
    data: dict[str, Json] = {
        "reservation_id": str(one.id),
        "system": one.system,
        "external_id": one.external_id,
        "starts_at": one.starts_at.isoformat(),
        "ends_at": one.ends_at.isoformat(),
        "purpose": one.purpose.value,
        "machine_class": one.machine_class,
    }
    if step.before is not None:
        data["was"] = {
            "starts_at": step.before.starts_at.isoformat(),
            "ends_at": step.before.ends_at.isoformat(),
        }
    if step.by is not None:
        data["held_by"] = {"system": step.by.system, "external_id": step.by.external_id}
    return Event(
        topic=step.topic,
        at=now,
        actor=SYSTEM,
        data=data,
        member_id=one.member_id,
        machine_id=one.machine_id,
    )


@dataclass(frozen=True, kw_only=True)
class Resolve:
    """From their words to ours."""

    source: Source
    machines: Sequence[Machine]
    people: Mapping[str, UUID]

    def wanted(self, window: ForeignReservation) -> Wanted | None:
        """None where nobody knows what machine it is about."""
        place = place_of(window.machine, self.source.site, self.machines)
        if place is None:
            return None
        machine_id, machine_class = place
        return Wanted(
            external_id=window.external_id,
            site=self.source.site,
            machine_id=machine_id,
            machine_class=machine_class,
            purpose=window.purpose,
            starts_at=window.starts_at,
            ends_at=window.ends_at,
            member_id=self.people.get(window.member or ""),
            note=window.note,
        )


def place_of(text: str, site: str, machines: Iterable[Machine]) -> tuple[UUID | None, str | None] | None:
    """A machine by its id or its name, a class, or `*` for the whole site; (machine, class). None: there is none."""
    here = [machine for machine in machines if machine.site == site]
    if text == "*":
        return None, None
    for machine in here:
        if text in {str(machine.id), machine.name}:
            return machine.id, None
    return (None, text) if text in {machine.machine_class for machine in here} else None


# --- people -------------------------------------------------------------------------------------


def address(email: str) -> str:
    """As addresses are stored; empty for what is none."""
    plain = unicodedata.normalize("NFKC", email).strip().casefold()
    return (
        plain if plain.isprintable() and plain.count("@") == 1 and len(plain) <= NAME_CHARACTERS_MAX else ""
    )


async def _people(unit: Unit, source: Source, pulled: Pulled) -> Mapping[str, UUID]:
    """Whom the windows name: by the system's own name, else by address."""
    people = dict(await unit.named("member", source.system))
    for name in {window.member or "" for window in pulled.reservations} - people.keys():
        member = await unit.member_by_email(address(name)) if address(name) else None
        if member is not None:
            people[name] = member.id
    return people


async def _meet(unit: Unit, source: Source, members: Iterable[ForeignMember]) -> None:
    """Members of that system become ours: a new one, or one whom we know by the same address. What they may do, and
    what they are called, is never changed by it; that somebody is locked out there is."""
    told = list(members)
    if not told:
        return
    named = await unit.named("member", source.system)
    everybody = await unit.members()
    by_id = {member.id: member for member in everybody}
    by_email = {member.email: member for member in everybody}
    for one in told:
        ours = by_id.get(named[one.external_id]) if one.external_id in named else None
        email = address(one.email)
        if ours is not None:
            if ours.role is Role.MEMBER and ours.active != one.active:
                await unit.change_member(ours, replace(ours, active=one.active))
        elif email and one.external_id not in named and len(one.external_id) <= NAME_CHARACTERS_MAX:
            member = by_email.get(email)
            if member is None:
                member = by_email[email] = _newcomer(email, one)
                await unit.add_member(member)
            await unit.put_external("member", source.system, one.external_id, member.id)


def _newcomer(email: str, one: ForeignMember) -> Member:
    name = "".join(sign for sign in one.name[:NAME_CHARACTERS_MAX] if sign.isprintable()).strip()
    return Member(
        id=uuid4(),
        email=email,
        name=name or email.partition("@")[0],
        role=Role.MEMBER,
        account_id=uuid4(),
        password_hash="",
        active=one.active,
    )


async def _train(unit: Unit, source: Source, trained: Iterable[ForeignEntitlement] | None) -> None:
    """What its trainings allow, and no longer allow. What the lab itself allowed is not its affair."""
    if trained is None:
        return
    named = await unit.named("member", source.system)
    ours = f"{source.system}:"
    held = {(one.member_id, one.machine_class): one for one in await unit.entitlements()}
    told: dict[tuple[UUID, str], Entitlement] = {}
    for one in trained:
        member_id = named.get(one.member)
        if member_id is not None:
            key, training = (member_id, one.machine_class), f"{ours}{one.training}"
            new = Entitlement(
                member_id=member_id, machine_class=one.machine_class, until=one.until, training=training
            )
            told[key] = _longer(told.get(key), new)
    for key, new in told.items():
        old = held.get(key)
        if old is None or (old.training.startswith(ours) and replace(old, version=new.version) != new):
            await unit.put_entitlement(new)
    for (member_id, machine_class), old in held.items():
        if old.training.startswith(ours) and (member_id, machine_class) not in told:
            await unit.drop_entitlement(member_id, machine_class)


def _longer(one: Entitlement | None, other: Entitlement) -> Entitlement:
    """Of two for one class the one that lasts longer."""
    if one is None or one.until is None:
        return one or other
    return other if other.until is None or other.until > one.until else one


def _event(topic: str, at: datetime, data: Mapping[str, Json]) -> Event:
    return Event(topic=topic, at=at, actor=SYSTEM, data=data)
