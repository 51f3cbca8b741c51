"""The Ruida driver on its fake controller: what the contract does not ask of every driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from drivers.ruida import wire
from drivers.ruida.client import RuidaClient, Settings
from drivers.ruida.driver import RuidaDriver
from drivers.ruida.wire import document_name
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity
from orchestrator.ports import Control, Ended, Observation, Outcome, Refused, Where
from tests.rigs.fake_ruida import Mood, fake_ruida
from tests.rigs.rig import a_presence
from tests.rigs.ruida import JOB_SECONDS, RuidaRig, SkippingClock, ruida_on_fake

OURS = "fl-0123456789ab-cdef01.rd"
OTHER = "fl-ba9876543210-10fedc.rd"
NAME = document_name(OURS)


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[RuidaRig]:
    async with ruida_on_fake(tmp_path) as rig:
        yield rig
        assert rig.fake.starts_seen == []
        assert rig.fake.sums_wrong == 0


@asynccontextmanager
async def connected(rig: RuidaRig, **settings: Json) -> AsyncIterator[RuidaDriver]:
    driver = RuidaDriver(rig.connection(**settings), rig.clock)
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


async def until_ended(driver: RuidaDriver) -> Ended:
    async with asyncio.timeout(10):
        async for seen in driver.observations():
            if seen.ended is not None:
                return seen.ended
    raise AssertionError


async def observed(driver: RuidaDriver, rig: RuidaRig) -> Observation:
    """The first reading after a job has ceased that is not its last phase."""
    while (seen := await driver.observe()).activity is Activity.FINISHING:
        await rig.clock.sleep(0.05)
    return seen


# --- storing ---------------------------------------------------------------------------------------


async def test_what_is_stored_is_the_file_byte_for_byte_under_its_short_name(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(400), OURS)

    (document,) = rig.fake.memory.documents
    assert (document.name, document.body) == (NAME, rig.file(400).read_bytes())
    assert rig.fake.memory.begun == []


async def test_staging_again_transfers_nothing(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        rig.fake.log.clear()

        await driver.stage(rig.file(), OURS)

    assert [command for command in rig.fake.log if wire.is_of_a_document(command)] == []


async def test_also_after_our_restart(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
    rig.fake.log.clear()

    async with connected(rig) as fresh:
        await fresh.stage(rig.file(), OURS)

    assert [command for command in rig.fake.log if wire.is_of_a_document(command)] == []


async def test_a_document_that_we_have_no_note_of_is_replaced(rig: RuidaRig) -> None:
    rig.fake.stores_by_hand(NAME)

    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)

    assert [document.body for document in rig.fake.memory.documents] == [rig.file().read_bytes()]


async def test_what_was_staged_before_and_never_started_makes_way(rig: RuidaRig) -> None:
    rig.fake.stores_by_hand("RING_7")
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)

        await driver.stage(rig.file(), OTHER)

    assert [document.name for document in rig.fake.memory.documents] == ["RING_7", document_name(OTHER)]


@pytest.mark.parametrize("put", ["d8 00", "e8 03 00 01", "a5 50 06"])
async def test_a_file_that_would_start_something_never_leaves(
    rig: RuidaRig, tmp_path: Path, put: str
) -> None:
    path = tmp_path / "of-another-program.rd"
    path.write_bytes(rig.file().read_bytes()[:3] + bytes.fromhex(put) + rig.file().read_bytes()[3:])
    async with connected(rig) as driver:
        rig.fake.log.clear()

        with pytest.raises(Rejected):
            await driver.stage(path, OURS)

    assert rig.fake.log == []


async def test_a_full_memory_is_noticed(rig: RuidaRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.rigs.fake_ruida._sum_is_right", lambda body: False)
    async with connected(rig) as driver:
        with pytest.raises(MachineUnreachable, match="memory full"):
            await driver.stage(rig.file(), OURS)


@pytest.mark.parametrize("lost", [2, 3, 7])
async def test_a_lost_packet_ends_the_transfer_and_the_next_try_begins_anew(rig: RuidaRig, lost: int) -> None:
    async with client_of(rig) as client:
        rig.fake.loses_packet = lost

        with pytest.raises(MachineUnreachable):
            await client.store(rig.file(400).read_bytes(), NAME)
        assert not rig.fake.has(NAME)

        await client.store(rig.file(400).read_bytes(), NAME)

    assert [document.body for document in rig.fake.memory.documents] == [rig.file(400).read_bytes()]
    assert rig.fake.memory.begun == []


async def test_the_name_is_said_again_where_it_was_lost_and_the_document_follows_once(rig: RuidaRig) -> None:
    async with client_of(rig) as client:
        rig.fake.loses_packet = 1

        await client.store(rig.file(400).read_bytes(), NAME)

    assert rig.fake.log.count(b"\xe8\x02") == 1
    assert [document.body for document in rig.fake.memory.documents] == [rig.file(400).read_bytes()]


async def test_a_name_that_was_heard_twice_opens_one_store(rig: RuidaRig) -> None:
    async with client_of(rig) as client:
        rig.fake.acks_lost = 1

        await client.store(rig.file(400).read_bytes(), NAME)

    assert rig.fake.log.count(b"\xe8\x02") == 2
    assert [document.body for document in rig.fake.memory.documents] == [rig.file(400).read_bytes()]


@pytest.mark.parametrize("mood", [Mood.SILENT, Mood.REFUSES, Mood.LOSES_ANSWERS])
async def test_a_controller_that_takes_nothing_is_unreachable_and_gets_nothing_twice(
    rig: RuidaRig, mood: Mood
) -> None:
    async with client_of(rig) as client:
        rig.fake.mood = mood

        with pytest.raises(MachineUnreachable):
            await client.store(rig.file().read_bytes(), NAME)

    assert [command for command in rig.fake.log if wire.is_of_a_document(command)] == []


async def test_answers_that_come_twice_disturb_nothing(rig: RuidaRig) -> None:
    rig.fake.mood = Mood.ANSWERS_TWICE
    async with connected(rig) as driver:
        await driver.stage(rig.file(400), OURS)
        await rig.is_started_at_the_panel(OURS)

        assert (await driver.observe()).remote_name == OURS

    assert rig.fake.memory.documents[0].body == rig.file(400).read_bytes()


async def test_strangers_are_not_listened_to(rig: RuidaRig) -> None:
    async with connected(rig) as driver, fake_ruida(rig.clock) as stranger:
        assert driver._client is not None
        ours = driver._client._transport.get_extra_info("sockname")  # type: ignore[union-attr]
        rig.fake.mood = Mood.SILENT
        assert stranger._transport is not None
        observing = asyncio.create_task(driver.observe())
        for _ in range(40):
            stranger._transport.sendto(
                wire.swizzle(b"\xda\x01\x04\x01\x00\x00\x00\x00\x01", 0x88), ("127.0.0.1", ours[1])
            )
            await asyncio.sleep(0.01)

        with pytest.raises(MachineUnreachable):
            await observing


async def test_two_controllers_are_heard_at_the_same_port_of_ours(rig: RuidaRig, tmp_path: Path) -> None:
    async with connected(rig) as first, fake_ruida(rig.clock) as fake:
        fake.memory.word = 0x0001_0403
        assert first._client is not None
        port = first._client._transport.get_extra_info("sockname")[1]  # type: ignore[union-attr]
        second = RuidaDriver(rig.connection(port=fake.port, local_port=port, state_path=None), rig.clock)
        await second.connect()

        assert (await first.observe()).activity is Activity.IDLE
        assert (await second.observe()).activity is Activity.PAUSED
        await second.close()


# --- the gate --------------------------------------------------------------------------------------


@asynccontextmanager
async def client_of(rig: RuidaRig) -> AsyncIterator[RuidaClient]:
    client = RuidaClient(Settings.of(rig.connection()), rig.clock)
    await client.open()
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("d8 00", id="start"),
        pytest.param("da 00 04 00 d8 00", id="start behind a question"),
        pytest.param("e8 03 00 01", id="start a stored one"),
        pytest.param("e8 00 00 00 00 00", id="delete all"),
        pytest.param("88 00 00 00 00 00 00 00 00 00 00", id="a move outside a store"),
        pytest.param("d7", id="an end outside a store"),
    ],
)
async def test_the_one_way_out_lets_nothing_else_pass(rig: RuidaRig, payload: str) -> None:
    async with client_of(rig) as client:
        with pytest.raises(Rejected, match="never leaves"):
            await client.say(bytes.fromhex(payload))

    assert rig.fake.log == []


async def test_after_a_broken_transfer_no_piece_of_a_document_leaves(rig: RuidaRig) -> None:
    async with client_of(rig) as client:
        rig.fake.mood = Mood.SILENT
        with pytest.raises(MachineUnreachable):
            await client.store(rig.file().read_bytes(), NAME)
        rig.fake.mood = Mood.ANSWERS

        with pytest.raises(Rejected):
            await client.say(b"\xd7")


# --- the start, and what a person does at the panel ------------------------------------------------


async def test_every_start_is_refused_with_the_name_at_the_panel(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)

        answer = await driver.start(OURS, a_presence(rig.file(), rig.clock))

    assert isinstance(answer, Refused)
    assert NAME in answer.words
    assert rig.fake.memory.begun == []


async def test_a_run_is_metered_by_the_controllers_own_counters(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        await driver.observe()
        await rig.is_started_at_the_panel(OURS)
        assert (await driver.observe()).activity is Activity.PRINTING
        await rig.prints_on()
        working = await driver.observe()
        assert (working.machine_seconds, working.beam_seconds) == (JOB_SECONDS // 4, 18.0)

        async with asyncio.TaskGroup() as group:
            ending = group.create_task(until_ended(driver))
            await asyncio.sleep(0.2)
            await rig.finishes()

    ended = ending.result()
    assert ended.outcome is Outcome.FINISHED
    assert ended.machine_seconds == JOB_SECONDS // 4 + JOB_SECONDS
    assert ended.beam_seconds == 94.0


async def test_a_document_put_in_by_stick_hides_which_one_runs(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        rig.fake.stores_by_hand("RING_7")
        rig.fake.is_started("RING_7")

        seen = await driver.observe()

        assert (seen.activity, seen.remote_name) == (Activity.PRINTING, None)
        with pytest.raises(Conflict):
            await driver.control(OURS, Control.CANCEL)
        rig.fake.finishes(5)
        rig.clock.skip(10)
        await observed(driver, rig)
        assert (await driver.locate(OURS, rig.clock.now())).where is Where.UNSURE


async def test_a_replaced_document_of_the_same_number_is_not_taken_for_ours(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        rig.fake.memory.documents.clear()
        rig.fake.stores_by_hand("RING_7")
        rig.fake.is_started("RING_7")

        assert (await driver.observe()).remote_name is None


async def test_a_staged_run_that_nobody_started_is_proven(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        since = rig.clock.now()
        rig.clock.skip(300)

    async with connected(rig) as fresh:
        assert (await fresh.locate(OURS, since)).where is Where.NEVER_STARTED


async def test_without_a_state_file_nothing_is_known_after_our_restart(rig: RuidaRig) -> None:
    async with connected(rig, state_path=None) as driver:
        await driver.stage(rig.file(), OURS)
        since = rig.clock.now()

    async with connected(rig, state_path=None) as fresh:
        assert (await fresh.locate(OURS, since)).where is Where.UNSURE


async def test_a_pause_at_the_panel_is_seen_and_we_never_go_on(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        await rig.is_started_at_the_panel(OURS)
        await driver.observe()
        rig.fake.is_paused()
        rig.fake.log.clear()

        assert (await driver.observe()).activity is Activity.PAUSED
        with pytest.raises(Conflict, match="panel"):
            await driver.control(OURS, Control.RESUME)
        await driver.control(OURS, Control.PAUSE)

        assert not {b"\xd8\x02", b"\xd8\x03"} & set(rig.fake.log)  # it is paused, and a second might go on
        rig.fake.goes_on()
        assert (await driver.observe()).activity is Activity.PRINTING


# --- taking away -----------------------------------------------------------------------------------


async def test_only_our_own_document_is_deleted(rig: RuidaRig) -> None:
    rig.fake.stores_by_hand("BOX")
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        rig.fake.stores_by_hand("RING_7")

        assert await driver.revoke(OURS)
        assert await driver.revoke(OURS)

    assert [document.name for document in rig.fake.memory.documents] == ["BOX", "RING_7"]
    assert rig.fake.log.count(b"\xe8\x00\x00\x02\x00\x02") == 1


async def test_nothing_is_deleted_while_anything_runs(rig: RuidaRig) -> None:
    async with connected(rig) as driver:
        await driver.stage(rig.file(), OURS)
        await rig.was_started_by_hand()

        assert not await driver.revoke(OURS)

    assert rig.fake.has(NAME)


async def test_a_controller_that_tells_no_names_proves_no_deletion(tmp_path: Path) -> None:
    clock = SkippingClock()
    async with fake_ruida(clock, tells_names=False) as fake:
        rig = RuidaRig(tmp_path, clock, fake)
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)
            assert fake.has(NAME)

            assert not await driver.revoke(OURS)
            await rig.is_started_at_the_panel(OURS)
            assert (await driver.observe()).remote_name == OURS


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"host": ""}, "host"),
        ({"host": None}, "host"),
        ({"port": 0}, "port"),
        ({"port": 1.5}, "port"),
        ({"local_port": 70000}, "local_port"),
        ({"magic": 136}, "magic"),
        ({"magic": "99"}, "magic"),
        ({"answer_seconds": 0}, "answer_seconds"),
        ({"poll_seconds": True}, "poll_seconds"),
        ({"state_path": 7}, "state_path"),
    ],
)
def test_a_wrong_setting_is_named(changed: dict[str, Json], key: str) -> None:
    with pytest.raises(Misconfigured, match=f"“{key}”"):
        RuidaDriver({"host": "192.168.1.100", **changed}, SkippingClock())


async def test_a_state_file_that_is_not_ours_is_named(rig: RuidaRig, tmp_path: Path) -> None:
    (tmp_path / "ruida.json").write_text('{"records": [{}]}')

    with pytest.raises(Misconfigured, match="state_path"):
        await RuidaDriver(rig.connection(), rig.clock).connect()


@pytest.mark.parametrize("magic", ["11", "38"])
async def test_other_controllers_scramble_otherwise(tmp_path: Path, magic: str) -> None:
    clock = SkippingClock()
    async with fake_ruida(clock, magic=int(magic, 16)) as fake:
        rig = RuidaRig(tmp_path, clock, fake)
        async with connected(rig, magic=magic) as driver:
            await driver.stage(rig.file(), OURS)
        with pytest.raises(MachineUnreachable, match="magic"):
            await RuidaDriver(rig.connection(), clock).connect()

        assert fake.memory.documents[0].body == rig.file().read_bytes()


async def test_the_machine_says_its_board_card_and_bed(rig: RuidaRig) -> None:
    driver = RuidaDriver(rig.connection(), rig.clock)

    info = await driver.connect()
    await driver.close()

    assert info.firmware == "RDC6442G-FAKE (card 65106510), 900 × 600 mm"
    assert info.identity == f"127.0.0.1:{rig.fake.port}"
