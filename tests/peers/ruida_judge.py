"""Run in a network of its own: MeerK40t's Ruida emulator, and our driver beside it. Writes what came of it as JSON.

MeerK40t takes two fixed ports on all interfaces, hence the own network; `test_ruida_judge` makes it and reads. Only
the emulator's log counts: it is what somebody else's reading of the protocol has made of our bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from drivers.ruida import wire
from drivers.ruida.driver import RuidaDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.event import Json
from orchestrator.ports import Control
from tests.services import wait_until

RUN = "fl-0123456789ab-cdef01.rd"
START = b"\xd8\x00"
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def emulator(directory: Path) -> subprocess.Popen[bytes]:
    """Its console must not see the end of its input: it would ask for the next command for ever."""
    never_ends = directory / "console"
    os.mkfifo(never_ends)
    keyboard = os.open(never_ends, os.O_RDWR)
    command: list[str | Path] = [
        Path(sys.executable).with_name("meerk40t"),
        "-z",
        "-c",
        "-A",
        "-e",
        "ruidacontrol -v",
    ]
    environment = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory / ".config")}
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=keyboard, stdout=log, stderr=log, env=environment, cwd=directory
        )


async def logged(directory: Path, words: str) -> None:
    async def there() -> bool:
        return words in (directory / "log").read_text(errors="replace")

    await wait_until(there, deadline_seconds=60, every_seconds=0.05)


def connection(directory: Path, **others: Json) -> dict[str, Json]:
    return {"host": "127.0.0.1", "answer_seconds": 3, "state_path": str(directory / "state.json"), **others}


async def names(driver: RuidaDriver) -> list[str]:
    assert driver._client is not None
    return list(await driver._client.documents() or ())


async def session(directory: Path, file: Path) -> dict[str, Any]:
    driver = RuidaDriver(connection(directory), SystemClock())
    info = await driver.connect()
    before = await driver.observe()
    staged = await driver.stage(file, RUN)
    listed = await names(driver)
    refused = await driver.start(RUN)
    # Whatever MeerK40t is told to store it also works on, on a machine that is none and so never ends.
    await logged(directory, "-**-> eb")
    await logged(directory, "(End Of File)")
    await driver.control(RUN, Control.CANCEL)
    after = await driver.observe()
    revoked = await driver.revoke(RUN)
    left = await names(driver)
    await driver.close()
    return {
        "firmware": info.firmware,
        "before": before.activity.value,
        "after": after.activity.value,
        "size_bytes": staged.size_bytes,
        "listed": listed,
        "start": type(refused).__name__,
        "revoked": revoked,
        "left": left,
    }


async def judged(directory: Path, file: Path) -> dict[str, Any]:
    await logged(directory, "Jog Server opened")
    result = await session(directory, file)
    other = RuidaDriver(connection(directory, magic="11"), SystemClock())
    result["other_magic"] = (await other.connect()).firmware
    await other.close()
    result["log"] = (directory / "log").read_text(errors="replace")
    # Would it have noticed a start? One that does not go through our driver, which has no way to send it.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.sendto(wire.packet(START, 0x11), ("127.0.0.1", 50200))
    await logged(directory, "(Start Process)")
    result["would_notice"] = True
    return result


def main(directory: Path, file: Path) -> None:
    raise_loopback()
    process = emulator(directory)
    try:
        result = asyncio.run(judged(directory, file))
    finally:
        process.kill()
        process.wait()
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
