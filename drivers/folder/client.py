"""The one place where this driver touches the disk. Blocking: the driver calls it in threads, with a deadline.

A folder is told from another, and from the bare mount point of a share that is not mounted, by a hidden file with an
identity that is written at the first visit.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from drivers.folder import wire
from orchestrator.domain.errors import MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.ports import Ticket

MARK = ".etabli-folder"
POLL_SECONDS = 2.0
ANSWER_SECONDS = 10.0
ENTRIES_MAX = 5_000
COMPANION_BYTES_MAX = 64 * 1024
_BLOCK_BYTES = 1 << 20
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, kw_only=True)
class Settings:
    path: Path
    poll_seconds: float = POLL_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    @staticmethod
    def of(connection: Mapping[str, Json]) -> Settings:
        """Raises Misconfigured naming the key that is wrong."""
        unknown = sorted(set(connection) - set(Settings.__dataclass_fields__))
        if unknown:
            raise Misconfigured(f"“{unknown[0]}” is no setting of a folder.", code="driver.setting")
        path = connection.get("path")
        if not isinstance(path, str) or "\0" in path or not Path(path).is_absolute():
            raise _wrong("path", "the absolute path of a folder")
        return Settings(
            path=Path(path),
            poll_seconds=_seconds(connection, "poll_seconds", POLL_SECONDS),
            answer_seconds=_seconds(connection, "answer_seconds", ANSWER_SECONDS),
        )


def _seconds(connection: Mapping[str, Json], key: str, otherwise: float) -> float:
    seconds = connection.get(key, otherwise)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.01 <= seconds <= 120:
        raise _wrong(key, "a number of seconds, 0.01 to 120")
    return float(seconds)


def _wrong(key: str, wanted: str) -> Misconfigured:
    return Misconfigured(f"The machine's setting “{key}” must be {wanted}.", code="driver.setting")


@dataclass(frozen=True, kw_only=True)
class Lying:
    """What the folder holds of one of our files. `note_at` is by the clock of the folder's computer."""

    note: wire.Note
    note_at: datetime
    base: str
    there: bool  # the file itself; False: taken, or never arrived


