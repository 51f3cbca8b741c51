"""Who is asking: passwords, sessions and tokens, and nothing of what they may ask for.

A session is a 256-bit secret in a cookie, of which the store keeps the sha256; a token is
`etb_<id>_<secret>`, likewise. Both are looked up at every request, so that what is revoked, disabled or
demoted is so at once. Fails closed: when the store cannot be read nobody is anybody.

Passwords are argon2id, t=2 m=19 MiB p=1 (40 ms), two at a time with a bounded queue, so that signing in is
no way to stop the lab. Only failures are counted against an account and a peer: in the store, so that a
restart forgives nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from aiohttp import web
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orchestrator.domain.errors import Fault, Rejected, Unavailable
from orchestrator.domain.member import PERMISSIONS, ApiToken, Member, Permission, Role, Session
from orchestrator.ports import Clock, Store, Unit
from web.errors import TooMany, Unauthenticated

T = TypeVar("T")

SESSION_IDLE = timedelta(hours=12)
SESSION_ABSOLUTE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=5)  # how exactly "last seen" is kept: not a write a request
PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 1024
EMAIL_CHARACTERS_MAX = 254
HASHING_THREADS = 2
HASHING_QUEUE_MAX = 32  # those waiting beyond it are told to come back
ATTEMPT_WINDOW_SECONDS = 15 * 60
FAILURES_MAX = {"here": 8, "peer": 60, "account": 200}
"""Failures in the window: of one account from one peer, of one peer, of one account from anywhere."""
BLOCKS_MAX = 10_000  # blocked keys remembered in memory
TOKEN_PREFIX = "etb"
COMMON_PASSWORDS = frozenset(
    {
        "password1234",
        "motdepasse123",
        "azertyuiop12",
        "qwertyuiop12",
        "123456789012",
        "fablabfablab",
        "administrator",
    }
)

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, with what they may ask for: for a program, what its token allows of what its member may."""

    member: Member
    permissions: frozenset[Permission]
    session_secret: str = ""  # of a browser; empty: came with a token
    token_id: str = ""

    @property
    def by_cookie(self) -> bool:
        """A browser sends its cookie unasked, so what changes something must prove that a page of ours asked."""
        return bool(self.session_secret)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def acting(self, permission: object) -> Member:
        """The member as the flow may see them on a route that asks for `permission`.

        The flow judges by role. A token of staff that was not given sight of everybody's jobs acts as a plain
        member, except where the route itself is the operating right it was given.
        """
        narrowed = Permission.ALL_JOBS in PERMISSIONS[self.member.role] and not self.may(Permission.ALL_JOBS)
        if narrowed and permission is not Permission.OPERATE:
            return replace(self.member, role=Role.MEMBER)
        return self.member


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    member: Member
    secret: str  # for the cookie, and kept nowhere else


def normal_email(email: str) -> str:
    """As addresses are stored and compared: NFKC, casefolded, without blanks around."""
    return unicodedata.normalize("NFKC", email).strip().casefold()


def hash_password(password: str) -> str:
    """argon2id of a password; takes 40 ms of a core and 19 MiB, so not on the event loop."""
    return _HASHER.hash(_normal_password(password))


def check_new_password(password: str) -> None:
    """Raises Rejected for one that is too short, too long, or on everybody's list."""
    length = len(_normal_password(password))
    if not PASSWORD_CHARACTERS_MIN <= length <= PASSWORD_CHARACTERS_MAX:
        rule = "password.length"
    elif password.casefold() in COMMON_PASSWORDS:
        rule = "password.common"
    else:
        return
    remedy = f"Choose {PASSWORD_CHARACTERS_MIN} characters or more that nobody would guess."
    fr = f"Choisissez au moins {PASSWORD_CHARACTERS_MIN} caractères que personne ne devinerait."
    fault = Fault(rule=rule, where="password", remedy=remedy, texts={"remedy_fr": fr})
    raise Rejected("This password does not do.", code=rule, faults=(fault,))


