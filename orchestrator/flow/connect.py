"""Connecting booking systems: what the lab's manager writes down of them, tries, switches off and takes away."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from orchestrator.domain.errors import (
    Conflict,
    Fault,
    Forbidden,
    Misconfigured,
    NotFound,
    Rejected,
    Unavailable,
)
from orchestrator.domain.event import Event, Json
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.mirror import CANCELLED, Step
from orchestrator.domain.reservation import ReservationState
from orchestrator.domain.source import HORIZON, Source, SourceKind
from orchestrator.flow.act import may
from orchestrator.flow.lab import Workbench
from orchestrator.flow.moves import actor_of
from orchestrator.flow.sources import one, place_of, poll, pull, reservation_event, system_of
from orchestrator.ports import Unit

INTERVAL_SECONDS = (60, 24 * 3600)
MACHINES_MAX = 500
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
KEY = re.compile(r"[A-Za-z0-9:*._-]{1,64}")
HINT_SECONDS = 20
"""So long after a poll no hint makes another one due: whoever knows the address cannot make us ask without end."""
HINTS_PER_MINUTE = 60
URL_CHARACTERS_MAX = 2000
SECRET_CHARACTERS_MAX = 1000
CLASS_KEY = "training:"
FAULTS: Mapping[str, tuple[str, str, str, str]] = {
    "source.kind_fixed": (
        "The kind of a source does not change.",
        "Le type d’une source ne change pas.",
        "Add another source instead.",
        "Ajoutez plutôt une autre source.",
    ),
    "source.system_fixed": (
        "The name of a source does not change.",
        "Le nom d’une source ne change pas.",
        "Add another source instead.",
        "Ajoutez plutôt une autre source.",
    ),
    "source.secret_again": (
        "A token goes only to the address it was given for.",
        "Une clé ne va qu’à l’adresse pour laquelle elle a été donnée.",
        "Give the token of the new address.",
        "Donnez la clé de la nouvelle adresse.",
    ),
    "source.name": (
        "This name is not possible.",
        "Ce nom n’est pas possible.",
        "Small letters, digits, dot, dash and underscore; at most 64.",
        "Minuscules, chiffres, point, tiret et souligné ; 64 au plus.",
    ),
    "source.url": (
        "This is no address that can be asked.",
        "Cette adresse ne peut pas être interrogée.",
        "An address that begins with https:// or http://.",
        "Une adresse qui commence par https:// ou http://.",
    ),
    "source.secret": (
        "The token is missing, or is none.",
        "La clé manque, ou n’en est pas une.",
        "This system needs its API token: one line of at most 1000 characters.",
        "Ce système a besoin de sa clé d’API : une ligne de 1000 caractères au plus.",
    ),
    "source.interval": (
        "This is asked too often or too rarely.",
        "C’est trop souvent ou trop rarement.",
        "From 60 to 86400 seconds.",
        "De 60 à 86400 secondes.",
    ),
    "source.charges": (
        "This system takes no charges.",
        "Ce système ne prend pas de montants.",
        "Only Fabman takes charges.",
        "Seul Fabman prend des montants.",
    ),
    "source.machines": (
        "These are too many machines.",
        "C’est trop de machines.",
        "At most 500.",
        "500 au plus.",
    ),
    "source.machine_key": (
        "The system names no machine so.",
        "Le système ne nomme pas ainsi une machine.",
        "A number as the system gives it; `*` for a calendar.",
        "Un numéro tel que le système le donne ; `*` pour un calendrier.",
    ),
    "source.machine": (
        "There is nothing of that name here.",
        "Rien ne porte ce nom ici.",
        "A machine of the site by its id or name, a machine class, or * for the whole site.",
        "Une machine du site par son identifiant ou son nom, une classe de machines, ou * pour tout le site.",
    ),
}
"""What is wrong and what to do, in English and French."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a manager says of a system."""

    kind: SourceKind
    system: str
    url: str
    site: str
    machines: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None  # None: as it is
    interval_seconds: int = 300
    active: bool = True
    charges: bool = False


async def listing(lab: Workbench, who: Member) -> Sequence[Source]:
    _need_manager(who)
    return await lab.store.read(lambda unit: unit.sources())


async def show(lab: Workbench, who: Member, source_id: UUID) -> Source:
    _need_manager(who)
    return await one(lab, source_id)


