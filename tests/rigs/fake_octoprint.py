"""A fake OctoPrint 1.11: REST interface and push socket as the real one speaks them, a printer in memory.

Three parts: what it knows (`Printer`), what it answers (the handlers), what a test may make happen (its use
cases). It refuses what the real one refuses, in its words; the same contract tests run against the real one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, WSMsgType, web
from aiohttp.test_utils import TestServer

API_KEY = "FAKE0123456789ABCDEF"
_NO_PERMISSION = (
    "You don't have the permission to access the requested resource. It is either read-protected or not "
    "readable by the server."
)
_ALREADY_PRINTING = "Printer is already printing, cannot select a new file"
_WORDS = {
    "OPERATIONAL": "Operational",
    "STARTING": "Starting",
    "PRINTING": "Printing",
    "PAUSING": "Pausing",
    "PAUSED": "Paused",
    "RESUMING": "Resuming",
    "CANCELLING": "Cancelling",
    "FINISHING": "Finishing",
    "OFFLINE": "Offline",
    "CLOSED_WITH_ERROR": "Offline after error",
}
_WORKING = {"STARTING", "PRINTING", "PAUSING", "PAUSED", "RESUMING", "CANCELLING", "FINISHING"}


@dataclass
class StoredFile:
    body: bytes
    userdata: Any = None
    last: dict[str, Any] | None = None


@dataclass
class Printer:
    """All that it knows."""

    state: str = "OPERATIONAL"
    error: str = ""
    files: dict[str, StoredFile] = field(default_factory=dict)
    selected: str | None = None
    position: int | None = None
    print_seconds: int | None = None
    begun: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.files[self.selected].body) if self.selected in self.files else 0

    @property
    def file(self) -> dict[str, Any]:
        if self.selected is None:
            return dict.fromkeys(("name", "path", "display", "origin", "size", "date"))
        return {"name": self.selected, "path": self.selected, "origin": "local", "size": self.size}

    @property
    def job(self) -> dict[str, Any]:
        """`job` and `progress`, as `/api/job` and the push socket share them."""
        completion = None if self.position is None else 100 * self.position / max(1, self.size)
        return {
            "job": {"file": self.file, "estimatedPrintTime": None, "filament": None, "user": "fleet"},
            "progress": {
                "completion": completion,
                "filepos": self.position,
                "printTime": self.print_seconds,
                "printTimeLeft": None,
                "printTimeLeftOrigin": None,
            },
        }

    @property
    def current(self) -> dict[str, Any]:
        flags = {
            "operational": self.state not in {"OFFLINE", "CLOSED_WITH_ERROR"},
            "printing": self.state in _WORKING - {"PAUSED"},
            "paused": self.state == "PAUSED",
            "ready": self.state == "OPERATIONAL",
        }
        state = {"text": _WORDS[self.state], "flags": flags, "error": self.error}
        temps = [
            {"time": 1, "tool0": {"actual": 21.3, "target": 0.0}, "bed": {"actual": 21.3, "target": 0.0}}
        ]
        return {"state": state, **self.job, "temps": temps, "logs": [], "messages": []}


class FakeOctoPrint:
    """A server and its printer. Prints do not run by themselves: a test says when one gets on or ends."""

    def __init__(self) -> None:
        self.printer = Printer()
        self.url = ""
        self.prints_uploads = False  # as a plug-in may do
        self._renewals = asyncio.Event()
        self._sockets: set[web.WebSocketResponse] = set()

    # --- what it answers -------------------------------------------------------------------------

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_needs_key], client_max_size=1 << 30)
        app.add_routes(
            [
                web.get("/api/version", self._version),
                web.post("/api/login", self._login),
                web.get("/api/job", self._job),
                web.post("/api/job", self._command),
                web.post("/api/files/local", self._upload),
                web.get("/api/files/local/{name}", self._file),
                web.post("/api/files/local/{name}", self._select),
                web.delete("/api/files/local/{name}", self._delete),
                web.get("/sockjs/websocket", self._push),
            ]
        )
        app.on_shutdown.append(self._hang_up)
        return app

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"api": "0.1", "server": "1.11.8", "text": "OctoPrint 1.11.8"})

    async def _login(self, request: web.Request) -> web.Response:
        return web.json_response({"name": "fleet", "session": "5e55104", "active": True})

    async def _job(self, request: web.Request) -> web.Response:
        body = {**self.printer.job, "state": _WORDS[self.printer.state]}
        return web.json_response(body | ({"error": self.printer.error} if self.printer.error else {}))

    async def _command(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.printer.state not in _WORKING:
            text = "Printer is neither printing nor paused, '{}' command cannot be performed"
            return _no(409, text.format(asked["command"]))
        if asked["command"] == "cancel":
            await self.cancel()
        elif asked["command"] == "pause":
            await self._pause(asked.get("action", "toggle"))
        return web.Response(status=204)

    async def _pause(self, action: str) -> None:
        paused = self.printer.state in {"PAUSING", "PAUSED"}
        if action == "pause" or (action == "toggle" and not paused):
            await self._turn("PAUSING")
            await self._event("PrintPaused", self._payload(fileposition=self.printer.position))
            await self._turn("PAUSED")
        elif self.printer.state == "PAUSED":
            await self._turn("RESUMING")
            await self._turn("PRINTING")

    async def _upload(self, request: web.Request) -> web.Response:
        parts: dict[str, str] = {}
        name, body = "", b""
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "file":
                name, body = part.filename or "", bytes(await part.read())
            else:
                parts[part.name or ""] = await part.text()
        if not name.endswith((".gcode", ".gco", ".g")):
            return _no(415, "Could not upload file, invalid type")
        if name == self.printer.selected and self.printer.state in _WORKING:
            return _no(409, "Trying to overwrite file that is currently in use")
        userdata = json.loads(parts["userdata"]) if "userdata" in parts else None
        self.printer.files[name] = StoredFile(body, userdata)
        asked = parts.get("print") == "true" or self.prints_uploads
        started = asked and self.printer.state == "OPERATIONAL"
        answer = {
            "done": True,
            "effectivePrint": started,
            "effectiveSelect": started,
            "files": {"local": {"name": name, "origin": "local", "path": name, "refs": {}}},
        }
        return web.json_response(answer, status=201)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        stored = self.printer.files.get(name)
        if stored is None:
            return _no(404, "The requested URL was not found on the server.")
        body = {
            "name": name,
            "path": name,
            "origin": "local",
            "size": len(stored.body),
            "hash": hashlib.sha1(stored.body).hexdigest(),
            "type": "machinecode",
        }
        if stored.userdata is not None:
            body["userdata"] = stored.userdata
        if stored.last is not None:
            body["prints"] = {"success": 1, "failure": 0, "last": stored.last}
        return web.json_response(body)

    async def _select(self, request: web.Request) -> web.Response:
        name, asked = request.match_info["name"], await request.json()
        if name not in self.printer.files:
            return _no(404, "The requested URL was not found on the server.")
        if self.printer.state != "OPERATIONAL":
            return _no(409, _ALREADY_PRINTING)
        await self._begin(name, starts=asked.get("print") is True)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.printer.files:
            return _no(404, "The requested URL was not found on the server.")
        if name == self.printer.selected and self.printer.state in _WORKING:
            return _no(409, "Trying to delete a file that is currently in use")
        del self.printer.files[name]
        if name == self.printer.selected:
            self.printer.selected = self.printer.position = None
        return web.Response(status=204)

    # --- the push socket -------------------------------------------------------------------------

    async def _push(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"connected": {"version": "1.11.8"}})
        subscribed = False
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            subscribed = subscribed or "subscribe" in said
            if said.get("auth") == "fleet:5e55104" and subscribed:
                self._sockets.add(socket)
                self._renewals.set()
                await socket.send_json({"history": self.printer.current})
            elif "auth" in said:
                await socket.send_json({"reauthRequired": {"reason": "stale"}})
        self._sockets.discard(socket)
        return socket

    async def _hang_up(self, app: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close()

    async def _say(self, message: Mapping[str, Any]) -> None:
        for socket in list(self._sockets):
            if not socket.closed:
                await socket.send_json(message)

    async def _event(self, kind: str, payload: Mapping[str, Any] | None = None) -> None:
        await self._say({"event": {"type": kind, "payload": payload}})

    async def _turn(self, state: str) -> None:
        self.printer.state = state
        told = "OFFLINE" if state == "CLOSED_WITH_ERROR" else state
        await self._event("PrinterStateChanged", {"state_id": told, "state_string": _WORDS[told]})

    async def _current(self) -> None:
        await self._say({"current": self.printer.current})

    def _payload(self, **more: object) -> dict[str, object]:
        name = self.printer.selected
        return {"name": name, "path": name, "origin": "local", "size": self.printer.size, **more}

    # --- what a test may make happen --------------------------------------------------------------

    async def _begin(self, name: str, *, starts: bool) -> None:
        printer = self.printer
        printer.selected, printer.position, printer.print_seconds = name, None, None
        await self._event("FileSelected", self._payload(size=None))
        if starts:
            printer.begun.append(name)
            await self._turn("STARTING")
            await self._event("PrintStarted", self._payload())
            await self._turn("PRINTING")
            printer.position, printer.print_seconds = 0, 0
            await self._current()

    async def start_by_hand(self, name: str) -> None:
        self.printer.files[name] = StoredFile(b"G28\n" * 500)
        await self._begin(name, starts=True)

    async def print_on(self) -> None:
        printer = self.printer
        printer.position = ((printer.position or 0) + printer.size) // 2
        printer.print_seconds = (printer.print_seconds or 0) + 60
        await self._current()

    async def finish(self) -> None:
        printer = self.printer
        printer.position = printer.size
        await self._turn("FINISHING")
        await self._event("PrintDone", self._payload(time=125.4))
        self._recall(success=True, printTime=125.4)
        await self._turn("OPERATIONAL")
        await self._current()

    async def cancel(self) -> None:
        printer = self.printer
        await self._event("PrintCancelling", self._payload())
        await self._turn("CANCELLING")
        position = {"fileposition": printer.position, "time": 61.2}
        await self._event("PrintCancelled", self._payload(**position))
        await self._event("PrintFailed", self._payload(**position, reason="cancelled"))
        self._recall(success=False)
        await self._turn("OPERATIONAL")
        printer.position = printer.print_seconds = None
        await self._current()

    async def fail(self, error: str = "MAXTEMP triggered!") -> None:
        """A firmware error, in the real order: PrintFailed comes last, the file being deselected."""
        failed = self._payload(time=61.2, reason="error", error=error, progress=self._share())
        self._recall(success=False)
        self.printer.error, self.printer.selected, self.printer.position = error, None, None
        await self._event("Error", {"error": error})
        await self._event("FileDeselected")
        await self._event("Disconnected")
        await self._turn("CLOSED_WITH_ERROR")
        await self._event("PrintFailed", failed)
        await self._current()

    async def expire_sessions(self) -> None:
        """Every watcher must log in again before it hears more."""
        watchers, self._sockets = self._sockets, set()
        self._renewals.clear()
        for socket in watchers:
            await socket.send_json({"reauthRequired": {"reason": "stale"}})

    async def sessions_renewed(self) -> None:
        await self._renewals.wait()

    async def be_killed(self) -> None:
        """And started again: files are there, the print left no trace."""
        self.printer.state, self.printer.error = "OPERATIONAL", ""
        self.printer.selected = self.printer.position = self.printer.print_seconds = None
        for socket in list(self._sockets):
            await socket.close()

    def _share(self) -> float:
        return (self.printer.position or 0) / max(1, self.printer.size)

    def _recall(self, *, success: bool, **more: float) -> None:
        self.printer.files[self.printer.selected or ""].last = {
            "date": time.time(),
            "success": success,
            **more,
        }


@web.middleware
async def _needs_key(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("X-Api-Key") == API_KEY or request.path.startswith("/sockjs"):
        answer: web.StreamResponse = await handler(request)
        return answer
    if request.path == "/api/login":
        return _no(400, "CSRF validation failed")
    return _no(403, _NO_PERMISSION)


def _no(status: int, words: str) -> web.Response:
    return web.json_response({"error": words}, status=status)


@asynccontextmanager
async def fake_octoprint() -> AsyncIterator[FakeOctoPrint]:
    fake = FakeOctoPrint()
    server = TestServer(fake.application(), host="127.0.0.1")
    await server.start_server()
    fake.url = f"http://127.0.0.1:{server.port}"
    try:
        yield fake
    finally:
        await server.close()
