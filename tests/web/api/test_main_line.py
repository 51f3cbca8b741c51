"""The main job over the API, in the shapes of the contract: upload, quote, accept, follow, and doing it twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from orchestrator.domain.member import Role
from orchestrator.domain.run import RunState
from tests.builders import a_run, an_event
from tests.web.api.desk import Client, Desk, a_desk

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path) as made:
        yield made


async def test_a_quote_has_the_shape_of_the_contract_and_its_lines_add_up(desk: Desk) -> None:
    quote = await (await desk.of()).quote()

    assert {"id", "file_id", "tariff_version", "valid_until", "total", "hold", "estimate", "lines"} <= set(
        quote
    )
    assert {"source", "print_seconds", "filament_milligrams", "confidence"} <= set(quote["estimate"])
    assert set(quote["estimate"]["print_seconds"]) == {"p50", "p90"}
    assert all({"kind", "text", "quantity", "amount", "explain"} <= set(line) for line in quote["lines"])
    assert sum(line["amount"]["amount"] for line in quote["lines"]) == quote["total"]["amount"]
    assert quote["hold"]["amount"] >= quote["total"]["amount"]
    assert quote["total"]["currency"] == "EUR"
    assert INSTANT.fullmatch(quote["valid_until"])


async def test_an_upload_says_what_it_is(desk: Desk) -> None:
    answer = await (await desk.of()).upload("part-600s.stl", b"solid")

    assert answer.status == 201
    assert {"id", "sha256", "kind", "analysis"} <= set(answer.json)
    assert len(answer.json["sha256"]) == 64
    assert answer.json["kind"] == "stl"


async def test_accepting_a_quote_makes_a_job_and_holds_the_money(desk: Desk) -> None:
    client = await desk.of(cents=100_000)
    quote = await client.quote()

    answer = await client.post("/jobs", {"quote_id": quote["id"]})

    assert answer.status == 201
    assert {
        "id",
        "state",
        "quote_id",
        "member_id",
        "created_at",
        "place",
        "forecast",
        "runs",
        "receipt",
    } <= set(answer.json)
    assert INSTANT.fullmatch(answer.json["created_at"])
    account = (await client.get("/accounts/me")).json
    assert account["held"] == quote["hold"]
    assert account["available"]["amount"] == 100_000 - quote["hold"]["amount"]


async def test_a_quote_beyond_the_balance_answers_402_and_makes_nothing(desk: Desk) -> None:
    client = await desk.of(cents=10)
    quote = await client.quote()

    answer = await client.post("/jobs", {"quote_id": quote["id"]})

    assert (answer.status, answer.type) == (402, "/problems/insufficient_balance")
    assert (await client.get("/jobs")).json["items"] == []


async def test_a_refused_file_says_every_rule_it_breaks(desk: Desk) -> None:
    answer = await (await desk.of()).upload("unprintable.stl")

    assert answer.status == 422
    assert ("", "mesh.empty") in answer.rules


async def test_the_same_quote_accepted_twice_is_one_job_and_one_hold(desk: Desk) -> None:
    client = await desk.of()
    quote = await client.quote()

    answers = await asyncio.gather(*(client.post("/jobs", {"quote_id": quote["id"]}) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert (await client.get("/accounts/me")).json["held"] == quote["hold"]


# --- idempotency keys -----------------------------------------------------------------------------


async def accept(client: Client, quote_id: str, key: str) -> tuple[int, bytes, str | None]:
    answer = await client.post("/jobs", {"quote_id": quote_id}, headers={"Idempotency-Key": key})
    return answer.status, answer.raw, answer.headers.get("Idempotent-Replayed")


async def test_a_repeated_key_gets_the_first_answer_again_and_is_told_so(desk: Desk) -> None:
    client = await desk.of()
    quote = await client.quote()

    first = await accept(client, quote["id"], "one")
    again = await accept(client, quote["id"], "one")

    assert (first[0], first[2]) == (201, None)
    assert (again[0], again[2]) == (201, "true")
    assert len((await client.get("/jobs")).json["items"]) == 1


async def test_a_key_used_for_another_request_answers_422_and_does_nothing(desk: Desk) -> None:
    client = await desk.of()
    await accept(client, (await client.quote())["id"], "one")

    status, _, _ = await accept(client, (await client.quote())["id"], "one")

    assert status == 422
    assert len((await client.get("/jobs")).json["items"]) == 1


async def test_the_same_key_of_two_members_is_two_keys(desk: Desk) -> None:
    one, other = await desk.of(), await desk.of()

    first = await accept(one, (await one.quote())["id"], "one")
    second = await accept(other, (await other.quote())["id"], "one")

    assert (first[0], second[0]) == (201, 201)


async def test_what_was_refused_may_be_tried_again_under_the_same_key(desk: Desk) -> None:
    client = await desk.of(cents=10)
    quote = await client.quote()

    assert (await accept(client, quote["id"], "one"))[0] == 402
    assert (await accept(client, quote["id"], "one"))[2] is None


async def test_one_key_many_times_at_once_is_one_job_and_nobody_is_refused(desk: Desk) -> None:
    client = await desk.of()
    quote = await client.quote()

    answers = await asyncio.gather(*(accept(client, quote["id"], "one") for _ in range(8)))

    assert {status for status, _, _ in answers} <= {200, 201}
    assert len((await client.get("/jobs")).json["items"]) == 1


@pytest.mark.parametrize("key", ["x" * 300])
async def test_an_odd_key_answers_422(desk: Desk, key: str) -> None:
    client = await desk.of()

    assert (await accept(client, (await client.quote())["id"], key))[0] == 422


# --- lists ----------------------------------------------------------------------------------------


async def test_a_list_is_read_to_its_end_by_its_cursor_and_by_its_link(desk: Desk) -> None:
    client = await desk.of()
    made = []
    for _ in range(5):
        await desk.home.clock.advance(1)
        made.append((await client.job())["id"])

    seen, cursor, links = [], "", 0
    while True:
        answer = await client.get(f"/jobs?limit=2{cursor}")
        seen += [job["id"] for job in answer.json["items"]]
        links += 'rel="next"' in answer.headers.get("Link", "")
        if answer.json["next"] is None:
            break
        cursor = f"&cursor={answer.json['next']}"

    assert seen == made[::-1]
    assert links == 2


# --- machines -------------------------------------------------------------------------------------


async def test_a_machine_has_the_shape_of_the_contract(desk: Desk) -> None:
    await desk.home.machine("Ada")

    items = (await (await desk.of()).get("/machines")).json["items"]

    assert {
        *("id", "name", "kind", "site", "link", "activity"),
        *("bed", "run_id", "refusals", "abilities", "material"),
    } <= set(items[0])


async def test_a_technician_clears_holds_and_maintains_and_a_member_does_not(desk: Desk) -> None:
    machine = await desk.home.machine("Ada")
    tech, member = await desk.of(Role.TECH), await desk.of()

    assert (await member.post(f"/machines/{machine.id}/clear")).status == 403
    assert (await tech.post(f"/machines/{machine.id}/clear")).json["bed"] == "clear"
    assert (await tech.post(f"/machines/{machine.id}/hold", {"reason": "noise"})).json["held"] == "noise"
    assert (await tech.post(f"/machines/{machine.id}/resume")).json["held"] == ""
    assert (await tech.post(f"/machines/{machine.id}/maintenance", {"on": True})).json["maintenance"] is True
    assert (await tech.post(f"/machines/{machine.id}/material", {"material": "petg"})).json[
        "material"
    ] == "petg"


async def test_only_an_unclear_run_is_decided(desk: Desk) -> None:
    machine = await desk.home.machine("Ada")
    member = await desk.person()
    job = await (await desk.program(member)).job()
    run = a_run(job_id=UUID(job["id"]), machine_id=machine.id, state=RunState.CLAIMED)
    await desk.lab.store.write(lambda unit: unit.add_run(run, an_event("run.claimed", run_id=run.id)))

    answer = await (await desk.of(Role.TECH)).post(f"/runs/{run.id}/decide", {"verdict": "finished"})

    assert (answer.status, answer.type) == (409, "/problems/state")


async def test_why_a_job_waits_is_told_per_machine(desk: Desk) -> None:
    await desk.home.machine("Ada")
    client = await desk.of()
    job = await client.job()

    told = (await client.get(f"/jobs/{job['id']}/explain")).json

    assert {"place", "forecast", "machines"} <= set(told)
    assert {no["rule"] for no in told["machines"][0]["refusals"]} >= {"link"}


# --- is it well -----------------------------------------------------------------------------------


async def test_health_readiness_and_metrics_answer_without_a_session(desk: Desk) -> None:
    assert (await desk.stranger.call("GET", "/healthz")).status == 200
    assert (await desk.stranger.call("GET", "/readyz")).status == 200
    metrics = await desk.stranger.call("GET", "/metrics")
    assert b"etabli_jobs{" in metrics.raw
    assert b"example.org" not in metrics.raw


async def test_metrics_with_a_token_need_it(tmp_path: Path) -> None:
    async with a_desk(tmp_path, metrics_token="secret-of-the-scraper") as desk:
        bare = await desk.stranger.call("GET", "/metrics")
        right = await desk.stranger.call(
            "GET", "/metrics", headers={"Authorization": "Bearer secret-of-the-scraper"}
        )
        wrong = await desk.stranger.call("GET", "/metrics", headers={"Authorization": "Bearer other"})

    assert (bare.status, right.status, wrong.status) == (403, 200, 403)
