"""raydriver's GRBL 1.1h on a TCP port: an emulator that others have written, and thus a judge of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from raydriver.emulator import GrblEmulator


class Bridge:
    """What the emulator takes for a serial port. It notes when a hold came."""

    def __init__(self) -> None:
        self.came: list[bytes] = []
        self.heard = bytearray()
        self.holds: list[float] = []
        self.writer: asyncio.StreamWriter | None = None

    def take(self, data: bytes) -> None:
        self.came.append(data)
        self.heard += data
        self.holds += [asyncio.get_running_loop().time()] * data.count(b"!")

    def take_new_sent(self) -> list[bytes]:
        came, self.came = self.came, []
        return came

    def push(self, data: bytes) -> None:
        if self.writer is not None and not self.writer.is_closing():
            self.writer.write(data)


class Emulated:
    def __init__(self, speed: float) -> None:
        self.bridge = Bridge()
        self.firmware = cast(Any, GrblEmulator)(self.bridge, speed_factor=speed)
        self.firmware.settings |= {
            "32": 1, "30": 1000.0, "110": 12000.0, "111": 12000.0, "130": 600.0, "131": 400.0,
        }  # fmt: skip
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.bridge.writer = writer
        with suppress(OSError):
            while data := await reader.read(4096):
                self.bridge.take(data)
        writer.transport.abort()

    @property
    def answers(self) -> list[str]:
        return bytes(self.firmware.tx_log).decode("ascii").split("\r\n")

    @property
    def errors(self) -> list[str]:
        return [line for line in self.answers if line.startswith("error")]

    def fed(self) -> Iterator[str]:
        """The lines it was sent, without the real-time bytes between them."""
        plain = bytes(self.bridge.heard).translate(None, b"?!~\x18").decode("ascii")
        return (line for line in plain.split("\n") if line and not line.startswith("$"))


@asynccontextmanager
async def emulated(speed: float = 20.0) -> AsyncIterator[Emulated]:
    machine = Emulated(speed)
    server = await asyncio.start_server(machine.serve, "127.0.0.1", 0)
    machine.port = server.sockets[0].getsockname()[1]
    running = asyncio.create_task(machine.firmware.run())
    try:
        yield machine
    finally:
        running.cancel()
        server.close()
        with suppress(asyncio.CancelledError):
            await running


def a_box(sides: int = 6, fingers: int = 14) -> str:
    """The sides of a box with finger joints: short strokes, corners and travels, 600 lines and more."""
    lines = ["; a box", "G21 G90 G94 G54", "M4 S0"]
    for side in range(sides):
        x, y = 10.0 + 90 * (side % 3), 10.0 + 90 * (side // 3)
        lines.append(f"G0 X{x} Y{y} S0")
        for edge in range(4):
            for finger in range(fingers):
                depth = 3.0 if finger % 2 else 0.0
                along = (finger + 1) * 5.0
                for at in (finger * 5.0, along):
                    dx, dy = ((at, depth), (70 - depth, at), (70 - at, 70 - depth), (depth, 70 - at))[edge]
                    lines.append(f"G1 X{x + dx:.3f} Y{y + dy:.3f} S700 F1200")
    return "\n".join([*lines, "M5", "G0 X0 Y0", "M2", ""])
