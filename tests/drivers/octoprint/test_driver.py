"""What only the OctoPrint driver has to get right; what all promise is in tests/contracts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from drivers.octoprint.driver import OctoPrintDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity
from orchestrator.ports import Accepted, Control, Observation, Refused, Unknown
from tests.rigs.fake_octoprint import fake_octoprint
from tests.rigs.octoprint import FakeOctoPrintRig, on_fake

OURS = "fl-0123456789ab-cdef01.gcode"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def a_connected_driver(directory: Path) -> AsyncIterator[tuple[FakeOctoPrintRig, OctoPrintDriver]]:
    async with on_fake(directory) as rig:
        driver = rig.driver()
        assert isinstance(driver, OctoPrintDriver)
        await driver.connect()
        yield rig, driver
        await driver.close()


@asynccontextmanager
async def something_else_at(handler: Handler) -> AsyncIterator[str]:
    """A server that answers everything by `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def following(observations: AsyncIterator[Observation]) -> Observation:
    return await anext(observations)


def a_driver(url: str, answer_seconds: float = 0.5) -> OctoPrintDriver:
    connection: dict[str, Json] = {"url": url, "api_key": "K", "answer_seconds": answer_seconds}
    return OctoPrintDriver(connection, SystemClock())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", None),
        ("url", "printer-3"),
        ("url", "ftp://printer-3"),
        ("url", "http://user:pass@printer-3"),
        ("url", 7),
        ("api_key", None),
        ("api_key", ""),
        ("api_key", "a\r\nHost: b"),
        ("answer_seconds", 0),
        ("answer_seconds", True),
    ],
)
def test_a_wrong_setting_is_named(key: str, value: Json) -> None:
    connection: dict[str, Json] = {"url": "http://printer-3", "api_key": "K", key: value}

    with pytest.raises(Misconfigured, match=key):
        OctoPrintDriver(connection, SystemClock())


async def test_a_printer_that_is_switched_off_is_not_called_busy(tmp_path: Path) -> None:
    """OctoPrint's own words are “Printer is already printing”."""
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        rig.fake.printer.state = "OFFLINE"

        answer = await driver.start(OURS)

        assert isinstance(answer, Refused)
        assert "no connection to its printer" in answer.words
        assert (await driver.observe()).activity is Activity.UNKNOWN


async def test_a_refusal_because_our_own_print_runs_already_is_an_acceptance(tmp_path: Path) -> None:
    """The network may have doubled the one request that we sent."""
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        await driver.start(OURS)

        assert isinstance(await driver.start(OURS), Accepted)
        assert rig.begun == (OURS,)


async def test_a_refusal_with_our_file_on_record_proves_nothing(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        await driver.start(OURS)
        await rig.finishes()
        await rig.was_started_by_hand()

        assert isinstance(await driver.start(OURS), Unknown)


async def test_the_token_is_kept_with_the_file(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)

        assert rig.fake.printer.files[OURS].userdata == {"run": "fl-0123456789ab-cdef01"}


async def test_a_file_that_is_there_already_is_not_sent_again(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        first = rig.fake.printer.files[OURS]
        await driver.stage(rig.file(), OURS)

        assert rig.fake.printer.files[OURS] is first


@pytest.mark.parametrize("name", ["Zahnrad (v2).gcode", "../config.yaml", "a/b.gcode", "", "é.gcode"])
async def test_a_name_that_octoprint_would_change_is_refused(tmp_path: Path, name: str) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        with pytest.raises(Rejected):
            await driver.stage(rig.file(), name)

        assert rig.fake.printer.files == {}


async def test_a_file_that_octoprint_refuses_is_rejected_in_its_words(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        with pytest.raises(Rejected, match="invalid type"):
            await driver.stage(rig.file(), "fl-1.txt")


async def test_a_resume_that_octoprint_would_ignore_is_a_conflict(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        await driver.stage(rig.file(), OURS)
        await driver.start(OURS)
        rig.fake.printer.state = "PAUSING"

        with pytest.raises(Conflict, match="pausing"):
            await driver.control(OURS, Control.RESUME)


async def test_a_session_that_expires_is_renewed(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        observations = driver.observations()
        await anext(observations)
        await rig.fake.expire_sessions()
        async with asyncio.timeout(5):
            waiting = asyncio.create_task(following(observations))
            await rig.fake.sessions_renewed()
            await rig.was_started_by_hand()
            seen = await waiting

        assert seen.remote_name == "by-hand.gcode"


async def test_an_idle_machine_may_be_silent(tmp_path: Path) -> None:
    """Silence is checked by asking: an answer that contradicts the socket shows that it is dead."""
    async with a_connected_driver(tmp_path) as (rig, driver):
        observations = driver.observations()
        await anext(observations)
        waiting = asyncio.create_task(following(observations))
        await asyncio.sleep(0.7)  # two silences of this rig
        assert not waiting.done()

        rig.fake.printer.state, rig.fake.printer.selected = "PRINTING", "unheard.gcode"

        with pytest.raises(MachineUnreachable, match="silent"):
            async with asyncio.timeout(5):
                await waiting


async def _html(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>a router's login page</html>", content_type="text/html")


async def _redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/elsewhere")


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * (1 << 20))


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (_html, MachineUnreachable),
        (_redirect, Misconfigured),
        (_endless, MachineUnreachable),
        (_drip, MachineUnreachable),
    ],
)
async def test_what_is_no_octoprint_is_told_apart_in_bounded_time_and_memory(
    handler: Handler, error: type[Exception]
) -> None:
    async with something_else_at(handler) as url, asyncio.timeout(5):
        with pytest.raises(error):
            await a_driver(url).connect()


async def test_another_json_server_is_no_octoprint() -> None:
    async def other(request: web.Request) -> web.StreamResponse:
        return web.json_response({"text": "Moonraker"})

    async with something_else_at(other) as url:
        with pytest.raises(Misconfigured, match="no OctoPrint"):
            await a_driver(url).connect()


async def test_an_octoprint_that_prints_what_is_uploaded_is_for_the_operator(tmp_path: Path) -> None:
    async with a_connected_driver(tmp_path) as (rig, driver):
        rig.fake.prints_uploads = True

        with pytest.raises(Misconfigured, match="uploaded"):
            await driver.stage(rig.file(), OURS)


async def test_the_fake_refuses_what_octoprint_refuses() -> None:
    async with fake_octoprint() as fake:
        driver = a_driver(fake.url)
        with pytest.raises(Misconfigured, match="refuses our key"):
            await driver.connect()