def make_token(
    member: Member,
    name: str,
    scopes: Iterable[Permission],
    now: datetime,
    *,
    valid: timedelta | None = None,
) -> tuple[ApiToken, str]:
    """A new key for a program: what the store keeps, and the text that is shown once."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    token = ApiToken(
        id=token_id,
        secret_sha256=_sha256(secret),
        member_id=member.id,
        name=name,
        scopes=frozenset(scopes),
        created_at=now,
        expires_at=now + valid if valid else None,
    )
    return token, f"{TOKEN_PREFIX}_{token_id}_{secret}"


def csrf_token(caller: Caller | None) -> str:
    """What a form must carry: bound to the session, so that no other site and no other session knows it."""
    if caller is None or not caller.session_secret:
        return ""
    return hmac.new(caller.session_secret.encode(), b"form token", hashlib.sha256).hexdigest()


class Doorman:
    """Knows people by password, session or token. One per application; `close` ends its threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="password")
        self._hashing = 0
        self._blocked: dict[str, datetime] = {}
        self._noting: set[str] = set()  # tokens whose use is being written down

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    # --- signing in and out -----------------------------------------------------------------------

    async def sign_in(self, email: str, password: str, peer: str) -> SignedIn:
        """A new session. Raises Unauthenticated with one text, after one time, whatever was wrong; TooMany
        after too many failures; Rejected for an impossible password; Unavailable when too many sign in at
        once."""
        return await self._open(await self.known(email, password, peer))

    async def known(self, email: str, password: str, peer: str) -> Member:
        """Whose address and password these are. Raises as `sign_in`; opens no session."""
        address = normal_email(email)
        _refuse_odd(address, password)
        keys = _keys_of(address, peer)
        self._refuse_blocked(keys)
        member = await self._store.read(lambda unit: unit.member_by_email(address))
        known = member is not None and member.active and bool(member.password_hash)
        right = await self._verify(member.password_hash if member and known else "", password)
        if member is None or not known or not right:
            await self._count_failure(keys)
            raise Unauthenticated("This address and this password do not go together.", code="credentials")
        return member

    async def sign_out(self, secret: str) -> None:
        """The session is over at once, everywhere."""
        await self._store.write(lambda unit: unit.drop_session(_sha256(secret)))

    async def hash(self, password: str) -> str:
        """`hash_password`, off the event loop, in its turn."""
        return await self._in_turn(lambda: hash_password(password))

    async def _open(self, member: Member) -> SignedIn:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        session = Session(id_sha256=_sha256(secret), member_id=member.id, created_at=now, seen_at=now)
        await self._store.write(lambda unit: unit.put_session(session))
        return SignedIn(member=member, secret=secret)

    async def _verify(self, hashed: str, password: str) -> bool:
        """Takes as long for nobody's hash as for anybody's."""

        def work() -> bool:
            nobody = _nobody()
            try:
                return _HASHER.verify(hashed or nobody, _normal_password(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._in_turn(work)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._hashing >= HASHING_QUEUE_MAX:
            raise Unavailable("Too many are signing in at this moment.", code="sign_in.busy")
        self._hashing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._hashing -= 1

    # --- failures ---------------------------------------------------------------------------------

    def _refuse_blocked(self, keys: dict[str, str]) -> None:
        now = self._clock.now()
        for key in keys.values():
            until = self._blocked.get(key)
            if until is not None and until > now:
                seconds = int((until - now).total_seconds()) + 1
                raise TooMany("Too many attempts.", code="sign_in.throttled", retry_after_seconds=seconds)

    async def _count_failure(self, keys: dict[str, str]) -> None:
        now = self._clock.now()

        async def work(unit: Unit) -> dict[str, int]:
            return {
                kind: await unit.count_attempt(key, now, ATTEMPT_WINDOW_SECONDS) for kind, key in keys.items()
            }

        for kind, count in (await self._store.write(work)).items():
            if count >= FAILURES_MAX[kind]:
                self._block(keys[kind], now)

    def _block(self, key: str, now: datetime) -> None:
        if len(self._blocked) >= BLOCKS_MAX:
            self._blocked = {k: until for k, until in self._blocked.items() if until > now}
        if len(self._blocked) < BLOCKS_MAX:
            self._blocked[key] = now + timedelta(seconds=ATTEMPT_WINDOW_SECONDS)

    # --- being known ------------------------------------------------------------------------------

    async def by_session(self, secret: str) -> Caller | None:
        """The member of a session that is neither idle too long, nor too old, nor revoked; else None."""
        now, key = self._clock.now(), _sha256(secret)

        async def work(unit: Unit) -> tuple[Session, Member] | None:
            session = await unit.session(key)
            if session is None:
                return None
            member = await unit.member(session.member_id)
            return (session, member) if member is not None else None

        found = await self._store.read(work)
        if found is None:
            return None
        session, member = found
        fresh = now - session.seen_at <= SESSION_IDLE and now - session.created_at <= SESSION_ABSOLUTE
        if not fresh or not member.active:
            return None
        if now - session.seen_at >= SEEN_EVERY:
            await self._touch(session, now)
        return Caller(member=member, permissions=PERMISSIONS[member.role], session_secret=secret)

    async def _touch(self, session: Session, now: datetime) -> None:
        """Push the idle end back; a session that was revoked meanwhile stays revoked."""

        async def work(unit: Unit) -> None:
            if await unit.session(session.id_sha256) is not None:
                await unit.put_session(replace(session, seen_at=now))

        await self._store.write(work)

    async def by_token(self, text: str) -> Caller | None:
        """The member and scopes of a token that is neither expired nor revoked; else None."""
        prefix, _, rest = text.partition("_")
        token_id, _, secret = rest.partition("_")
        if prefix != TOKEN_PREFIX or not token_id or not secret or not text.isascii() or len(text) > 200:
            return None

        async def work(unit: Unit) -> tuple[ApiToken, Member] | None:
            token = await unit.api_token(token_id)
            member = await unit.member(token.member_id) if token else None
            return (token, member) if token and member else None

        found = await self._store.read(work)
        if found is None:
            return None
        token, member = found
        now = self._clock.now()
        dead = token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)
        if not hmac.compare_digest(token.secret_sha256, _sha256(secret)) or dead or not member.active:
            return None
        await self._note_use(token, now)
        return Caller(member=member, permissions=token.scopes & PERMISSIONS[member.role], token_id=token.id)

    async def _note_use(self, token: ApiToken, now: datetime) -> None:
        """When a token was last used, to within some minutes: one write then, however many ask at once."""
        lately = token.used_at is not None and now - token.used_at < SEEN_EVERY
        if lately or token.id in self._noting:
            return
        self._noting.add(token.id)
        try:
            await self._store.write(lambda unit: unit.api_token_used(token.id, now))
        finally:
            self._noting.discard(token.id)


def _refuse_odd(address: str, password: str) -> None:
    """What no member can have is refused before it costs anything."""
    faults = tuple(
        Fault(rule="field.length", where=where, remedy=f"At most {most} characters.")
        for where, value, most in (
            ("email", address, EMAIL_CHARACTERS_MAX),
            ("password", password, PASSWORD_CHARACTERS_MAX),
        )
        if not 1 <= len(value) <= most
    )
    if faults:
        raise Rejected("Some fields are not as they must be.", code="fields", faults=faults)


def _keys_of(address: str, peer: str) -> dict[str, str]:
    """What failures are counted against; hashed, so that the table names nobody."""
    network = network_of(peer)
    return {
        "here": _sha256(f"here {address} {network}")[:32],
        "peer": _sha256(f"peer {network}")[:32],
        "account": _sha256(f"account {address}")[:32],
    }


@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """An IPv6 customer has a whole /64 to come from."""
    if ":" not in peer:
        return peer
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    return str(ip_network(f"{peer}/64", strict=False)) if isinstance(address, IPv6Address) else peer


@cache
def _nobody() -> str:
    """A hash that no password has, so that an unknown address takes as long as a known one."""
    return _HASHER.hash(secrets.token_urlsafe(32))


def _normal_password(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# --- requests -------------------------------------------------------------------------------------


def cookie_name(secure: bool) -> str:
    """`__Host-` binds the cookie to this very host over https; browsers refuse it over plain http."""
    return "__Host-etabli" if secure else "etabli"


def set_cookie(response: web.StreamResponse, secret: str, *, secure: bool) -> None:
    response.set_cookie(
        cookie_name(secure),
        secret,
        max_age=int(SESSION_ABSOLUTE.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(response: web.StreamResponse, *, secure: bool) -> None:
    response.del_cookie(cookie_name(secure), path="/", secure=secure, httponly=True, samesite="Lax")
