"""fab-manager beside a lab: what moves there moves here, what breaks here is shown there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.member import Role
from orchestrator.domain.reservation import Purpose, Reservation, ReservationState
from orchestrator.domain.source import Found, Source, SourceKind
from tests.bookings.lab import BookedLab
from tests.builders import NOON, a_member, an_event
from tests.rigs.fake_fabmanager import FakeFabManager, hours


async def connected(booked: BookedLab, fake: FakeFabManager, **more: str) -> tuple[Source, int]:
    machine = fake.has_machine("Prusa")
    machines = {str(machine): str(booked.machine.id)} | more
    return await booked.source(SourceKind.FABMANAGER, fake.base, machines=machines), machine


async def test_t26_a_booking_moved_after_it_was_made_frees_its_old_window_and_holds_the_new_at_the_next_poll(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    user = fabmanager.has_user("camille@example.org")
    booking = fabmanager.books(user, machine, *hours(NOON, 2, 3), made=NOON - timedelta(days=30))
    await stored.poll(source)
    (before,) = await stored.windows()

    fabmanager.moves(booking, 0, NOON + timedelta(hours=30), NOON + timedelta(hours=31))
    await stored.poll(source)

    (after,) = await stored.windows()
    assert (after.id, after.starts_at, after.ends_at) == (
        before.id,
        NOON + timedelta(hours=30),
        NOON + timedelta(hours=31),
    )
    assert await stored.topics() == ["reservation.booked", "reservation.moved"]


async def test_t26_a_booking_cancelled_after_it_was_made_frees_its_window_at_the_next_poll(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    booking = fabmanager.books(fabmanager.has_user("c@example.org"), machine, *hours(NOON, 2, 3))
    await stored.poll(source)

    fabmanager.cancels(booking)
    after = await stored.poll(source)

    assert await stored.windows() == []
    assert await stored.topics() == ["reservation.booked", "reservation.cancelled"]
    assert Found.of(after.note) == Found(held=0, changed=1)


async def test_slots_that_touch_are_one_window_and_the_others_are_their_own(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(booked, fabmanager)
    user = fabmanager.has_user("c@example.org")
    slots = [*hours(NOON, 2, 5), *hours(NOON, 8, 9)]
    booking = fabmanager.books(user, machine, *slots)
    await booked.poll(source)
    assert await booked.hours() == [(f"{booking}", 2, 5), (f"{booking}.2", 8, 9)]

    fabmanager.cancels(booking, slot=1)  # the middle hour
    await booked.poll(source)
    assert await booked.hours() == [(f"{booking}", 2, 3), (f"{booking}.2", 4, 5), (f"{booking}.3", 8, 9)]


async def test_two_bookings_that_change_places_find_them(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(booked, fabmanager)
    user = fabmanager.has_user("c@example.org")
    one = fabmanager.books(user, machine, *hours(NOON, 2, 3))
    other = fabmanager.books(user, machine, *hours(NOON, 4, 5))
    await booked.poll(source)

    fabmanager.moves(one, 0, *hours(NOON, 4, 5)[0])
    fabmanager.moves(other, 0, *hours(NOON, 2, 3)[0])
    await booked.poll(source)

    assert await booked.hours() == [(f"{other}", 2, 3), (f"{one}", 4, 5)]


async def test_a_window_that_another_system_holds_is_told_once_and_booked_when_it_is_free(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    ours = await _by_another(stored, 2, 4)
    user = fabmanager.has_user("c@example.org")
    booking = fabmanager.books(user, machine, *hours(NOON, 3, 5))
    apart = fabmanager.books(user, machine, *hours(NOON, 6, 7))

    found = [Found.of((await stored.poll(source)).note) for _ in range(3)]
    assert [f and (f.held, f.changed, f.conflicts) for f in found] == [(1, 2, 1), (1, 0, 1), (1, 0, 1)]
    assert await stored.topics() == ["reservation.made", "booking.conflict", "reservation.booked"]

    freed = replace(ours, state=ReservationState.CANCELLED)
    await stored.store.write(lambda unit: unit.change_reservation(ours, freed, an_event("reservation.gone")))
    await stored.poll(source)
    assert await stored.hours() == [(f"{booking}", 3, 5), (f"{apart}", 6, 7)]


async def _by_another(booked: BookedLab, first: int, last: int) -> Reservation:
    reservation = Reservation(
        id=a_member().id,
        system="other",
        external_id="1",
        site="lab",
        machine_id=booked.machine.id,
        machine_class=None,
        purpose=Purpose.MAINTENANCE,
        starts_at=NOON + timedelta(hours=first),
        ends_at=NOON + timedelta(hours=last),
        created_at=NOON,
        changed_at=NOON,
    )
    await booked.store.write(lambda unit: unit.add_reservation(reservation, an_event("reservation.made")))
    return reservation


async def test_a_window_that_was_released_because_nobody_came_stays_free(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(booked, fabmanager)
    booking = fabmanager.books(fabmanager.has_user("c@example.org"), machine, *hours(NOON, 1, 2))
    await booked.poll(source)
    (window,) = await booked.windows()
    released = replace(window, state=ReservationState.RELEASED)
    await booked.store.write(
        lambda unit: unit.change_reservation(window, released, an_event("reservation.released"))
    )

    await booked.poll(source)
    assert await booked.windows() == []

    fabmanager.moves(booking, 0, *hours(NOON, 5, 6)[0])  # another time is another chance
    await booked.poll(source)
    assert await booked.hours() == [(f"{booking}", 5, 6)]


async def test_users_become_members_once_and_staff_stay_what_they_are(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    fabmanager.has_user("camille@example.org", "Camille Martin")
    fabmanager.has_user(f"  {stored.manager.email.upper()} ", "Somebody Else")
    fabmanager.has_user("not an address")
    fabmanager.books(fabmanager.users[0]["id"], machine, *hours(NOON, 2, 3))
    await stored.poll(source)
    await stored.poll(source)

    members = await stored.store.read(lambda unit: unit.members())
    assert sorted((m.name, m.role) for m in members) == [
        ("Camille Martin", Role.MEMBER),
        ("Lou", Role.MANAGER),
    ]
    (window,) = await stored.windows()
    assert window.member_id == next(m.id for m in members if m.name == "Camille Martin")


async def test_a_training_allows_its_machine_class_until_it_is_no_longer_told(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, _ = await connected(stored, fabmanager, **{"training:3": "fdm"})
    user = fabmanager.has_user("camille@example.org")
    fabmanager.trains(user, 3)
    fabmanager.trains(user, 4)
    await stored.poll(source)
    held = await stored.store.read(lambda unit: unit.entitlements())
    assert [(e.machine_class, e.training) for e in held] == [("fdm", "fabmanager:3")]

    fabmanager.forgets_training(user, 3)
    await stored.clock.advance(3600)
    await stored.poll(source)
    assert await stored.store.read(lambda unit: unit.entitlements()) == []


async def test_an_event_holds_the_whole_lab_when_it_is_mapped_so(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, _ = await connected(booked, fabmanager, **{"event:7": "*", "session:3": "fdm"})
    first = fabmanager.opens("Event", 7, *hours(NOON, 20, 21)[0])
    fabmanager.opens("Event", 8, *hours(NOON, 22, 23)[0])
    second = fabmanager.opens("Training", 3, *hours(NOON, 24, 25)[0])
    await booked.poll(source)
    held = await booked.windows()
    assert [(w.external_id, w.machine_id, w.machine_class, w.purpose) for w in held] == [
        (f"availability:{first}", None, None, Purpose.EVENT),
        (f"availability:{second}", None, "fdm", Purpose.EVENT),
    ]


async def test_a_breakdown_is_mirrored_and_only_ours_is_taken_back(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    other = fabmanager.has_machine("Closed by hand", disabled=True)
    await _maintenance(stored, True)
    await stored.poll(source)
    assert fabmanager.machines[machine]["disabled"] is True

    await _maintenance(stored, False)
    await stored.poll(source)
    assert fabmanager.machines[machine]["disabled"] is False

    fabmanager.machines[machine]["disabled"] = True  # somebody over there knows why
    await stored.poll(source)
    assert fabmanager.machines[machine]["disabled"] is True
    assert fabmanager.machines[other]["disabled"] is True


async def _maintenance(booked: BookedLab, on: bool) -> None:
    before = await booked.store.read(lambda unit: unit.machine(booked.machine.id))
    assert before is not None
    after = replace(before, maintenance=on)
    await booked.store.write(lambda unit: unit.change_machine(before, after, an_event("machine.maintenance")))


async def test_hundreds_of_bookings_come_page_after_page(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(booked, fabmanager)
    user = fabmanager.has_user("c@example.org")
    for hour in range(1, 500, 2):
        fabmanager.books(user, machine, *hours(NOON, hour, hour + 1))
    after = await booked.poll(source)
    assert Found.of(after.note) == Found(held=250, changed=250)
    assert sum("/reservations" in url for _, url in booked.outbound.asked) == 3


async def test_a_system_that_is_busy_is_waited_for(booked: BookedLab, fabmanager: FakeFabManager) -> None:
    source, machine = await connected(booked, fabmanager)
    fabmanager.books(fabmanager.has_user("c@example.org"), machine, *hours(NOON, 1, 2))
    fabmanager.is_busy(times=2, retry_after="7")
    async with asyncio.TaskGroup() as group:
        polling = group.create_task(booked.poll(source))
        while not polling.done():
            await asyncio.sleep(0.01)
            await booked.clock.advance(1)
    assert booked.clock.monotonic() >= 14
    assert len(await booked.windows()) == 1


async def test_an_outage_keeps_the_windows_and_is_asked_ever_more_rarely(
    stored: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, machine = await connected(stored, fabmanager)
    fabmanager.books(fabmanager.has_user("c@example.org"), machine, *hours(NOON, 1, 2))
    await stored.poll(source)
    waits, after = [], source
    for _ in range(3):
        fabmanager.fails()
        after = await stored.poll(source)
        assert after.due_at is not None
        waits.append((after.due_at - stored.clock.now()).total_seconds())
    assert (after.failures, after.note) == (3, "source.fails")
    assert waits == [600, 1200, 2400]
    assert len(await stored.windows()) == 1
    assert await stored.topics(("source.failed",)) == ["source.failed"]  # said once, not each time

    healed = await stored.poll(source)
    assert (healed.failures, healed.note.split()[0]) == (0, "ok")


async def test_a_wrong_token_is_an_operators_affair_and_not_asked_fast(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    source, _ = await connected(booked, fabmanager)
    fabmanager.token = "changed"
    after = await booked.poll(source)
    assert after.note == "source.token"
    assert after.due_at is not None
    assert (after.due_at - booked.clock.now()).total_seconds() == 3600


async def test_a_source_is_polled_when_its_time_has_come_and_not_before(
    booked: BookedLab, fabmanager: FakeFabManager
) -> None:
    await connected(booked, fabmanager)
    await booked.lab.work.schedule("polls", "* * * * *", "polls")
    polled = []
    for _ in range(7):
        await booked.lab.work.fire("polls", "now")  # type: ignore[attr-defined]
        polled.append(sum("/machines" in asked for asked in fabmanager.asked))
        await booked.clock.advance(60)
    assert polled == [1, 1, 1, 1, 1, 2, 2]
