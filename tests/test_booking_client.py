"""The client in the documentation does what it says, in a whole demo lab of simulated machines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator import samples
from tests.services import ROOT, free_port, wait_until

CLIENT = ROOT / "docs" / "booking-client.py"
LINES_MAX = 40


@asynccontextmanager
async def a_demo(data: Path) -> AsyncIterator[dict[str, Any]]:
    """Its logins, once it serves."""
    port, log = free_port(), data.parent / "demo.log"
    command = [sys.executable, "-m", "orchestrator.main", "demo", "--port", str(port), "--data", str(data)]
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=out, stderr=out)

    async def serves() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
                return answer.status == 200 and (data / "demo.json").is_file()
        except aiohttp.ClientError:
            return False

    try:
        async with aiohttp.ClientSession() as http:
            await wait_until(serves, 60, every_seconds=0.1)
        yield json.loads((data / "demo.json").read_text())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@pytest.mark.slow
async def test_the_client_books_has_a_file_made_and_reads_its_charge(tmp_path: Path) -> None:
    part = tmp_path / "star.stl"
    part.write_bytes(samples.star())
    async with a_demo(tmp_path / "demo") as demo:
        tokens = (demo["booking"]["token"], demo["users"]["member"]["token"])
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(CLIENT), demo["base_url"], *tokens, str(part), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(100):
            told, _nothing = await client.communicate()

    booked, costs, job, charge = told.decode().splitlines()
    row = json.loads(charge)
    assert client.returncode == 0
    assert booked.startswith("booked ")
    assert job == "the job is done"
    assert row["reservation"] == {"system": "booking-client", "external_id": booked.split()[1]}
    assert 0 < row["amount"]["amount"] / 100 <= float(costs.split()[3])


def test_the_client_is_short_and_needs_nothing_but_python() -> None:
    lines = [line for line in CLIENT.read_text().splitlines() if line.strip()]
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}

    assert len(lines) <= LINES_MAX
    assert imported <= sys.stdlib_module_names
