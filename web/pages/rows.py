"""The pages as rows: address, handler, and who may come in."""

from __future__ import annotations

from orchestrator.domain.member import Permission
from web.pages import (
    desk,
    entrance,
    estimates,
    hours,
    jobs,
    machines,
    quotes,
    reservations,
    sources,
    steering,
    tokens,
    webhooks,
)
from web.pages import kiosk as tablet
from web.security import SIGN_IN_PATH
from web.typed import PUBLIC, SIGNED_IN, PageRoute

PAGES: tuple[PageRoute, ...] = (
    PageRoute(method="GET", path="/", handler=entrance.start, permission=PUBLIC),
    PageRoute(method="GET", path=SIGN_IN_PATH, handler=entrance.sign_in_form, permission=PUBLIC),
    PageRoute(method="POST", path=SIGN_IN_PATH, handler=entrance.sign_in, permission=PUBLIC),
    PageRoute(method="POST", path="/sign-out", handler=entrance.sign_out, permission=SIGNED_IN),
    PageRoute(method="POST", path="/language", handler=entrance.language, permission=PUBLIC),
    PageRoute(method="GET", path="/jobs", handler=jobs.listing, permission=Permission.READ),
    PageRoute(method="POST", path="/files", handler=quotes.upload, permission=Permission.SUBMIT, upload=True),
    PageRoute(method="GET", path="/files/{id}", handler=quotes.file_page, permission=Permission.READ),
    PageRoute(method="POST", path="/quotes", handler=quotes.make_quote, permission=Permission.SUBMIT),
    PageRoute(method="GET", path="/quotes/{id}", handler=quotes.quote_page, permission=Permission.READ),
    PageRoute(method="GET", path="/quotes/{id}/advice", handler=quotes.advice, permission=Permission.READ),
    PageRoute(method="POST", path="/quotes/{id}/accept", handler=quotes.accept, permission=Permission.SUBMIT),
    PageRoute(method="GET", path="/jobs/{id}", handler=jobs.job_page, permission=Permission.READ),
    PageRoute(
        method="POST", path="/jobs/{id}/deadline", handler=steering.deadline, permission=Permission.SUBMIT
    ),
    PageRoute(
        method="POST", path="/jobs/{id}/priority", handler=steering.priority, permission=Permission.OPERATE
    ),
    PageRoute(
        method="POST", path="/jobs/{id}/approve", handler=steering.approve, permission=Permission.OPERATE
    ),
    PageRoute(
        method="POST", path="/jobs/{id}/{action}", handler=jobs.job_action, permission=Permission.SUBMIT
    ),
    PageRoute(method="GET", path="/machines", handler=machines.listing, permission=Permission.FLEET),
    PageRoute(
        method="POST", path="/machines/{id}/{action}", handler=machines.action, permission=Permission.OPERATE
    ),
    PageRoute(
        method="POST", path="/runs/{id}/decide", handler=machines.decide, permission=Permission.OPERATE
    ),
    PageRoute(method="POST", path="/runs/{id}/judge", handler=jobs.judge, permission=Permission.SUBMIT),
    PageRoute(
        method="POST", path="/kiosks/{id}/revoke", handler=machines.revoke, permission=Permission.OPERATE
    ),
    PageRoute(method="GET", path="/kiosk", handler=tablet.kiosk_page, permission=PUBLIC),
    PageRoute(method="GET", path="/queue", handler=desk.queue, permission=Permission.ALL_JOBS),
    PageRoute(method="GET", path="/estimates", handler=estimates.listing, permission=Permission.OPERATE),
    PageRoute(method="GET", path="/sources", handler=sources.listing, permission=Permission.ADMIN),
    PageRoute(method="POST", path="/sources", handler=sources.add, permission=Permission.ADMIN),
    PageRoute(method="POST", path="/sources/{id}", handler=sources.change, permission=Permission.ADMIN),
    PageRoute(
        method="POST", path="/sources/{id}/{action}", handler=sources.action, permission=Permission.ADMIN
    ),
    PageRoute(method="GET", path="/webhooks", handler=webhooks.listing, permission=Permission.HOOKS),
    PageRoute(method="POST", path="/webhooks", handler=webhooks.make, permission=Permission.HOOKS),
    PageRoute(
        method="POST", path="/webhooks/{id}/{action}", handler=webhooks.action, permission=Permission.HOOKS
    ),
    PageRoute(method="GET", path="/hours", handler=hours.listing, permission=Permission.FLEET),
    PageRoute(method="GET", path="/hours/{site}", handler=hours.form, permission=Permission.ADMIN),
    PageRoute(method="POST", path="/hours/{site}", handler=hours.save, permission=Permission.ADMIN),
    PageRoute(
        method="GET", path="/reservations", handler=reservations.listing, permission=Permission.OPERATE
    ),
    PageRoute(method="POST", path="/reservations", handler=reservations.make, permission=Permission.OPERATE),
    PageRoute(
        method="POST",
        path="/reservations/{id}/cancel",
        handler=reservations.cancel,
        permission=Permission.OPERATE,
    ),
    PageRoute(method="GET", path="/tokens", handler=tokens.listing, permission=Permission.READ),
    PageRoute(method="POST", path="/tokens", handler=tokens.make, permission=Permission.READ),
    PageRoute(
        method="POST", path="/tokens/{token_id}/revoke", handler=tokens.revoke, permission=Permission.READ
    ),
    PageRoute(method="GET", path="/account", handler=desk.account, permission=Permission.READ),
)
