"""The little of WASI that usvg asks for, in memory: arguments, one input, one output, and files that are only read.

There is no file system behind it, no clock and no chance; and, unlike wasmtime's own, no thread, which must not be
started where drawings are read (`slicing.zygote`). Numbers are those of `wasi_snapshot_preview1`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

import wasmtime

_MODULE = "wasi_snapshot_preview1"
_OK, _BAD_FILE, _NO_ENTRY, _NOT_SUPPORTED, _TOO_LARGE = 0, 8, 44, 58, 22
_DIRECTORY, _REGULAR, _CHARACTERS = 3, 4, 2
_IN, _OUT, _SAID, _ROOT = 0, 1, 2, 3
_OPEN_MAX = 64


class Ended(Exception):
    """The program has ended, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ended with {code}")
        self.code = code


class World:
    """What one run of the program finds. `files` are by their absolute names; `written` grows to `written_max`."""

    def __init__(
        self, arguments: Sequence[str], given: bytes, files: Mapping[str, bytes], *, written_max: int
    ) -> None:
        self.written = bytearray()
        self.said = bytearray()
        self._arguments = [argument.encode() + b"\0" for argument in arguments]
        self._files = files
        self._written_max = written_max
        self._reading: dict[int, tuple[bytes, int]] = {_IN: (given, 0)}  # content, and how far it was read
        self._memory: wasmtime.Memory | None = None

    def run(self, engine: wasmtime.Engine, module: wasmtime.Module, store: wasmtime.Store) -> int:
        """The code the program ends with. wasmtime's errors pass."""
        linker = wasmtime.Linker(engine)
        for wanted in module.imports:
            kind = wanted.type
            if wanted.module == _MODULE and isinstance(kind, wasmtime.FuncType):
                linker.define_func(_MODULE, str(wanted.name), kind, self._function(str(wanted.name), store))
        exports = linker.instantiate(store, module).exports(store)
        memory, start = exports["memory"], exports["_start"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(start, wasmtime.Func)
        self._memory = memory
        try:
            start(store)
        except Ended as ended:
            return ended.code
        return 0

    def _function(self, name: str, store: wasmtime.Store) -> Callable[..., int]:
        found: Callable[..., int] = getattr(self, f"_{name}", self._unsupported)
        return lambda *arguments: found(store, *arguments)

    def _unsupported(self, _store: wasmtime.Store, *_: int) -> int:
        return _NOT_SUPPORTED

    # --- memory ---------------------------------------------------------------------------------------

    def _put(self, store: wasmtime.Store, address: int, content: bytes) -> None:
        assert self._memory is not None
        self._memory.write(store, content, address & 0xFFFFFFFF)

    def _get(self, store: wasmtime.Store, address: int, size: int) -> bytes:
        assert self._memory is not None
        first = address & 0xFFFFFFFF
        return bytes(self._memory.read(store, first, first + size))

    def _numbers(self, store: wasmtime.Store, address: int, *values: int) -> None:
        self._put(store, address, struct.pack(f"<{len(values)}I", *values))

    def _pieces(self, store: wasmtime.Store, address: int, count: int) -> list[tuple[int, int]]:
        raw = self._get(store, address, 8 * count)
        return [(where, size) for where, size in struct.iter_unpack("<II", raw)]

    # --- the program's questions ----------------------------------------------------------------------

    def _args_sizes_get(self, store: wasmtime.Store, count: int, size: int) -> int:
        self._numbers(store, count, len(self._arguments))
        self._numbers(store, size, sum(map(len, self._arguments)))
        return _OK

    def _args_get(self, store: wasmtime.Store, pointers: int, content: int) -> int:
        at = content
        for number, argument in enumerate(self._arguments):
            self._numbers(store, pointers + 4 * number, at)
            self._put(store, at, argument)
            at += len(argument)
        return _OK

    def _environ_sizes_get(self, store: wasmtime.Store, count: int, size: int) -> int:
        self._numbers(store, count, 0)
        self._numbers(store, size, 0)
        return _OK

    def _environ_get(self, _store: wasmtime.Store, _pointers: int, _content: int) -> int:
        return _OK

    def _random_get(self, store: wasmtime.Store, address: int, size: int) -> int:
        """The same drawing always comes out the same."""
        self._put(store, address, bytes(size))
        return _OK

    def _proc_exit(self, _store: wasmtime.Store, code: int) -> int:
        raise Ended(code)

    def _fd_prestat_get(self, store: wasmtime.Store, file: int, address: int) -> int:
        if file != _ROOT:
            return _BAD_FILE
        self._numbers(store, address, 0, 1)  # a directory whose name has one letter
        return _OK

    def _fd_prestat_dir_name(self, store: wasmtime.Store, file: int, address: int, _size: int) -> int:
        if file != _ROOT:
            return _BAD_FILE
        self._put(store, address, b"/")
        return _OK

    def _path_open(self, store: wasmtime.Store, directory: int, _flags: int, *more: int) -> int:
        path, length, _how, _rights, _inherited, _modes, answer = more
        name = "/" + self._get(store, path, length).decode("utf-8", "replace").lstrip("/")
        if directory != _ROOT or name not in self._files:
            return _NO_ENTRY
        file = next((one for one in range(_ROOT + 1, _OPEN_MAX) if one not in self._reading), 0)
        if not file:
            return _TOO_LARGE
        self._reading[file] = (self._files[name], 0)
        self._numbers(store, answer, file)
        return _OK

    def _path_filestat_get(self, store: wasmtime.Store, _directory: int, _flags: int, *more: int) -> int:
        path, length, answer = more
        name = "/" + self._get(store, path, length).decode("utf-8", "replace").lstrip("/")
        if name not in self._files:
            return _NO_ENTRY
        self._state(store, answer, _REGULAR, len(self._files[name]))
        return _OK

    def _fd_filestat_get(self, store: wasmtime.Store, file: int, answer: int) -> int:
        if file == _ROOT:
            self._state(store, answer, _DIRECTORY, 0)
        elif file in (_IN, _OUT, _SAID):
            self._state(store, answer, _CHARACTERS, 0)
        elif file in self._reading:
            self._state(store, answer, _REGULAR, len(self._reading[file][0]))
        else:
            return _BAD_FILE
        return _OK

    def _state(self, store: wasmtime.Store, address: int, kind: int, size: int) -> None:
        self._put(store, address, struct.pack("<QQB7xQQQQQ", 0, 0, kind, 1, size, 0, 0, 0))

    def _fd_close(self, _store: wasmtime.Store, file: int) -> int:
        return _OK if self._reading.pop(file, None) is not None else _BAD_FILE

    def _fd_read(self, store: wasmtime.Store, file: int, pieces: int, count: int, answer: int) -> int:
        if file not in self._reading:
            return _BAD_FILE
        content, at = self._reading[file]
        before = at
        for where, size in self._pieces(store, pieces, count):
            piece = content[at : at + size]
            self._put(store, where, piece)
            at += len(piece)
        self._reading[file] = (content, at)
        self._numbers(store, answer, at - before)
        return _OK

    def _fd_write(self, store: wasmtime.Store, file: int, pieces: int, count: int, answer: int) -> int:
        if file not in (_OUT, _SAID):
            return _BAD_FILE
        target, most = (self.written, self._written_max) if file == _OUT else (self.said, 64 * 1024)
        total = 0
        for where, size in self._pieces(store, pieces, count):
            if file == _OUT and len(target) + size > most:
                return _TOO_LARGE
            if len(target) < most:
                target += self._get(store, where, size)
            total += size
        self._numbers(store, answer, total)
        return _OK
