"""The technicians' queue and everybody's account."""

from __future__ import annotations

from aiohttp import web

from orchestrator.domain.job import JobState
from orchestrator.flow import report
from orchestrator.flow.views import JobView
from web.pages.face import lab_of, me, page

QUEUE_SHOWN = 50
SPENDING_SHOWN = 50
_MAKING = frozenset({JobState.PREPARING, JobState.ACTIVE})
_DECIDING = frozenset({JobState.ATTENTION})


async def queue(request: web.Request) -> web.StreamResponse:
    """All that waits, each with its points and its reasons, in the order in which it is served."""
    lab, who = lab_of(request), me(request)

    async def those(states: frozenset[JobState]) -> list[JobView]:
        found = await report.job_page(lab, who, everybody=True, states=states, limit=QUEUE_SHOWN)
        return list(found.items)

    return page(
        request,
        "queue.html",
        deciding=await those(_DECIDING),
        queue=await report.queue(lab, who, limit=QUEUE_SHOWN),
        others=await those(_MAKING),
    )


async def account(request: web.Request) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    return page(
        request,
        "account.html",
        account=await report.account(lab, who),
        page=await report.job_page(lab, who, limit=SPENDING_SHOWN),
    )
