"""A Fabman that speaks its documented API v1, on loopback.

It refuses what the real one refuses: a wrong token, a body that is no JSON (415), a field or a filter that nobody knows
(400), a change with an old `lockVersion` (409), too many requests (429). Times are the space's, without offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.rigs.fake_server import FakeServer

ZONE = ZoneInfo("Europe/Paris")
LIMIT_MAX = 1000
FILTERS = {
    "bookings": {"fromDateTime", "untilDateTime", "embed", "limit", "offset", "state", "resource", "member"},
    "members": {"embed", "limit", "offset"},
    "resources": {"limit", "offset", "state", "embed"},
    "charges": {"member", "limit", "offset"},
}
EMBEDS = {"member", "trainings", "memberPackages", "activePackages", ""}
CHARGE_FIELDS = {"member", "dateTime", "description", "price", "resourceLog", "notes"}


def local(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass
class FakeFabman(FakeServer):
    bookings: dict[int, dict[str, Any]] = field(default_factory=dict)
    members: dict[int, dict[str, Any]] = field(default_factory=dict)
    resources: dict[int, dict[str, Any]] = field(default_factory=dict)
    charges: list[dict[str, Any]] = field(default_factory=list)
    drops_answer_of_charge: bool = False  # it takes the next one, and the answer never arrives
    _last: int = 2000

    # --- what a test makes happen ------------------------------------------------------------------

    def _next(self) -> int:
        self._last += 1
        return self._last

    def has_resource(self, name: str, state: str = "active") -> int:
        number = self._next()
        self.resources[number] = {"id": number, "name": name, "state": state, "lockVersion": 1}
        return number

    def has_member(self, email: str, name: str = "Camille Martin", state: str = "active") -> int:
        number = self._next()
        first, _, last = name.partition(" ")
        row = {"id": number, "firstName": first, "lastName": last, "emailAddress": email, "state": state}
        self.members[number] = row | {"lockVersion": 1, "trainings": []}
        return number

    def trains(self, member: int, course: int, until: str | None = None) -> None:
        row = {"id": self._next(), "trainingCourse": course, "date": "2026-01-05", "untilDate": until}
        self.members[member]["trainings"].append(row)

    def books(self, member: int | None, resource: int, start: datetime, end: datetime) -> int:
        number = self._next()
        row = {"id": number, "member": member, "resource": resource, "state": "confirmed", "lockVersion": 1}
        self.bookings[number] = row | {"fromDateTime": local(start), "untilDateTime": local(end)}
        return number

    def moves(self, number: int, start: datetime, end: datetime) -> None:
        self.bookings[number] |= {"fromDateTime": local(start), "untilDateTime": local(end)}

    def cancels(self, number: int) -> None:
        self.bookings[number]["state"] = "cancelled"

    def deletes(self, number: int) -> None:
        del self.bookings[number]

    # --- what it answers ---------------------------------------------------------------------------

    def lets_in(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.token}"

    def routes(self) -> Sequence[web.RouteDef]:
        v1 = "/api/v1"
        return [
            web.get(f"{v1}/bookings", self._get_bookings),
            web.get(f"{v1}/members", self._get_members),
            web.get(f"{v1}/resources", self._get_resources),
            web.get(f"{v1}/resources/{{id}}", self._get_resource),
            web.put(f"{v1}/resources/{{id}}", self._put_resource),
            web.get(f"{v1}/charges", self._get_charges),
            web.post(f"{v1}/charges", self._post_charge),
        ]

    def _paged(self, request: web.Request, name: str, items: Sequence[Any]) -> web.Response:
        query = request.query
        if set(query) - FILTERS[name] or query.get("embed", "") not in EMBEDS:
            raise web.HTTPBadRequest(text="no such filter")
        limit, offset = query.get("limit", "50"), query.get("offset", "0")
        if not (limit.isdecimal() and offset.isdecimal() and 1 <= int(limit) <= LIMIT_MAX):
            raise web.HTTPBadRequest(text="no such page")
        first, size = int(offset), int(limit)
        headers = {"X-Total-Count": str(len(items))}
        if first + size < len(items):
            following = request.url.update_query({"offset": str(first + size)})
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(list(items[first : first + size]), headers=headers)

    async def _get_bookings(self, request: web.Request) -> web.Response:
        since, until = (request.query.get(name, "") for name in ("fromDateTime", "untilDateTime"))
        found = [
            row
            for row in self.bookings.values()
            if (not since or row["untilDateTime"] > since) and (not until or row["fromDateTime"] < until)
        ]
        if request.query.get("embed") == "member":
            found = [row | {"_embedded": {"member": self._plain(row["member"])}} for row in found]
        return self._paged(request, "bookings", found)

    def _plain(self, number: int | None) -> dict[str, Any] | None:
        row = self.members.get(number or 0)
        return {key: value for key, value in row.items() if key != "trainings"} if row else None

    async def _get_members(self, request: web.Request) -> web.Response:
        found = []
        for number, row in self.members.items():
            shown = self._plain(number) or {}
            if request.query.get("embed") == "trainings":
                shown["_embedded"] = {"trainings": row["trainings"]}
            found.append(shown)
        return self._paged(request, "members", found)

    async def _get_resources(self, request: web.Request) -> web.Response:
        return self._paged(request, "resources", list(self.resources.values()))

    async def _get_resource(self, request: web.Request) -> web.Response:
        row = self.resources.get(int(request.match_info["id"]))
        return web.json_response(row) if row else self.refusal(404, "Not found")

    async def _put_resource(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return self.refusal(415, "JSON, please")
        row, change = self.resources.get(int(request.match_info["id"])), await request.json()
        if row is None:
            return self.refusal(404, "Not found")
        if change.get("lockVersion") != row["lockVersion"]:
            return self.refusal(409, "Somebody was faster")
        row |= {key: change[key] for key in ("state", "name") if key in change}
        row["lockVersion"] += 1
        return web.json_response(row)

    async def _get_charges(self, request: web.Request) -> web.Response:
        member = request.query.get("member")
        found = [row for row in self.charges if member in {None, str(row["member"])}]
        return self._paged(request, "charges", found)

    async def _post_charge(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return self.refusal(415, "JSON, please")
        given = await request.json()
        if set(given) - CHARGE_FIELDS or not {"member", "dateTime", "description", "price"} <= set(given):
            return self.refusal(400, "Fields")
        if given["member"] not in self.members or not isinstance(given["price"], int | float):
            return self.refusal(400, "Fields")
        row = given | {"id": self._next(), "createdAt": local(datetime.now(UTC))}
        self.charges.append(row)
        if self.drops_answer_of_charge:
            self.drops_answer_of_charge = False
            assert request.transport is not None
            request.transport.close()
        return web.json_response(row, status=201)
