"""The columns of tables, by what they hold: each is named like the field it stores and ends in its unit.

Instants are UTC, money is whole cents, ids are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    Uuid,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC. A naive one is refused: nobody can say when it was."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} does not say in which time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BIG = BigInteger().with_variant(Integer, "sqlite")
PLAIN_JSON = JSON(none_as_null=True)


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    return CheckConstraint(is_in(column, values), name=column)


def is_in(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in sorted(values))})"


def an_id(name: str = "id") -> Column[Any]:
    return Column(name, Uuid(), primary_key=True)


def to(name: str, target: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Uuid(), ForeignKey(target), nullable=null, **more)


def words(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text(), nullable=null)


def enum(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, String(32), nullable=null)


def at(name: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Instant(), nullable=null, **more)


def count(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger(), nullable=null)


def flag(name: str) -> Column[Any]:
    return Column(name, Boolean(), nullable=False)


def json_(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, PLAIN_JSON, nullable=null)
