"""Reservations as a booking system makes, moves and cancels them; and all that it must not send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.domain.job import JobState
from orchestrator.domain.member import Member, Permission, Role
from orchestrator.domain.run import RunState
from orchestrator.flow import booking
from orchestrator.ports import Unit
from tests.builders import a_file, a_job, a_quote, a_run, an_artifact, an_event
from tests.web.api.bookingworld import SYSTEM, World, a_world, named
from tests.web.api.server import V1

POSTGRES = pytest.param("postgresql", marks=pytest.mark.peers)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(params=["sqlite", POSTGRES])
async def crowd(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """On a database that many connections reach at once."""
    sqlite = f"sqlite+aiosqlite:///{tmp_path / 'lab.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with a_world(tmp_path, url) as made:
        yield made


async def at_work(world: World, member: Member, permille: int = 0, seconds: int = 3600) -> Any:
    """A run of that member's on the machine; the job."""
    now = world.desk.clock.now()
    file = a_file(owner_id=member.id)
    quote = a_quote(member_id=member.id, file_id=file.id)
    job = a_job(
        member_id=member.id,
        account_id=member.account_id,
        file_id=file.id,
        quote_id=quote.id,
        state=JobState.ACTIVE,
        artifact=an_artifact(print_seconds=seconds),
    )
    run = a_run(
        job_id=job.id,
        machine_id=world.machine.id,
        state=RunState.RUNNING,
        claimed_at=now,
        started_at=now,
        progress_permille=permille,
    )

    async def work(unit: Unit) -> None:
        await unit.add_file(file)
        await unit.add_quote(quote)
        await unit.add_job(job, an_event("job.claimed"))
        await unit.add_run(run, an_event("run.running"))

    await world.desk.store.write(work)
    return job


# --- made, moved, cancelled ------------------------------------------------------------------------


async def test_a_booking_is_made_once_and_repeating_it_changes_nothing(world: World) -> None:
    first, again = await world.book("1"), await world.book("1")

    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert await world.topics("reservation.") == ["reservation.booked"]


async def test_a_move_frees_the_old_window_and_holds_the_new_one(world: World) -> None:
    await world.book("1", 24, 26)
    assert (await world.book("1", 30, 32)).status == 200

    assert (await world.book("2", 24, 26)).status == 201
    assert (await world.book("3", 31, 33)).is_problem(409, "booked_by_other")
    assert await world.topics("reservation.moved") == ["reservation.moved"]


async def test_a_move_onto_another_leaves_everything_as_it_was(world: World) -> None:
    await world.book("1", 24, 26)
    before = (await world.book("2", 30, 32)).json

    assert (await world.book("2", 25, 27)).is_problem(409, "booked_by_other")
    assert (await world.booking.get(f"/reservations/{SYSTEM}/2")).json == before


async def test_windows_that_only_touch_do_not_overlap(world: World) -> None:
    assert [(await world.book(str(n), 24 + n, 25 + n)).status for n in range(3)] == [201] * 3


async def test_who_is_in_the_way_is_named(world: World) -> None:
    await world.book("the-first")

    refused = await world.book("late")

    assert refused.rules == ["booked_by_other"]
    assert f"{SYSTEM}/the-first" in refused.json["faults"][0]["seen"]


async def test_a_cancelled_window_is_everybodys_and_cancelling_twice_is_once(world: World) -> None:
    await world.book("1")
    path = f"/reservations/{SYSTEM}/1"

    assert [(await world.delete(path)).status for _ in range(2)] == [204, 204]
    assert (await world.booking.get(path)).json["state"] == "cancelled"
    assert await world.topics("reservation.cancelled") == ["reservation.cancelled"]
    assert (await world.book("2")).status == 201
    assert (await world.book("1")).is_problem(409, "booked_by_other")


