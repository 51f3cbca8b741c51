"""The OpenAPI 3.1 document, made from the table of routes, so that it cannot say what is not served."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator.domain.member import Permission
from web.errors import Problem
from web.keys import OPENAPI
from web.kiosk import PROOF_HEADERS
from web.typed import AT_MACHINE, PUBLIC, Route, Signature, signature_of

REF = "#/components/schemas/{model}"
UPLOAD = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}

TEXT = {"type": "string"}
HEADERS: dict[str, Any] = {
    "ETag": {"description": "Names this state: for If-None-Match and If-Match.", "schema": TEXT},
    "Idempotent-Replayed": {
        "description": "`true`: it was done before under this key, and this is the answer given then.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
}
CONDITIONS = {
    "If-None-Match": "The ETag you know: 304 where it is still the present one.",
    "If-Match": "The ETag you saw: 412 where it is no longer the present one.",
    "Idempotency-Key": "Asked again under the same key within 72 hours it is done once, and answered the same. 409 "
    "while it runs; 422 where the key was used for something else. What was refused frees its key.",
}
PROBLEMS = {
    "409": "Not in this state, or a request with this key is running.",
    "412": "It has changed since you saw it.",
    "422": "Not as asked, or the key was used for something else.",
    "429": "Too many requests.",
}


async def served(request: web.Request) -> web.StreamResponse:
    return web.Response(body=request.app[OPENAPI], content_type="application/json", charset="utf-8")


def document(routes: Iterable[Route], base_url: str) -> bytes:
    """The whole document, as it is served."""
    rows = [(route, signature_of(route.handler)) for route in routes]
    schemas = _schemas(rows)
    paths: dict[str, dict[str, Any]] = {}
    for route, signature in rows:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, signature, schemas)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Établi",
            "version": "1",
            "description": "Money is in cents; quantities end in their unit; times are RFC 3339 UTC. "
            "`GET /api/v1/events` streams what happens, as server-sent events.",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "headers": HEADERS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "etb_<id>_<secret>"},
                "session": {"type": "apiKey", "in": "cookie", "name": "etabli"},
            },
        },
    }
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def _schemas(rows: list[tuple[Route, Signature]]) -> dict[str, Any]:
    given = {(model, "validation") for _, s in rows for model in (s.body,) if model is not None}
    shown = {(model, "serialization") for _, s in rows for model in (s.out, Problem) if model is not None}
    models: list[Any] = sorted(given | shown, key=lambda pair: (pair[0].__name__, pair[1]))
    named, defs = models_json_schema(models, ref_template=REF)
    return {
        "$defs": defs.get("$defs", {}),
        "named": {(m, mode): schema for (m, mode), schema in named.items()},
    }


def _operation(route: Route, signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": route.summary,
        "parameters": _parameters(route, signature),
        "responses": _responses(route, signature, schemas),
    }
    if route.permission not in {PUBLIC, AT_MACHINE}:
        scope = route.permission.value if isinstance(route.permission, Permission) else "signed in"
        operation["security"] = [{"token": []}, {"session": []}]
        operation["description"] = f"Needs: {scope}."
    body = _request_body(route, signature, schemas)
    return operation | ({"requestBody": body} if body else {})


def _parameters(route: Route, signature: Signature) -> list[dict[str, Any]]:
    made = [*_of(signature.params, "path"), *_of(signature.query, "query")]
    if route.permission is AT_MACHINE:
        made += [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string", "maxLength": 200}}
            for name in PROOF_HEADERS
        ]
    return made + [_condition(name) for name in _conditions(route)]


def _conditions(route: Route) -> list[str]:
    """Headers by which a caller says under what condition it asks."""
    if route.etag:
        return ["If-None-Match" if route.method == "GET" else "If-Match"]
    return ["Idempotency-Key"] if route.takes_key else []


def _condition(name: str) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 200}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": CONDITIONS[name],
        "schema": schema,
    }


def _of(model: type[BaseModel] | None, place: str) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template=REF)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in schema.get("required", []),
            "schema": _inlined(rule, definitions),
        }
        for name, rule in schema["properties"].items()
    ]


def _inlined(rule: Any, definitions: dict[str, Any]) -> Any:
    """Parameters carry their enumerations themselves."""
    if isinstance(rule, dict):
        if "$ref" in rule:
            return _inlined(definitions[rule["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(value, definitions) for name, value in rule.items()}
    if isinstance(rule, list):
        return [_inlined(value, definitions) for value in rule]
    return rule


def _request_body(route: Route, signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.upload:
        return {"required": True, "content": {"multipart/form-data": {"schema": UPLOAD}}}
    if signature.body is None:
        return {}
    required = any(field.is_required() for field in signature.body.model_fields.values())
    schema = schemas["named"][(signature.body, "validation")]
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _responses(route: Route, signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "As asked."}
    if signature.out is not None:
        schema = schemas["named"][(signature.out, "serialization")]
        good["content"] = {route.media_type: {"schema": schema}}
    elif route.media_type != "application/json":
        good["content"] = {route.media_type: {"schema": {}}}
    problem = schemas["named"][(Problem, "serialization")]
    bad = {"description": "A problem.", "content": {"application/problem+json": {"schema": problem}}}
    good |= _headers(*(["ETag"] if route.etag else []), *(["Idempotent-Replayed"] if route.takes_key else []))
    again = {"200": good | {"description": "It was done before."}} if route.idempotency else {}
    if route.also is not None:
        again[str(route.also)] = good | {"description": "It was there before."}
    later = bad | {"description": PROBLEMS["429"]} | _headers("Retry-After")
    told = {status: bad | {"description": PROBLEMS[status]} for status in _conditional(route)}
    same = {"304": {"description": "As you know it."} | _headers("ETag")} if _may_be_known(route) else {}
    return {str(route.status): good, **again, **same, **told, "429": later, "default": bad}


def _may_be_known(route: Route) -> bool:
    return route.etag and route.method == "GET"


def _conditional(route: Route) -> list[str]:
    """The statuses that say that a condition is not met."""
    if route.takes_key:
        return ["409", "422"]
    return ["412"] if route.etag and route.method != "GET" else []


def _headers(*names: str) -> dict[str, Any]:
    """Of an answer; they are defined once for all."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}
