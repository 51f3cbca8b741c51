"""A problem as a page, in the look of all others."""

from __future__ import annotations

from aiohttp import web

from web.errors import Problem
from web.pages.face import page, see
from web.pages.labels import trouble
from web.security import SIGN_IN_PATH


async def error_page(request: web.Request, problem: Problem) -> web.Response:
    """Whoever is not signed in is asked to; everybody else reads what happened and what to do."""
    if problem.status == 401 and request.method == "GET":
        return see(SIGN_IN_PATH)
    return page(
        request, "error.html", status=problem.status, trouble=trouble(problem.status), problem=problem
    )
