"""One request under one idempotency key: it is done once, and its answer is given again to whoever repeats it.

A key is claimed before anything is done. The first thing that the request commits says so under the key in the same
transaction; so a process that dies leaves either a key that may be taken over, or one that tells that something was
done, and never a thing done twice. A process that was only slow finds its claim gone and its transaction undone.

Good answers are kept for 72 hours. What was refused, or went wrong before anything was done, frees its key and may be
tried again under it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from aiohttp import web

from orchestrator.domain.answer import BEGUN, RUNNING, Claim, Remembered
from orchestrator.domain.errors import Conflict, EtabliError, Fault, Rejected, Unavailable
from orchestrator.flow.lab import Lab
from orchestrator.ports import Feed, Store, Unit
from web.keys import LAB
from web.security import current
from web.typed import Route

log = logging.getLogger("etabli.web")

T = TypeVar("T")
Do = Callable[[Lab], Awaitable[web.StreamResponse]]
KEY_CHARACTERS_MAX = 200
KEPT_HEADERS = frozenset({"ETag", "Link", "Location"})
LOST_SECONDS = 60
"""A request that has begun and said nothing for so long has lost its answer."""
ONCE = "Idempotency-Key"


def key_of(request: web.Request) -> str:
    """The key sent; empty: none. Raises Rejected for what cannot be one."""
    key = request.headers.get(ONCE, "").strip().strip('"')
    if len(key) > KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        fault = Fault(
            rule="idempotency.key",
            where=ONCE,
            remedy="At most 200 ASCII characters.",
            texts={"remedy_fr": "Au plus 200 caractères ASCII."},
        )
        raise Rejected("The idempotency key cannot be one.", code="idempotency.key", faults=(fault,))
    return key


async def once(
    request: web.Request, route: Route, key: str, asked: Mapping[str, object], do: Do
) -> web.StreamResponse:
    """`do` it, or tell what is known of it. Raises Rejected for a key of something else, Conflict while another
    request with it runs; an effect that is one by itself (`Route.idempotency`) then simply is asked for again."""
    lab, caller = request.app[LAB], current(request)
    claim = Claim(
        principal=str(caller.member.id) if caller else "",
        operation=f"{route.method} {route.path}",
        key=key,
        fingerprint=_fingerprint(request, asked),
        at=lab.clock.now(),
    )
    known = await lab.store.write(lambda unit: unit.claim(claim))
    if known is None:
        return await _done(lab, route, claim, do)
    if known.fingerprint != claim.fingerprint:
        raise _reused()
    if known.status not in {RUNNING, BEGUN}:
        return _replayed(known, route)
    if route.idempotency:
        return await do(lab)
    raise _busy(known, claim.at)


async def _done(lab: Lab, route: Route, claim: Claim, do: Do) -> web.StreamResponse:
    store = _Once(lab.store, claim)
    try:
        response = await do(lab if route.idempotency else replace(lab, store=store))
    except Exception as error:
        if (
            isinstance(error, Rejected) or not store.begun
        ):  # else something is done, and nobody knows how much
            with suppress(Unavailable):
                await lab.store.write(lambda unit: unit.free(claim))
        raise
    try:
        await lab.store.write(lambda unit: unit.remember(claim, _kept(claim, route, response)))
    except EtabliError as error:  # it is done, and its asker must hear so
        log.warning("an answer is not kept under its key: %s", error)
    return response


def _kept(claim: Claim, route: Route, response: web.StreamResponse) -> Remembered:
    body = response.body if isinstance(response, web.Response) else None
    told = isinstance(body, bytes) and bool(body) and not route.secret
    return Remembered(
        fingerprint=claim.fingerprint,
        status=response.status,
        body=json.loads(body) if told and isinstance(body, bytes) else None,
        headers={name: value for name, value in response.headers.items() if name in KEPT_HEADERS},
        at=claim.at,
    )


def _replayed(known: Remembered, route: Route) -> web.Response:
    if route.secret:
        raise Conflict("It is done, and its answer is shown only once.", code="idempotency.once")
    headers = dict(known.headers or {}) | {"Idempotent-Replayed": "true"}
    if known.status == 204:
        return web.Response(status=204, headers=headers)
    return web.json_response(known.body, status=known.status, headers=headers)


def _reused() -> Rejected:
    fault = Fault(
        rule="idempotency.reused",
        where=ONCE,
        remedy="Use a new key.",
        texts={"remedy_fr": "Prenez une nouvelle clé."},
    )
    words = "This idempotency key was used for something else."
    return Rejected(words, code="idempotency.reused", faults=(fault,))


def _busy(known: Remembered, now: datetime) -> Conflict:
    if known.status == BEGUN and (now - known.at).total_seconds() >= LOST_SECONDS:
        words = "The request has begun and its answer is lost; look at what was done."
        return Conflict(words, code="idempotency.unknown")
    return Conflict("A request with this key is running; wait for its answer.", code="idempotency.running")


def _fingerprint(request: web.Request, asked: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps([request.path, asked], sort_keys=True).encode()).hexdigest()


class _Once:
    """The store as one claimed request sees it: what it commits, it commits under its key."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._store, self._claim = store, claim
        self.begun = False

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Raises Conflict, with nothing written, where somebody has taken the key over meanwhile."""

        async def under_the_key(unit: Unit) -> T:
            await unit.begin(self._claim)
            return await work(unit)

        made = await self._store.write(under_the_key)
        self.begun = True
        return made

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._store.read(work)

    @property
    def feed(self) -> Feed:
        return self._store.feed
