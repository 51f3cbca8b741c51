"""HTTP to addresses that people type, which must never become a way inward. The only door out of the lab but for the
drivers, whose addresses only an administrator sets.

An address is parsed once, its name is looked up by us, every answer of that look-up is checked, and the connection goes
to an address so checked, with the name it was asked under. A second look-up by somebody else, in which the name means
something else, does not happen. Redirects are answers, proxies and cookies do not exist, bodies have an end.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import NoReturn

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from orchestrator.domain.errors import Fault, Misconfigured, Rejected, Unavailable
from orchestrator.ports import Answer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_CHARACTERS_MAX = 2000
CONNECT_SECONDS = 5.0  # look-up, connection and TLS together
CHUNK_BYTES = 16 << 10

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_INWARD: tuple[tuple[str, Network], ...] = tuple(
    (what, ipaddress.ip_network(network))
    for what, network in (
        ("this host", "0.0.0.0/8"),
        ("loopback", "127.0.0.0/8"),
        ("private", "10.0.0.0/8"),
        ("private", "172.16.0.0/12"),
        ("private", "192.168.0.0/16"),
        ("shared by a provider's customers", "100.64.0.0/10"),
        ("link-local, where metadata is", "169.254.0.0/16"),
        ("a cloud's own", "168.63.129.16/32"),
        ("reserved", "192.0.0.0/24"),
        ("for documents", "192.0.2.0/24"),
        ("reserved", "192.88.99.0/24"),
        ("for measurements", "198.18.0.0/15"),
        ("for documents", "198.51.100.0/24"),
        ("for documents", "203.0.113.0/24"),
        ("multicast", "224.0.0.0/4"),
        ("reserved", "240.0.0.0/4"),
        ("private", "fc00::/7"),
        ("link-local", "fe80::/10"),
        ("site-local", "fec0::/10"),
        ("multicast", "ff00::/8"),
    )
)
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_TUNNELS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "64:ff9b::/96", "64:ff9b:1::/48")
)
"""Where an IPv6 address hides an IPv4 one, or means nothing outside."""

_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a setting, separated by commas. Raises Misconfigured for what is none."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as wrong:
        raise Misconfigured(
            f"outbound_networks: {wrong}. Write them as 10.0.0.0/8, 192.168.1.0/24."
        ) from wrong


def inward(address: Address, allowed: Iterable[Network] = ()) -> str:
    """Why this address is none of the open internet; empty where it is, or where the operator allowed it."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return ""
    for what, network in _INWARD:
        if address in network:
            return what
    if isinstance(address, ipaddress.IPv6Address):
        if address == ipaddress.IPv6Address("::1"):
            return "loopback"
        if address not in _PUBLIC_V6 or any(address in network for network in _TUNNELS):
            return "not public"
    return ""


def parsed(url: str) -> URL:
    """Raises Rejected for what is no plain http(s) address, before anything is looked up."""
    if len(url) > URL_CHARACTERS_MAX or not url.isprintable() or any(sign in url for sign in " \\"):
        _refuse(url, "An address is at most 2000 signs long, without spaces and backslashes.")
    try:
        address = URL(url)
        host, port = address.raw_host or "", address.port
    except (ValueError, TypeError):
        _refuse(url, "This is no address.")
    if address.scheme not in ("http", "https"):
        _refuse(url, "Only https:// and http:// addresses are called.")
    if "@" in address.raw_authority:
        _refuse(url, "An address must not hold a name or a password.")
    if not host or "%" in host or not port or len(host) > 253:
        _refuse(url, "The address names no host.")
    if _spelt_as_number(host):
        _refuse(
            url, "Write a numeric address as four decimal numbers, 192.0.2.1, or in brackets, [2001:db8::1]."
        )
    return address.with_fragment(None)


