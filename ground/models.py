"""The words that settings are written in: pydantic's, where settings are read and checked.

A program that is only given settings which another one has checked asks for `ground.bare` before it imports them. Then
the same classes are plain holders of values, with their methods and properties, and pydantic is not loaded: for a hub
that is a sixth of its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ground import bare

if TYPE_CHECKING or not bare.is_wanted():
    from pydantic import (
        AfterValidator,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        IPvAnyAddress,
        SerializeAsAny,
        StringConstraints,
        field_validator,
        model_validator,
    )
else:
    from ground.bare import (
        AfterValidator,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        IPvAnyAddress,
        SerializeAsAny,
        StringConstraints,
        field_validator,
        model_validator,
    )

__all__ = [
    "AfterValidator",
    "BaseModel",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "IPvAnyAddress",
    "SerializeAsAny",
    "StringConstraints",
    "field_validator",
    "model_validator",
]