async def add(lab: Workbench, who: Member, draft: Draft) -> Source:
    """A new source, due at once; charges are told from now on, not from the beginning of the books. Raises Rejected
    with all faults, Conflict where the name of the system is taken."""
    _need_manager(who)
    sealed = lab.seal.seal(draft.secret) if draft.secret else ""

    async def work(unit: Unit) -> Source:
        await _refuse_faults(unit, draft, has_secret=bool(sealed))
        now = lab.clock.now()
        source = replace(
            _drawn(draft, sealed),
            interval_seconds=draft.interval_seconds,
            active=draft.active,
            due_at=now,
            charges=draft.charges,
            cursor=await unit.last_charge(),
        )
        if any(other.system == source.system for other in await unit.sources()):
            raise Conflict("There is a source of that name already.", code="source.taken")
        await unit.add_source(source, _event("source.added", who, now, source))
        return source

    return await lab.store.write(work)


async def change(lab: Workbench, who: Member, source_id: UUID, draft: Draft) -> Source:
    """Raises Rejected with all faults: kind and name stay, and a token goes with the address it was given for."""
    _need_manager(who)
    sealed = None if draft.secret is None else lab.seal.seal(draft.secret) if draft.secret else ""

    async def work(unit: Unit) -> Source:
        before = await unit.source(source_id)
        if before is None:
            raise NotFound("There is no such source.")
        secret = before.secret if sealed is None else sealed
        faults = _fixed_faults(before, draft)
        await _refuse_faults(unit, draft, has_secret=bool(secret), more=faults)
        now = lab.clock.now()
        after = replace(
            before,
            url=draft.url,
            secret=secret,
            site=draft.site,
            machines=dict(draft.machines),
            interval_seconds=draft.interval_seconds,
            active=draft.active,
            charges=draft.charges,
            cursor=before.cursor if before.charges else await unit.last_charge(),
            due_at=now,
            etag="",
            failures=0,
        )
        return await unit.change_source(before, after, _event("source.changed", who, now, after))

    return await lab.store.write(work)


async def switch(lab: Workbench, who: Member, source_id: UUID, on: bool) -> Source:
    """Off: it is asked no more; the windows it told last stay."""
    _need_manager(who)

    async def work(unit: Unit) -> Source:
        before = await unit.source(source_id)
        if before is None:
            raise NotFound("There is no such source.")
        now = lab.clock.now()
        after = replace(before, active=on, due_at=now, failures=0)
        topic = "source.switched_on" if on else "source.switched_off"
        return await unit.change_source(before, after, _event(topic, who, now, after))

    return await lab.store.write(work)