class Folder:
    """One folder. Raises MachineUnreachable when it is not there, or is another one than at `open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = ""

    def open(self) -> str:
        """What tells this folder from another. Raises Misconfigured where it cannot be written."""
        with self._translated():
            if not self._path.exists():
                raise MachineUnreachable(f"There is no folder {self._path} (setting “path”).")
            if not self._path.is_dir():
                raise _wrong("path", f"a folder; {self._path} is none")
            try:
                # A mark that has gone from a folder we know means that the folder has gone: do not make a new one.
                identity = self._mark() or (self._make_mark() if not self._identity else "")
            except OSError as error:
                if error.errno not in _NOT_WRITABLE:
                    raise
                raise _wrong("path", f"a folder that may be written; {self._path} may not") from error
        if self._identity and identity != self._identity:
            raise MachineUnreachable(f"{self._path} is not the folder that it was.")
        self._identity = identity
        return identity

    def _mark(self) -> str:
        body = _read(self._path / MARK)
        if not body:
            return ""
        try:
            mark = str(UUID(body.decode("ascii").strip()))
        except ValueError as error:
            raise Misconfigured(
                f"{self._path / MARK} is damaged; delete it.", code="driver.setting"
            ) from error
        probe = self._path / f".{uuid4().hex}.part"
        probe.touch()
        probe.unlink()
        return mark

    def _make_mark(self) -> str:
        mark = str(uuid4())
        self._put(MARK, mark.encode() + b"\n")
        return mark

    # --- reading ----------------------------------------------------------------------------------

    def states(self) -> dict[str, wire.State]:
        """Every state file by the name of the file it speaks of."""
        with self._visit() as names:
            bases = [name.removesuffix(wire.STATE) for name in names if name.endswith(wire.STATE)]
            found = (self._state(base) for base in bases)
            return {one.remote_name: one for one in found if one is not None}

    def _state(self, base: str) -> wire.State | None:
        path = self._path / f"{base}{wire.STATE}"
        body = _read(path)
        if body is None:
            return None
        note = wire.parse_note(_read(self._path / f"{base}{wire.NOTE}") or b"")
        return wire.state(body, note.remote_name if note else base, _written_at(path))

    def lying(self, remote_name: str) -> Lying | None:
        """Our file of that name with its note; None where there is no note of it."""
        with self._visit() as names:
            return self._lying(names, remote_name)

    def _lying(self, names: frozenset[str], remote_name: str) -> Lying | None:
        for name in sorted(names):
            if not wire.belongs_to(name, remote_name) or not name.endswith(wire.NOTE):
                continue
            note, base = wire.parse_note(_read(self._path / name) or b""), name.removesuffix(wire.NOTE)
            if note is not None and note.remote_name == remote_name:
                file = f"{base}{wire.token_of(remote_name)[1]}"
                note_at = _written_at(self._path / name)
                return Lying(note=note, note_at=note_at, base=base, there=file in names)
        return None

    # --- writing ----------------------------------------------------------------------------------

    def stage(
        self,
        path: Path,
        remote_name: str,
        ticket: Ticket | None,
        now: datetime,
        printed: bytes | None,
    ) -> int:
        """The file under its name, whole or not at all, and last: what watches the folder finds all that belongs to
        it. What was handed over already stays as it is, also when it was taken. `printed` is the ticket."""
        base, extension = wire.base_name(remote_name, ticket), wire.token_of(remote_name)[1]
        sha256, size = _fingerprint(path)
        with self._visit() as names:
            lying, state = self._lying(names, remote_name), self._state_of(names, remote_name)
            if lying is not None and self._is(lying, sha256, extension):
                return size
            if state is not None and state.works:
                raise Rejected(f"The machine is working on {remote_name}.")
            self._clear(names, remote_name)
            note = wire.note(remote_name, sha256, size, ticket)
            try:
                if printed is not None:
                    self._put(f"{base}{wire.TICKET}", printed)
                self._put(f"{base}{wire.NOTE}", wire.note_bytes(note))
                self._copy(path, f"{base}{extension}", sha256)
                done = replace(note, handed_over=True, staged_at=now.isoformat())
                self._put(f"{base}{wire.NOTE}", wire.note_bytes(done))
            except BaseException:
                with suppress(OSError):
                    self._clear(self._names(), remote_name)
                raise
        return size

    def _state_of(self, names: frozenset[str], remote_name: str) -> wire.State | None:
        for name in names:
            if wire.belongs_to(name, remote_name) and name.endswith(wire.STATE):
                return self._state(name.removesuffix(wire.STATE))
        return None

    def _is(self, lying: Lying, sha256: str, extension: str) -> bool:
        if not lying.note.handed_over or lying.note.sha256 != sha256:
            return False
        return not lying.there or _fingerprint(self._path / f"{lying.base}{extension}")[0] == sha256

    def revoke(self, remote_name: str) -> bool:
        """True where nothing of it is left and nothing shows that anybody took or began it."""
        with self._visit() as names:
            lying, state = self._lying(names, remote_name), self._state_of(names, remote_name)
            over = state is not None and state.ended() is not None
            if state is not None and not over:
                return False  # at work, or nobody can tell
            taken = lying is not None and not lying.there
            if taken and not over:
                return False  # the note stays: it is what shows it
            self._clear(names, remote_name)
            return not taken

    def _clear(self, names: frozenset[str], remote_name: str) -> None:
        """The file first: without it nothing can be begun, whatever else is left."""
        ours = [name for name in names if wire.belongs_to(name, remote_name)]
        for name in sorted(ours, key=lambda name: name.endswith((wire.NOTE, wire.TICKET))):
            (self._path / name).unlink(missing_ok=True)
        _sync_directory(self._path)

    def _copy(self, source: Path, name: str, sha256: str) -> None:
        """Read back before it gets its name."""
        draft = self._path / f".{name}.part"
        try:
            with source.open("rb") as reads, draft.open("wb") as writes:
                shutil.copyfileobj(reads, writes, _BLOCK_BYTES)
                _sync(writes.fileno())
            if _fingerprint(draft)[0] != sha256:
                raise MachineUnreachable("The file did not arrive as it was sent.")
            draft.replace(self._path / name)
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(self._path)

    def _put(self, name: str, body: bytes) -> None:
        draft = self._path / f".{name}.part"
        try:
            with draft.open("wb") as writes:
                writes.write(body)
                _sync(writes.fileno())
            draft.replace(self._path / name)
        finally:
            draft.unlink(missing_ok=True)

    # --- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _visit(self) -> Iterator[frozenset[str]]:
        """The names in the folder, once it is sure to be that folder."""
        with self._translated():
            body = _read(self._path / MARK)
            if body is None or body.decode("ascii", "replace").strip() != self._identity:
                raise MachineUnreachable(f"The folder {self._path} is gone, or is another one.")
            names = self._names()
            if len(names) > ENTRIES_MAX:
                raise MachineUnreachable(f"The folder {self._path} holds more than {ENTRIES_MAX} files.")
            yield names

    def _names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._path.iterdir())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MachineUnreachable(f"The folder {self._path}: {error.strerror or error}.") from error


def _read(path: Path) -> bytes | None:
    """At most COMPANION_BYTES_MAX; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(COMPANION_BYTES_MAX)
    except (FileNotFoundError, IsADirectoryError):
        return None


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _fingerprint(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    """Some network file systems refuse this; the rename is then as safe as they make it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
