"""Typed routes: what a handler takes and gives is read from its annotations, once, at start-up.

A handler is `async def f(call: Call, params: P, query: Q, body: B) -> Out`, each of params, query and body
optional and a pydantic model. It raises errors of the domain; it never builds a response. Rows say who may
call it; a row without a permission cannot be written, and what is not in the table is not served.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from orchestrator.domain.member import Permission
from orchestrator.flow.lab import Lab
from web.errors import Precondition
from web.identity import Caller


class Door(Enum):
    """Who may come in where no permission of the domain says it."""

    PUBLIC = "public"  # anybody
    SIGNED_IN = "signed_in"  # any member or program that we know
    AT_MACHINE = "at_machine"  # only a device that stands at the machine {id}, which proves it by a signature


PUBLIC = Door.PUBLIC
SIGNED_IN = Door.SIGNED_IN
AT_MACHINE = Door.AT_MACHINE
Needs = Permission | Door


class Given(BaseModel):
    """What a caller sends. Types are taken at their word and an unknown field is a fault."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Lenient(BaseModel):
    """What a caller writes into an address, where all is text; an unknown name is a fault all the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


OutT = TypeVar("OutT", bound=Shown)


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[OutT]):
    """An answer with more to say than its body."""

    body: OutT
    status: int | None = None  # None: the row's
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""  # names this state of what is shown, e.g. its version; written quoted


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a route: who asks, of which lab."""

    request: web.Request
    lab: Lab
    caller: Caller | None  # None only on public routes

    @property
    def who(self) -> Caller:
        """The caller of a route that is not public."""
        if self.caller is None:
            raise LookupError("a public route has no caller")
        return self.caller

    @property
    def if_match(self) -> str | None:
        """The ETag the caller saw, as it is sent in If-Match: the first of several; `*` is any; None: not said."""
        seen = tags_of(self.request.headers.get("If-Match", ""))
        return seen[0] if seen else None

    def must_match(self, present_etag: str) -> None:
        """Raises Precondition (412) where the caller saw another state than the present one.

        Between this look and the change somebody may be faster, so the change itself compares too: a Conflict with
        the code `changed` becomes a Precondition where the caller sent If-Match.
        """
        seen = tags_of(self.request.headers.get("If-Match", ""))
        if seen and "*" not in seen and present_etag not in seen:
            raise Precondition


_ETAG = re.compile(r'[\s,]*(W/)?"([\x21\x23-\x7e]*)"')
_BARE = re.compile(r"[\w.-]+")
CONDITION_CHARACTERS_MAX = 2000


def tags_of(header: str, *, weak: bool = False) -> tuple[str, ...]:
    """The tags in an If-Match, or (with `weak`, so that W/ counts too) an If-None-Match; `*` is any.

    A single one may come without its quotes, as people type it. What cannot be read is a tag that nothing has.
    """
    text = header.strip()[:CONDITION_CHARACTERS_MAX]
    if text == "*" or not text:
        return ("*",) if text else ()
    if _BARE.fullmatch(text):
        return (text,)
    found = list(_ETAG.finditer(text))
    return tuple(one[2] if weak or not one[1] else "" for one in found) or ("",)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A row of the API."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    permission: Needs
    summary: str
    status: int = 200
    also: int | None = None  # another status of success, as 200 where 201 says that it is new
    idempotency: bool = False  # asked twice it is done once, key or not: 200 the second time
    secret: bool = False  # the answer tells a secret: it is remembered under no key
    upload: bool = False  # takes multipart/form-data with the field `file`; the handler reads it
    media_type: str = "application/json"  # of the answer
    token_in_query: bool = (
        False  # a calendar's address may carry `?token=`, of a token that only reads machines
    )
    etag: bool = (
        False  # GET: answers carry an ETag, the handler's or the body's hash; else: takes an If-Match
    )
    identify: bool = (
        True  # False: a public row that works without knowing who asks, also when the store is down
    )

    @property
    def takes_key(self) -> bool:
        """May a caller send an Idempotency-Key? A device at a machine has its own proof against saying things twice,
        and what is uploaded twice is one file."""
        return self.method == "POST" and self.permission not in {PUBLIC, AT_MACHINE} and not self.upload


PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class PageRoute:
    """A row of the pages. A POST among them carries the form token, which is checked before the handler runs.

    With `upload`, the token comes in the header `X-CSRF-Token`, and the handler reads the body itself
    (`web.multipart.upload_of`); it has no limit of its own.
    """

    method: str
    path: str
    handler: PageHandler
    permission: Needs
    upload: bool = False
    identify: bool = True


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a handler takes and gives; None where it does not."""

    params: type[BaseModel] | None
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    out: type[Shown] | None  # None: nothing (204), or a stream it writes itself


def signature_of(handler: Callable[..., Awaitable[Any]]) -> Signature:
    """Read a handler's annotations. Raises TypeError where one is missing or not understood."""
    names = list(inspect.signature(handler).parameters)
    hints = get_type_hints(handler)
    if names[:1] != ["call"] or not set(names[1:]) <= {"params", "query", "body"}:
        raise TypeError(f"{handler.__qualname__} takes {names}; it may take call, params, query and body")
    if "return" not in hints:
        raise TypeError(f"{handler.__qualname__} does not say what it returns")
    return Signature(
        params=_model(hints.get("params")),
        query=_model(hints.get("query")),
        body=_model(hints.get("body")),
        out=_shown(hints["return"]),
    )


def _model(hint: Any) -> type[BaseModel] | None:
    if hint is None:
        return None
    if isinstance(hint, type) and issubclass(hint, BaseModel) and hint.model_config.get("extra") == "forbid":
        return hint
    raise TypeError(f"{hint} is no model that forbids unknown fields")


def _shown(hint: Any) -> type[Shown] | None:
    if hint is type(None) or (isinstance(hint, type) and issubclass(hint, web.StreamResponse)):
        return None
    if getattr(hint, "__origin__", None) is Answer:
        hint = hint.__args__[0]
    if isinstance(hint, type) and issubclass(hint, Shown):
        return hint
    raise TypeError(f"{hint} is no shape of ours")


def check(rows: tuple[Route | PageRoute, ...]) -> None:
    """Raises TypeError for a row without a permission, or two rows at one address."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if not isinstance(row.permission, Permission | Door):
            raise TypeError(f"{row.method} {row.path} does not say who may call it")
        if (row.method, row.path) in seen:
            raise TypeError(f"{row.method} {row.path} stands in the table twice")
        seen.add((row.method, row.path))
