"""Random walks over real vocabularies: sound, complete, no dead end, always in time.

`--walks 10000` makes the run of record.
"""

from __future__ import annotations

import functools
import json
import random
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import constrain
from tests.real_vocabularies import NAMES, real_vocabulary
from tests.schema_strategies import WALKED, json_values, schema_cases, schemas_with_instances

FORMS: list[dict[str, Any]] = [
    {"whitespace": "bounded", "property_order": "schema", "escapes": "minimal"},
    {"whitespace": "flexible", "property_order": "any", "escapes": "any"},
    {"whitespace": "compact", "property_order": "schema", "escapes": "any"},
    {"whitespace": "spaced", "property_order": "any", "escapes": "minimal"},
]
STRUCTURE = frozenset(b'{}[]",:\n 0123456789')


@functools.cache
def vocabulary(name: str) -> constrain.Vocabulary:
    found = real_vocabulary(name)
    if found is None:
        pytest.skip(f"the vocabulary of {name} is not on this machine")
    return found


@functools.cache
def structural_ids(name: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Tokens of punctuation, digits and white space: they make walks go somewhere."""
    tokens = vocabulary(name).tokens
    return np.array([i for i, t in enumerate(tokens) if t and STRUCTURE.issuperset(t)])


def allowed_ids(
    matcher: constrain.Matcher, n_left: int, words: np.ndarray[tuple[int], np.dtype[np.uint32]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The allowed tokens as bools; near the end only those that finish in time.

    Args:
        matcher: where the walk is.
        n_left: text tokens that may still come.
        words: room for the mask.
    """
    if n_left > 3 * matcher.min_tokens + 10:
        matcher.fill_mask(words)
    else:
        matcher.fill_mask_within(words, n_left - 1)
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)


def walk(name: str, compiled: constrain.CompiledGrammar, chance: random.Random) -> bytes:
    """A random text of the grammar, at most a few dozen tokens over its shortest."""
    tokens = vocabulary(name).tokens
    end_ids = vocabulary(name).end_ids
    structural = structural_ids(name)
    matcher = compiled.matcher()
    words = np.zeros((vocabulary(name).n_vocab + 31) // 32, dtype=np.uint32)
    n_left = matcher.min_tokens + chance.randint(0, 40)
    text = b""
    while n_left:
        allowed = allowed_ids(matcher, n_left, words)
        assert allowed.any(), f"dead end after {text!r}"
        some = structural[allowed[structural]] if chance.random() < 0.6 else ()
        ids = some if len(some) else np.flatnonzero(allowed)
        token_id = int(ids[chance.randrange(len(ids))])
        assert matcher.is_accepting == any(bool(allowed[i]) for i in end_ids)
        if token_id in end_ids:
            break
        if matcher.min_tokens_after(token_id) >= n_left:
            continue  # only where the mask was the plain one
        matcher.accept(token_id)
        text += tokens[token_id]
        n_left -= 1
    assert matcher.is_accepting, f"out of budget after {text!r}"
    return text


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    assert len(found) == len(members), members
    return found


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schema_name", WALKED)
def test_every_walk_ends_in_a_valid_text(name: str, schema_name: str, n_walks: int) -> None:
    schema: Any = WALKED[schema_name]
    validator = jsonschema.Draft202012Validator(schema)
    compiled = [
        constrain.compile(constrain.json_schema(schema, **form), vocabulary(name))
        for form in FORMS
    ]
    share = -(-n_walks // len(WALKED))
    for number in range(share):
        text = walk(name, compiled[number % len(FORMS)], random.Random(number))
        value = json.loads(text, object_pairs_hook=_unique)
        assert validator.is_valid(value), text


@functools.cache
def longest_first(name: str) -> dict[bytes, int]:
    """Ids of the text tokens by their bytes."""
    found = vocabulary(name)
    special = found.control_ids | found.end_ids
    return {token: i for i, token in enumerate(found.tokens) if token and i not in special}


def split(name: str, text: bytes, chance: random.Random) -> list[int]:
    """Token ids of a text, cut at random into pieces of up to eight bytes."""
    ids = longest_first(name)
    found, start = [], 0
    while start < len(text):
        pieces = [n for n in range(1, 9) if text[start : start + n] in ids]
        n_bytes = min(chance.choice(pieces), len(text) - start)
        found.append(ids[text[start : start + n_bytes]])
        start += n_bytes
    return found


def written(value: Any, form: dict[str, Any]) -> str:
    """A value's text in a form."""
    if form["whitespace"] == "compact":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if form["whitespace"] == "spaced":
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=form["escapes"] == "any", indent=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schemas_with_instances(), st.sampled_from(FORMS), st.integers(0, 2**32))
def test_every_valid_instance_is_allowed_token_by_token(
    pair: tuple[Any, Any], form: dict[str, Any], seed: int
) -> None:
    schema, value = pair
    grammar = constrain.json_schema(schema, **form)
    matcher = constrain.compile(grammar, vocabulary("smollm2")).matcher()
    text = written(value, form).encode()
    for token_id in split("smollm2", text, random.Random(seed)):
        assert matcher.mask()[token_id], text
        matcher.accept(token_id)
    assert matcher.is_accepting, text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema_cases(), json_values(), st.data())
def test_check_says_what_jsonschema_says(
    case: tuple[Any, Any], other: Any, data: st.DataObject
) -> None:
    schema, values = case
    grammar = constrain.json_schema(schema, "flexible", property_order="any", escapes="any")
    validator = jsonschema.Draft202012Validator(schema)
    valid = data.draw(values)
    assume(validator.is_valid(valid))
    constrain.check(grammar, json.dumps(valid))
    if validator.is_valid(other):
        constrain.check(grammar, json.dumps(other))
    else:
        with pytest.raises(constrain.TokenRejectedError):
            constrain.check(grammar, json.dumps(other))
