"""What every store promises, whichever database it stands on. The log has a suite of its own,
`test_log.py`, and so has money, `test_books.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.answer import BEGUN, RUNNING, Claim, Remembered
from orchestrator.domain.errors import Conflict, Fault, NotFound
from orchestrator.domain.file import Severity, Warning
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Bed, Link
from orchestrator.domain.member import ApiToken, Entitlement, Permission, Role, Session
from orchestrator.domain.process import Material, Process, Quality
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.domain.tariff import settle, tariff_a
from orchestrator.domain.usage import Usage
from orchestrator.ports import Store, Unit
from tests.builders import (
    NOON,
    Home,
    a_file,
    a_machine,
    a_member,
    a_run,
    a_usage,
    an_analysis,
    an_artifact,
    an_event,
    at_home,
)
from tests.contracts.conftest import OpenStore

# --- what goes in comes out -----------------------------------------------------------------------------------------


async def test_people_and_their_keys_come_back_as_they_went_in(store: Store) -> None:
    member = a_member(role=Role.TECH, locale="en", active=False, name="Zoé")
    session = Session(id_sha256="a" * 64, member_id=member.id, created_at=NOON, seen_at=NOON)
    token = ApiToken(
        id="t1",
        secret_sha256="b" * 64,
        member_id=member.id,
        name="kiosk",
        scopes=frozenset({Permission.READ, Permission.FLEET}),
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )
    may = Entitlement(member_id=member.id, machine_class="laser", until=NOON)

    async def work(unit: Unit) -> None:
        await unit.add_member(member)
        await unit.put_session(session)
        await unit.add_api_token(token)
        await unit.put_entitlement(may)

    await store.write(work)

    assert await store.read(lambda unit: unit.member(member.id)) == member
    assert await store.read(lambda unit: unit.member_by_email(member.email)) == member
    assert list(await store.read(lambda unit: unit.members())) == [member]
    assert await store.read(lambda unit: unit.session("a" * 64)) == session
    assert await store.read(lambda unit: unit.api_token("t1")) == token
    assert list(await store.read(lambda unit: unit.entitlements(member.id))) == [may]
    assert await store.read(lambda unit: unit.member(uuid4())) is None


async def test_a_session_seen_again_is_still_one_and_can_be_dropped(store: Store) -> None:
    home = await at_home(store)
    session = Session(id_sha256="a" * 64, member_id=home.member.id, created_at=NOON, seen_at=NOON)
    seen_again = replace(session, seen_at=NOON + timedelta(hours=1))

    await store.write(lambda unit: unit.put_session(session))
    await store.write(lambda unit: unit.put_session(seen_again))
    assert await store.read(lambda unit: unit.session(session.id_sha256)) == seen_again

    await store.write(lambda unit: unit.drop_session(session.id_sha256))
    assert await store.read(lambda unit: unit.session(session.id_sha256)) is None


async def test_offers_come_back_as_they_went_in(store: Store) -> None:
    home = await at_home(store)
    note = Warning(rule="mesh.open", severity=Severity.WARNING, texts={"fr": "maillage ouvert"})
    file = a_file(owner_id=home.member.id, analysis=an_analysis(bodies=None, warnings=(note,)))
    quote = home.quote(
        process=Process(material=Material.PETG, quality=Quality.FINE, infill_percent=40, supports=True),
        machine_class="fdm",
    )

    async def work(unit: Unit) -> None:
        await unit.add_file(file)
        await unit.add_quote(quote)
        await unit.publish_tariff(tariff_a(2), NOON)

    await store.write(work)

    assert await store.read(lambda unit: unit.file(file.id)) == file
    assert await store.read(lambda unit: unit.quote(quote.id)) == quote
    assert await store.read(lambda unit: unit.tariff(1)) == tariff_a(1)
    assert await store.read(lambda unit: unit.current_tariff()) == tariff_a(2)
    assert await store.read(lambda unit: unit.tariff(3)) is None


async def test_jobs_runs_machines_usage_and_bills_come_back_as_they_went_in(store: Store) -> None:
    home = await at_home(store)
    job = await home.job(quantity=3, reason="why", machine_class="fdm", cancel_requested=True)
    run = await home.run(job, start_sent_at=NOON, start_tries=1, note="é", position_bytes=1 << 40)
    usage = a_usage()
    quote = home.quote()
    bill = settle(usage, home.tariff, quote.hold, None)
    ended = replace(run, state=RunState.FAILED, cause=Cause.POWER, ended_at=NOON, usage=usage)

    async def work(unit: Unit) -> Run:
        changed = await unit.change_run(run, ended, an_event())
        await unit.add_usage(changed, usage, an_event())
        await unit.add_bill(job.id, bill)
        return changed

    changed = await store.write(work)

    assert changed == replace(ended, version=run.version + 1)
    assert await store.read(lambda unit: unit.run(run.id)) == changed
    assert list(await store.read(lambda unit: unit.runs_of(job.id))) == [changed]
    assert await store.read(lambda unit: unit.job(job.id)) == job
    assert await store.read(lambda unit: unit.job_of_quote(job.quote_id)) == job
    assert await store.read(lambda unit: unit.bill(job.id)) == bill
    assert await store.read(lambda unit: unit.machine(home.machine.id)) == home.machine
    assert list(await store.read(lambda unit: unit.machines("lab"))) == [home.machine]
    assert list(await store.read(lambda unit: unit.machines("elsewhere"))) == []
    assert await store.read(lambda unit: unit.connection(home.machine.id)) == {"address": "127.0.0.1"}


async def test_a_moment_without_a_time_zone_is_refused(store: Store) -> None:
    home = await at_home(store)
    naive = datetime(2026, 3, 2, 12, 0)  # noqa: DTZ001 - what must not get in

    with pytest.raises(Exception, match="time zone"):
        await home.job(created_at=naive)


# --- compare and set ------------------------------------------------------------------------------------------------


async def test_of_two_who_change_the_same_job_one_wins_and_the_other_is_told(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    job = await (await at_home(here)).job()

    async def cancel(unit: Unit) -> Job:
        return await unit.change_job(job, replace(job, state=JobState.CANCELLED), an_event("job.cancelled"))

    async def claim(unit: Unit) -> Job:
        return await unit.change_job(job, replace(job, state=JobState.ACTIVE), an_event("job.claimed"))

    answers = await asyncio.gather(here.write(cancel), there.write(claim), return_exceptions=True)

    (won,) = (answer for answer in answers if isinstance(answer, Job))
    (lost,) = (answer for answer in answers if not isinstance(answer, Job))
    assert isinstance(lost, Conflict)
    assert await here.read(lambda unit: unit.job(job.id)) == won
    topics = [event.topic for event in await here.read(lambda unit: unit.events(0))]
    assert topics.count("job.cancelled") + topics.count("job.claimed") == 1


async def test_each_kind_of_change_is_refused_on_an_old_version(store: Store) -> None:
    home = await at_home(store)
    job = await home.job()
    run = await home.run(job)
    changes: list[Callable[[Unit], Awaitable[object]]] = [
        lambda unit: unit.change_job(job, replace(job, reason="x"), an_event()),
        lambda unit: unit.change_run(run, replace(run, note="x"), an_event()),
        lambda unit: unit.change_machine(home.machine, replace(home.machine, note="x"), an_event()),
    ]
    for change in changes:
        await store.write(change)
        head = store.feed.head  # type: ignore[attr-defined]

        with pytest.raises(Conflict):
            await store.write(change)

        assert await store.read(lambda unit: unit.head()) == head, "a refused change writes no event"


async def test_a_change_writes_only_what_changed(store: Store) -> None:
    home = await at_home(store)
    run = await home.run(await home.job(), state=RunState.RUNNING)
    await store.write(lambda unit: unit.note_progress(run.id, 400, 12_345))

    # given an older picture of the run, as a supervisor has it
    paused = replace(run, state=RunState.PAUSED)
    await store.write(lambda unit: unit.change_run(run, paused, an_event()))

    stored = await store.read(lambda unit: unit.run(run.id))
    assert stored is not None
    assert (stored.state, stored.progress_permille, stored.position_bytes) == (RunState.PAUSED, 400, 12_345)


async def test_progress_is_a_sample_not_a_change(store: Store) -> None:
    home = await at_home(store)
    run = await home.run(await home.job(), state=RunState.RUNNING)
    head = await store.read(lambda unit: unit.head())

    await store.write(lambda unit: unit.note_progress(run.id, 400, 100))
    await store.write(lambda unit: unit.note_progress(run.id, 500, None))
    stored = await store.read(lambda unit: unit.run(run.id))
    assert stored == replace(run, progress_permille=500, position_bytes=100)
    assert await store.read(lambda unit: unit.head()) == head

    await store.write(lambda unit: unit.change_run(run, replace(run, state=RunState.FAILED), an_event()))
    await store.write(lambda unit: unit.note_progress(run.id, 900, 900))
    late = await store.read(lambda unit: unit.run(run.id))
    assert late is not None
    assert late.progress_permille == 500, "a sample that comes after the end says nothing"


# --- what the database itself refuses -------------------------------------------------------------------------------


async def test_a_machine_has_one_active_run_and_so_has_a_job(store: Store) -> None:
    home = await at_home(store)
    job, other_job = await home.job(), await home.job()
    other_machine = await home.another_machine()
    run = await home.run(job)

    with pytest.raises(Conflict, match="machine"):
        await home.run(other_job)
    with pytest.raises(Conflict, match="job"):
        await home.run(job, machine_id=other_machine.id)

    await store.write(lambda unit: unit.change_run(run, replace(run, state=RunState.FAILED), an_event()))
    again = await home.run(job)
    assert await store.read(lambda unit: unit.active_run_at(home.machine.id)) == again
    assert list(await store.read(lambda unit: unit.active_runs())) == [again]


async def test_of_many_dispatchers_that_claim_one_machine_one_wins(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(2)]
    home = await at_home(stores[0])
    jobs = [await home.job() for _ in range(10)]

    async def claim(number: int, job: Job) -> None:
        run = a_run(job_id=job.id, machine_id=home.machine.id)
        await stores[number % 2].write(lambda unit: unit.add_run(run, an_event("run.claimed")))

    answers = await asyncio.gather(*(claim(n, job) for n, job in enumerate(jobs)), return_exceptions=True)

    assert [answer for answer in answers if answer is not None and not isinstance(answer, Conflict)] == []
    assert answers.count(None) == 1


async def test_what_exists_once_is_refused_the_second_time(store: Store) -> None:
    home = await at_home(store)
    job = await home.job()
    run = await home.run(job)
    usage = a_usage()
    bill = settle(usage, home.tariff, home.quote().hold, None)
    once: list[Callable[[Unit], Awaitable[object]]] = [
        lambda unit: unit.add_member(replace(home.member, id=uuid4())),
        lambda unit: unit.publish_tariff(tariff_a(1), NOON),
        lambda unit: unit.add_job(replace(job, id=uuid4()), an_event()),
        lambda unit: unit.add_usage(run, usage, an_event()),
        lambda unit: unit.add_bill(job.id, bill),
    ]
    await store.write(once[-1])
    await store.write(once[-2])
    for again in once:
        with pytest.raises(Conflict):
            await store.write(again)


async def test_a_row_that_would_point_nowhere_is_refused(store: Store) -> None:
    await at_home(store)

    with pytest.raises(Conflict):
        await store.write(lambda unit: unit.add_file(a_file(owner_id=uuid4())))


async def test_a_refused_row_is_not_forgotten_by_catching_the_refusal(store: Store) -> None:
    home = await at_home(store)
    other = a_member()

    async def work(unit: Unit) -> None:
        await unit.add_member(other)
        with pytest.raises(Conflict):
            await unit.add_member(home.member)

    with pytest.raises(Conflict):
        await store.write(work)
    assert await store.read(lambda unit: unit.member(other.id)) is None


# --- units of work --------------------------------------------------------------------------------------------------


class Stop(Exception):
    """Thrown by a test."""


async def test_a_unit_that_fails_leaves_nothing(store: Store) -> None:
    home = await at_home(store)
    head = await store.read(lambda unit: unit.head())
    member = a_member()

    async def work(unit: Unit) -> None:
        await unit.add_member(member)
        await unit.change_machine(home.machine, replace(home.machine, bed=Bed.OCCUPIED), an_event())
        raise Stop

    with pytest.raises(Stop):
        await store.write(work)

    assert await store.read(lambda unit: unit.member(member.id)) is None
    assert await store.read(lambda unit: unit.machine(home.machine.id)) == home.machine
    assert await store.read(lambda unit: unit.head()) == head


async def test_a_unit_that_is_cancelled_leaves_nothing_and_blocks_nobody(store: Store) -> None:
    member, reached = a_member(), asyncio.Event()

    async def work(unit: Unit) -> None:
        await unit.add_member(member)
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(store.write(work))
        await reached.wait()
        task.cancel()

    assert await store.read(lambda unit: unit.member(member.id)) is None
    await store.write(lambda unit: unit.add_member(member))


async def test_a_reading_unit_writes_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="writes nothing"):
        await store.read(lambda unit: unit.add_member(a_member()))
    with pytest.raises(RuntimeError, match="writes nothing"):
        await store.read(lambda unit: unit.emit(an_event()))


async def test_a_reading_unit_sees_one_moment(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    await at_home(store)

    looked, written = asyncio.Event(), asyncio.Event()

    async def look_twice(unit: Unit) -> tuple[int, int]:
        before = len(await unit.members())
        looked.set()
        await written.wait()
        return before, len(await unit.members())

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(store.read(look_twice))
        await looked.wait()
        await other.write(lambda unit: unit.add_member(a_member()))
        written.set()

    assert reading.result() == (1, 1)
    assert len(await store.read(lambda unit: unit.members())) == 2


async def test_a_unit_inside_a_unit_is_refused_at_once(store: Store) -> None:
    async def work(unit: Unit) -> None:
        await store.read(lambda inner: inner.head())

    with pytest.raises(RuntimeError, match="inside another"):
        await store.write(work)


# --- files, jobs, machines ------------------------------------------------------------------------------------------


async def test_a_file_is_analysed_once(store: Store) -> None:
    home = await at_home(store)
    file = a_file(owner_id=home.member.id, analysis=None, created_at=NOON + timedelta(minutes=1))
    refusal = Fault(rule="mesh.empty", seen="0", remedy="send another", texts={"fr": "vide"})
    await store.write(lambda unit: unit.add_file(file))
    assert list(await store.read(lambda unit: unit.files_to_analyse())) == [file.id]

    assert await store.write(lambda unit: unit.set_analysis(file.id, None, (refusal,))) is True
    assert await store.write(lambda unit: unit.set_analysis(file.id, an_analysis(), ())) is False

    assert await store.read(lambda unit: unit.file(file.id)) == replace(file, refusals=(refusal,))
    assert list(await store.read(lambda unit: unit.files_to_analyse())) == []
    newest_first = await store.read(lambda unit: unit.files(home.member.id))
    assert [stored.id for stored in newest_first] == [file.id, home.file.id]


async def test_known_files_are_uploads_and_prepared_ones(store: Store) -> None:
    home = await at_home(store)
    job = await home.job(artifact=None, state=JobState.PREPARING)
    assert await store.read(lambda unit: unit.known_hashes()) == {home.file.sha256}

    artifact = an_artifact()
    prepared = replace(job, artifact=artifact, state=JobState.QUEUED)
    await store.write(lambda unit: unit.change_job(job, prepared, an_event()))

    assert await store.read(lambda unit: unit.known_hashes()) == {home.file.sha256, artifact.sha256}
    stored = await store.read(lambda unit: unit.job(job.id))
    assert stored is not None
    assert stored.artifact == artifact


async def test_the_queue_is_in_the_order_of_waiting_and_leaves_the_curves_out(store: Store) -> None:
    home = await at_home(store)
    late = await home.job(queued_at=NOON + timedelta(minutes=2))
    requeued = await home.job(queued_at=NOON, failed_runs=1, created_at=NOON + timedelta(minutes=5))
    await home.job(state=JobState.DONE)

    async def read(unit: Unit) -> tuple[list[UUID], list[Job]]:
        order = [job_id for job_id, _version in await unit.queued()]
        found = {job.id: job for job in await unit.jobs_of(order)}
        return order, [found[job_id] for job_id in order]

    order, queue = await store.read(read)

    assert order == [requeued.id, late.id]
    assert queue[0].artifact is not None
    assert requeued.artifact is not None
    assert queue[0].artifact == replace(requeued.artifact, curve=())
    # and a change made on the shorter picture keeps the curve
    claimed = replace(queue[0], state=JobState.ACTIVE)
    await store.write(lambda unit: unit.change_job(queue[0], claimed, an_event()))
    whole = await store.read(lambda unit: unit.job(requeued.id))
    assert whole is not None
    assert whole.artifact == requeued.artifact


async def test_jobs_are_paged_newest_first(store: Store) -> None:
    home = await at_home(store)
    made = [await home.job(created_at=NOON + timedelta(seconds=n // 2)) for n in range(7)]
    await home.job(state=JobState.DONE, created_at=NOON + timedelta(days=1))
    expected = sorted(made, key=lambda job: (job.created_at, job.id), reverse=True)

    async def page(before: tuple[datetime, UUID] | None) -> Sequence[Job]:
        queued = {JobState.QUEUED}
        return await store.read(
            lambda unit: unit.jobs(member_id=home.member.id, states=queued, before=before, limit=3)
        )

    pages = list(await page(None))
    while following := await page((pages[-1].created_at, pages[-1].id)):
        pages += following

    assert [job.id for job in pages] == [job.id for job in expected]
    assert list(await store.read(lambda unit: unit.jobs(member_id=uuid4()))) == []


async def test_describing_a_known_machine_anew_does_not_clear_its_bed(store: Store) -> None:
    home = await at_home(store)
    worn = replace(home.machine, bed=Bed.OCCUPIED, held="broken belt", link=Link.OFFLINE, material=None)
    worn = await store.write(lambda unit: unit.change_machine(home.machine, worn, an_event()))

    described = replace(home.machine, name="Ada II", bed=Bed.CLEAR, held="")
    await store.write(lambda unit: unit.put_machine(described, {"address": "127.0.0.2"}, an_event()))

    assert await store.read(lambda unit: unit.machine(home.machine.id)) == replace(
        worn, name="Ada II", version=worn.version + 1
    )
    assert await store.read(lambda unit: unit.connection(home.machine.id)) == {"address": "127.0.0.2"}
    with pytest.raises(NotFound):
        await store.read(lambda unit: unit.connection(a_machine().id))


async def test_usage_is_a_feed_in_the_order_it_was_recorded(store: Store) -> None:
    home = await at_home(store)
    recorded: list[tuple[UUID, Usage]] = []
    for seconds in range(5):
        run = await home.run(await home.job(), state=RunState.FINISHED)
        usage = a_usage(machine_seconds=seconds)
        await store.write(lambda unit: unit.add_usage(run, usage, an_event()))  # noqa: B023 - runs here
        recorded.append((run.id, usage))

    feed = await store.read(lambda unit: unit.usage_records(0, 3))
    feed = [*feed, *await store.read(lambda unit: unit.usage_records(feed[-1][0], 3))]

    assert [seq for seq, _, _ in feed] == sorted({seq for seq, _, _ in feed})
    assert [(run.id, run.usage) for _, run, _ in feed] == recorded
    assert all(job.id == run.job_id for _, run, job in feed)


# --- keys, attempts, turns ------------------------------------------------------------------------------------------


def a_claim(after_seconds: float = 0, **other: Any) -> Claim:
    values = {"principal": "me", "operation": "POST /jobs", "key": "k", "fingerprint": "f" * 64} | other
    return Claim(at=NOON + timedelta(seconds=after_seconds), **values)


async def claimed(store: Store, claim: Claim) -> Remembered | None:
    return await store.write(lambda unit: unit.claim(claim))


async def test_an_answer_is_remembered_under_its_key_for_three_days(store: Store) -> None:
    answer = Remembered(
        fingerprint="f" * 64, status=201, body={"id": 1, "none": None}, headers={"ETag": "1"}, at=NOON
    )
    assert await claimed(store, a_claim()) is None
    await store.write(lambda unit: unit.remember(a_claim(), answer))

    assert await claimed(store, a_claim(5)) == answer
    assert await claimed(store, a_claim(5, principal="you")) is None
    assert await claimed(store, a_claim(5, operation="POST /quotes")) is None
    assert await claimed(store, a_claim(72 * 3600 - 1, fingerprint="g" * 64)) == answer
    assert await claimed(store, a_claim(72 * 3600)) is None, "after that it is a new key"


async def test_what_was_asked_long_ago_is_forgotten(store: Store) -> None:
    for key, after_seconds in (("old", 0), ("new", 10)):
        assert await claimed(store, a_claim(after_seconds, key=key)) is None

    assert await store.write(lambda unit: unit.forget(NOON + timedelta(seconds=10))) == 1

    assert await claimed(store, a_claim(20, key="old")) is None
    assert await claimed(store, a_claim(20, key="new")) is not None


async def test_a_freed_key_is_as_if_it_had_not_been_used(store: Store) -> None:
    assert await claimed(store, a_claim()) is None
    await store.write(lambda unit: unit.free(a_claim(1)))
    assert await claimed(store, a_claim(1)) is not None, "only its owner frees it"
    await store.write(lambda unit: unit.free(a_claim()))
    assert await claimed(store, a_claim(1, fingerprint="g" * 64)) is None


async def test_a_request_that_died_is_taken_over_after_a_minute_and_may_then_do_nothing_more(
    store: Store,
) -> None:
    member = a_member()

    async def late(unit: Unit) -> None:
        await unit.begin(a_claim())
        await unit.add_member(member)

    assert await claimed(store, a_claim()) is None
    running = await claimed(store, a_claim(59))
    assert running is not None
    assert running.status == RUNNING
    assert await claimed(store, a_claim(60, fingerprint="g" * 64)) == running, "not for something else"
    assert await claimed(store, a_claim(60)) is None

    for work in (late, lambda unit: unit.remember(a_claim(), running)):
        with pytest.raises(Conflict):
            await store.write(work)
    assert await store.read(lambda unit: unit.member(member.id)) is None
    await store.write(lambda unit: unit.begin(a_claim(60)))


async def test_a_request_that_died_after_it_began_is_not_taken_over(store: Store) -> None:
    assert await claimed(store, a_claim()) is None
    await store.write(lambda unit: unit.begin(a_claim()))

    known = await claimed(store, a_claim(3600))

    assert known is not None
    assert known.status == BEGUN


async def test_attempts_are_counted_in_their_window(store: Store) -> None:
    async def attempt(key: str, after_seconds: int) -> int:
        at = NOON + timedelta(seconds=after_seconds)
        return await store.write(lambda unit: unit.count_attempt(key, at, 60))

    assert [await attempt("a", 0), await attempt("a", 10), await attempt("b", 20)] == [1, 2, 1]
    assert await attempt("a", 61) == 2, "the first is older than a minute"
    assert await attempt("a", 600) == 1


async def test_turns_of_a_site_only_go_up(store: Store) -> None:
    assert await store.read(lambda unit: unit.fleet_turn("lab")) == 0
    assert await store.write(lambda unit: unit.take_fleet_turn("lab")) == 1
    assert await store.write(lambda unit: unit.take_fleet_turn("lab")) == 2
    assert await store.write(lambda unit: unit.take_fleet_turn("annexe")) == 1
    assert await store.read(lambda unit: unit.fleet_turn("lab")) == 2


async def test_builders_make_a_home_that_holds_together(store: Store) -> None:
    home: Home = await at_home(store, credit_cents=500)

    balance = await store.read(lambda unit: unit.balance(home.member.account_id))
    assert balance.available.cents == 500
