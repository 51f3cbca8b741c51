"""Every address that is served, with who may call it. What is not in a table is not served.

To add a page: a handler in `web/pages/`, a template, and a `PageRoute` row in `web/pages/rows.py` with its
permission. To add a call: a handler in `web/api/` that says by its annotations what it takes and gives, and
a `Route` row here.
"""

from __future__ import annotations

from orchestrator.domain.member import Permission
from web import health
from web.api import (
    availability,
    feeds,
    files,
    fleet,
    jobs,
    kiosks,
    learned,
    people,
    queue,
    reservations,
    sources,
    sync,
    tokens,
    webhooks,
)
from web.openapi import served as openapi_document
from web.pages.rows import PAGES
from web.sse import stream
from web.typed import AT_MACHINE, PUBLIC, SIGNED_IN, Needs, PageRoute, Route

V1 = "/api/v1"


def _post(path: str, handler: object, permission: Needs, summary: str) -> Route:
    """An action on what the path names."""
    return Route(method="POST", path=f"{V1}{path}", handler=handler, permission=permission, summary=summary)  # type: ignore[arg-type]


def _get(path: str, handler: object, permission: Needs, summary: str, *, etag: bool = False) -> Route:
    return Route(
        method="GET",
        path=f"{V1}{path}",
        handler=handler,  # type: ignore[arg-type]
        permission=permission,
        summary=summary,
        etag=etag,
    )


def _here(method: str, name: str, handler: object, summary: str, status: int = 200) -> Route:
    """What only the device at the machine may ask, by its signature."""
    return Route(
        method=method,
        path=f"{V1}/machines/{{id}}/{name}",
        handler=handler,  # type: ignore[arg-type]
        permission=AT_MACHINE,
        summary=summary,
        status=status,
    )


