"""From a request to a typed handler and back: what it takes is checked, answers are written."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ValidationError

from orchestrator.domain.errors import Conflict
from orchestrator.flow.lab import Lab
from web.bodies import read_json
from web.errors import Precondition, field_faults
from web.keys import LAB
from web.kiosk import prove
from web.once import key_of, once
from web.security import current
from web.typed import AT_MACHINE, Answer, Call, Route, Signature, signature_of, tags_of


def adapted(route: Route) -> Handler:
    """The aiohttp handler of a route. Raises TypeError where the handler's annotations say too little."""
    signature = signature_of(route.handler)

    async def handler(request: web.Request) -> web.StreamResponse:
        if route.permission is AT_MACHINE:
            await prove(request)
        given = await _given(request, route, signature)
        key = key_of(request) if route.takes_key else ""
        if not key:
            return await _answered(request, route, given, request.app[LAB])
        asked = {name: value.model_dump(mode="json") for name, value in given.items()}
        return await once(request, route, key, asked, lambda lab: _answered(request, route, given, lab))

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


async def _answered(request: web.Request, route: Route, given: Given, lab: Lab) -> web.StreamResponse:
    call = Call(request=request, lab=lab, caller=current(request))
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
    body, headers = answer.body.model_dump_json(by_alias=True).encode(), dict(answer.headers)
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
