"""Sets of Python types: which of them JSON texts without equal items stand for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pydantic
import pytest

import constrain
from constrain.errors import TokenRejectedError, UnsupportedSchemaError


@pytest.mark.parametrize("members", [bool | int, dt.datetime, float, Decimal])
def test_a_least_number_of_members_needs_texts_that_tell_them_apart(members: Any) -> None:
    constrain.json_schema(pydantic.conset(members, min_length=1))
    with pytest.raises(UnsupportedSchemaError, match="may be equal") as caught:
        constrain.json_schema(pydantic.conset(members, min_length=2))
    assert caught.value.keyword == "minItems"


@pytest.mark.parametrize("of", [set[int], frozenset[int], pydantic.conset(int, min_length=2)])
def test_a_set_comes_back_with_as_many_members_as_its_text(of: Any) -> None:
    grammar = constrain.json_schema(of)
    constrain.check(grammar, "[3, 1, 2]")
    assert pydantic.TypeAdapter(of).validate_json("[3, 1, 2]") == {1, 2, 3}
    with pytest.raises(TokenRejectedError):
        constrain.check(grammar, "[3, 1, 3]")
