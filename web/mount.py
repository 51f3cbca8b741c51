"""From a row of the table to a handler of aiohttp: read what was sent, call, write what is answered. Once for all routes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from orchestrator.domain.errors import Conflict, Fault, NotFound, Rejected
from orchestrator.domain.event import Json
from orchestrator.ports import Remembered
from web.bodies import read_json
from web.errors import field_faults
from web.keys import LAB
from web.security import current
from web.typed import Answer, Call, Route, Shown, Signature, signature_of

KEY_HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 200

ModelT = TypeVar("ModelT", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def mounted(route: Route) -> Handler:
    """The row's handler for aiohttp. Raises TypeError where its annotations are not understood."""
    signature = signature_of(route.handler)

    async def handle(request: web.Request) -> web.StreamResponse:
        call = Call(request=request, lab=request.app[LAB], route=route, caller=current(request))
        given, raw = await _given(request, signature)
        key = request.headers.get(KEY_HEADER) if route.idempotency else None
        if key is None:
            return _response(await route.handler(call, **given), route)
        return await _once(call, key, raw, given)

    return handle


async def _given(request: web.Request, signature: Signature) -> tuple[dict[str, BaseModel], Any]:
    """What the handler takes; the body also as it was read, to know it again."""
    given: dict[str, BaseModel] = {}
    if signature.params is not None:
        given["params"] = _params(signature.params, request)
    if signature.query is not None:
        given["query"] = _query(signature.query, request)
    parsed = None
    if signature.body is not None:
        raw, parsed = await read_json(request)
        given["body"] = _checked(lambda model: model.model_validate_json(raw or b"{}"), signature.body)
    return given, parsed


def _checked(read: Callable[[type[ModelT]], ModelT], model: type[ModelT]) -> ModelT:
    try:
        return read(model)
    except ValidationError as error:
        raise field_faults(error) from error


def _params(model: type[BaseModel], request: web.Request) -> BaseModel:
    """What cannot be an id is the id of nothing."""
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError as error:
        raise NotFound from error


def _query(model: type[BaseModel], request: web.Request) -> BaseModel:
    sent = dict(request.query)
    if len(sent) != len(request.query):
        fault = Fault(rule="field.twice", where="query", remedy="Send each parameter once.")
        raise Rejected("A parameter stands twice in the address.", code="fields", faults=(fault,))
    return _checked(lambda m: m.model_validate(sent), model)


def _response(result: Any, route: Route) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if result is None:
        return web.Response(status=204)
    answer = result if isinstance(result, Answer) else Answer(body=result)
    return _written(answer.body.model_dump_json().encode(), answer.status or route.status, dict(answer.headers))


def _written(body: bytes, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"} | headers)


# --- doing it twice is doing it once --------------------------------------------------------------


async def _once(call: Call, key: str, raw: Any, given: dict[str, Any]) -> web.StreamResponse:
    """Answer as the first time where this key was used before.

    The answer is kept after the effect, so an effect that may be asked for with a key must by itself be the same when
    done twice (accepting a quote is); the key adds that the answer, too, is the same. Only success is kept: what was
    refused may be tried again.
    """
    _refuse_odd_key(key)
    principal = str(call.member.id)
    operation = f"{call.route.method} {call.route.path}"
    fingerprint = hashlib.sha256(
        json.dumps([operation, call.request.path, raw], sort_keys=True, ensure_ascii=True).encode()
    ).hexdigest()
    known = await call.lab.store.read(lambda unit: unit.remembered(principal, operation, key))
    if known is None:
        result = await call.route.handler(call, **given)
        answer = result if isinstance(result, Answer) else Answer[Shown](body=result)
        fresh = Remembered(fingerprint=fingerprint, status=answer.status or call.route.status, body=_kept(answer))
        try:
            now = call.lab.clock.now()
            await call.lab.store.write(lambda unit: unit.remember(principal, operation, key, fresh, now))
            return _replayed(fresh, again=False)
        except Conflict:  # the same request at the same time: its answer is the answer
            known = await call.lab.store.read(lambda unit: unit.remembered(principal, operation, key))
    if known is None or known.fingerprint != fingerprint:
        fault = Fault(rule="idempotency.reused", where=KEY_HEADER, remedy="Use a new key for a new request.")
        raise Rejected("This key was used for another request.", code="idempotency.reused", faults=(fault,))
    return _replayed(known, again=True)


def _refuse_odd_key(key: str) -> None:
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not all("!" <= c <= "~" for c in key):
        fault = Fault(rule="idempotency.key", where=KEY_HEADER, remedy=f"1 to {KEY_CHARACTERS_MAX} visible characters.")
        raise Rejected("This is no idempotency key.", code="idempotency.key", faults=(fault,))


def _kept(answer: Answer[Shown]) -> Json:
    headers: dict[str, Json] = dict(answer.headers)
    return {"headers": headers, "body": answer.body.model_dump(mode="json")}


def _replayed(kept: Remembered, *, again: bool) -> web.Response:
    if not isinstance(kept.body, dict) or not isinstance(kept.body["headers"], dict):
        raise TypeError("an answer is kept with its headers")
    headers = {name: str(value) for name, value in kept.body["headers"].items()}
    if again:
        headers["Idempotent-Replayed"] = "true"
    body = json.dumps(kept.body["body"], ensure_ascii=False, separators=(",", ":")).encode()
    return _written(body, kept.status, headers)
