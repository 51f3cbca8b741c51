"""What comes in that nobody should send: every class of bad request gets a problem that says so, and never a 500."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from orchestrator.domain.member import Role
from tests.web.api.desk import V1, Desk, a_desk
from web.routes import API


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"quote_id": NaN}',
        b'{"quote_id": 1e999}',
        b'{"quote_id": -Infinity}',
        b"[" * 60_000,
        b'{"quote_id":' * 5_000,
        b'{"quote_id": ' + b"9" * 5_000 + b"}",
        b'{"quote_id": "\\u0000"}',
        b'{"quote_id": "\\ud800"}',
        b'{"quote_id": "a", "quote_id": "b"}',
    ],
    ids=lambda body: body[:14].decode("latin-1") + f"-{len(body)}",
)
async def test_what_is_no_json_answers_400_as_a_problem(desk: Desk, body: bytes) -> None:
    answer = await (await desk.of()).raw("/jobs", body)

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b'"x"', b"3", b"{}", b'{"quote_id": 3}', b'{"quote_id": ""}']
)
async def test_json_of_another_shape_answers_422_with_its_faults(desk: Desk, body: bytes) -> None:
    answer = await (await desk.of()).raw("/jobs", body)

    assert answer.status == 422
    assert answer.json["faults"]


async def test_a_body_beyond_the_limit_answers_413(desk: Desk) -> None:
    answer = await (await desk.of()).raw("/jobs", b'{"quote_id": "' + b"x" * 70_000 + b'"}')

    assert answer.status == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/html"])
async def test_another_kind_of_content_answers_415(desk: Desk, content_type: str) -> None:
    answer = await (await desk.of()).raw("/jobs", b"{}", content_type)

    assert answer.status == 415


async def test_a_compressed_body_is_refused_and_not_unpacked(desk: Desk) -> None:
    answer = await (await desk.of()).post("/jobs", data=b"x", headers={"Content-Encoding": "gzip"})

    assert answer.status == 415


async def test_all_faults_of_a_request_are_told_at_once(desk: Desk) -> None:
    sent = {"quantity": "two", "process": {"material": "lead", "glitter": "red"}, "price": 1}

    answer = await (await desk.of()).post("/quotes", sent)

    assert answer.status == 422
    assert answer.rules == {
        ("file_id", "field.missing"),
        ("quantity", "field.type"),
        ("process.material", "field.type"),
        ("process.glitter", "field.unknown"),
        ("price", "field.unknown"),
    }
    assert all(fault["remedy"] for fault in answer.json["faults"])


@pytest.mark.parametrize(
    "more",
    [
        {"price": 1},
        {"total": {"amount": 0, "currency": "EUR"}},
        {"member_id": str(uuid4())},
        {"state": "done"},
        {"hold": 0},
        {"account_id": str(uuid4())},
    ],
)
async def test_nobody_sets_price_owner_or_state_by_naming_it(desk: Desk, more: dict[str, object]) -> None:
    client = await desk.of()
    quote = await client.quote()

    answer = await client.post("/jobs", {"quote_id": quote["id"]} | more)

    assert answer.status == 422
    assert (await client.get("/jobs")).json["items"] == []


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 101}, "quantity"),
        ({"quantity": 10**17}, "quantity"),
        ({"process": {"infill_percent": 101}}, "process.infill_percent"),
        ({"process": {"infill_percent": -1}}, "process.infill_percent"),
        ({"machine_class": "submarine"}, "machine_class"),
    ],
)
async def test_what_the_lab_cannot_make_is_refused_by_name(
    desk: Desk, sent: dict[str, object], where: str
) -> None:
    await desk.home.machine("Ada")
    client = await desk.of()
    file = await client.upload()

    answer = await client.post("/quotes", {"file_id": file.json["id"]} | sent)

    assert answer.status == 422
    assert where in {place for place, _ in answer.rules}


@pytest.mark.parametrize(
    "path", ["/nowhere", f"{V1}/nowhere", f"{V1}/jobs/1", f"{V1}/jobs/%00", f"{V1}/jobs/x%2Fy"]
)
async def test_an_address_of_nothing_answers_404_as_a_problem(desk: Desk, path: str) -> None:
    answer = await (await desk.of()).call("GET", path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=%00",
        "cursor=w6k",
        "limit=0",
        "limit=201",
        "limit=x",
        "state=gone",
        "owner=me",
        "cursor=é",
    ],
)
async def test_a_list_is_not_asked_for_by_anything_but_its_own_parameters(desk: Desk, query: str) -> None:
    assert (await (await desk.of()).get(f"/jobs?{query}")).status == 422


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=100000", "after=99999999999999999999"]
)
async def test_a_feed_is_not_asked_for_from_an_impossible_place(desk: Desk, query: str) -> None:
    manager = await desk.of(Role.MANAGER)

    assert (await manager.get(f"/usage-records?{query}")).status == 422


@pytest.mark.parametrize(
    ("language", "title"), [("fr", "Introuvable"), ("en-GB", "Not found"), ("de, fr;q=0.5", "Introuvable")]
)
async def test_a_problem_is_told_in_the_language_of_who_asks(desk: Desk, language: str, title: str) -> None:
    answer = await (await desk.of()).get(f"/jobs/{uuid4()}", headers={"Accept-Language": language})

    assert answer.json["title"] == title


@pytest.mark.parametrize(
    "first_lines",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"\x16\x03\x01 no http\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
    ids=["two hosts", "two framings", "odd length", "no http", "endless header"],
)
async def test_what_is_no_http_is_closed_with_400_and_tells_no_versions(
    desk: Desk, first_lines: bytes
) -> None:
    async with desk.wire() as (reader, writer):
        writer.write(first_lines)
        answer = await reader.read()

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()
    assert b"traceback" not in answer.lower()


async def test_half_a_header_is_waited_for_no_longer_than_the_limit(tmp_path: Path) -> None:
    async with a_desk(tmp_path, header_seconds=0.2) as desk, desk.wire() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")

        assert await reader.read() == b""


async def test_one_peer_has_no_more_connections_than_the_limit(tmp_path: Path) -> None:
    async with (
        a_desk(tmp_path, connections_per_peer_max=2) as desk,
        desk.wire(),
        desk.wire(),
        desk.wire() as (third, _),
    ):
        said = b""
        with contextlib.suppress(ConnectionResetError):  # closed without ceremony
            said = await third.read()

        assert said == b""


async def test_every_answer_carries_the_headers_of_the_edge(desk: Desk) -> None:
    member = await desk.of()
    for answer in (
        await member.get("/me"),
        await desk.stranger.get("/me"),
        await member.get("/nowhere"),
        await desk.stranger.call("GET", "/sign-in"),
        await desk.stranger.call("GET", "/healthz"),
    ):
        assert "Server" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_description_is_openapi_3_1_and_names_every_row(desk: Desk) -> None:
    document = (await desk.stranger.get("/openapi.json")).json

    validate(document)
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(row.method, row.path) for row in API} <= described