def _spelt_as_number(host: str) -> bool:
    """2130706433, 0x7f.1, 0177.0.0.1 and their like: some programs read them as an address, others as a name."""
    if _literal(host) is not None:
        return False
    return _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None or ":" in host


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refuse(seen: str, remedy: str) -> NoReturn:
    fault = Fault(rule="outbound.address", where="url", seen=seen[:200], remedy=remedy)
    raise Rejected("This address cannot be called.", code="outbound.address", faults=(fault,))


def _checked(host: str, addresses: Iterable[Address], allowed: Iterable[Network]) -> None:
    """One answer that leads inward is enough: who mixes them means it."""
    for address in addresses:
        if why := inward(address, allowed):
            shown = host if host == str(address) else f"{host} ({address})"
            _refuse(
                f"{shown}: {why}",
                "Give an address on the open internet, or let the operator allow its network (outbound_networks).",
            )


class _Guard(AbstractResolver):
    """Answers aiohttp with addresses that were looked up once and all checked."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self.look_up(host, port)
        except OSError as unknown:
            raise Unavailable(f"The name {host} is not known.", code="outbound.unknown") from unknown
        _checked(host, map(ipaddress.ip_address, found), self._allowed)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def look_up(self, host: str, port: int) -> list[str]:
        """Every address the name has, in the system's order; OSError where it has none."""
        loop = asyncio.get_running_loop()
        rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))

    async def close(self) -> None:
        pass


class OutboundHttp:
    """Implements `orchestrator.ports.Outbound`. `allowed`: networks that are reached although they are private.

    Every call has a connection of its own: none that was checked for one name is used for another.
    """

    def __init__(
        self,
        allowed: tuple[Network, ...] = (),
        *,
        guard: type[_Guard] = _Guard,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._guard = guard(allowed)
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None

    async def check(self, url: str) -> None:
        address = parsed(url)
        host = address.raw_host or ""
        if (literal := _literal(host)) is not None:
            _checked(host, [literal], self._allowed)
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._guard.resolve(host, address.port or 0)
        except TimeoutError as slow:
            raise Unavailable(f"The name {host} could not be looked up.", code="outbound.unknown") from slow

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        limit_bytes: int = 64 << 10,
        timeout_seconds: float = 10.0,
    ) -> Answer:
        address = parsed(url)
        host = address.raw_host or ""
        if (literal := _literal(host)) is not None:  # aiohttp asks no resolver about these
            _checked(host, [literal], self._allowed)
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._opened().request(
                    method,
                    address,
                    headers={"User-Agent": "Etabli", "Accept-Encoding": "identity", **headers},
                    data=body or None,
                    allow_redirects=False,
                ) as response,
            ):
                read, cut = await _read(response.content, limit_bytes)
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(status=response.status, headers=names, body=read, cut=cut)
        except TimeoutError as slow:
            raise Unavailable(f"No answer within {timeout_seconds:.0f} s.", code="outbound.slow") from slow
        except (aiohttp.ClientError, OSError, ValueError) as wrong:
            raise Unavailable(_said(wrong), code="outbound.unreachable") from wrong

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first call, for it belongs to the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._guard,
                use_dns_cache=False,
                force_close=True,
                limit=0,
                ssl=self._trust or True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


async def _read(content: aiohttp.StreamReader, limit_bytes: int) -> tuple[bytes, bool]:
    """At most that much, and whether there was more; the rest is never fetched."""
    read = bytearray()
    while len(read) <= limit_bytes:
        chunk = await content.read(min(CHUNK_BYTES, limit_bytes + 1 - len(read)))
        if not chunk:
            return bytes(read), False
        read += chunk
    return bytes(read[:limit_bytes]), True


def _said(wrong: Exception) -> str:
    """In a few words for the person whose server it is, without our addresses."""
    match wrong:
        case aiohttp.ClientConnectorCertificateError():
            return "The certificate is not valid for this name."
        case aiohttp.ClientSSLError():
            return "No secure connection could be made."
        case aiohttp.ClientConnectorError() | ConnectionError():
            return "The connection was refused."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "The connection broke off before the answer was whole."
        case aiohttp.ClientResponseError() | ValueError():
            return "The answer is no HTTP."
    return "The connection failed."