async def test_a_booking_by_class_gets_the_first_that_is_free_and_keeps_it(world: World) -> None:
    await world.desk.machine("Bob", site="lab")
    one, two = await world.book("1", machine_class="fdm"), await world.book("2", machine_class="fdm")
    again = await world.book("2", 24, 27, machine_class="fdm")
    third = await world.book("3", machine_class="fdm")

    assert one.json["machine_id"] == str(world.machine.id)
    assert two.json["machine_id"] == again.json["machine_id"] != one.json["machine_id"]
    assert third.is_problem(409, "booked_by_other")
    assert len(third.json["faults"]) == 2


async def test_only_those_that_hold_machines_of_the_class_are_named(world: World) -> None:
    laser = await world.desk.machine("Zoe", machine_class="laser")
    await world.book("elsewhere", machine_id=str(laser.id))
    await world.book("here", machine_class="fdm")

    refused = await world.book("late", machine_class="fdm")

    assert len(refused.json["faults"]) == 1
    assert "/here" in refused.json["faults"][0]["seen"]


async def test_a_closed_site_takes_all_its_machines(world: World) -> None:
    assert (await world.book("shut", site="lab", purpose="closure")).status == 201
    assert (await world.book("1")).is_problem(409, "booked_by_other")


# --- what nobody may send ---------------------------------------------------------------------------


def paris(local: str, **more: Any) -> dict[str, Any]:
    return {"local": local, "zone": "Europe/Paris"} | more


LATE = "2026-10-30T12:00:00Z"


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        ({"starts_at": "2026-03-10T10:00:00", "ends_at": "2026-03-10T11:00:00Z"}, "instant.offset"),
        ({"starts_at": "2026-03-10T12:00:00Z", "ends_at": "2026-03-10T11:00:00Z"}, "reservation.order"),
        ({"starts_at": "2026-03-10T12:00:00Z", "ends_at": "2026-03-10T13:00:00+01:00"}, "reservation.order"),
        ({"starts_at": paris("2026-03-29T02:30"), "ends_at": "2026-03-29T09:00:00Z"}, "instant.missing"),
        ({"starts_at": paris("2026-10-25T02:30"), "ends_at": "2026-10-25T09:00:00Z"}, "instant.twice"),
        ({"starts_at": paris("2026-03-10T02:30", fold=2), "ends_at": LATE}, "field.range"),
        ({"starts_at": {"local": "2026-03-10T02:30", "zone": "Mars/Olympus"}, "ends_at": LATE}, "instant.zone"),
        ({"starts_at": {"local": "2026-03-10T02:30", "zone": "../../etc/passwd"}, "ends_at": LATE}, "instant.zone"),
        ({"starts_at": {"local": "2026-03-10T02:30", "zone": "Europe"}, "ends_at": LATE}, "instant.zone"),
        ({"starts_at": "2026-03-10T12:00:00Z", "ends_at": "2026-04-11T12:00:01Z"}, "reservation.length"),
        ({"starts_at": "2029-03-10T12:00:00Z", "ends_at": "2029-03-10T13:00:00Z"}, "reservation.far"),
        ({"starts_at": "2026-02-10T12:00:00Z", "ends_at": "2026-02-10T13:00:00Z"}, "reservation.past"),
    ],
)  # fmt: skip
async def test_a_window_that_cannot_be_is_refused_by_its_rule(world: World, times: Any, rule: str) -> None:
    refused = await world.put(f"/reservations/{SYSTEM}/1", {"machine_id": str(world.machine.id)} | times)

    assert refused.is_problem(422)
    assert rule in refused.rules
    assert (await world.booking.get(f"/reservations/{SYSTEM}/1")).status == 404


