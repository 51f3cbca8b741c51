"""The main job's figures, taken from outside on a demo lab of its own: start-up, idle cost, quote and start
latency."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.table import Row

ROOT = Path(__file__).parents[1]
STARTS = 3
IDLE_SECONDS = 20
QUOTES = 20
CLEARINGS = 12
DEADLINE_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Running:
    process: asyncio.subprocess.Process
    demo: dict[str, Any]
    first_page_seconds: float


async def run() -> list[Row]:
    """All rows; each demo lab runs in a directory that is gone afterwards."""
    starts: list[float] = []
    for _ in range(STARTS):
        async with demo_lab() as lab:
            starts.append(lab.first_page_seconds)
    async with demo_lab() as lab, aiohttp.ClientSession(lab.demo["base_url"]) as web:
        await asyncio.sleep(5)  # what start-up left to do
        memory, cpu = await _idle(lab.process.pid)
        quotes = await _quotes(web, lab.demo)
        clearings = await _clearings(web, lab.demo)
    return [
        Row(what="start of the process to the first page", unit="s", values=tuple(starts), asked="<= 3 s"),
        Row(what="idle memory, all its processes (RSS)", unit="MB", values=(memory,), asked="<= 200 MB"),
        Row(what="idle CPU of one core", unit="%", values=(cpu,), asked="<= 3 %"),
        Row(what="upload answered and quoted, mk3_y-belt-idler", unit="ms", values=quotes),
        Row(what="bed cleared to start sent", unit="ms", values=clearings, asked="p99 <= 300 ms"),
    ]


@asynccontextmanager
async def demo_lab() -> AsyncIterator[Running]:
    with tempfile.TemporaryDirectory() as data:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "etabli"),
            "demo",
            "--port",
            str(port),
            "--data",
            data,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await _first_page(f"http://127.0.0.1:{port}/sign-in")
            seconds = time.monotonic() - began
            file = Path(data) / "demo.json"
            while not file.exists():
                await asyncio.sleep(0.05)
            yield Running(process=process, demo=json.loads(file.read_text()), first_page_seconds=seconds)
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _first_page(address: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as web:
        while True:
            try:
                async with web.get(address) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)


def _family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for child in children for p in _family(int(child)))]


def _rss_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_seconds(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


async def _idle(pid: int) -> tuple[float, float]:
    family = _family(pid)
    before = sum(_cpu_seconds(p) for p in family)
    await asyncio.sleep(IDLE_SECONDS)
    spent = sum(_cpu_seconds(p) for p in family) - before
    return sum(_rss_megabytes(p) for p in family), 100 * spent / IDLE_SECONDS


def _headers(demo: dict[str, Any], who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo['users'][who]['token']}"}


async def _quotes(web: aiohttp.ClientSession, demo: dict[str, Any]) -> tuple[float, ...]:
    model = ROOT.parent / "shared" / "corpus" / "stl" / "mk3_y-belt-idler.stl"
    content = model.read_bytes()
    took = []
    for _ in range(QUOTES):
        began = time.monotonic()
        await _quote(web, demo, model.name, content)
        took.append((time.monotonic() - began) * 1000)
    return tuple(took)


async def _quote(web: aiohttp.ClientSession, demo: dict[str, Any], name: str, content: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name)
    async with web.post("/api/v1/files", data=form, headers=_headers(demo, "member")) as answer:
        answer.raise_for_status()
        file_id = (await answer.json())["id"]
    body = {"file_id": file_id, "process": {}, "quantity": 1}
    async with web.post("/api/v1/quotes", json=body, headers=_headers(demo, "member")) as answer:
        answer.raise_for_status()
        return str((await answer.json())["id"])


async def _clearings(web: aiohttp.ClientSession, demo: dict[str, Any]) -> tuple[float, ...]:
    """With a job always waiting, clear a bed and read from the log when the start was sent."""
    model = ROOT.parent / "shared" / "corpus" / "stl" / "tm_20mm-xyz-cube.stl"
    quote_ids = [await _quote(web, demo, model.name, model.read_bytes()) for _ in range(CLEARINGS + 6)]
    for quote_id in quote_ids:
        body = {"quote_id": quote_id}
        async with web.post("/api/v1/jobs", json=body, headers=_headers(demo, "member")) as answer:
            answer.raise_for_status()
    took: list[float] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(took) < CLEARINGS:
            machine = await _to_clear(web, demo)
            if machine is None:
                await asyncio.sleep(0.2)
                continue
            took.append(await _clear(web, demo, machine))
    return tuple(took)


async def _to_clear(web: aiohttp.ClientSession, demo: dict[str, Any]) -> str | None:
    queued = await _items(web, demo, "/api/v1/jobs?state=queued")
    if not queued:
        return None
    for machine in await _items(web, demo, "/api/v1/machines"):
        if machine["bed"] == "occupied" and machine["run_id"] is None and machine["material"] == "pla":
            return str(machine["id"])
    return None


async def _items(web: aiohttp.ClientSession, demo: dict[str, Any], path: str) -> list[dict[str, Any]]:
    async with web.get(path, headers=_headers(demo, "tech")) as answer:
        answer.raise_for_status()
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


async def _clear(web: aiohttp.ClientSession, demo: dict[str, Any], machine_id: str) -> float:
    """Milliseconds from the request to clear the bed to the machine's run being past `staged`."""
    began = time.monotonic()
    async with web.post(f"/api/v1/machines/{machine_id}/clear", headers=_headers(demo, "tech")) as answer:
        answer.raise_for_status()
    async with asyncio.timeout(10):
        while True:
            async with web.get(f"/api/v1/machines/{machine_id}", headers=_headers(demo, "tech")) as answer:
                machine = await answer.json()
            if machine["run_id"] is not None and machine["bed"] == "occupied":
                return (time.monotonic() - began) * 1000
