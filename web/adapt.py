"""From a request to a typed handler and back: what it takes is checked, answers are written, repeated keys replayed."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ValidationError

from orchestrator.domain.errors import Conflict, Fault, Rejected
from orchestrator.ports import Remembered
from web.bodies import read_json
from web.errors import Precondition, field_faults
from web.keys import LAB
from web.kiosk import prove
from web.security import current
from web.typed import AT_MACHINE, Answer, Call, Route, Signature, signature_of, tags_of

KEY_CHARACTERS_MAX = 200


def adapted(route: Route) -> Handler:
    """The aiohttp handler of a route. Raises TypeError where the handler's annotations say too little."""
    signature = signature_of(route.handler)

    async def handler(request: web.Request) -> web.StreamResponse:
        if route.permission is AT_MACHINE:
            await prove(request)
        given = await _given(request, route, signature)
        if route.idempotency and (key := _key_of(request)):
            return await _once(request, route, given, key)
        return await _answered(request, route, given)

    return handler


Given = dict[str, Any]


async def _given(request: web.Request, route: Route, signature: Signature) -> Given:
    given: Given = {}
    if signature.params is not None:
        given["params"] = _checked(signature.params, dict(request.match_info), missing=True)
    if signature.query is not None:
        given["query"] = _checked(signature.query, dict(request.query))
    if signature.body is not None:
        given["body"] = await _body(request, signature.body)
    return given


def _checked(model: type[BaseModel], values: dict[str, str], *, missing: bool = False) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as wrong:
        if missing:  # an address that can be nobody's is an address that is not there
            raise web.HTTPNotFound from wrong
        raise field_faults(wrong) from wrong


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    raw, _value = await read_json(request)
    if not raw and not any(field.is_required() for field in model.model_fields.values()):
        return model()
    try:
        return model.model_validate_json(raw)
    except ValidationError as wrong:
        raise field_faults(wrong) from wrong


async def _answered(request: web.Request, route: Route, given: Given) -> web.StreamResponse:
    call = Call(request=request, lab=request.app[LAB], caller=current(request))
    try:
        made = await route.handler(call, **given)
    except Conflict as conflict:
        if conflict.code == "changed" and call.if_match is not None:  # changed between their look and ours
            raise Precondition from conflict
        raise
    if isinstance(made, web.StreamResponse):
        return made
    if made is None:
        return web.Response(status=204)
    return _written(request, route, made if isinstance(made, Answer) else Answer(body=made))


def _written(request: web.Request, route: Route, answer: Answer[Any]) -> web.Response:
    body, headers = answer.body.model_dump_json().encode(), dict(answer.headers)
    etag = answer.etag or (hashlib.sha256(body).hexdigest()[:32] if route.etag else "")
    if etag:
        headers["ETag"] = f'"{etag}"'
    if etag and request.method in {"GET", "HEAD"}:
        caller = current(request)
        if caller is not None and not caller.by_cookie:  # a program may keep it; a browser may be shared
            headers |= {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
        known = tags_of(request.headers.get("If-None-Match", ""), weak=True)
        if etag in known or "*" in known:
            return web.Response(status=304, headers=headers)
    return web.Response(
        status=answer.status or route.status,
        body=body,
        content_type=route.media_type,
        charset="utf-8",
        headers=headers,
    )


# --- the same key twice ----------------------------------------------------------------------------


def _key_of(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip().strip('"')
    if len(key) > KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        fault = Fault(rule="idempotency.key", where="Idempotency-Key", remedy="At most 200 ASCII characters.")
        raise Rejected("The idempotency key cannot be one.", code="idempotency.key", faults=(fault,))
    return key


async def _once(request: web.Request, route: Route, given: Given, key: str) -> web.StreamResponse:
    """Answer a repeated key as the first time. The effect itself is idempotent, so two at once do no harm."""
    lab, caller = request.app[LAB], current(request)
    principal = str(caller.member.id) if caller else ""
    operation, fingerprint = f"{route.method} {route.path}", _fingerprint(request, given)
    known = await lab.store.read(lambda unit: unit.remembered(principal, operation, key))
    if known is not None:
        return _replayed(known, fingerprint)
    response = await _answered(request, route, given)
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        answer = Remembered(fingerprint=fingerprint, status=response.status, body=json.loads(response.body))
        now = lab.clock.now()
        with suppress(
            Conflict
        ):  # the same question at the same moment has been remembered: one answer is enough
            await lab.store.write(lambda unit: unit.remember(principal, operation, key, answer, now))
    return response


def _fingerprint(request: web.Request, given: Given) -> str:
    body = {name: value.model_dump(mode="json") for name, value in sorted(given.items())}
    return hashlib.sha256(json.dumps([request.path, body], sort_keys=True).encode()).hexdigest()


def _replayed(known: Remembered, fingerprint: str) -> web.Response:
    if known.fingerprint != fingerprint:
        raise Rejected(
            "This idempotency key was used for something else.",
            code="idempotency.reused",
            faults=(Fault(rule="idempotency.reused", where="Idempotency-Key", remedy="Use a new key."),),
        )
    return web.json_response(known.body, status=known.status, headers={"Idempotent-Replayed": "true"})