API: tuple[Route, ...] = (
    Route(
        method="POST",
        path=f"{V1}/sessions",
        handler=people.sign_in,
        permission=PUBLIC,
        summary="Sign in: opens a session, in a cookie",
        status=201,
    ),
    Route(
        method="DELETE",
        path=f"{V1}/sessions/current",
        handler=people.sign_out,
        permission=SIGNED_IN,
        summary="Sign out",
        status=204,
    ),
    _get("/me", people.me, SIGNED_IN, "Who I am"),
    Route(
        method="POST",
        path=f"{V1}/files",
        handler=files.upload,
        permission=Permission.SUBMIT,
        summary="Upload a model or a drawing in the field `file`; it is on disk when 201 is answered",
        status=201,
        upload=True,
    ),
    _get("/files", files.files, Permission.READ, "My files, newest first"),
    _get("/files/{id}", files.file, Permission.READ, "A file and its analysis"),
    Route(
        method="GET",
        path=f"{V1}/files/{{id}}/preview.png",
        handler=files.preview,
        permission=Permission.READ,
        summary="A picture of the part, as drawn or turned",
        media_type="image/png",
    ),
    Route(
        method="POST",
        path=f"{V1}/quotes",
        handler=files.make_quote,
        permission=Permission.SUBMIT,
        summary="Price a wish; no side effect",
        status=201,
    ),
    _get("/quotes/{id}", files.quote, Permission.READ, "A quote"),
    Route(
        method="GET",
        path=f"{V1}/quotes/{{id}}/preview.png",
        handler=files.ringed,
        permission=Permission.READ,
        summary="The part as quoted, with rings around what may go wrong",
        media_type="image/png",
    ),
    _get(
        "/quotes/{id}/advice",
        files.advice,
        Permission.READ,
        "What may go wrong as chosen, and how the part would better lie",
    ),
    _get("/quotes/{id}/cut", files.cut_plan, Permission.READ, "A drawing's cut as quoted, move by move"),
    Route(
        method="GET",
        path=f"{V1}/quotes/{{id}}/drawing.svg",
        handler=files.cut_drawing,
        permission=Permission.READ,
        summary="A drawing's lines as quoted, each by what becomes of it",
        media_type="image/svg+xml",
    ),
    _get(
        "/materials",
        files.materials,
        Permission.READ,
        "The sheets of a cutter, and what it must never be given",
    ),
    Route(
        method="POST",
        path=f"{V1}/jobs",
        handler=jobs.accept,
        permission=Permission.SUBMIT,
        summary="Accept a quote: places its hold and starts preparing; the same quote twice is the same job",
        status=201,
        idempotency=True,
    ),
    _get("/jobs", jobs.jobs, Permission.READ, "Jobs, newest first: mine, or everybody's for staff"),
    _get("/jobs/{id}", jobs.job, Permission.READ, "A job with its runs and its receipt", etag=True),
    _get("/jobs/{id}/events", jobs.events, Permission.READ, "What happened to a job"),
    _get(
        "/jobs/{id}/explain",
        jobs.explain,
        Permission.READ,
        "Why it waits: per machine, every rule that refuses",
    ),
    Route(
        method="GET",
        path=f"{V1}/jobs/{{id}}/layers/{{number}}.svg",
        handler=jobs.layer,
        permission=Permission.READ,
        summary="A layer of a sliced job, from 1, seen from above",
        media_type="image/svg+xml",
    ),
    _post("/jobs/{id}/cancel", jobs.cancel, Permission.SUBMIT, "Cancel a job"),
    _post("/jobs/{id}/pause", jobs.pause, Permission.SUBMIT, "Ask its machine to pause"),
    _post("/jobs/{id}/resume", jobs.resume, Permission.SUBMIT, "Ask its machine to go on"),
    _post("/jobs/{id}/retry", jobs.retry, Permission.OPERATE, "Try a job that needs attention again"),
    _post(
        "/jobs/{id}/give-up", jobs.give_up, Permission.OPERATE, "End a job that needs attention, at no charge"
    ),
    _post(
        "/jobs/{id}/settle",
        jobs.settle,
        Permission.OPERATE,
        "Accept the usage of a finished run that looked odd",
    ),
    _get("/machines", fleet.machines, Permission.FLEET, "All machines"),
    _get("/machines/{id}", fleet.machine, Permission.FLEET, "A machine", etag=True),
    _post("/machines/{id}/clear", fleet.clear, Permission.OPERATE, "I have looked: the bed is clear"),
    _post("/machines/{id}/occupy", fleet.occupy, Permission.OPERATE, "Take a clearing back"),
    _post("/machines/{id}/hold", fleet.hold, Permission.OPERATE, "Keep it from taking new work"),
    _post("/machines/{id}/resume", fleet.resume, Permission.OPERATE, "Let it take work again"),
    _post("/machines/{id}/maintenance", fleet.maintenance, Permission.OPERATE, "Into or out of maintenance"),
    _post("/machines/{id}/material", fleet.material, Permission.OPERATE, "Say what is loaded"),
    Route(
        method="POST",
        path=f"{V1}/kiosks",
        handler=kiosks.enrol,
        permission=Permission.OPERATE,
        summary="Let a device that stands at a machine speak for it; it keeps its private key",
        status=201,
    ),
    _get("/kiosks", kiosks.kiosks, Permission.OPERATE, "Devices at machines"),
    Route(
        method="POST",
        path=f"{V1}/kiosks/{{id}}/revoke",
        handler=kiosks.revoke,
        permission=Permission.OPERATE,
        summary="A device speaks for its machine no more",
        status=204,
    ),
    _here("GET", "kiosk", kiosks.at_machine, "What the device at a machine shows"),
    _here(
        "POST", "release", kiosks.release_run, "A person at the machine releases a staged run, or a held one"
    ),
    _here("POST", "heartbeat", kiosks.heartbeat, "The person is still there"),
    _here("POST", "readings", kiosks.readings, "What the sensors at the machine say", 204),
    _here("POST", "clear-here", kiosks.clear_here, "A trained person at the machine: its bed is clear"),
    _here("POST", "close", kiosks.close_here, "How a run ended, where the machine itself does not tell"),
    _here("POST", "judge", kiosks.judge_here, "The person who released a run says how it came out"),
    _post(
        "/machines/{id}/override",
        kiosks.override,
        Permission.OPERATE,
        "Do without a sensor for an hour: one asks, another confirms",
    ),
    _post("/runs/{id}/judge", kiosks.judge, Permission.SUBMIT, "Say how an ended run came out"),
    _post("/runs/{id}/decide", fleet.decide, Permission.OPERATE, "Say what became of an unclear run"),
    _get(
        "/calibrations",
        learned.calibrations,
        Permission.OPERATE,
        "What finished runs taught of each machine and profile, and how well quotes keep",
    ),
    _get("/accounts/{id}", people.account, Permission.READ, "My account: `me` or its id"),
    *queue.ROUTES,
    *tokens.ROUTES,
    *availability.ROUTES,
    *feeds.ROUTES,
    *reservations.ROUTES,
    *sync.ROUTES,
    *sources.ROUTES,
    *webhooks.ROUTES,
    Route(
        method="GET",
        path="/healthz",
        handler=health.alive,
        permission=PUBLIC,
        summary="Is the process alive",
        identify=False,
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=health.ready,
        permission=PUBLIC,
        summary="Can it work: database and durable work answer",
        identify=False,
    ),
)

STREAMS: tuple[PageRoute, ...] = (
    PageRoute(method="GET", path=f"{V1}/events", handler=stream, permission=SIGNED_IN),
    PageRoute(
        method="GET", path=f"{V1}/openapi.json", handler=openapi_document, permission=PUBLIC, identify=False
    ),
    PageRoute(method="GET", path="/metrics", handler=health.metrics, permission=PUBLIC, identify=False),
)

ROUTES: tuple[Route | PageRoute, ...] = (*API, *STREAMS, *PAGES)
