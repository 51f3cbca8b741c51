"""The fakes of booking systems refuse what the real ones refuse: a fake that takes anything proves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.builders import NOON
from tests.rigs.fake_fabman import FakeFabman
from tests.rigs.fake_fabmanager import FakeFabManager, hours


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("reservations", 200),
        ("reservations?reservable_type=Machine&page=1&per_page=3", 200),
        ("reservations?starting_after=2026-03-02", 400),
        ("reservations?reservable_type=Chair", 400),
        ("reservations?per_page=0", 400),
        ("reservations?per_page=100000", 400),
        ("machines/999", 405),
        ("plans", 404),
    ],
)
async def test_fabmanager_answers_only_what_is_documented(
    fabmanager: FakeFabManager, http: aiohttp.ClientSession, path: str, status: int
) -> None:
    headers = {"Authorization": f"Token token={fabmanager.token}"}
    async with http.get(f"{fabmanager.base}/open_api/v1/{path}", headers=headers) as answer:
        assert answer.status == status


@pytest.mark.parametrize("header", [None, "Token token=wrong", "Bearer let-me-in", "let-me-in"])
async def test_fabmanager_lets_in_only_its_token(
    fabmanager: FakeFabManager, http: aiohttp.ClientSession, header: str | None
) -> None:
    headers = {"Authorization": header} if header else {}
    async with http.get(f"{fabmanager.base}/open_api/v1/machines", headers=headers) as answer:
        assert answer.status == 401


async def test_fabmanager_filters_reservations_by_when_they_were_made(
    fabmanager: FakeFabManager, http: aiohttp.ClientSession
) -> None:
    machine, user = fabmanager.has_machine("Prusa"), fabmanager.has_user("c@example.org")
    fabmanager.books(user, machine, *hours(NOON, 48, 49))
    headers = {"Authorization": f"Token token={fabmanager.token}"}
    url = f"{fabmanager.base}/open_api/v1/reservations"
    async with http.get(url, params={"after": "2026-03-03T00:00:00+00:00"}, headers=headers) as answer:
        assert (await answer.json())["reservations"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("bookings?limit=2&embed=member", 200),
        ("bookings?starts=tomorrow", 400),
        ("bookings?limit=0", 400),
        ("bookings?limit=5000", 400),
        ("members?embed=secrets", 400),
        ("resources/1", 404),
    ],
)
async def test_fabman_answers_only_what_is_documented(
    fabman: FakeFabman, http: aiohttp.ClientSession, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {fabman.token}"}
    async with http.get(f"{fabman.base}/api/v1/{path}", headers=headers) as answer:
        assert answer.status == status


async def test_fabman_refuses_a_wrong_token_old_locks_strange_fields_and_haste(
    fabman: FakeFabman, http: aiohttp.ClientSession
) -> None:
    url, resource = f"{fabman.base}/api/v1", fabman.has_resource("Prusa")
    headers = {"Authorization": f"Bearer {fabman.token}"}
    async with http.get(f"{url}/bookings") as answer:
        assert answer.status == 401
    change = {"state": "locked", "lockVersion": 0}
    async with http.put(f"{url}/resources/{resource}", json=change, headers=headers) as answer:
        assert answer.status == 409
    async with http.post(f"{url}/charges", json={"member": 1, "reference": "x"}, headers=headers) as answer:
        assert answer.status == 400
    async with http.post(f"{url}/charges", data="member=1", headers=headers) as answer:
        assert answer.status == 415
    fabman.is_busy()
    async with http.get(f"{url}/bookings", headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")


async def test_fabman_leads_from_page_to_page_by_its_link(
    fabman: FakeFabman, http: aiohttp.ClientSession
) -> None:
    for number in range(5):
        fabman.has_member(f"m{number}@example.org")
    headers = {"Authorization": f"Bearer {fabman.token}"}
    async with http.get(f"{fabman.base}/api/v1/members?limit=2", headers=headers) as answer:
        assert len(await answer.json()) == 2
        assert 'rel="next"' in answer.headers["Link"]
    async with http.get(f"{fabman.base}/api/v1/members?limit=2&offset=4", headers=headers) as answer:
        assert "Link" not in answer.headers
