"""What may be called outside and what may not, against real servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from orchestrator.domain.errors import Misconfigured, Rejected, Unavailable
from orchestrator.outbound import LOOPBACK, OutboundHttp, _Guard, inward, networks, parsed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def a_server(handler: Handler) -> AsyncIterator[int]:
    """Its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Names(_Guard):
    """Names as a test gives them; each look-up answers the next of its list, the last one for ever."""

    known: dict[str, list[list[str]]]

    async def look_up(self, host: str, port: int) -> list[str]:
        answers = self.known.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def naming(known: dict[str, list[list[str]]]) -> type[_Guard]:
    return type("Given", (Names,), {"known": known})


INWARD = [
    "http://127.0.0.1/",
    "http://127.8.9.10:8080/x",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.5.5/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:1::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[ff02::1]/",
    "http://[fe80::1%25eth0]/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://127%2e0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://localhost/",
    "http://localhost./",
    "http://ip6-localhost/",
]
NO_ADDRESS = [
    "",
    "example.org/hook",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "javascript:alert(1)",
    "http://",
    "http:///path",
    "http://user:secret@example.org/",
    "http://user@example.org/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org /",
    "http://exa\nmple.org/",
    "http://example.org/\r\nX-Evil: 1",
    "http://example.org:99999/",
    "http://example.org:0/",
    "http://[::1/",
    "https://" + "a" * 3000,
]


@pytest.mark.parametrize("url", INWARD + NO_ADDRESS)
async def test_an_address_that_leads_inward_or_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    door = OutboundHttp()

    for attempt in (door.check, lambda where: door.send("POST", where, {}, b"x")):
        with pytest.raises((Rejected, Unavailable)) as refused:
            await attempt(url)
        if refused.value.code != "outbound.unknown":  # not every system knows the last names
            assert refused.value.code == "outbound.address"
            assert refused.value.faults[0].seen == url[:200] or "http" not in refused.value.faults[0].seen

    await door.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook",
        "http://example.org:8080/a?b=c",
        "https://93.184.216.34/",
        "https://[2606:2800::1]/",
    ],
)
def test_an_address_of_the_open_internet_is_one(url: str) -> None:
    assert str(parsed(url)) == url


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("8.8.8.8", ""),
        ("2606:4700::1111", ""),
        ("10.1.2.3", ""),
        ("10.2.0.0", "private"),
        ("::ffff:10.1.0.1", ""),
    ],
)
def test_a_network_is_allowed_by_the_operator_and_no_more_than_that(address: str, why: str) -> None:
    assert inward(ipaddress.ip_address(address), networks("10.1.0.0/16")) == why


def test_a_setting_that_is_no_network_is_told() -> None:
    with pytest.raises(Misconfigured, match="outbound_networks"):
        networks("10.0.0.1/8, home")


async def test_a_name_that_has_one_good_and_one_bad_address_is_refused() -> None:
    door = OutboundHttp(guard=naming({"both.example": [["93.184.216.34", "127.0.0.1"]]}))

    with pytest.raises(Rejected):
        await door.check("http://both.example/")

    await door.close()


async def test_a_name_that_turns_inward_between_the_check_and_the_call_is_refused_at_the_call() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    async with a_server(handler) as port:
        names = naming({"rebinds.example": [["93.184.216.34"], ["127.0.0.1"]]})
        door = OutboundHttp(guard=names)
        await door.check(f"http://rebinds.example:{port}/")
        with pytest.raises(Rejected):
            await door.send("POST", f"http://rebinds.example:{port}/", {}, b"x")
        await door.close()

    assert seen == []


async def test_the_name_asked_for_is_what_the_server_is_told_and_the_address_checked_is_what_is_called() -> (
    None
):
    hosts: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(text="good", headers={"ETag": '"1"'})

    async with a_server(handler) as port:
        door = OutboundHttp(LOOPBACK, guard=naming({"lab.example": [["127.0.0.1"]]}))
        answer = await door.send("GET", f"http://lab.example:{port}/x", {"If-None-Match": '"0"'})
        await door.close()

    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"good", '"1"')
    assert hosts == [f"lab.example:{port}"]


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with a_server(handler) as port:
        door = OutboundHttp(LOOPBACK)
        answer = await door.send("POST", f"http://127.0.0.1:{port}/here", {}, b"x")
        await door.close()

    assert answer.status == 307
    assert paths == ["/here"]


@pytest.mark.parametrize(("size", "cut"), [(999, False), (1000, False), (1001, True), (10 << 20, True)])
async def test_an_answer_is_read_up_to_the_limit_and_no_further(size: int, cut: bool) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    async with a_server(handler) as port:
        door = OutboundHttp(LOOPBACK)
        answer = await door.send("GET", f"http://127.0.0.1:{port}/", {}, limit_bytes=1000)
        await door.close()

    assert len(answer.body) == min(size, 1000)
    assert answer.cut is cut


async def test_a_server_that_drips_its_answer_is_left_at_the_time_limit() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)

    async with a_server(handler) as port:
        door = OutboundHttp(LOOPBACK)
        with pytest.raises(Unavailable) as late:
            await door.send("GET", f"http://127.0.0.1:{port}/", {}, timeout_seconds=0.3)
        await door.close()

    assert late.value.code == "outbound.slow"


async def test_a_compressed_answer_is_never_blown_up() -> None:
    bomb = gzip.compress(b"\0" * (8 << 20))

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with a_server(handler) as port:
        door = OutboundHttp(LOOPBACK)
        answer = await door.send("GET", f"http://127.0.0.1:{port}/", {})
        await door.close()

    assert answer.body == bomb


async def test_no_server_and_no_http_are_told_apart_from_a_refusal() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        writer.close()

    async def gone(request: web.Request) -> web.Response:
        return web.Response()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with a_server(gone) as port:
        pass
    door = OutboundHttp(LOOPBACK)
    for number, words in ((server.sockets[0].getsockname()[1], "no HTTP"), (port, "refused")):
        with pytest.raises(Unavailable, match=words) as wrong:
            await door.send("GET", f"http://127.0.0.1:{number}/", {})
        assert wrong.value.code == "outbound.unreachable"
    await door.close()
    server.close()