async def remove(lab: Workbench, who: Member, source_id: UUID) -> None:
    """It is forgotten, and its windows that are still to come are free."""
    _need_manager(who)

    async def work(unit: Unit) -> None:
        source = await unit.source(source_id)
        if source is None:
            raise NotFound("There is no such source.")
        now = lab.clock.now()
        for held in await unit.reservations(now, now + 10 * HORIZON, system=source.system):
            after = replace(held, state=ReservationState.CANCELLED, changed_at=now)
            step = Step(before=held, after=after, topic=CANCELLED)
            await unit.change_reservation(held, after, reservation_event(step, now))
        await unit.drop_source(source_id, _event("source.removed", who, now, source))

    await lab.store.write(work)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a system would tell, had it been added as drafted."""

    code: str  # `ok`, or why it cannot be asked
    words: str = ""
    windows: int = 0  # of machines that are mapped
    skipped: int = 0
    members: int = 0
    names: Mapping[str, str] = field(default_factory=dict)  # its machines, to be mapped


def _drawn(draft: Draft, sealed: str) -> Source:
    """Where it is and what it is called; nothing of when it is asked."""
    return Source(
        id=uuid4(),
        kind=draft.kind,
        system=draft.system,
        url=draft.url,
        secret=sealed,
        site=draft.site,
        machines=dict(draft.machines),
    )


async def attempt(lab: Workbench, who: Member, draft: Draft) -> Tried:
    """Ask once, keep nothing. Raises Rejected with all faults of the draft."""
    _need_manager(who)
    sealed = lab.seal.seal(draft.secret) if draft.secret else ""
    await lab.store.read(lambda unit: _refuse_faults(unit, draft, has_secret=bool(sealed)))
    source = _drawn(draft, sealed)
    try:
        pulled = await pull(lab, source)
    except (Rejected, Misconfigured, Unavailable) as error:
        return Tried(code=error.code, words=error.detail)
    windows = sum(not one.cancelled and bool(one.machine) for one in pulled.reservations)
    return Tried(
        code="ok",
        windows=windows,
        skipped=pulled.skipped,
        members=len(pulled.members),
        names=pulled.names,
    )


async def poll_now(lab: Workbench, who: Member, source_id: UUID) -> Source:
    _need_manager(who)
    return await poll(lab, source_id, now_or_never=True)


# --- hints --------------------------------------------------------------------------------------


def hint_secret(lab: Workbench, source: Source) -> str:
    """What a system must know to send us notices: made of its own token, kept nowhere. Empty: it can send none."""
    if source.kind is not SourceKind.FABMAN or not source.secret:
        return ""
    token = lab.seal.unseal(source.secret)
    return hmac.new(token.encode(), f"etabli notices for {source.id}".encode(), hashlib.sha256).hexdigest()[
        :40
    ]


async def hint(lab: Workbench, source_id: UUID, secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """A notice came in. Nothing in it is believed: at most, the next poll falls due now. Raises NotFound for a wrong
    secret as for no such source."""
    source = await lab.store.read(lambda unit: unit.source(source_id))
    right = hint_secret(lab, source) if source is not None else ""
    if source is None or not right or not hmac.compare_digest(right.encode(), secret.encode()):
        raise NotFound("There is no such source.")
    if not source.active or not await system_of(lab, source).heed(source, body, headers):
        return False
    return await lab.store.write(lambda unit: _hasten(lab, unit, source_id))


async def _hasten(lab: Workbench, unit: Unit, source_id: UUID) -> bool:
    """What fails is not asked faster for being told."""
    source, now = await unit.source(source_id), lab.clock.now()
    if source is None or source.failures or source.due_at is None:
        return False
    earliest = max(now, (source.polled_at or now) + timedelta(seconds=HINT_SECONDS))
    if source.due_at > earliest:
        await unit.change_source(source, replace(source, due_at=earliest))
    return True


# --- faults -------------------------------------------------------------------------------------


def _fault(rule: str, where: str, seen: str = "") -> Fault:
    en, fr, remedy, remede = FAULTS[rule]
    return Fault(
        rule=rule,
        where=where,
        seen=seen[:100],
        remedy=remedy,
        texts={"en": en, "fr": fr, "remedy_fr": remede},
    )


def _fixed_faults(before: Source, draft: Draft) -> list[Fault]:
    faults = []
    if draft.kind is not before.kind:
        faults.append(_fault("source.kind_fixed", "kind"))
    if draft.system != before.system:
        faults.append(_fault("source.system_fixed", "system"))
    moved = _origin(draft.url) != _origin(before.url)
    if moved and before.secret and draft.secret is None:
        faults.append(_fault("source.secret_again", "secret"))
    return faults


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc


async def _refuse_faults(unit: Unit, draft: Draft, *, has_secret: bool, more: Sequence[Fault] = ()) -> None:
    faults = [*more, *_field_faults(draft, has_secret), *_machine_faults(draft, await unit.machines())]
    if faults:
        raise Rejected("Some fields are not right.", code="fields", faults=tuple(faults))


def _field_faults(draft: Draft, has_secret: bool) -> list[Fault]:
    faults = []
    if not NAME.fullmatch(draft.system):
        faults.append(_fault("source.name", "system"))
    if not _is_address(draft.url):
        faults.append(_fault("source.url", "url"))
    if draft.kind is not SourceKind.ICAL and not has_secret:
        faults.append(_fault("source.secret", "secret"))
    if draft.secret and (len(draft.secret) > SECRET_CHARACTERS_MAX or not draft.secret.isprintable()):
        faults.append(_fault("source.secret", "secret"))
    least, most = INTERVAL_SECONDS
    if not least <= draft.interval_seconds <= most:
        faults.append(_fault("source.interval", "interval_seconds"))
    if draft.charges and draft.kind is not SourceKind.FABMAN:
        faults.append(_fault("source.charges", "charges"))
    return faults


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.username is None
            and parts.port != 0
            and url.isprintable()
            and " " not in url
            and len(url) <= URL_CHARACTERS_MAX
        )
    except ValueError:
        return False


def _machine_faults(draft: Draft, machines: Sequence[Machine]) -> list[Fault]:
    if len(draft.machines) > MACHINES_MAX:
        return [_fault("source.machines", "machines")]
    faults = []
    for theirs, ours in draft.machines.items():
        where = f"machines.{theirs}"[:100]
        if not KEY.fullmatch(theirs) or (draft.kind is SourceKind.ICAL and theirs != "*"):
            faults.append(_fault("source.machine_key", where))
        place = place_of(ours, draft.site, machines)
        if place is None or (theirs.startswith(CLASS_KEY) and not place[1]):
            faults.append(_fault("source.machine", where, ours[:100]))
    return faults


def _need_manager(who: Member) -> None:
    if not may(who, Permission.ADMIN):
        raise Forbidden("Only the lab’s manager may do this.")


def _event(topic: str, who: Member, now: datetime, source: Source) -> Event:
    data: dict[str, Json] = {"source_id": str(source.id), "system": source.system, "kind": source.kind.value}
    return Event(topic=topic, at=now, actor=actor_of(who), data=data)
