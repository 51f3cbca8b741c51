"""A fab-manager that speaks its documented OpenAPI v1, on loopback.

State, answers, and what a test may make happen in words: `books`, `moves`, `cancels`. It refuses what the documentation
does not know: a wrong token, a filter that is none, a page size that is none, a machine that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.rigs.fake_server import FakeServer

PARIS = ZoneInfo("Europe/Paris")
PAGING = {"page", "per_page"}
FILTERS = {
    "reservations": PAGING
    | {"after", "before", "user_id", "reservable_type", "reservable_id", "availability_id"},
    "availabilities": PAGING | {"after", "before", "user_id", "available_type", "available_id"},
    "users": PAGING | {"email", "user_id", "created_after"},
    "user_trainings": PAGING | {"training_id", "user_id"},
    "machines": PAGING | {"machine_id"},
}
KINDS = {"Event", "Machine", "Space", "Training"}


def local(at: datetime) -> str:
    """As Rails writes instants."""
    return at.astimezone(PARIS).isoformat(timespec="milliseconds")


@dataclass
class FakeFabManager(FakeServer):
    now: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    reservations: list[dict[str, Any]] = field(default_factory=list)
    availabilities: list[dict[str, Any]] = field(default_factory=list)
    users: list[dict[str, Any]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)
    machines: dict[int, dict[str, Any]] = field(default_factory=dict)
    _last: int = 100

    # --- what a test makes happen ------------------------------------------------------------------

    def _next(self) -> int:
        self._last += 1
        return self._last

    def has_machine(self, name: str, *, disabled: bool = False) -> int:
        number = self._next()
        self.machines[number] = {
            "id": number,
            "name": name,
            "slug": name.lower(),
            "disabled": disabled or None,
        }
        return number

    def has_user(self, email: str, name: str = "Camille Martin") -> int:
        number = self._next()
        user = {"id": number, "email": email, "full_name": name, "created_at": local(self.now)}
        self.users.append(user)
        return number

    def trains(self, user: int, training: int) -> None:
        row = {"id": self._next(), "user_id": user, "training_id": training, "created_at": local(self.now)}
        self.trainings.append(row)

    def forgets_training(self, user: int, training: int) -> None:
        self.trainings = [
            row for row in self.trainings if (row["user_id"], row["training_id"]) != (user, training)
        ]

    def books(
        self,
        user: int,
        machine: int,
        *slots: tuple[datetime, datetime],
        kind: str = "Machine",
        made: datetime | None = None,
    ) -> int:
        """Slots of an hour, or of whatever the lab chose, in one reservation."""
        number = self._next()
        self.reservations.append(
            {
                "id": number,
                "user_id": user,
                "reservable_id": machine,
                "reservable_type": kind,
                "updated_at": local(self.now),
                "created_at": local(made or self.now),
                "user": next((u for u in self.users if u["id"] == user), None),
                "reserved_slots": [self._slot(*slot) for slot in slots],
            }
        )
        return number

    def _slot(self, start: datetime, end: datetime) -> dict[str, Any]:
        return {
            "canceled_at": None,
            "availability_id": self._next(),
            "start_at": local(start),
            "end_at": local(end),
        }

    def _reservation(self, number: int) -> dict[str, Any]:
        return next(row for row in self.reservations if row["id"] == number)

    def moves(self, number: int, slot: int, start: datetime, end: datetime) -> None:
        """The slot lies elsewhere now; the reservation was made when it was made."""
        self._reservation(number)["reserved_slots"][slot] = self._slot(start, end)

    def cancels(self, number: int, slot: int = 0) -> None:
        """The slot is still told, with `canceled_at`."""
        self._reservation(number)["reserved_slots"][slot]["canceled_at"] = local(self.now)

    def opens(self, kind: str, reservable: int, start: datetime, end: datetime) -> int:
        """An availability: when an event or a training takes place."""
        number = self._next()
        self.availabilities.append(
            {
                "id": number,
                "start_at": local(start),
                "end_at": local(end),
                "created_at": local(self.now),
                "available_type": kind,
                "available_ids": [reservable],
                "slots": [],
            }
        )
        return number

    # --- what it answers ---------------------------------------------------------------------------

    def lets_in(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Token token={self.token}"

    def routes(self) -> Sequence[web.RouteDef]:
        v1 = "/open_api/v1"
        return [
            web.get(f"{v1}/reservations", self._get_reservations),
            web.get(f"{v1}/availabilities", self._get_availabilities),
            web.get(f"{v1}/users", self._get_users),
            web.get(f"{v1}/user_trainings", self._get_trainings),
            web.get(f"{v1}/machines", self._get_machines),
            web.patch(f"{v1}/machines/{{id}}", self._patch_machine),
        ]

    def _refuse_strange(self, request: web.Request, name: str) -> None:
        strange = {key.removesuffix("[]") for key in request.query} - FILTERS[name]
        kind = request.query.get("reservable_type", request.query.get("available_type", "Machine"))
        if strange or kind not in KINDS:
            raise web.HTTPBadRequest(text=f"no such filter: {sorted(strange)} {kind}")

    def _paged(self, request: web.Request, name: str, items: Sequence[Any]) -> web.Response:
        number, size = request.query.get("page", "1"), request.query.get("per_page", "20")
        if not (number.isdecimal() and size.isdecimal() and 1 <= int(size) <= 1000 and int(number) >= 1):
            raise web.HTTPBadRequest(text="no such page")
        listed, headers = self.page(request, items, number=int(number), size=int(size), number_name="page")
        return web.json_response({name: list(listed)}, headers=headers)

    def _between(self, request: web.Request, items: list[dict[str, Any]], first: str, last: str) -> Any:
        after, before = (request.query.get(name) for name in ("after", "before"))
        return [
            item
            for item in items
            if (after is None or datetime.fromisoformat(item[first]) >= datetime.fromisoformat(after))
            and (before is None or datetime.fromisoformat(item[last]) <= datetime.fromisoformat(before))
        ]

    async def _get_reservations(self, request: web.Request) -> web.Response:
        """`after` and `before` are about when a reservation was made: so it is documented."""
        self._refuse_strange(request, "reservations")
        kind = request.query.get("reservable_type")
        items = [row for row in self.reservations if kind in {None, row["reservable_type"]}]
        items = self._between(request, items, "created_at", "created_at")
        return self._paged(
            request, "reservations", sorted(items, key=lambda r: r["created_at"], reverse=True)
        )

    async def _get_availabilities(self, request: web.Request) -> web.Response:
        self._refuse_strange(request, "availabilities")
        kind = request.query.get("available_type")
        items = [row for row in self.availabilities if kind in {None, row["available_type"]}]
        items = self._between(request, items, "start_at", "end_at")
        return self._paged(request, "availabilities", items)

    async def _get_users(self, request: web.Request) -> web.Response:
        self._refuse_strange(request, "users")
        return self._paged(request, "users", self.users)

    async def _get_trainings(self, request: web.Request) -> web.Response:
        self._refuse_strange(request, "user_trainings")
        wanted = {*request.query.getall("training_id[]", []), *request.query.getall("training_id", [])}
        items = [row for row in self.trainings if not wanted or str(row["training_id"]) in wanted]
        return self._paged(request, "user_trainings", items)

    async def _get_machines(self, request: web.Request) -> web.Response:
        self._refuse_strange(request, "machines")
        return web.json_response({"machines": list(self.machines.values())})

    async def _patch_machine(self, request: web.Request) -> web.Response:
        machine = self.machines.get(int(request.match_info["id"]))
        if machine is None:
            return self.refusal(404, "Not found")
        change = (await request.json()).get("machine")
        if not isinstance(change, dict):
            return self.refusal(400, "Bad request")
        machine |= {key: change[key] for key in ("name", "description", "spec", "disabled") if key in change}
        return web.json_response(machine)


def hours(day: datetime, first: int, last: int) -> list[tuple[datetime, datetime]]:
    """Slots of an hour each."""
    return [(day + timedelta(hours=h), day + timedelta(hours=h + 1)) for h in range(first, last)]
