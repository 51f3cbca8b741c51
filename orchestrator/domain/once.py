"""`@once`: a property that is worked out when first asked for. As functools.cached_property, without the lock that
Python 3.11 takes each time, which costs more than what it guards here: thousands of candidates a decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used as a decorator
    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    @overload
    def __get__(self, owner: None, kind: Any = None) -> once[T]: ...

    @overload
    def __get__(self, owner: object, kind: Any = None) -> T: ...

    def __get__(self, owner: object | None, kind: Any = None) -> once[T] | T:
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._work_out(owner)
        return value
