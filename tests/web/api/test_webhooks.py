"""Webhooks by the API, as a booking system keeps them: from making one to its messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.member import Role
from orchestrator.flow.webhooks import turn
from tests.rigs.receiver import a_receiver, is_signed
from tests.web.api.server import a_desk


async def test_a_booking_system_makes_tests_changes_and_deletes_its_webhook(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk, a_receiver() as receiver:
        system = await desk.program(Role.BOOKING)
        made = await system.post("/webhooks", {"url": receiver.url, "topics": ["job.*", "charge.created"]})
        assert made.status == 201
        at = f"/webhooks/{made.json['id']}"

        assert (await system.post(f"{at}/test")).status == 200
        await turn(desk.lab)
        (got,) = receiver.got
        assert is_signed(made.json["secret"], got.id, got.timestamp, got.signature, got.body)

        again = (await system.get(at)).json
        assert again["secret_hint"] == made.json["secret"].rstrip("=")[-4:]
        assert made.json["secret"] not in (await system.get("/webhooks")).raw.decode()
        assert again["topics"] == ["charge.created", "job.*"]

        off = await system.ask("PUT", f"/api/v1{at}", json={"url": receiver.url, "active": False})
        assert (off.status, off.json["active"], off.json["topics"]) == (200, False, [])
        (await system.post(f"{at}/test")).is_problem(409, "webhook.off")

        assert (await system.ask("DELETE", f"/api/v1{at}")).status == 204
        (await system.get(at)).is_problem(404)


async def test_messages_are_listed_by_page_and_sent_again(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk, a_receiver() as receiver:
        system = await desk.program(Role.BOOKING)
        at = f"/webhooks/{(await system.post('/webhooks', {'url': receiver.url})).json['id']}"
        for _ in range(5):
            await system.post(f"{at}/test")
        await turn(desk.lab)

        first = (await system.get(f"{at}/deliveries?limit=3&state=delivered")).json
        rest = (await system.get(f"{at}/deliveries?limit=3&cursor={first['next']}")).json
        ids = [one["id"] for one in first["items"] + rest["items"]]
        assert len(set(ids)) == 5
        assert rest["next"] is None

        again = await system.post(f"{at}/deliveries/{ids[0]}/replay")
        assert (again.status, again.json["state"]) == (200, "pending")
        await turn(desk.lab)
        assert [one.id for one in receiver.got].count(ids[0]) == 2
        assert (await system.post(f"{at}/replay-dead")).json == {"replayed": 0}
        for wrong in ("x", "1", "1.a\n", "-1.a", "99999999999999999999.a"):
            seen = await system.get(f"{at}/deliveries", params={"cursor": wrong})
            assert seen.status in (200, 422)
        (await system.post(f"{at}/deliveries/msg_none/replay")).is_problem(404)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "ftp://example.org/", "http://169.254.169.254/", "http://a b/", "x"]
)
async def test_an_address_that_must_not_be_called_is_422_with_what_was_seen(tmp_path: Path, url: str) -> None:
    async with a_desk(tmp_path) as desk:
        system = await desk.program(Role.BOOKING)
        refused = await system.post("/webhooks", {"url": url})

        assert refused.is_problem(422, "webhook.address")
        (fault,) = refused.json["faults"]
        assert fault["where"] == "url"
        assert fault["seen"].startswith(url) or fault["seen"].split(":")[0] in url


async def test_anothers_webhook_is_404_and_an_administrator_sees_all(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk, a_receiver() as receiver:
        one, other = await desk.program(Role.BOOKING), await desk.program(Role.BOOKING)
        manager = await desk.program(Role.MANAGER)
        at = f"/webhooks/{(await one.post('/webhooks', {'url': receiver.url})).json['id']}"

        for ask in (other.get(at), other.post(f"{at}/rotate"), other.get(f"{at}/deliveries")):
            (await ask).is_problem(404)
        assert (await other.get("/webhooks")).json["items"] == []
        assert len((await manager.get("/webhooks")).json["items"]) == 1
