"""A file comes in: what it is answered, in words that help, and what a hostile one does not cost."""

from __future__ import annotations

import asyncio
import io
import json
import resource
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import FormData

from orchestrator.domain.errors import Rejected
from orchestrator.domain.file import Analysis
from orchestrator.flow.lab import Limits
from slicing.workshop import SandboxedWorkshop
from tests.flow.workshop import NamedWorkshop
from tests.slicing.shapes import a_box, binary_stl, corpus
from tests.web.api.server import Desk, Program, Seen, a_desk, spoken

MIB = 1024 * 1024
FOUR_BILLION = b"a box".ljust(80) + (4_000_000_000).to_bytes(4, "little") + b"\0" * 500
HTML = b"<!doctype html><html><body>Please sign in to download your model</body></html>"
GCODE = b"G28\nG1 X10 Y10 F3000\nG1 X20 E1.5\nM104 S200\n" * 50


def not_a_number() -> bytes:
    box = a_box()
    box[3, 1, 2] = np.nan
    return binary_stl(box)


def a_bomb() -> bytes:
    """A few hundred kilobytes that would be 300 MiB of model."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("3D/3dmodel.model", "w", force_zip64=True) as model,
    ):
        for _ in range(300):
            model.write(b" " * MIB)
    return out.getvalue()


@pytest_asyncio.fixture
async def true(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with the real workshop: every file is read in its sandbox."""
    workshop = SandboxedWorkshop()
    try:
        async with a_desk(tmp_path, workshop=workshop) as opened:
            yield opened
    finally:
        await workshop.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_real_model_is_taken_in_and_measured(true: Desk) -> None:
    asker = await true.program()
    content = (corpus() / "tm_20mm-xyz-cube.stl").read_bytes()
    seen = await asker.upload(content, "cube.stl")
    assert seen.status == 201
    file = seen.json
    assert file["sha256"] == sha256(content).hexdigest()
    assert (file["kind"], file["name"], file["size_bytes"]) == ("stl", "cube.stl", len(content))
    assert file["analysis"]["size_mm"] == pytest.approx([20, 20, 20], abs=0.01)
    assert (await asker.get(f"/files/{file['id']}")).json == file
    assert [one["id"] for one in (await asker.get("/files")).json["items"]] == [file["id"]]
    assert [path.read_bytes() for path in true.stored()] == [content]


