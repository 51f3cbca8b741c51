"""Live events: the log as it is written, resumable, for one's own eyes, and only as long as one may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from orchestrator.domain.member import PERMISSIONS, Role
from tests.web.api.server import V1, Desk, Program, a_desk
from web.identity import make_token


@dataclass(frozen=True, kw_only=True)
class Told:
    """One event as it comes over the wire."""

    id: str
    topic: str
    data: dict[str, Any]


@dataclass(kw_only=True)
class Stream:
    answer: ClientResponse

    async def next(self) -> Told | None:
        """The next event; None at the end. Lines of a heartbeat are no event."""
        said: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := await self.answer.content.readline():
                text = line.decode().rstrip("\r\n")
                if not text and said:
                    return Told(id=said["id"], topic=said["event"], data=json.loads(said["data"]))
                name, _, value = text.partition(": ")
                if name:
                    said[name] = value
        return None

    async def until(self, topic: str) -> list[Told]:
        """All events up to the first of that topic."""
        found: list[Told] = []
        while told := await self.next():
            found.append(told)
            if told.topic == topic:
                return found
        raise AssertionError(f"the stream ended before {topic}: {[one.topic for one in found]}")


@asynccontextmanager
async def listening(asker: Program, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    given = asker.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    async with asker.http.get(f"{asker.base}{V1}/events{query}", headers=given) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer=answer)


async def test_what_happens_is_told_with_its_number_in_the_log(desk: Desk) -> None:
    asker = await desk.program()
    async with listening(asker) as stream:
        job = await asker.job()
        told = await stream.until("job.queued")
    numbers = [int(one.id) for one in told]
    assert numbers == sorted(set(numbers))
    assert [one.data["seq"] for one in told] == numbers
    assert told[-1].data["job_id"] == job["id"]
    assert {one.data["topic"] for one in told} == {one.topic for one in told}


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(desk: Desk) -> None:
    asker = await desk.program()
    async with listening(asker) as stream:
        job = await asker.job()
        seen = await stream.until("job.queued")
    await asker.post(f"/jobs/{job['id']}/cancel")
    async with listening(asker, Last_Event_ID=seen[0].id) as stream:
        again = await stream.until("job.cancelled")
    assert [one.id for one in again[: len(seen) - 1]] == [one.id for one in seen[1:]]
    async with listening(asker, f"?after={seen[-1].id}") as stream:
        later = await stream.until("job.cancelled")
    assert [one.id for one in later] == [one.id for one in again[len(seen) - 1 :]]


async def test_one_sees_ones_own_jobs_and_the_staff_sees_all(desk: Desk) -> None:
    asker, other, tech = await desk.program(), await desk.program(), await desk.program(Role.TECH)
    foreign = await other.job()
    mine = await asker.job()
    async with listening(asker, "?after=0") as stream:
        told = await stream.until("job.queued")
    assert {one.data["job_id"] for one in told} <= {mine["id"], None}
    assert foreign["id"] not in json.dumps([one.data for one in told])
    async with listening(tech, "?after=0") as stream:
        told = await stream.until("job.queued")
    assert told[-1].data["job_id"] == foreign["id"]


@pytest.mark.parametrize("id", ["x", "-1", "1.5", "²", "9" * 19])
async def test_a_place_in_the_log_that_is_none_is_refused(desk: Desk, id: str) -> None:
    asker = await desk.program()
    assert (await asker.get("/events", params={"after": id})).is_problem(422, "events.cursor")


async def test_a_stream_ends_when_its_session_does(tmp_path: Path) -> None:
    async with a_desk(tmp_path, heartbeat_seconds=0.1) as desk:
        member = await desk.person()
        browser, other = await desk.browser_of(member), await desk.browser_of(member)
        async with listening(browser) as stream, listening(other) as stays:
            assert (await browser.ask("DELETE", f"{V1}/sessions/current")).status == 204
            assert await stream.next() is None
            await other.job()
            assert await stays.next() is not None


async def test_a_stream_ends_when_its_token_does(tmp_path: Path) -> None:
    async with a_desk(tmp_path, heartbeat_seconds=0.1) as desk:
        member = await desk.person()
        now = desk.clock.now()
        token, text = make_token(member, "short", PERMISSIONS[member.role], now, valid=timedelta(hours=1))
        await desk.store.write(lambda unit: unit.add_api_token(token))
        asker = desk.nobody
        asker.headers["Authorization"] = f"Bearer {text}"
        async with listening(asker) as stream:
            await desk.clock.advance(3601)
            assert await stream.next() is None


async def test_a_member_has_so_many_streams_and_gets_them_back(tmp_path: Path) -> None:
    async with a_desk(tmp_path, streams_per_member_max=1, heartbeat_seconds=0.05) as desk:
        asker, other = await desk.program(), await desk.program()
        async with listening(asker), listening(other):
            assert (await asker.get("/events")).is_problem(429, "events.too_many")
        async with asyncio.timeout(2):
            while await _status(asker) != 200:
                pass  # until the end of the first has been noticed


async def _status(asker: Program) -> int:
    async with asker.http.get(f"{asker.base}{V1}/events", headers=asker.headers) as answer:
        return answer.status


async def test_streams_end_with_the_application(tmp_path: Path) -> None:
    async with (
        a_desk(tmp_path) as desk,
        listening(await desk.program()) as stream,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(desk.runner.cleanup())
        assert await stream.next() is None