@pytest.mark.parametrize(
    "times",
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T01:00:00+14:00"),
        ("9999-12-31T23:00:00-14:00", "9999-12-31T23:59:59-14:00"),
        ({"local": "0001-01-01T00:00", "zone": "Europe/Paris"}, "0001-01-01T01:00:00Z"),
        ({"local": "9999-12-31T23:59", "zone": "America/Los_Angeles"}, "9999-12-31T23:59:59Z"),
        ("2026-13-01T00:00:00Z", "2026-03-10T11:00:00Z"),
        (1772445600, 1772449200),
        ("1772445600", "1772449200"),
        ("2026-03-10", "2026-03-11"),
        (None, None),
        ([], {}),
    ],
)
@pytest.mark.parametrize("known", [False, True])
async def test_instants_that_are_none_answer_422_new_or_moved(world: World, times: Any, known: bool) -> None:
    if known:
        await world.book("1")
    body = {"machine_id": str(world.machine.id), "starts_at": times[0], "ends_at": times[1]}

    assert (await world.put(f"/reservations/{SYSTEM}/1", body)).is_problem(422)


async def test_the_doubled_hour_is_booked_by_its_fold_and_any_offset_names_an_instant(world: World) -> None:
    first = paris("2026-10-25T02:30", fold=0)
    second = paris("2026-10-25T02:30", fold=1)
    body = {"machine_id": str(world.machine.id), "starts_at": first, "ends_at": second}

    made = await world.put(f"/reservations/{SYSTEM}/1", body)
    odd = {"starts_at": "2026-07-01T12:00:00+05:45", "ends_at": "2026-07-01T13:00:00+05:45"}

    assert (made.json["starts_at"], made.json["ends_at"]) == (
        "2026-10-25T00:30:00.000Z",
        "2026-10-25T01:30:00.000Z",
    )
    assert (await world.put(f"/reservations/{SYSTEM}/2", body | odd)).json[
        "starts_at"
    ] == "2026-07-01T06:15:00.000Z"


async def test_what_is_ours_to_say_is_no_field(world: World) -> None:
    refused = await world.book("1", state="booked", used_at=None, version=7, id="x")

    assert refused.is_problem(422)
    assert set(refused.rules) == {"field.unknown"}


async def test_a_token_without_the_scope_is_refused(world: World) -> None:
    feeds = await world.looker(Permission.FEEDS)
    member = await world.desk.program(Role.MEMBER)

    for asker in (feeds, member):
        assert (await world.book("1", by=asker)).is_problem(403, "forbidden")
        assert (await world.put(f"/members/{SYSTEM}/1", {}, asker)).is_problem(403, "forbidden")
    assert (await world.put(f"/members/{SYSTEM}/1", {}, world.desk.nobody)).status == 401


@pytest.mark.parametrize(
    "path", ["/reservations?cursor=nonsense", "/reservations?cursor=%00", "/jobs?cursor=MTIz"]
)
async def test_a_cursor_of_nonsense_answers_422(world: World, path: str) -> None:
    asker = await world.desk.program(Role.MANAGER)

    assert (await asker.get(path)).rules == ["cursor"]


@pytest.mark.parametrize("after", ["nonsense", "-1", "1.5", "9" * 40, "%00", "%D9%A1", ""])
@pytest.mark.parametrize("feed", ["charges", "usage-records"])
async def test_a_feed_is_not_read_from_nonsense(world: World, feed: str, after: str) -> None:
    refused = await world.booking.get(f"/{feed}?after={after}")

    assert refused.is_problem(422)
    assert refused.rules == ["cursor"]


@pytest.mark.parametrize(
    "query",
    [
        "from=9999-12-31T23:00:00Z",
        "from=0001-01-01T00:00:00%2B14:00&to=0001-01-02T00:00:00%2B14:00",
        "from=9999-12-31T00:00:00-14:00&to=9999-12-31T23:59:59-14:00",
        "from=2026-03-10T00:00:00Z&to=2026-03-09T00:00:00Z",
        "from=2026-03-10T00:00:00Z&to=2026-12-09T00:00:00Z",
        "from=2026-03-10T00:00:00",
        "from=1772445600",
        "from=tomorrow",
    ],
)
async def test_a_span_that_nobody_can_look_at_answers_422_or_nothing(world: World, query: str) -> None:
    for path in ("/reservations", f"/machines/{world.machine.id}/availability"):
        seen = await world.booking.get(f"{path}?{query}")
        assert seen.status == 422 or (seen.status, seen.json["items"]) == (200, []), (path, seen.raw)


