"""What is no JSON, no address or no HTTP is the sender's fault, and never ours: no answer here is a 500."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.api.server import Desk, a_desk, spoken

JSON = {"Content-Type": "application/json"}
WISH = b'{"file_id": "3f0e9b1a-0000-4000-8000-000000000000", "quantity": %s}'

UNREADABLE = {
    "NaN": WISH % b"NaN",
    "Infinity": WISH % b"-Infinity",
    "too large a float": WISH % b"1e999",
    "an endless number": WISH % (b"9" * 5000),
    "depth as a list": b"[" * 20_000,
    "depth as an object": b'{"a":' * 10_000,
    "closed depth": b"[" * 500 + b"]" * 500,
    "invalid UTF-8": b'{"file_id": "\xff\xfe"}',
    "UTF-16": '{"file_id": "x"}'.encode("utf-16"),
    "a NUL": rb'{"file_id": "a\u0000b"}',
    "half a character": rb'{"file_id": "\ud800"}',
    "a name twice": b'{"quantity": 1, "quantity": 2}',
    "a single quote": b"{'quantity': 1}",
    "two values": b"{} {}",
    "a trailing comma": b'{"quantity": 1,}',
    "a form": b"quantity=1",
    "blanks": b"   ",
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("path", ["/api/v1/quotes", "/api/v1/jobs", "/api/v1/sessions"])
async def test_what_is_no_json_of_ours_cannot_be_read(desk: Desk, path: str, name: str) -> None:
    asker = await desk.program()
    seen = await asker.ask("POST", path, data=UNREADABLE[name], headers=JSON)
    assert seen.is_problem(400, "json")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'"text"', b"true", b"{}"])
async def test_json_of_another_shape_is_told_what_is_missing(desk: Desk, body: bytes) -> None:
    asker = await desk.program()
    seen = await asker.post("/jobs", data=body, headers=JSON)
    assert seen.is_problem(422, "fields")
    assert seen.json["faults"]


async def test_what_was_sent_is_shown_in_part_only(desk: Desk) -> None:
    asker = await desk.program()
    seen = await asker.post("/quotes", {"file_id": "x" * 20_000})
    assert seen.is_problem(422, "fields")
    assert len(seen.raw) < 1000


async def test_a_large_body_is_refused_by_its_length_or_by_its_bytes(desk: Desk) -> None:
    asker = await desk.program()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 << 20:
            sent += 65536
            yield b" " * 65536

    declared = await asker.post("/quotes", data=b'{"a": "' + b"x" * 70_000 + b'"}', headers=JSON)
    assert declared.is_problem(413, "too_large")
    undeclared = await asker.post("/quotes", data=endless(), headers=JSON)
    assert undeclared.is_problem(413, "too_large")
    assert sent < 32 << 20


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_only_json_in_utf_8_is_taken(desk: Desk, kind: str) -> None:
    asker = await desk.program()
    seen = await asker.post("/jobs", data=b'{"quote_id": "x"}', headers={"Content-Type": kind})
    assert seen.is_problem(415, "unsupported_media_type")


async def test_a_body_that_stops_is_told_so(tmp_path: Path) -> None:
    async with a_desk(tmp_path, body_stall_seconds=0.2) as opened:
        asker = await opened.program()
        lines = [
            "POST /api/v1/jobs HTTP/1.1", "Host: lab.example", "Content-Type: application/json",
            f"Authorization: {asker.headers['Authorization']}", "Content-Length: 50", "", '{"quote',
        ]  # fmt: skip
        answer = await spoken(opened, "\r\n".join(lines).encode())
        assert answer.startswith(b"HTTP/1.1 408 ")


# --- addresses and methods ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v2/jobs",
        "/api/v1/jobs/",
        "/static/../web/app.py",
        "/%2e%2e/etc/passwd",
    ],
)
async def test_what_is_not_there_is_a_problem_too(desk: Desk, path: str) -> None:
    asker = await desk.program()
    assert (await asker.ask("GET", path)).is_problem(404, "not_found")


async def test_a_wrong_method_is_told_the_right_ones(desk: Desk) -> None:
    asker = await desk.program()
    seen = await asker.ask("DELETE", "/api/v1/jobs")
    assert seen.is_problem(405, "method_not_allowed")
    assert set(seen.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert (await asker.ask("PUT", "/api/v1/quotes")).is_problem(405)
    assert (await asker.ask("TRACE", "/api/v1/me")).is_problem(405)


async def test_an_answer_to_head_has_no_body(desk: Desk) -> None:
    seen = await (await desk.program()).ask("HEAD", "/api/v1/jobs")
    assert (seen.status, seen.raw) == (200, b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"z" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["tls", "nothing", "version", "length", "smuggled", "header", "address"],
)
async def test_what_is_no_http_is_answered_shortly_and_closed(desk: Desk, sent: bytes) -> None:
    answer = await spoken(desk, sent)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert b"Traceback" not in answer
    assert b"aiohttp" not in answer.lower()
    assert len(answer) < 2000


async def test_a_header_that_never_ends_is_closed(tmp_path: Path) -> None:
    async with a_desk(tmp_path, header_seconds=0.3) as opened:
        async with asyncio.timeout(5):
            await spoken(opened, b"GET /healthz HTTP/1.1\r\nHost: lab.exam")
