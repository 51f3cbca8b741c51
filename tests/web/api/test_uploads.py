"""Uploads over HTTP: whole or not at all, within their limits, whatever they are called.

How long a sender may be silent is real time, the wire's own; the limits are set short here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.flow.lab import Limits
from tests.web.api.desk import V1, Client, Desk, a_desk

LIMIT = 100_000
EDGE = b"----edge"


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    limits = Limits(upload_bytes=LIMIT)
    async with a_desk(tmp_path, limits, body_stall_seconds=0.4, heartbeat_seconds=0.2) as made:
        yield made


def part(name: str, content: bytes, file_name: str = "part.stl") -> bytes:
    shown = f'; filename="{file_name}"' if file_name else ""
    head = f'Content-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode()
    return b"--" + EDGE + b"\r\n" + head + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + EDGE + b"--\r\n"


def head(client: Client, *, length: int | None) -> bytes:
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    return (
        f"POST {V1}/files HTTP/1.1\r\nHost: lab\r\nAuthorization: {client.own['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary={EDGE.decode()}\r\n{size}\r\n\r\n"
    ).encode()


async def nothing_left(desk: Desk, client: Client) -> None:
    """Neither a row nor a byte, once the server has noticed."""
    for _ in range(200):
        if not desk.on_disk():
            break
        await asyncio.sleep(0.01)
    assert desk.on_disk() == []
    assert (await client.get("/files")).json["items"] == []


async def send(client: Client, raw: bytes) -> tuple[int, bytes]:
    content_type = f"multipart/form-data; boundary={EDGE.decode()}"
    answer = await client.post("/files", data=raw, headers={"Content-Type": content_type})
    return answer.status, answer.raw


async def test_an_upload_is_stored_byte_for_byte(desk: Desk) -> None:
    content = bytes(range(256)) * 100 + b"\r\n--" + b"\r\n----edg" + b"\r\n\r\n"

    answer = await (await desk.of()).upload("part.stl", content)

    assert answer.status == 201
    assert answer.json["sha256"] == hashlib.sha256(content).hexdigest()
    assert answer.json["size_bytes"] == len(content)


async def test_exactly_the_limit_is_taken_and_one_byte_more_is_not(desk: Desk) -> None:
    client = await desk.of()

    assert (await client.upload("part.stl", b"x" * LIMIT)).status == 201
    assert (await client.upload("part.stl", b"x" * (LIMIT + 1))).status == 413


async def test_an_endless_upload_without_a_length_ends_with_413_and_leaves_nothing(desk: Desk) -> None:
    client = await desk.of()

    async def endless() -> AsyncIterator[bytes]:
        yield part("file", b"")[:-2]
        for _ in range(100):
            yield b"x" * 10_000

    content_type = f"multipart/form-data; boundary={EDGE.decode()}"
    answer = await client.post("/files", data=endless(), headers={"Content-Type": content_type})

    assert answer.status == 413
    await nothing_left(desk, client)


async def test_a_declared_length_beyond_the_limit_is_refused_before_a_byte_is_sent(desk: Desk) -> None:
    client = await desk.of()
    async with desk.wire() as (reader, writer):
        writer.write(head(client, length=10 * 1024**3))
        first = await reader.readline()

    assert b" 413 " in first
    await nothing_left(desk, client)


@asynccontextmanager
async def half_sent(
    desk: Desk, client: Client, sent: bytes, length: int | None
) -> AsyncIterator[asyncio.StreamReader]:
    async with desk.wire() as (reader, writer):
        writer.write(head(client, length=length) + sent)
        await writer.drain()
        yield reader


@pytest.mark.parametrize("sent", [part("file", b"x" * 5_000)[:-2], b"", part("file", b"x")[:30]])
async def test_a_connection_cut_in_the_middle_leaves_nothing(desk: Desk, sent: bytes) -> None:
    client = await desk.of()
    async with half_sent(desk, client, sent, 50_000):
        pass

    await nothing_left(desk, client)


@pytest.mark.parametrize(
    "sent",
    [
        part("file", b"x" * 5_000)[:-2],
        pytest.param(
            part("file", b"x")[:30],
            marks=pytest.mark.xfail(
                reason="reading a part's header has no time limit: the connection stays open"
            ),
        ),
        part("note", b"hello", "")[:-4],
    ],
    ids=["in the file", "in a part's header", "in another field"],
)
async def test_an_upload_that_stops_is_closed_with_408(desk: Desk, sent: bytes) -> None:
    client = await desk.of()
    async with half_sent(desk, client, sent, 50_000) as reader, asyncio.timeout(10):
        first = await reader.readline()

    assert b" 408 " in first
    await nothing_left(desk, client)


async def test_an_upload_that_drips_is_closed_for_its_rate(tmp_path: Path) -> None:
    settings = {"body_rate_window_seconds": 0.3, "body_bytes_per_second_min": 10_000}
    async with a_desk(tmp_path, **settings) as desk:
        client = await desk.of()
        async with desk.wire() as (reader, writer):
            writer.write(head(client, length=90_000) + part("file", b"x")[:-2])
            for _ in range(60):
                writer.write(b"x")
                await asyncio.sleep(0.02)
            async with asyncio.timeout(5):
                assert b" 408 " in await reader.readline()
        await nothing_left(desk, client)


@pytest.mark.parametrize(
    "raw",
    [
        part("file", b"solid"),  # no closing edge
        body(part("file", b"solid"))[:-6],
        b"no edge at all",
        b"--" + EDGE + b"\r\n\r\nno disposition\r\n--" + EDGE + b"--\r\n",
        b"--" + EDGE + b"\r\nX: " + b"y" * 20_000 + b"\r\n\r\nz\r\n--" + EDGE + b"--\r\n",
    ],
    ids=["no end", "half an end", "no edge", "no disposition", "endless part header"],
)
async def test_a_broken_multipart_body_is_refused_and_leaves_nothing(desk: Desk, raw: bytes) -> None:
    client = await desk.of()

    status, _ = await send(client, raw)

    assert status in {400, 413, 422}
    await nothing_left(desk, client)


@pytest.mark.xfail(reason="the body is not read past its file: what follows may be cut")
async def test_a_body_that_goes_on_after_its_file_must_come_to_an_end_too(desk: Desk) -> None:
    client = await desk.of()

    status, _ = await send(client, part("file", b"solid") + part("note", b"cut", "")[:-2])

    assert status in {400, 422}
    await nothing_left(desk, client)


@pytest.mark.xfail(reason="the body is not read past its file: a second one is dropped without a word")
async def test_two_files_in_one_request_are_refused(desk: Desk) -> None:
    client = await desk.of()

    status, _ = await send(client, body(part("file", b"one"), part("file", b"two")))

    assert status in {400, 422}
    await nothing_left(desk, client)


async def test_fields_beside_the_file_change_nothing_and_name_no_file_of_ours(desk: Desk) -> None:
    client = await desk.of()
    raw = body(
        part("file.path", b"/etc/passwd", ""),
        part("owner_id", b"somebody", ""),
        part("file", b"solid"),
        part("file.name", b"../x", ""),
    )

    status, answer = await send(client, raw)

    assert status == 201
    assert hashlib.sha256(b"solid").hexdigest().encode() in answer
    assert b"passwd" not in answer


@pytest.mark.parametrize(
    "raw", [body(part("note", b"x", "")), body(*(part("note", b"x", "") for _ in range(30))), body()]
)
async def test_an_upload_without_the_field_is_refused(desk: Desk, raw: bytes) -> None:
    client = await desk.of()

    status, _ = await send(client, raw)

    assert status in {400, 413, 422}
    await nothing_left(desk, client)


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x"]
)
async def test_an_upload_of_another_content_type_is_refused(desk: Desk, content_type: str) -> None:
    answer = await (await desk.of()).raw("/files", b"solid", content_type)

    assert answer.status in {400, 415}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../../etc/passwd.stl", "passwd.stl"),
        ("C:\\Users\\me\\part.stl", None),
        ("part\u202elts.exe.stl", "partlts.exe.stl"),
        ("  .. ", None),
        ("", None),
        ("CON.stl", "CON.stl"),
        ("pièce n°1 — été.stl", "pièce n°1 — été.stl"),
        ("<script>alert(1)</script>.stl", None),
        ("x" * 300 + ".stl", None),
        ("a\x00b.stl", "ab.stl"),
        ("a\r\nX-Evil: 1.stl", None),
    ],
)
async def test_whatever_a_file_is_called_its_name_is_only_ever_shown(
    desk: Desk, sent: str, shown: str | None
) -> None:
    client = await desk.of()

    status, _ = await send(client, body(part("file", b"solid", sent)))

    assert status in {201, 400, 422}
    stored = (await client.get("/files")).json["items"]
    for file in stored:
        name = file["name"]
        assert 1 <= len(name) <= 120
        assert not {"/", "\\", "\x00", "\r", "\n", "\u202e"} & set(name)
        if shown is not None:
            assert name == shown
    assert all(len(path.name) == 64 for path in desk.on_disk())


async def test_a_member_sends_no_more_uploads_at_once_than_the_limit(tmp_path: Path) -> None:
    async with a_desk(tmp_path, uploads_per_member_max=1, body_stall_seconds=5.0) as desk:
        client = await desk.of()
        async with half_sent(desk, client, part("file", b"x" * 100)[:-2], 50_000):
            statuses: list[int] = []
            for _ in range(100):
                statuses.append((await client.upload()).status)
                if statuses[-1] == 429:
                    break
            assert statuses[-1] == 429