# --- many at once -----------------------------------------------------------------------------------


async def test_of_fifty_who_book_one_slot_at_once_one_has_it(crowd: World) -> None:
    answers = await asyncio.gather(*(crowd.book(str(n)) for n in range(50)))

    assert sorted(a.status for a in answers) == [201] + [409] * 49
    assert all(a.is_problem(409, "booked_by_other") and a.rules for a in answers if a.status == 409)


async def test_of_fifty_who_book_a_class_at_once_each_machine_has_one(crowd: World) -> None:
    await crowd.desk.machine("Bob")
    await crowd.desk.machine("Cleo")

    answers = await asyncio.gather(*(crowd.book(str(n), machine_class="fdm") for n in range(50)))

    assert sorted(a.status for a in answers) == [201] * 3 + [409] * 47
    assert len({a.json["machine_id"] for a in answers if a.status == 201}) == 3


async def test_the_same_booking_twenty_times_at_once_is_one(crowd: World) -> None:
    answers = await asyncio.gather(*(crowd.book("same") for _ in range(20)))

    assert sorted(a.status for a in answers) == [200] * 19 + [201]
    assert len({a.json["id"] for a in answers}) == 1


async def test_the_same_member_told_of_twenty_times_at_once_is_one(crowd: World) -> None:
    answers = await asyncio.gather(*(crowd.tell("same", email="a@example.org") for _ in range(20)))

    assert sorted(a.status for a in answers) == [200] * 19 + [201]


@pytest.mark.parametrize("kind", ["reservations", "members", "organisations", "entitlements"])
async def test_of_ten_who_change_what_they_all_saw_one_does(crowd: World, kind: str) -> None:
    await crowd.tell("1")
    path = f"/{kind}/{SYSTEM}/1" + ("/laser" if kind == "entitlements" else "")

    def body(n: int) -> dict[str, Any]:
        return {
            "reservations": crowd.window(24, 26, note=str(n)),
            "members": {"name": f"name {n}"},
            "organisations": {"name": f"name {n}"},
            "entitlements": {"training": f"training {n}"},
        }[kind]

    seen = (await crowd.put(path, body(0))).headers["ETag"]
    answers = await asyncio.gather(
        *(crowd.put(path, body(n), headers={"If-Match": seen}) for n in range(1, 11))
    )

    assert sorted(a.status for a in answers) == [200] + [412] * 9
    (changed,) = (a for a in answers if a.status == 200)
    now = await crowd.booking.get(path)
    assert (now.json, now.headers["ETag"]) == (changed.json, changed.headers["ETag"])
    known = await crowd.booking.get(path, headers={"If-None-Match": now.headers["ETag"]})
    assert (known.status, known.raw) == (304, b"")


async def test_a_condition_on_what_is_not_there_is_not_met(world: World) -> None:
    for condition in ('"1"', "*"):
        answer = await world.put(f"/members/{SYSTEM}/1", {}, headers={"If-Match": condition})
        assert answer.is_problem(412, "precondition")


async def test_what_is_made_anew_under_an_old_name_is_another_thing(world: World) -> None:
    await world.tell("1")
    path = f"/entitlements/{SYSTEM}/1/laser"
    old = (await world.put(path, {"training": "one"})).headers["ETag"]
    await world.delete(path)
    await world.put(path, {"training": "two"})

    assert (await world.booking.get(path, headers={"If-None-Match": old})).status == 200


# --- runs, no-shows ---------------------------------------------------------------------------------


