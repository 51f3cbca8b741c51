"""The pages over HTTP, before the real flow and store: what a form does, and what is said when it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.ports import Unit
from tests.web.pages.front import Front, Seen, Visitor, a_front

PART = "part-600s-5000mg.stl"


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def visitor(front: Front) -> AsyncIterator[Visitor]:
    async with front.visitor() as made:
        yield made


async def trained(front: Front, role: Role = Role.MEMBER) -> Member:
    member = await front.person(role=role)

    async def work(unit: Unit) -> None:
        await unit.put_entitlement(Entitlement(member_id=member.id, machine_class="fdm"))

    await front.home.store.write(work)
    return member


async def quoted(visitor: Visitor, front: Front) -> Seen:
    await visitor.sign_in(await trained(front))
    return await visitor.upload(PART, b"solid")


async def accepted(visitor: Visitor, front: Front) -> Seen:
    priced = await quoted(visitor, front)
    return await visitor.post(priced.link("/quotes/[^/]+/accept"))


# --- coming in ----------------------------------------------------------------------------------


async def test_a_stranger_is_asked_to_sign_in_and_then_sees_what_they_wanted(
    visitor: Visitor, front: Front
) -> None:
    asked = await visitor.get("/account")
    assert asked.path == "/sign-in?next=/account"
    assert 'name="next" value="/account"' in asked.html

    seen = await visitor.sign_in(await front.person(), following="/account")

    assert (seen.status, seen.path) == (200, "/account")


@pytest.mark.parametrize(("role", "home"), [(Role.MEMBER, "/jobs"), (Role.TECH, "/machines")])
async def test_everybody_starts_where_their_work_is(
    visitor: Visitor, front: Front, role: Role, home: str
) -> None:
    assert (await visitor.sign_in(await front.person(role=role))).path == home


async def test_a_wrong_password_is_told_without_saying_which_half_was_wrong(
    visitor: Visitor, front: Front
) -> None:
    member = await front.person()

    wrong = await visitor.sign_in(member, "not the password")
    unknown = await visitor.sign_in(replace(member, email="nobody@example.org"))

    assert wrong.status == unknown.status == 401
    for seen in (wrong, unknown):
        assert "This address and this password do not go together." in seen.text


async def test_after_too_many_attempts_one_is_told_to_wait(visitor: Visitor, front: Front) -> None:
    member = await front.person()
    for _ in range(8):
        await visitor.sign_in(member, "not the password")

    seen = await visitor.sign_in(member)

    assert seen.status == 429
    assert "Too many attempts." in seen.text


async def test_signing_out_ends_it(visitor: Visitor, front: Front) -> None:
    await visitor.sign_in(await front.person())

    await visitor.post("/sign-out")

    assert (await visitor.get("/jobs")).path.startswith("/sign-in")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"]
)
async def test_signing_in_leads_to_no_other_site(visitor: Visitor, front: Front, elsewhere: str) -> None:
    assert (await visitor.sign_in(await front.person(), following=elsewhere)).path == "/jobs"


async def test_the_language_is_changed_where_one_stands_and_remembered(
    visitor: Visitor, front: Front
) -> None:
    await visitor.sign_in(await front.person())

    seen = await visitor.post("/language", {"locale": "fr", "next": "/account"})

    assert seen.path == "/account"
    assert "Réservé pour les travaux en cours" in seen.text
    assert 'lang="fr"' in (await visitor.get("/jobs")).html


# --- a job --------------------------------------------------------------------------------------


async def test_an_upload_leads_to_its_price(visitor: Visitor, front: Front) -> None:
    seen = await quoted(visitor, front)

    assert seen.status == 200
    assert seen.path.startswith("/quotes/")
    assert "Machine time" in seen.text
    assert "Accept – at most €" in seen.text


async def test_another_choice_is_another_price(visitor: Visitor, front: Front) -> None:
    first = await quoted(visitor, front)
    file_id = first.html.split('name="file_id" value="')[1][:36]

    seen = await visitor.post("/quotes", {"file_id": file_id, "quantity": "5", "supports": "yes"})

    assert seen.path.startswith("/quotes/")
    assert seen.path != first.path
    assert 'name="quantity" value="5"' in seen.html


async def test_an_impossible_choice_leaves_the_former_price_with_the_reason(
    visitor: Visitor, front: Front
) -> None:
    first = await quoted(visitor, front)
    file_id = first.html.split('name="file_id" value="')[1][:36]

    seen = await visitor.post(
        "/quotes", {"file_id": file_id, "quote_id": first.path.rpartition("/")[2], "quantity": "1000"}
    )

    assert seen.status == 422
    assert "This quantity is not possible: 1000." in seen.text
    assert "Choose a quantity within the limit." in seen.text
    assert first.link("/quotes/[^/]+/accept") in seen.html


async def test_a_choice_that_no_form_offers_is_refused(visitor: Visitor, front: Front) -> None:
    await quoted(visitor, front)

    seen = await visitor.post("/quotes", {"file_id": str(uuid4()), "material": "gold"})

    assert seen.status == 422


async def test_a_shape_that_cannot_be_made_is_refused_with_its_rule(visitor: Visitor, front: Front) -> None:
    await visitor.sign_in(await front.person())

    seen = await visitor.upload("unprintable.stl", b"solid")

    assert seen.status == 422
    assert "This cannot be made" in seen.text
    assert "mesh.empty" in seen.text


async def test_accepting_places_the_hold_and_shows_the_job_and_twice_is_once(
    visitor: Visitor, front: Front
) -> None:
    priced = await quoted(visitor, front)

    first = await visitor.post(priced.link("/quotes/[^/]+/accept"))
    again = await visitor.post(priced.link("/quotes/[^/]+/accept"))

    assert first.path.startswith("/jobs/")
    assert again.path == first.path
    assert "set aside as the maximum price" in first.text


async def test_an_empty_account_is_told_on_the_quote(visitor: Visitor, front: Front) -> None:
    poor = replace(await front.person(), id=uuid4(), email="poor@example.org", account_id=uuid4())
    await front.home.store.write(lambda unit: unit.add_member(poor))
    await visitor.sign_in(poor)
    priced = await visitor.upload(PART, b"solid")

    seen = await visitor.post(priced.link("/quotes/[^/]+/accept"))

    assert seen.status == 402
    assert "Your account does not cover the maximum price." in seen.text


async def test_a_waiting_job_says_why_per_machine_and_is_in_the_technicians_queue(
    visitor: Visitor, front: Front
) -> None:
    await front.home.machine("Ada", bed=Bed.OCCUPIED)
    seen = await accepted(visitor, front)
    assert "Why it waits" in seen.text
    assert "Ada" in seen.text
    assert "It cannot be reached: switched off or not on the network." in seen.text
    assert "The bed is not confirmed clear" in seen.text

    async with front.visitor() as technician:
        await technician.sign_in(await front.person(role=Role.TECH))
        assert "and 2 more reasons" in (await technician.get("/queue")).text


async def test_a_cancelled_job_frees_its_hold(visitor: Visitor, front: Front) -> None:
    job = await accepted(visitor, front)

    seen = await visitor.post(f"{job.path}/cancel")
    again = await visitor.post(f"{job.path}/cancel")

    assert "Cancelled" in seen.text
    assert "Nothing was charged." in seen.text
    assert again.status == 409
    assert "It has changed meanwhile." in again.text


async def test_a_foreign_job_looks_like_none(visitor: Visitor, front: Front) -> None:
    job = await accepted(visitor, front)

    async with front.visitor() as other:
        await other.sign_in(await front.person())
        seen = await other.get(job.path)

    assert seen.status == 404
    assert "Nothing here" in seen.text


@pytest.mark.parametrize(
    "path", ["/jobs/none", "/jobs/6fa2361e-eaac-4ead-a6f8-d972101043ab", "/quotes/x", "/files/x", "/nowhere"]
)
async def test_what_is_not_there_has_a_page_that_says_so(visitor: Visitor, front: Front, path: str) -> None:
    await visitor.sign_in(await front.person())

    seen = await visitor.get(path)

    assert seen.status == 404
    assert "Back to the start" in seen.text


@pytest.mark.parametrize("query", ["before=yesterday", "before=2026-01-01T00:00:00%2B00:00&id=x"])
async def test_a_broken_cursor_is_no_page(visitor: Visitor, front: Front, query: str) -> None:
    await visitor.sign_in(await front.person())

    assert (await visitor.get(f"/jobs?{query}")).status == 404


# --- the board ----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def machine(front: Front) -> Machine:
    return await front.home.machine("Ada", bed=Bed.OCCUPIED)


async def now(front: Front, machine: Machine) -> Machine:
    found = await front.home.store.read(lambda unit: unit.machine(machine.id))
    assert found is not None
    return found


async def test_a_technician_clears_a_bed_and_may_take_it_back(
    visitor: Visitor, front: Front, machine: Machine
) -> None:
    await visitor.sign_in(await front.person(role=Role.TECH))

    seen = await visitor.post(f"/machines/{machine.id}/clear")

    assert "The bed of Ada is marked clear." in seen.text
    assert (await now(front, machine)).bed is Bed.CLEAR
    await visitor.post(seen.link("/machines/[^/]+/occupied"))
    assert (await now(front, machine)).bed is Bed.OCCUPIED


async def test_a_technician_holds_resumes_maintains_and_loads_a_machine(
    visitor: Visitor, front: Front, machine: Machine
) -> None:
    await visitor.sign_in(await front.person(role=Role.TECH))
    url = f"/machines/{machine.id}"

    assert "Reason: nozzle" in (await visitor.post(f"{url}/hold", {"reason": "nozzle"})).text
    await visitor.post(f"{url}/resume")
    await visitor.post(f"{url}/maintenance", {"on": "yes"})
    await visitor.post(f"{url}/material", {"material": ""})

    after = await now(front, machine)
    assert (after.held, after.maintenance, after.material) == ("", True, None)
    assert (await visitor.post(f"{url}/material", {"material": "gold"})).status == 422


async def test_a_member_looks_at_the_board_and_has_no_button(
    visitor: Visitor, front: Front, machine: Machine
) -> None:
    await visitor.sign_in(await front.person())

    seen = await visitor.get("/machines")

    assert "Ada" in seen.text
    assert 'action="/machines' not in seen.html
    assert (await visitor.post(f"/machines/{machine.id}/clear")).status == 403
    assert (await now(front, machine)).bed is Bed.OCCUPIED
    assert (await visitor.get("/queue")).status == 403


async def test_a_form_without_its_token_changes_nothing(
    visitor: Visitor, front: Front, machine: Machine
) -> None:
    await visitor.sign_in(await front.person(role=Role.TECH))

    seen = await visitor.post(f"/machines/{machine.id}/clear", {"csrf": "0" * 64})

    assert seen.status == 403
    assert (await now(front, machine)).bed is Bed.OCCUPIED


async def test_a_page_may_only_run_what_is_ours(visitor: Visitor) -> None:
    policy = (await visitor.get("/sign-in")).headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