BAD = {
    "an empty file": (b"", "model.stl", "file.empty"),
    "a page named as a model": (HTML, "model.stl", "file.type_mismatch"),
    "a header that claims 4 billion triangles": (FOUR_BILLION, "model.stl", "mesh.truncated"),
    "corners that are no numbers": (not_a_number(), "model.stl", "mesh.not_finite"),
    "a zip bomb": (a_bomb(), "model.3mf", "archive.ratio"),
    "machine code": (GCODE, "model.gcode", "gcode.upload_refused"),
    "machine code in disguise": (GCODE, "model.stl", "gcode.upload_refused"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_what_cannot_be_made_is_told_with_its_reason_and_a_remedy_in_both_languages(
    true: Desk, bad: str
) -> None:
    content, name, rule = BAD[bad]
    asker = await true.program()
    before = resident_bytes()
    told = {
        language: await asker.upload(content, name, headers={"Accept-Language": language})
        for language in ("en", "fr-FR, en;q=0.5")
    }
    for seen in told.values():
        assert seen.is_problem(422, rule)
        (fault,) = seen.json["faults"]
        assert (fault["where"], fault["rule"]) == ("file", rule)
        assert fault["remedy"]
        assert fault["text"]
        assert not any(word in seen.raw.decode() for word in ("Traceback", str(true.root), "/tmp/"))
    english, french = (json.loads(seen.raw) for seen in told.values())
    assert english["detail"] != french["detail"]
    assert english["faults"][0]["remedy"] != french["faults"][0]["remedy"]
    assert (await asker.get("/files")).json["items"] == []
    assert resident_bytes() - before < 64 * MIB


async def test_after_all_that_is_bad_a_good_file_is_served_at_once(true: Desk) -> None:
    asker = await true.program()
    for content, name, _rule in BAD.values():
        assert (await asker.upload(content, name)).status == 422
    assert (await asker.upload(binary_stl(a_box()), "box.stl")).status == 201


async def test_a_part_larger_than_every_bed_is_told_with_both_sizes(true: Desk) -> None:
    await true.machine()
    asker = await true.program()
    file = (await asker.upload(binary_stl(a_box(400, 20, 20)), "long.stl")).json
    for language, words in (("en", "The part measures"), ("fr", "La pièce mesure")):
        seen = await asker.post("/quotes", {"file_id": file["id"]}, headers={"Accept-Language": language})
        assert seen.is_problem(422, "mesh.too_large")
        (fault,) = seen.json["faults"]
        assert "400 × 20 × 20 mm" in seen.json["detail"]
        assert "250 × 210 × 210 mm" in seen.json["detail"]
        assert seen.json["detail"].startswith(words)
        assert "250 × 210 × 210 mm" in fault["remedy"]


# --- from here on the shape does not matter ----------------------------------------------------------


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk that takes 1 MiB."""
    async with a_desk(tmp_path, limits=Limits(upload_bytes=MIB), body_stall_seconds=0.3) as opened:
        yield opened


async def nothing_came(desk: Desk, asker: Program) -> bool:
    assert (await asker.get("/files")).json["items"] == []
    assert desk.stored() == []
    return True


async def test_a_file_of_just_the_limit_is_taken_and_one_byte_more_is_not(small: Desk) -> None:
    asker = await small.program()
    assert (await asker.upload(b"x" * MIB)).status == 201
    assert (await asker.upload(b"y" * (MIB + 1))).is_problem(413, "too_large")
    assert len(small.stored()) == 1


def head(asker: Program, *lines: str) -> bytes:
    told = [
        "POST /api/v1/files HTTP/1.1",
        "Host: lab.example",
        f"Authorization: {asker.headers['Authorization']}",
        "Accept-Language: en",
        "Connection: close",
        *lines,
        "",
        "",
    ]
    return "\r\n".join(told).encode()


MULTIPART = "Content-Type: multipart/form-data; boundary=XX"
PART = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.stl"\r\n\r\n'


async def test_ten_gigabytes_are_refused_by_their_declared_length_before_any_is_read(small: Desk) -> None:
    asker = await small.program()
    answer = await spoken(small, head(asker, MULTIPART, f"Content-Length: {10 << 30}") + PART)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"/problems/too_large"' in answer
    assert await nothing_came(small, asker)


async def test_an_undeclared_length_ends_at_the_limit_and_costs_no_memory(small: Desk) -> None:
    asker = await small.program()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield PART
        while sent < 256 * MIB:
            sent += 65536
            yield b"z" * 65536

    before = resident_bytes()
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    seen = await asker.post("/files", data=endless(), headers=kind)
    assert seen.is_problem(413, "too_large")
    assert sent < 64 * MIB
    assert resident_bytes() - before < 64 * MIB
    assert await nothing_came(small, asker)


@pytest.mark.parametrize("length", [b"100000", b"chunked"])
async def test_a_connection_cut_in_the_middle_leaves_neither_file_nor_row(small: Desk, length: bytes) -> None:
    asker = await small.program()
    if length == b"chunked":
        body = b"%x\r\n%s\r\n" % (len(PART) + 500, PART + b"q" * 500)
        sent = head(asker, MULTIPART, "Transfer-Encoding: chunked") + body
    else:
        sent = head(asker, MULTIPART, f"Content-Length: {int(length)}") + PART + b"q" * 500
    await spoken(small, sent, hang_up=True)
    async with asyncio.timeout(5):
        while True:  # until the request has ended there too
            if (await asker.get("/files")).json["items"] == [] and small.stored() == []:
                break
    assert (await asker.upload(b"after all")).status == 201


async def test_a_body_that_ends_before_its_closing_boundary_is_no_upload(small: Desk) -> None:
    asker = await small.program()
    body = PART + b"q" * 5000
    answer = await spoken(small, head(asker, MULTIPART, f"Content-Length: {len(body)}") + body)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert await nothing_came(small, asker)


@pytest.mark.parametrize(
    "stalled",
    [
        pytest.param(b"", id="before its first byte"),
        pytest.param(b"--XX\r\nContent-Dispo", id="in the head of a part"),
        pytest.param(PART + b"q" * 500, id="in the file"),
    ],
)
async def test_an_upload_that_stops_is_told_so_and_closed(small: Desk, stalled: bytes) -> None:
    asker = await small.program()
    answer = await spoken(small, head(asker, MULTIPART, "Content-Length: 100000") + stalled, seconds=4.0)
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:200]
    assert b'"/problems/too_slow"' in answer
    assert await nothing_came(small, asker)


async def test_an_upload_that_drips_is_too_slow_in_the_end(tmp_path: Path) -> None:
    async with a_desk(tmp_path, body_rate_window_seconds=0.2, body_bytes_per_second_min=10_000) as opened:
        asker = await opened.program()

        async def drops() -> AsyncIterator[bytes]:
            yield PART
            for _ in range(100):
                yield b"."
                await asyncio.sleep(0.02)

        kind = {"Content-Type": "multipart/form-data; boundary=XX"}
        assert (await asker.post("/files", data=drops(), headers=kind)).is_problem(408, "too_slow")
        assert await nothing_came(opened, asker)


async def test_other_content_types_are_not_taken(desk: Desk) -> None:
    asker = await desk.program()
    for kind in ("application/json", "model/stl", "application/octet-stream", "multipart/mixed; boundary=XX"):
        seen = await asker.post("/files", data=PART + b"\r\n--XX--\r\n", headers={"Content-Type": kind})
        assert seen.is_problem(415, "unsupported_media_type"), kind
    packed = {"Content-Type": "multipart/form-data; boundary=XX", "Content-Encoding": "gzip"}
    assert (await asker.post("/files", data=b"\x1f\x8b" * 9, headers=packed)).is_problem(415)


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"--XX", b"--YY\r\n\r\n", PART[:-2], b"--XX\r\n" + b"A: b\r\n" * 5000 + b"\r\n"],
    ids=range(6),
)
async def test_a_broken_body_is_the_senders_fault(small: Desk, body: bytes) -> None:
    asker = await small.program()
    for kind in (
        "multipart/form-data; boundary=XX",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
    ):
        seen = await asker.post("/files", data=body, headers={"Content-Type": kind})
        assert seen.status in {400, 422}, (kind, seen.raw)
        assert seen.is_problem(seen.status)
    assert await nothing_came(small, asker)


async def test_an_upload_without_the_field_says_which_is_missing(desk: Desk) -> None:
    asker = await desk.program()
    form = FormData()
    form.add_field("files", b"content", filename="a.stl")
    form.add_field("note", "hello")
    seen = await asker.post("/files", data=form)
    assert seen.is_problem(422, "fields")
    assert [(f["where"], f["rule"]) for f in seen.json["faults"]] == [("file", "field.missing")]


async def test_fields_before_the_file_are_read_over(desk: Desk) -> None:
    asker = await desk.program()
    form = FormData()
    form.add_field("note", "hello")
    form.add_field("file", b"content", filename="a.stl")
    assert (await asker.post("/files", data=form)).status == 201


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../x.stl", "x.stl"),
        ("C:\\\\Users\\\\me\\\\x.stl", "x.stl"),
        ("/etc/passwd", "passwd"),
        ("..", "model"),
        ("", "model"),
        ("   ", "model"),
        ("‮lts.exe", "lts.exe"),
        ("d\u0065\u0301j\u00e0 vu.stl", "déjà vu.stl"),
        ("x" * 500 + ".stl", "x" * 116 + ".stl"),
        ("<script>alert(1)<.stl", "<script>alert(1)<.stl"),
    ],
)
async def test_a_name_is_for_showing_and_never_a_path(desk: Desk, sent: str, shown: str) -> None:
    asker = await desk.program()
    seen = await asker.post(
        "/files",
        data=PART.replace(b"a.stl", sent.encode()) + b"content\r\n--XX--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=XX"},
    )
    assert seen.status == 201, seen.raw
    assert seen.json["name"] == shown
    assert [path.name for path in desk.stored()] == [sha256(b"content").hexdigest()]


async def test_a_name_with_control_characters_is_cleaned_or_no_name_at_all(desk: Desk) -> None:
    asker = await desk.program()
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    raw = PART.replace(b"a.stl", b"a\x00\x07b.stl") + b"content\r\n--XX--\r\n"
    assert (await asker.post("/files", data=raw, headers=kind)).is_problem(400)
    quoted = PART.replace(b'"a.stl"', b"\"a.stl\"; filename*=UTF-8''a%00%07%1Bb.stl")
    coded = quoted.replace(b'filename="a.stl"; ', b"") + b"content\r\n--XX--\r\n"
    assert (await asker.post("/files", data=coded, headers=kind)).json["name"] == "ab.stl"


async def test_a_file_without_a_name_is_no_reason_to_refuse_it(desk: Desk) -> None:
    asker = await desk.program()
    body = b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\ncontent\r\n--XX--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    seen = await asker.post("/files", data=body, headers=kind)
    assert (seen.status, seen.json["name"]) == (201, "model")


async def test_a_member_sends_only_so_many_at_once(tmp_path: Path) -> None:
    async with a_desk(tmp_path, uploads_per_member_max=1) as opened:
        asker, other = await opened.program(), await opened.program()
        first, more = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield PART
            first.set()
            await more.wait()
            yield b"content\r\n--XX--\r\n"

        async def send() -> Seen:
            kind = {"Content-Type": "multipart/form-data; boundary=XX"}
            return await asker.post("/files", data=slow(), headers=kind)

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            await first.wait()
            async with asyncio.timeout(5):
                while (seen := await asker.upload(b"second")).status == 201:
                    pass  # the first has been written, and not yet been read
            assert seen.is_problem(429, "upload.too_many")
            assert int(seen.headers["Retry-After"]) > 0
            assert (await other.upload(b"mine")).status == 201
            more.set()
        assert sending.result().status == 201
        assert (await asker.upload(b"third")).status == 201


class WordyWorkshop(NamedWorkshop):
    """Refuses in words, without naming a rule of its own."""

    async def analyse(self, path: Path, name: str) -> Analysis:
        raise Rejected("No.", code="mesh.odd")


async def test_a_refusal_in_words_only_still_has_a_fault(tmp_path: Path) -> None:
    async with a_desk(tmp_path, workshop=WordyWorkshop()) as opened:
        seen = await (await opened.program()).upload(b"content")
        assert seen.is_problem(422, "mesh.odd")
        assert seen.rules == ["mesh.odd"]
