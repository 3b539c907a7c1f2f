"""What every body of the JSON API has in common: nothing that was not named, and nothing that was meant otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class In(BaseModel):
    """What somebody sends: nothing but what is named, and no NUL, which no database but SQLite would store.

    A number is not yes or no, nor the other way round, and a text is neither: taking them would hide a mistake.
    """

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _as_it_was_meant(cls, value: Any, field: ValidationInfo) -> Any:
        annotation: Any = cls.model_fields[field.field_name or ""].annotation
        _refuse_look_alikes(plain_types(annotation), [value])
        if isinstance(value, list | tuple):
            _refuse_look_alikes(plain_types(annotation, of_items=True), value)
        return value.replace("\x00", "") if isinstance(value, str) else value


class Out(BaseModel):
    """What is answered."""

    model_config = ConfigDict(extra="forbid")


def plain_types(annotation: Any, *, of_items: bool = False) -> frozenset[Any]:
    """What a value, or each of its items, may be; None aside. Empty for the items of what has none."""
    kinds = frozenset(_members(annotation))
    if of_items:
        return frozenset(
            kind
            for one in kinds
            if get_origin(one) in {list, tuple, set, frozenset, Sequence}
            for item in get_args(one)
            if item is not Ellipsis
            for kind in _members(item)
        )
    return kinds


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for one in get_args(annotation):
            yield from _members(one)
    elif annotation is not NoneType:
        yield annotation


def _refuse_look_alikes(wanted: frozenset[Any], values: Sequence[Any]) -> None:
    for value in values:
        if wanted == {int} and isinstance(value, bool | str):
            raise PydanticCustomError("int_type", "Input should be a valid integer")
        if wanted == {bool} and isinstance(value, int | float | str) and not isinstance(value, bool):
            raise PydanticCustomError("bool_type", "Input should be a valid boolean")
