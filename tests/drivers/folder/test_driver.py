"""What only the folder's driver has to get right; what all promise is in tests/contracts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.folder.client import MARK, Settings
from drivers.folder.driver import FolderDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.errors import MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.ports import Driver, Where
from tests.drivers.folder.test_wire import OURS, a_ticket
from tests.rigs.folder import FolderRig, folder

BASE = "fl-0123456789ab-cdef01__Zoe_Muller__poplar_plywood_3_mm"


@asynccontextmanager
async def a_connected_driver(directory: Path) -> AsyncIterator[tuple[FolderRig, Driver]]:
    async with folder(directory) as rig:
        driver = rig.driver()
        await driver.connect()
        yield rig, driver
        await driver.close()


def lying(rig: FolderRig) -> set[str]:
    return {path.name for path in rig.folder.iterdir()} - {MARK}


async def test_the_folder_gets_the_file_a_note_and_a_ticket_and_no_scraps(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS, a_ticket())

        assert lying(rig) == {f"{BASE}.svg", f"{BASE}.json", f"{BASE}.ticket.pdf"}
        assert (rig.folder / f"{BASE}.svg").read_bytes() == rig.file().read_bytes()
        assert (rig.folder / f"{BASE}.ticket.pdf").read_bytes().startswith(b"%PDF-")
        note = json.loads((rig.folder / f"{BASE}.json").read_text())
        assert note["handed_over"] is True
        assert note["sha256"] == hashlib.sha256(rig.file().read_bytes()).hexdigest()


async def test_a_file_that_was_taken_is_not_laid_there_again_and_cannot_be_revoked(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS, a_ticket())
        since = rig.clock.now()
        (rig.folder / f"{BASE}.svg").unlink()

        again = await driver.stage(rig.file(), OURS, a_ticket())

        assert again.size_bytes == rig.file().stat().st_size
        assert f"{BASE}.svg" not in lying(rig)
        assert not await driver.revoke(OURS)
        assert not await driver.revoke(OURS)
        located = await driver.locate(OURS, since)
        assert located.where is Where.UNSURE
        assert "taken" in located.words


async def test_a_file_that_was_changed_on_its_way_is_laid_there_anew(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        (rig.folder / OURS).write_bytes(b"something else")

        await driver.stage(rig.file(), OURS)

        assert (rig.folder / OURS).read_bytes() == rig.file().read_bytes()


async def test_a_staging_that_a_crash_cut_short_is_done_again(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        note = rig.folder / OURS.replace(".svg", ".json")
        note.write_text(note.read_text().replace('"handed_over": true', '"handed_over": false'))
        (rig.folder / OURS).unlink()

        await driver.stage(rig.file(), OURS)

        assert (rig.folder / OURS).exists()


async def test_the_file_of_a_machine_at_work_is_not_replaced(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        await rig.is_started_at_the_panel(OURS)

        with pytest.raises(Rejected):
            await driver.stage(rig.file(21), OURS)

        assert (rig.folder / OURS).read_bytes() == rig.file().read_bytes()


async def test_revoking_leaves_nothing_and_nobody_elses_files_alone(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        (rig.folder / "holiday.svg").write_text("<svg/>")
        await driver.stage(rig.file(), OURS, a_ticket())

        assert await driver.revoke(OURS)

        assert lying(rig) == {"holiday.svg"}


async def test_what_is_over_is_cleared_away(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS, a_ticket())
        await rig.is_started_at_the_panel(OURS)
        await rig.finishes()

        assert await driver.revoke(OURS)

        assert lying(rig) == set()


async def test_a_state_file_that_cannot_be_read_proves_nothing(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        since = rig.clock.now()
        await driver.stage(rig.file(), OURS)
        (rig.folder / OURS.replace(".svg", ".state.json")).write_text('{"state": "fini')

        assert (await driver.locate(OURS, since)).where is Where.UNSURE
        assert not await driver.revoke(OURS)


async def test_the_bare_mount_point_of_a_share_is_not_the_share(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        rig.folder.rename(tmp_path / "share-elsewhere")
        rig.folder.mkdir()

        with pytest.raises(MachineUnreachable):
            await driver.observe()
        with pytest.raises(MachineUnreachable):
            await driver.connect()

        assert list(rig.folder.iterdir()) == []


async def test_another_stick_in_the_same_place_is_another_machine(tmp_path: Path) -> None:
    async with folder(tmp_path) as rig:
        first = await rig.driver().connect()
        rig.folder.rename(tmp_path / "first-stick")
        rig.folder.mkdir()

        second = await rig.driver().connect()

        assert first.identity != second.identity


async def test_a_staging_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        (rig.folder / f"{BASE}.svg").mkdir()  # a directory where the file should go

        with pytest.raises(MachineUnreachable):
            await driver.stage(rig.file(), OURS, a_ticket())

        assert not any(name.endswith((".json", ".pdf", ".part")) for name in lying(rig))


async def test_a_folder_that_is_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "share").write_text("no folder")
    driver = FolderDriver({"path": str(tmp_path / "share")}, SystemClock())

    with pytest.raises(Misconfigured, match="path"):
        await driver.connect()


async def test_a_folder_that_may_not_be_written_is_a_wrong_setting() -> None:
    driver = FolderDriver({"path": "/sys"}, SystemClock())  # where even root may not

    with pytest.raises(Misconfigured, match="path"):
        await driver.connect()


@pytest.mark.parametrize(
    ("connection", "named"),
    [
        ({}, "path"),
        ({"path": 7}, "path"),
        ({"path": "relative/folder"}, "path"),
        ({"path": "/a\0b"}, "path"),
        ({"path": "/x", "poll_seconds": 0}, "poll_seconds"),
        ({"path": "/x", "poll_seconds": True}, "poll_seconds"),
        ({"path": "/x", "answer_seconds": "1"}, "answer_seconds"),
        ({"path": "/x", "answer_seconds": float("nan")}, "answer_seconds"),
        ({"path": "/x", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named(connection: dict[str, Json], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        Settings.of(connection)
