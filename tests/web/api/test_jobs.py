"""The main job through the API: a file, a price, an acceptance, and what becomes of it."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from orchestrator.clock import SystemClock
from orchestrator.domain.process import Process
from orchestrator.store.schema import migrate
from tests.web.api.server import V1, Desk, Program, a_desk


async def balance_of(asker: Program) -> dict[str, int]:
    account = (await asker.get("/accounts/me")).json
    return {name: value["amount"] for name, value in account.items() if isinstance(value, dict)}


async def test_a_quote_says_how_its_total_and_its_hold_come_about(desk: Desk) -> None:
    await desk.machine()
    asker = await desk.program()
    quote = await asker.quote("part-3600s-20000mg.stl", process={}, quantity=2)
    total = quote["total"]["amount"]
    assert total > 0
    assert sum(line["amount"]["amount"] for line in quote["lines"]) == total
    assert quote["hold"]["amount"] == math.ceil(total * 11 / 10)
    assert {line["amount"]["currency"] for line in quote["lines"]} == {"EUR"}
    assert quote["estimate"]["print_seconds"]["p50"] == 7200
    usual = Process()
    assert quote["process"] == {
        "material": usual.material.value,
        "quality": usual.quality.value,
        "infill_percent": usual.infill_percent,
        "supports": usual.supports,
        "perimeters": usual.perimeters,
        "brim_mm": usual.brim_mm,
        "scale_percent": usual.scale_percent,
        "turn": usual.turn.value,
        "colour": None,
    }
    assert (await asker.get(f"/quotes/{quote['id']}")).json == quote


async def test_what_could_go_wrong_is_asked_after_the_price(desk: Desk) -> None:
    asker = await desk.program()
    file = (await asker.upload(b"solid", "hangs-600s-5000mg.stl")).json
    quote = (await asker.post("/quotes", {"file_id": file["id"], "process": {"turn": "x180"}})).json
    assert quote["process"]["turn"] == "x180"
    advice = (await asker.get(f"/quotes/{quote['id']}/advice")).json
    assert [(w["rule"], w["remedy"]) for w in advice["warnings"]] == [("print.overhang", "Ask for supports.")]
    assert advice["turn"]["turn"] == "x90"
    assert advice["turn"]["seconds_then"] < advice["turn"]["seconds_now"]


async def test_each_layer_of_a_sliced_job_is_a_picture_for_its_owner_alone(desk: Desk) -> None:
    asker, other = await desk.program(), await desk.program()
    job = await asker.job()
    for number, status in ((1, 200), (3, 200), (0, 404), (4, 404), ("one", 404)):
        seen = await asker.get(f"/jobs/{job['id']}/layers/{number}.svg")
        assert seen.status == status, number
        if status == 200:
            assert seen.headers["Content-Type"] == "image/svg+xml"
            assert seen.raw.startswith(b"<svg")
    assert (await other.get(f"/jobs/{job['id']}/layers/1.svg")).status == 404


async def test_a_quote_has_no_side_effect(desk: Desk) -> None:
    asker = await desk.program()
    before = await balance_of(asker)
    await asker.quote()
    assert await balance_of(asker) == before
    assert (await asker.get("/jobs")).json == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 101}, "quantity"),
        ({"quantity": "2"}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"process": {"infill_percent": 101}}, "process.infill_percent"),
        ({"process": {"infill_percent": -1}}, "process.infill_percent"),
        ({"process": {"perimeters": 0}}, "process.perimeters"),
        ({"process": {"brim_mm": 11}}, "process.brim_mm"),
        ({"process": {"scale_percent": 0}}, "process.scale_percent"),
        ({"process": {"turn": "z45"}}, "process.turn"),
        ({"process": {"supports": "yes"}}, "process.supports"),
        ({"process": {"material": "gold"}}, "process.material"),
        ({"process": []}, "process"),
        ({"machine_class": ""}, "machine_class"),
        ({"machine_class": "teleporter"}, "machine_class"),
        ({"file_id": "no id"}, "file_id"),
    ],
    ids=str,
)
async def test_a_wish_that_cannot_be_is_told_by_its_field(
    desk: Desk, wish: dict[str, object], where: str
) -> None:
    await desk.machine()
    asker = await desk.program()
    file = (await asker.upload(b"part")).json
    seen = await asker.post("/quotes", {"file_id": file["id"]} | wish)
    assert seen.is_problem(422)
    assert [fault["where"] for fault in seen.json["faults"]] == [where]


async def test_all_faults_are_told_at_once(desk: Desk) -> None:
    asker = await desk.program()
    seen = await asker.post("/quotes", {"quantity": "x", "process": {"supports": 1}, "price": 0})
    wrong = {fault["where"] for fault in seen.json["faults"]}
    assert wrong == {"file_id", "quantity", "process.supports", "price"}


async def test_accepting_twice_is_one_job_and_one_hold(desk: Desk) -> None:
    asker = await desk.program()
    before = await balance_of(asker)
    quote = await asker.quote()
    first = await asker.post("/jobs", {"quote_id": quote["id"]})
    held = await balance_of(asker)
    again = await asker.post("/jobs", {"quote_id": quote["id"]})
    assert (first.status, again.status) == (201, 200)
    assert first.json["id"] == again.json["id"]
    assert await balance_of(asker) == held != before
    assert len((await asker.get("/jobs")).json["items"]) == 1


async def test_a_double_click_is_one_job(desk: Desk) -> None:
    asker = await desk.program()
    quote = await asker.quote()
    both = await asyncio.gather(*(asker.post("/jobs", {"quote_id": quote["id"]}) for _ in range(2)))
    assert sorted(seen.status for seen in both) == [200, 201]
    assert len({seen.json["id"] for seen in both}) == 1


async def test_a_repeated_key_gets_the_first_answer_again(desk: Desk) -> None:
    asker = await desk.program()
    quote, other = await asker.quote(), await asker.quote()
    key = {"Idempotency-Key": str(uuid4())}
    first = await asker.post("/jobs", {"quote_id": quote["id"]}, headers=key)
    assert first.status == 201
    assert "Idempotent-Replayed" not in first.headers
    assert (await asker.post(f"/jobs/{first.json['id']}/cancel")).status == 200
    again = await asker.post("/jobs", {"quote_id": quote["id"]}, headers=key)
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = await asker.post("/jobs", {"quote_id": other["id"]}, headers=key)
    assert reused.is_problem(422, "idempotency.reused")
    assert len((await asker.get("/jobs")).json["items"]) == 1


async def test_a_key_is_its_callers_own(desk: Desk) -> None:
    one, two = await desk.program(), await desk.program()
    key = {"Idempotency-Key": "1"}
    for asker in (one, two):
        quote = await asker.quote()
        seen = await asker.post("/jobs", {"quote_id": quote["id"]}, headers=key)
        assert seen.status == 201
        assert seen.json["quote_id"] == quote["id"]


async def test_a_failure_is_not_kept_under_its_key(desk: Desk) -> None:
    asker = await desk.program()
    quote = await asker.quote()
    key = {"Idempotency-Key": "k"}
    assert (await asker.post("/jobs", {"quote_id": "?"}, headers=key)).is_problem(422)
    assert (await asker.post("/jobs", {"quote_id": quote["id"]}, headers=key)).status == 201


async def test_a_key_that_is_too_long_is_refused(desk: Desk) -> None:
    asker = await desk.program()
    quote = await asker.quote()
    seen = await asker.post("/jobs", {"quote_id": quote["id"]}, headers={"Idempotency-Key": "k" * 201})
    assert seen.is_problem(422, "idempotency.key")
    assert (await asker.get("/jobs")).json["items"] == []


async def test_an_expired_quote_is_told_so(desk: Desk) -> None:
    asker = await desk.program()
    quote = await asker.quote()
    await desk.clock.advance(31 * 86400)
    seen = await asker.post("/jobs", {"quote_id": quote["id"]})
    assert seen.is_problem(409, "quote.expired")


async def test_an_account_that_does_not_cover_the_hold_starts_nothing(desk: Desk) -> None:
    asker = await desk.program(cents=0)
    quote = await asker.quote()
    before = await balance_of(asker)
    seen = await asker.post("/jobs", {"quote_id": quote["id"]})
    assert seen.is_problem(402, "insufficient_balance")
    assert (await asker.get("/jobs")).json["items"] == []
    assert await balance_of(asker) == before


async def test_a_list_is_walked_by_its_links_newest_first_each_job_once(desk: Desk) -> None:
    asker = await desk.program()
    made = []
    for _ in range(5):
        made.append((await asker.job())["id"])
        await desk.clock.advance(1)
    walked, pages, address = [], 0, f"{V1}/jobs?limit=2"
    while address:
        seen = await asker.ask("GET", address)
        assert seen.status == 200
        walked += [job["id"] for job in seen.json["items"]]
        pages += 1
        link = seen.headers.get("Link", "")
        assert bool(link) == bool(seen.json["next"])
        following = urlsplit(link.partition(">")[0].removeprefix("<"))
        assert link == "" or link.endswith('rel="next"')
        assert parse_qs(following.query).get("cursor", [None])[0] == seen.json["next"]
        address = f"{following.path}?{following.query}" if link else ""
    assert walked == made[::-1]
    assert pages == 3


@pytest.mark.parametrize(
    "query",
    [
        "cursor=nonsense", "cursor=", "cursor=%00", "cursor=MTIz", "cursor=" + "A" * 5000,
        "limit=0", "limit=201", "limit=x", "limit=1e3", "state=unheard", "page=2",
        "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw",
    ],
)  # fmt: skip
async def test_a_question_that_makes_no_sense_is_told_so(desk: Desk, query: str) -> None:
    asker = await desk.program()
    seen = await asker.get(f"/jobs?{query}")
    assert seen.is_problem(422, "fields")
    assert [fault["where"] for fault in seen.json["faults"]] == [query.partition("=")[0]]


async def test_a_list_can_be_asked_by_state(desk: Desk) -> None:
    asker = await desk.program()
    stays, goes = await asker.job(), await asker.job()
    await asker.post(f"/jobs/{goes['id']}/cancel")
    found = {
        state: [job["id"] for job in (await asker.get(f"/jobs?state={state}")).json["items"]]
        for state in ("queued", "cancelled", "done")
    }
    assert found == {"queued": [stays["id"]], "cancelled": [goes["id"]], "done": []}


async def test_a_waiting_job_explains_per_machine_why_not(desk: Desk) -> None:
    from orchestrator.domain.machine import Bed

    await desk.machine(bed=Bed.OCCUPIED)
    asker = await desk.program()
    job = await asker.job()
    seen = await asker.get(f"/jobs/{job['id']}/explain")
    assert seen.status == 200
    (machine,) = seen.json["machines"]
    assert [refusal["rule"] for refusal in machine["refusals"]]
    assert b"bed" in seen.raw


async def test_cancelling_gives_the_hold_back_and_once_is_enough(desk: Desk) -> None:
    asker = await desk.program()
    before = await balance_of(asker)
    job = await asker.job()
    assert await balance_of(asker) != before
    seen = await asker.post(f"/jobs/{job['id']}/cancel")
    assert (seen.status, seen.json["state"]) == (200, "cancelled")
    assert await balance_of(asker) == before
    again = await asker.post(f"/jobs/{job['id']}/cancel")
    assert again.status in {200, 409}
    assert await balance_of(asker) == before
    topics = [event["topic"] for event in (await asker.get(f"/jobs/{job['id']}/events")).json["items"]]
    assert topics.count("job.cancelled") == 1


# --- on both databases -------------------------------------------------------------------------------


async def exactly_ten(url: str, root: Path) -> None:
    """Twenty quotes accepted at once on a balance for ten."""
    await migrate(url)
    async with a_desk(root, url=url, clock=SystemClock()) as desk:
        rich = await desk.program()
        hold = (await rich.quote())["hold"]["amount"]
        asker = await desk.program(cents=10 * hold)
        quotes = [await asker.quote() for _ in range(20)]
        seen = await asyncio.gather(*(asker.post("/jobs", {"quote_id": q["id"]}) for q in quotes))
        assert Counter(one.status for one in seen) == {201: 10, 402: 10}
        assert all(one.is_problem(402, "insufficient_balance") for one in seen if one.status == 402)
        assert len((await asker.get("/jobs")).json["items"]) == 10
        assert await desk.store.verify() == ()
        assert (await asker.post("/jobs", {"quote_id": (await asker.quote())["id"]})).is_problem(402)


async def test_of_20_accepted_at_once_on_a_balance_for_10_exactly_10_are_on_sqlite(tmp_path: Path) -> None:
    await exactly_ten(f"sqlite+aiosqlite:///{tmp_path / 'lab.sqlite'}", tmp_path)


async def test_of_20_accepted_at_once_on_a_balance_for_10_exactly_10_are_on_postgresql(
    tmp_path: Path, postgres_url: str
) -> None:
    await exactly_ten(postgres_url, tmp_path)
