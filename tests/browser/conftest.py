"""A whole demo lab, started as people start it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from tests.services import ROOT, free_port, wait_until

START_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class DemoLab:
    """`./etabli demo`, running."""

    base_url: str
    users: dict[str, dict[str, str]]  # member, member2, tech, manager -> email, password, token


@pytest_asyncio.fixture
async def demo_lab(tmp_path: Path) -> AsyncIterator[DemoLab]:
    port, data, log = free_port(), tmp_path / "demo", tmp_path / "demo.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "etabli"),
            "demo",
            "--port",
            str(port),
            "--data",
            str(data),
            stdout=output,
            stderr=output,
        )
    try:
        logins = await _logins(process, f"http://127.0.0.1:{port}", data / "demo.json", log)
        yield DemoLab(base_url=str(logins["base_url"]), users=logins["users"])
    finally:
        if process.returncode is None:
            process.terminate()
            await _ended(process)


async def _logins(process: asyncio.subprocess.Process, url: str, file: Path, log: Path) -> dict[str, Any]:
    """Wait until it serves, and read what it wrote; its own words if it does not."""

    async def serves() -> bool:
        if process.returncode is not None:
            raise RuntimeError(f"the demo ended with {process.returncode}:\n{_words(log)}")
        try:
            async with session.get(f"{url}/healthz") as answer:
                return answer.status == 200 and bool(_words(file))
        except aiohttp.ClientError:
            return False

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        try:
            await wait_until(serves, START_SECONDS, every_seconds=0.1)
        except TimeoutError:
            raise TimeoutError(f"the demo does not serve:\n{_words(log)}") from None
    read: dict[str, Any] = json.loads(_words(file))
    return read


def _words(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(15):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