async def test_a_window_is_not_booked_across_a_run_unless_it_is_a_fact(world: World) -> None:
    job = await at_work(world, await world.desk.person())

    refused = await world.book("1", 0.5, 2)
    recorded = await world.book("1", 0.5, 2, despite_runs=True)

    assert refused.is_problem(409, "conflict")
    assert str(job.id) in refused.json["faults"][0]["seen"]
    assert recorded.status == 201
    assert await world.topics("booking.conflict") == ["booking.conflict"]
    assert (await world.book("1", 0.5, 2)).status == 200, "said before, and still a fact"


async def test_a_window_after_the_run_is_free(world: World) -> None:
    await at_work(world, await world.desk.person(), permille=900)

    assert (await world.book("1", 0.5, 2)).status == 201


async def test_ones_own_run_is_no_hindrance_to_ones_window(world: World) -> None:
    await world.tell("camille", email="camille@example.org")
    found = await world.desk.store.read(lambda unit: unit.member_by_email("camille@example.org"))
    assert found is not None
    await at_work(world, found)

    assert (await world.book("1", 0.5, 2, member=named("camille"))).status == 201


async def test_a_note_is_changed_while_a_job_is_at_work(world: World) -> None:
    await world.book("1", 0.5, 2)
    await at_work(world, await world.desk.person())

    assert (await world.book("1", 0.5, 2, note="bring a spool")).status == 200


async def test_a_window_nobody_comes_to_is_released_and_repeating_it_holds_it_no_more(world: World) -> None:
    await world.tell("camille")
    await world.book("1", 0.1, 2, member=named("camille"))
    path, said = f"/reservations/{SYSTEM}/1", world.window(0.1, 2, member=named("camille"))
    await world.desk.clock.advance(3600)

    assert await booking.release_missed(world.desk.lab) == 1
    assert (await world.put(path, said)).json["state"] == "released"
    assert (await world.book("2", 0.1, 1)).status == 201
    assert await booking.release_missed(world.desk.lab) == 0


async def test_a_short_window_that_was_missed_is_released_when_it_is_over(world: World) -> None:
    await world.tell("camille")
    await world.book("1", 0.1, 0.2, member=named("camille"))
    await world.desk.clock.advance(3600)

    assert await booking.release_missed(world.desk.lab) == 1


async def test_a_window_that_was_used_is_kept(world: World) -> None:
    await world.tell("camille", email="camille@example.org")
    await world.book("1", 0.1, 2, member=named("camille"))
    await world.desk.clock.advance(600)
    store, now = world.desk.store, world.desk.clock.now()
    member = await store.read(lambda unit: unit.member_by_email("camille@example.org"))
    assert member is not None

    await store.write(lambda unit: booking.mark_used(unit, member, world.machine, now))
    await world.desk.clock.advance(3600)

    assert await booking.release_missed(world.desk.lab) == 0
    assert (await world.booking.get(f"/reservations/{SYSTEM}/1")).json["used_at"] is not None


async def test_the_list_is_read_to_its_end_by_its_cursor(world: World) -> None:
    for n in range(5):
        await world.book(str(n), 24 + n, 25 + n)
    seen, address = [], f"{V1}/reservations?limit=2"
    while address:
        page = await world.booking.ask("GET", address)
        seen += [row["external_id"] for row in page.json["items"]]
        link = page.headers.get("Link", "")
        assert bool(link) == (page.json["next"] is not None)
        address = link.partition(">")[0].removeprefix("<http://lab.example")

    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_filter_goes_with_the_link(world: World) -> None:
    other = await world.desk.machine("Bob")
    for n in range(3):
        await world.book(f"a{n}", 24 + n, 25 + n)
        await world.book(f"b{n}", 24 + n, 25 + n, machine_id=str(other.id))

    page = await world.booking.get(f"/reservations?limit=2&machine={other.id}")
    following = page.headers["Link"].partition(">")[0].removeprefix("<http://lab.example")

    rest = (await world.booking.ask("GET", following)).json["items"]
    assert [row["external_id"] for row in rest] == ["b2"]
