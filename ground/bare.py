"""Stand-ins for pydantic's words, for a program that holds settings and never reads any.

They check nothing. What they hold was checked by the real ones in another process and came over as a pickle: a model's
state is unpickled into the class of the same name here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

_Function = TypeVar("_Function")
_is_wanted = False


def want() -> None:
    """From now on, modules of settings that are imported get these words. For ever, so only in a program's `main`."""
    global _is_wanted
    _is_wanted = True


def is_wanted() -> bool:
    """Whether a program asked for it."""
    return _is_wanted


class BaseModel:
    """Holds values. What is not given is as the class says."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """What pydantic says of a model that is pickled: values, and which of them were set."""
        self.__dict__.update(state["__dict__"])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]  # as it holds mappings

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.__dict__)})"

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """The same with some values changed."""
        return type(self)(**(self.__dict__ | dict(update or {})))


class _Word:
    """Says something about a field that is of no use here."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __class_getitem__(cls, _: Any) -> Any:
        return Any


AfterValidator = BeforeValidator = IPvAnyAddress = SerializeAsAny = StringConstraints = _Word
ConfigDict = dict


def Field(default: Any = None, **_: Any) -> Any:  # noqa: N802  # pydantic's name
    """Its default, as the attribute of the class."""
    return default


def _validator(*_: Any, **__: Any) -> Callable[[_Function], _Function]:
    return lambda function: function


field_validator = model_validator = _validator
