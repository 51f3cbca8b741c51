"""How our frozen values lie in columns and in JSON, and how they come back.

Driven by the dataclasses' own type hints: a field added with a default reads old rows, and a field that went away
is an error, not a silent loss. Knows types, no table by name.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from orchestrator.domain.event import Json

T = TypeVar("T")
Convert = Callable[[Any], Any]

_PLAIN = (str, int, bool, UUID, datetime)
"""Types that have a column type of their own."""


def to_json(value: object) -> Json:
    """A domain value as plain JSON; enums by value, instants as ISO 8601, sets sorted."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted((to_json(item) for item in value), key=str)
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def from_json(of: Any) -> Convert:
    """The function that makes a value of type `of` from what `to_json` gave."""
    origin, args = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Union or origin is types.UnionType:
        classes = [arg for arg in args if is_dataclass(arg)]
        if len(classes) > 1 and len(classes) == len(args):
            return _one_of(tuple(classes))
        return (
            _as_it_is if len(args) > 2 else _optional(from_json(_only(args)))
        )  # the wide one is Json itself
    if origin is tuple:
        return _many(from_json(args[0])) if args[-1] is Ellipsis else _each(tuple(map(from_json, args)))
    if origin is frozenset:
        item = from_json(args[0])
        return lambda data: frozenset(map(item, data))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = from_json(args[1])
        return lambda data: {key: item(value) for key, value in data.items()}
    return _of_class(of)


def _of_class(of: Any) -> Convert:
    if is_dataclass(of):
        return _dataclass_reader(typing.cast(type[Any], of))
    if of is datetime:
        return datetime.fromisoformat
    if of is date:
        return date.fromisoformat
    if isinstance(of, type) and (issubclass(of, Enum) or of in (UUID, float)):
        return of
    return _as_it_is


def _as_it_is(data: Any) -> Any:
    return data


def _dataclass_reader(of: type[Any]) -> Convert:
    hints = typing.get_type_hints(of)
    readers = {field.name: from_json(hints[field.name]) for field in fields(of)}
    return lambda data: of(**{name: readers[name](value) for name, value in data.items()})


def _one_of(classes: tuple[Any, ...]) -> Convert:
    """The first class that has a field for every key; classes of a union differ in the names of their fields."""
    known = [(frozenset(field.name for field in fields(of)), from_json(of)) for of in classes]

    def read(data: Any) -> Any:
        return next(reader for names, reader in known if names.issuperset(data))(data)

    return read


def _optional(read: Convert) -> Convert:
    return lambda data: None if data is None else read(data)


def _many(read: Convert) -> Convert:
    return lambda data: tuple(map(read, data))


def _each(reads: tuple[Convert, ...]) -> Convert:
    return lambda data: tuple(read(item) for read, item in zip(reads, data, strict=True))


def _only(args: Iterable[Any]) -> Any:
    (only,) = (arg for arg in args if arg is not types.NoneType)
    return only


class Shape(Generic[T]):
    """A dataclass as a row: one column a field, of the field's name; what has no column type of its own is JSON.

    Fields named in `apart` are stored by somebody else and handed to `value` again.
    """

    def __init__(self, of: type[T], *, apart: Iterable[str] = ()) -> None:
        hints = typing.get_type_hints(of)
        left_out = frozenset(apart)
        self._of: Callable[..., T] = of
        self.names = tuple(field.name for field in fields(typing.cast(Any, of)) if field.name not in left_out)
        self._writers = {name: _column_writer(hints[name]) for name in self.names}
        self._readers = tuple((name, _column_reader(hints[name])) for name in self.names)
        self._nothing = {
            field.name: field.default
            for field in fields(typing.cast(Any, of))
            if field.name in left_out and field.default is not MISSING
        }

    def row(self, value: T) -> dict[str, Any]:
        """Column values by name."""
        return {name: write(getattr(value, name)) for name, write in self._writers.items()}

    def changed(self, before: T, after: T) -> dict[str, Any]:
        """The columns in which `after` differs from `before`."""
        return {
            name: self._writers[name](new)
            for name in self.names
            if (new := getattr(after, name)) != getattr(before, name)
        }

    def value(self, row: Sequence[Any], **apart: Any) -> T:
        """The value in the first columns of `row`, which stand in the order of `names`."""
        values = {
            name: cell if read is None else read(cell)
            for (name, read), cell in zip(self._readers, row, strict=False)
        }
        return self._of(**values, **(self._nothing | apart))


def _column_writer(of: Any) -> Convert:
    bare = _bare(of)
    if bare in _PLAIN:
        return lambda value: value
    if isinstance(bare, type) and issubclass(bare, Enum):
        return lambda value: None if value is None else value.value
    return lambda value: None if value is None else to_json(value)


def _column_reader(of: Any) -> Convert | None:
    return None if _bare(of) in _PLAIN else from_json(of)


def _bare(of: Any) -> Any:
    """The type without its `| None`."""
    args = typing.get_args(of)
    if types.NoneType in args and len(args) == 2:
        return _only(args)
    return of
