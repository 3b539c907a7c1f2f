"""What the API takes as a number or as yes and no: what its document says, and nothing that could be meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from central.console import assembly  # noqa: F401  # every body is named by a route
from central.console.api_base import In, plain_types
from central.console.routine_api import CardBody
from central.routines.cards import MAX_LINES, InvalidCardError


def bodies(of: type[In] = In) -> Iterator[type[In]]:
    for body in of.__subclasses__():
        yield body
        yield from bodies(body)


def fields(kind: type, *, of_items: bool = False) -> list[Any]:
    return [
        pytest.param(body, name, id=f"{body.__name__}.{name}")
        for body in sorted(set(bodies()), key=lambda body: body.__name__)
        for name, field in body.model_fields.items()
        if plain_types(field.annotation, of_items=of_items) == {kind}
    ]


def faults_of(body: type[In], name: str, value: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        body.model_validate({name: value})
    return [fault["type"] for fault in caught.value.errors() if fault["loc"] == (name,)]


@pytest.mark.parametrize("value", [True, False, "1"])
@pytest.mark.parametrize(("body", "name"), fields(int))
def test_yes_no_and_texts_are_no_numbers(body: type[In], name: str, value: object) -> None:
    assert faults_of(body, name, value) == ["int_type"]


@pytest.mark.parametrize("value", [True, False, "1"])
@pytest.mark.parametrize(("body", "name"), fields(int, of_items=True))
def test_nor_are_they_in_a_list(body: type[In], name: str, value: object) -> None:
    assert faults_of(body, name, [1, value]) == ["int_type"]


@pytest.mark.parametrize("value", [0, 1, 1.0, "true"])
@pytest.mark.parametrize(("body", "name"), fields(bool))
def test_numbers_and_texts_are_neither_yes_nor_no(body: type[In], name: str, value: object) -> None:
    assert faults_of(body, name, value) == ["bool_type"]


def test_a_line_of_a_card_that_is_several_counts_as_several() -> None:
    assert len(CardBody(nb=("a\x85b",) * (MAX_LINES // 2)).text.nb) == MAX_LINES
    with pytest.raises(InvalidCardError, match="too_many_lines"):
        _ = CardBody(nb=("a\x85b",) * (MAX_LINES // 2 + 1)).text
