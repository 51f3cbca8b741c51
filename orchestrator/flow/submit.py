"""From a member's file to a job in preparation: upload, analysis, quote, accept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil, floor
from uuid import UUID, uuid4

from orchestrator.domain import ledger
from orchestrator.domain.calibration import calibrated
from orchestrator.domain.errors import Conflict, Fault, Misconfigured, NotFound, Rejected, Unavailable
from orchestrator.domain.event import JOB_TOPICS, SYSTEM, Event, Json
from orchestrator.domain.file import DRAWINGS, Analysis, File
from orchestrator.domain.job import Job, JobEvent, JobState
from orchestrator.domain.machine import Kind, Machine, holds
from orchestrator.domain.member import Member
from orchestrator.domain.process import VINYL, CutProcess, Making, Process, Turn, placed
from orchestrator.domain.quote import Quote, priced
from orchestrator.domain.tariff import Tariff
from orchestrator.flow.deadline import check_deadline
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.flow.moves import actor_of, move_job
from orchestrator.ports import Step, Unit, WorkKind

ANALYSE = "analyse"


async def upload(lab: Lab, member: Member, name: str, chunks: AsyncIterator[bytes]) -> File:
    """Store a member's file for good, then say what it is.

    Raises Rejected with every fault when it cannot be made, TooLarge past the limit, Unavailable when the
    disk is full. A shape that takes long is returned with `analysed` False; its analysis follows by itself.
    """
    stored = await lab.files.receive(chunks, limit_bytes=lab.limits.upload_bytes)
    file = File(
        id=uuid4(),
        owner_id=member.id,
        sha256=stored.sha256,
        name=name,
        size_bytes=stored.size_bytes,
        created_at=lab.clock.now(),
    )
    await lab.store.write(lambda unit: unit.add_file(file))
    await start_analysis(lab, file.id)
    file = await _analysed(lab, file)
    if file.refusals:
        raise refused(file)
    return file


def refused(file: File) -> Rejected:
    first = file.refusals[0]
    return Rejected(first.texts.get("en", first.rule), code=first.rule, faults=file.refusals)


async def start_analysis(lab: Lab, file_id: UUID) -> None:
    await lab.work.start(ANALYSE, f"analyse-{file_id}", {"file_id": str(file_id)})


async def _analysed(lab: Lab, file: File) -> File:
    """The file once its analysis is there, or as it is when that takes longer than an answer may wait."""
    seen = 0
    try:
        async with asyncio.timeout(lab.limits.analysis_wait_seconds):
            while True:
                seen = await lab.store.read(lambda unit: unit.head())
                now = await lab.store.read(lambda unit: unit.file(file.id))
                if now is not None and now.analysed:
                    return now
                await lab.store.feed.wait(seen)
    except TimeoutError:
        return file


def analyse_work(lab: Workbench) -> WorkKind:
    """The durable work behind an upload: one sandboxed look at the shape, written once."""

    async def analyse(args: Mapping[str, Json]) -> Json:
        file_id = UUID(str(args["file_id"]))
        file = await lab.store.read(lambda unit: unit.file(file_id))
        if file is None or file.analysed:
            return None
        try:
            analysis = await lab.workshop.analyse(lab.files.path(file.sha256), file.name)
        except Rejected as no:
            await _write_analysis(
                lab, file, None, no.faults or (Fault(rule=no.code, texts={"en": no.detail}),)
            )
        else:
            await _write_analysis(lab, file, analysis, ())
        return None

    async def failed(args: Mapping[str, Json], reason: str) -> None:
        file = await lab.store.read(lambda unit: unit.file(UUID(str(args["file_id"]))))
        if file is not None and not file.analysed:
            await _write_analysis(lab, file, None, (_too_hard(reason),))

    return WorkKind(name=ANALYSE, steps=(Step(name="analyse", run=analyse),), failed=failed)


def _too_hard(reason: str) -> Fault:
    return Fault(
        rule="file.unreadable",
        seen=reason,
        texts={
            "en": "The file could not be read: it takes more time or memory than one file may cost.",
            "fr": "Le fichier n’a pas pu être lu : il demande plus de temps ou de mémoire que permis.",
            "remedy_fr": "Simplifiez le modèle, ou exportez-le de nouveau en STL binaire.",
        },
        remedy="Simplify the model, or export it again as binary STL.",
    )


async def _write_analysis(
    lab: Workbench, file: File, analysis: Analysis | None, refusals: tuple[Fault, ...]
) -> None:
    event = Event(
        topic="file.analysed" if analysis else "file.refused",
        at=lab.clock.now(),
        actor=SYSTEM,
        data={"file_id": str(file.id)},
        member_id=file.owner_id,
    )

    async def work(unit: Unit) -> None:
        if await unit.set_analysis(file.id, analysis, refusals):
            await unit.emit(event)

    await lab.store.write(work)


async def quote(
    lab: Lab, member: Member, *, file_id: UUID, process: Making, quantity: int, machine_class: str | None
) -> Quote:
    """Price a wish. No side effect but the quote itself.

    Raises NotFound, Rejected (too large for every machine, impossible quantity), Unavailable while the
    shape is still being looked at.
    """
    if not 1 <= quantity <= lab.limits.quantity_max:
        raise Rejected(
            f"The quantity must be from 1 to {lab.limits.quantity_max}.",
            code="quote.quantity",
            faults=(Fault(rule="quote.quantity", where="quantity", seen=str(quantity)),),
        )
    file, analysis = await analysed_file(lab, member, file_id)
    tariff, machines = await lab.store.read(_market)
    if tariff is None:
        raise Misconfigured("No tariff is published yet: the lab cannot quote.", code="tariff.none")
    profile = _profile_for(lab, machines, analysis, process, machine_class)
    path = lab.files.path(file.sha256)
    raw = await lab.workshop.estimate(path, file.name, profile, process, quantity)
    estimate = calibrated(raw, await lab.store.read(lambda unit: unit.calibration(profile, None)))
    lines, amount, most = priced(estimate, tariff)
    now = lab.clock.now()
    made = Quote(
        id=uuid4(),
        member_id=member.id,
        file_id=file.id,
        process=process,
        quantity=quantity,
        machine_class=machine_class,
        profile=profile,
        tariff_version=tariff.version,
        estimate=estimate,
        lines=lines,
        total=amount,
        hold=most,
        created_at=now,
        valid_until=now + timedelta(days=lab.limits.quote_valid_days),
    )
    await lab.store.write(lambda unit: unit.add_quote(made))
    return made


def usual_process(analysis: Analysis) -> Making:
    """What is quoted before the member has chosen anything."""
    return CutProcess() if analysis.kind in DRAWINGS else Process()


def _profile_for(
    lab: Lab, machines: Sequence[Machine], analysis: Analysis, process: Making, machine_class: str | None
) -> str:
    """Raises Rejected where a drawing is to be printed or a model to be cut."""
    if analysis.kind in DRAWINGS and isinstance(process, CutProcess):
        return choose_cutter(machines, process, machine_class)
    if analysis.kind not in DRAWINGS and isinstance(process, Process):
        return choose_profile(lab, machines, analysis, process, machine_class)
    raise Rejected(
        f"A {analysis.kind.value.upper()} is not made that way.",
        code="quote.process",
        faults=(Fault(rule="quote.process", where="process", seen=analysis.kind.value),),
    )


def choose_cutter(machines: Sequence[Machine], process: CutProcess, machine_class: str | None) -> str:
    """The cutter to quote and plan for: the profile that most suitable machines share, else the larger bed.

    Whether the drawing fits, and the material suits, is said with the plan, which knows both. Raises Rejected where
    the lab has no such machine.
    """
    kind = Kind.VINYL if process.material == VINYL else Kind.LASER
    able = [m for m in machines if m.kind is kind and machine_class in {None, m.machine_class}]
    if not able:
        wanted = machine_class or kind.value
        raise Rejected(
            f"The lab has no machine of class {wanted}.",
            code="quote.machine_class",
            faults=(Fault(rule="quote.machine_class", where="machine_class", seen=wanted),),
        )
    shared = Counter(m.abilities.profile for m in able)

    def best(m: Machine) -> tuple[int, int, str]:
        width, depth, _height = m.abilities.size_mm
        return -shared[m.abilities.profile], -width * depth, m.name

    return min(able, key=best).abilities.profile


async def _market(unit: Unit) -> tuple[Tariff | None, Sequence[Machine]]:
    return await unit.current_tariff(), await unit.machines()


async def analysed_file(lab: Lab, member: Member, file_id: UUID) -> tuple[File, Analysis]:
    """A member's own file that can be made. Raises NotFound, Rejected when it was refused, Unavailable if
    not yet known."""
    file = await lab.store.read(lambda unit: unit.file(file_id))
    if file is None or file.owner_id != member.id:
        raise NotFound("There is no such file.")
    if file.refusals:
        raise refused(file)
    if file.analysis is None:
        file = await _analysed(lab, file)
    if file.refusals:
        raise refused(file)
    if file.analysis is None:
        raise Unavailable("The shape is still being looked at; ask again in a moment.", code="file.analysing")
    return file, file.analysis


def choose_profile(
    lab: Lab, machines: Sequence[Machine], analysis: Analysis, process: Process, machine_class: str | None
) -> str:
    """The machine profile to quote and slice for: the one that most suitable machines share, else the
    smallest bed.

    Raises Rejected when no machine of the lab could ever make it.
    """
    printers = [m for m in machines if m.kind is Kind.PRINTER and machine_class in {None, m.machine_class}]
    if not printers and machine_class is not None:
        raise Rejected(
            f"The lab has no machine of class {machine_class}.",
            code="quote.machine_class",
            faults=(Fault(rule="quote.machine_class", where="machine_class", seen=machine_class),),
        )
    if not printers:
        return lab.default_profile
    size = placed(analysis.size_mm, process)
    large = [m for m in printers if holds(m.abilities.size_mm, size)]
    if not large:
        raise _too_large(printers, analysis, process)
    able = [m for m in large if process.material in m.abilities.materials]
    if not able:
        raise Rejected(
            f"No machine that is large enough takes {process.material.value}.",
            code="quote.material",
            faults=(Fault(rule="quote.material", where="process.material", seen=process.material.value),),
        )
    shared = Counter(m.abilities.profile for m in able)
    return min(
        able, key=lambda m: (-shared[m.abilities.profile], m.abilities.size_mm, m.name)
    ).abilities.profile


def _too_large(printers: Sequence[Machine], analysis: Analysis, process: Process) -> Rejected:
    """What it measures, what the largest machine holds, and the scale or the turn that would fit."""
    room = max((m.abilities.size_mm for m in printers), key=lambda s: s[0] * s[1] * s[2])
    part = placed(analysis.size_mm, process)
    remedies = _ways_to_fit(room, analysis, process)
    measured, holding = (" × ".join(f"{ceil(mm)}" for mm in size) + " mm" for size in (part, room))
    fault = Fault(
        rule="mesh.too_large",
        where="file_id",
        seen=measured,
        remedy=remedies["en"],
        texts={
            "en": f"The part measures {measured}; the largest machine here holds {holding}.",
            "fr": f"La pièce mesure {measured} ; la plus grande machine d’ici accepte {holding}.",
            "remedy_fr": remedies["fr"],
        },
    )
    return Rejected(fault.texts["en"], code=fault.rule, faults=(fault,))


def _ways_to_fit(room: tuple[int, int, int], analysis: Analysis, process: Process) -> dict[str, str]:
    turned = fitting_turn([room], analysis, process)
    percent = fitting_percent([room], analysis, process)
    holding = " × ".join(map(str, room)) + " mm"
    english, french = [], []
    if turned is not None:
        english.append(f"Lay it another way: turned ({turned.value}) it fits.")
        french.append(f"Couchez-la autrement : tournée ({turned.value}), elle tient.")
    if percent:
        english.append(f"Scaled to {percent} % it fits.")
        french.append(f"Réduite à {percent} %, elle tient.")
    english.append(f"Or cut it into parts of at most {holding}.")
    french.append(f"Ou coupez-la en morceaux d’au plus {holding}.")
    return {"en": " ".join(english), "fr": " ".join(french)}


def fitting_turn(rooms: Sequence[tuple[int, int, int]], analysis: Analysis, process: Process) -> Turn | None:
    """A way to lay the part, at the size chosen, that fits one of the work areas; None where there is none."""
    for turn in Turn:
        size = placed(analysis.size_mm, replace(process, turn=turn))
        if any(holds(room, size) for room in rooms):
            return turn
    return None


def fitting_percent(rooms: Sequence[tuple[int, int, int]], analysis: Analysis, process: Process) -> int:
    """The largest scale, in whole percent, at which the part fits one of the work areas as it lies; 0: none."""
    x, y, z = placed(analysis.size_mm, replace(process, scale_percent=100))
    best = 0.0
    for width, depth, height in rooms:
        for across, along in ((x, y), (y, x)):
            best = max(best, min(width / across, depth / along, height / z))
    return floor(100 * best)


async def accept(
    lab: Lab, member: Member, quote_id: UUID, *, deadline: datetime | None = None
) -> tuple[Job, bool]:
    """Accept a quote: place its hold and start preparing. The same quote twice is the same job.

    Returns the job and whether this call made or re-opened it. Raises NotFound, Conflict (`quote.expired`),
    InsufficientBalance, Rejected for a deadline that cannot be. The hold, the job and its events are one transaction.
    """

    check_deadline(lab, member, deadline)

    async def work(unit: Unit) -> tuple[Job, bool]:
        return await _accept(lab, unit, member, quote_id, deadline)

    try:
        job, created = await lab.store.write(work)
    except Conflict as faster:
        if faster.code == "quote.expired":
            raise
        job, created = await lab.store.write(work)  # the other request has made it: find it
    if created:
        await start_preparing(lab, job)
    return job, created


PREPARE = "prepare"


async def start_preparing(lab: Lab, job: Job) -> None:
    """Idempotent for one stay of the job in `preparing`; a retry is a new stay, with a new version."""
    await lab.work.start(PREPARE, prepare_id(job), {"job_id": str(job.id), "version": job.version})


def prepare_id(job: Job) -> str:
    return f"prepare-{job.id}-{job.version}"


async def _accept(
    lab: Lab, unit: Unit, member: Member, quote_id: UUID, deadline: datetime | None
) -> tuple[Job, bool]:
    now, actor = lab.clock.now(), actor_of(member)
    wanted = await unit.quote(quote_id)
    if wanted is None or wanted.member_id != member.id:
        raise NotFound("There is no such quote.")
    job = await unit.job_of_quote(quote_id)
    if job is not None and job.state is not JobState.QUOTED:
        return job, False
    if wanted.valid_until < now:
        raise Conflict("The quote has expired; ask for a new one.", code="quote.expired")
    if job is None:
        job = replace(_job(wanted, member, lab), deadline=deadline)
        made = Event(topic=JOB_TOPICS[job.state], at=now, actor=actor, member_id=member.id, job_id=job.id)
        await unit.add_job(job, made)
    placed = Event(
        topic="hold.placed",
        at=now,
        actor=actor,
        data={"amount_cents": wanted.hold.cents, "quote_id": str(quote_id)},
        member_id=member.id,
        job_id=job.id,
    )
    if wanted.hold.cents:
        await unit.post(ledger.hold(job.account_id, wanted.hold, quote_id), now, placed)
    return await move_job(unit, job, JobEvent.ACCEPTED, actor=actor, at=now, reason=""), True


def _job(wanted: Quote, member: Member, lab: Lab) -> Job:
    return Job(
        id=uuid4(),
        member_id=member.id,
        account_id=member.account_id,
        quote_id=wanted.id,
        file_id=wanted.file_id,
        process=wanted.process,
        quantity=wanted.quantity,
        machine_class=wanted.machine_class,
        state=JobState.QUOTED,
        version=1,
        created_at=lab.clock.now(),
    )
