"""The same cut over each kind of line: raw TCP, telnet, a web socket as FluidNC speaks it, a serial port."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from drivers.grbl.driver import GrblDriver
from drivers.grbl.link import Telnet, open_link
from drivers.grbl.settings import Settings
from orchestrator.clock import SystemClock
from orchestrator.domain.errors import MachineUnreachable
from orchestrator.ports import Accepted, Outcome
from tests.rigs.fake_grbl import FakeGrbl, fake_grbl
from tests.rigs.grbl import a_cut
from tests.rigs.rig import a_presence

NAME = "fl-0123456789ab-cdef01.gcode"
IAC = bytes([255])
Served = Callable[[FakeGrbl], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def over_tcp(fake: FakeGrbl) -> AsyncIterator[str]:
    yield f"tcp://127.0.0.1:{fake.port}"


@asynccontextmanager
async def over_telnet(fake: FakeGrbl) -> AsyncIterator[str]:
    """It negotiates in the midst of what it says, as ser2net's telnet mode does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(data: bytes) -> None:
            half = len(data) // 2
            writer.write(
                data[:half] + IAC + bytes([251, 3]) + IAC + bytes([250, 44, 1, 255, 240]) + data[half:]
            )

        fake.sinks.add(say)
        writer.write(IAC + bytes([253, 44]))
        while data := await reader.read(4096):
            for byte in data:
                fake.take(byte)
        fake.sinks.discard(say)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"telnet://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def over_a_web_socket(fake: FakeGrbl) -> AsyncIterator[str]:
    """Bytes in binary frames, cut anywhere; and text frames about pages, which are none of the controller's words."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        said: asyncio.Queue[bytes] = asyncio.Queue()
        fake.sinks.add(said.put_nowait)

        async def speak() -> None:
            await socket.send_str("CURRENT_ID:0")
            while data := await said.get():
                await socket.send_bytes(data[:3])
                await socket.send_str("PING:0")
                await socket.send_bytes(data[3:])

        speaking = asyncio.create_task(speak())
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                for byte in message.data:
                    fake.take(byte)
        speaking.cancel()
        fake.sinks.discard(said.put_nowait)
        return socket

    app = web.Application()
    app.add_routes([web.get("/", serve)])
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        yield f"ws://127.0.0.1:{server.port}/"
    finally:
        await server.close()


@asynccontextmanager
async def over_a_serial_port(fake: FakeGrbl) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    ours, theirs = os.openpty()

    def hear() -> None:
        with suppress(OSError):
            for byte in os.read(ours, 4096):
                fake.take(byte)

    def say(data: bytes) -> None:
        os.write(ours, data)

    fake.sinks.add(say)
    loop.add_reader(ours, hear)
    try:
        yield f"serial://{os.ttyname(theirs)}?baud=115200"
    finally:
        loop.remove_reader(ours)
        fake.sinks.discard(say)
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("served", [over_tcp, over_telnet, over_a_web_socket, over_a_serial_port])
async def test_a_cut_goes_through_every_kind_of_line(tmp_path: Path, served: Served) -> None:
    clock, file = SystemClock(), tmp_path / "cut.gcode"
    file.write_text(a_cut(200))
    async with fake_grbl(FakeGrbl(speed=200.0)) as fake, served(fake) as address:
        driver = GrblDriver({"address": address}, clock)
        first = await driver.connect()
        await driver.close()
        again = await driver.connect()
        await driver.stage(file, NAME)

        answer = await driver.start(NAME, a_presence(file, clock))
        ended = None
        async with asyncio.timeout(30):
            async for seen in driver.observations():
                driver.attend()
                ended = seen.ended
                if ended is not None:
                    break
        await driver.close()

        assert first.identity == again.identity != ""
        assert isinstance(answer, Accepted)
        assert ended is not None
        assert (ended.outcome, ended.words) == (Outcome.FINISHED, "")
        assert not fake.rx_overrun
        assert fake.resets == 0
        assert fake.lines == [line.replace(" ", "") for line in a_cut(200).splitlines()[1:]]


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:1", "telnet://127.0.0.1:1", "ws://127.0.0.1:1/", "serial:///dev/nothing-here"],
)
async def test_a_line_that_does_not_open_is_unreachable(address: str) -> None:
    with pytest.raises(MachineUnreachable):
        await open_link(Settings.of({"address": address}).address)


async def test_a_web_page_is_no_controller() -> None:
    server = TestServer(web.Application(), host="127.0.0.1")
    await server.start_server()
    for scheme in ("tcp", "ws"):
        driver = GrblDriver(
            {"address": f"{scheme}://127.0.0.1:{server.port}", "answer_seconds": 0.5}, SystemClock()
        )
        with pytest.raises(MachineUnreachable):
            await driver.connect()
    await server.close()


async def test_a_serial_port_is_left_so_that_the_next_opening_is_no_reset() -> None:
    async with fake_grbl() as fake, over_a_serial_port(fake) as address:
        link = await open_link(Settings.of({"address": address}).address)
        port = os.open(Settings.of({"address": address}).address.path, os.O_RDWR | os.O_NOCTTY)
        flags = termios.tcgetattr(port)[2]
        os.close(port)
        await link.close()

    assert not flags & termios.HUPCL


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(IAC, b"")), max_size=8), st.data())
def test_negotiation_is_taken_out_however_the_bytes_are_cut(plain: list[bytes], data: st.DataObject) -> None:
    orders = st.sampled_from(
        [b"", IAC + bytes([251, 1]), IAC + bytes([250, 44, 9, 255, 240]), IAC + bytes([241])]
    )
    stream = b"".join(piece + data.draw(orders) for piece in plain)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    telnet = Telnet()

    read = b"".join(telnet.strip(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))

    assert read == b"".join(plain)
