"""Logit biases at places of a JSON text; the places are also found from the whole text."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser
from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.cli.inputs import UsageError
from constrain.cli.sampling_arguments import add_sampling, sampling_of
from constrain.driver.cache import SequenceCache
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.loop import Loop
from constrain.driver.proposal import TargetModel
from constrain.driver.sequence import Output, Request
from constrain.errors import ArgumentError, DecodeError, VocabularyError
from constrain.logprobs.json_spans import json_spans
from constrain.logprobs.paths import Keys, is_within, parse_path, parse_pattern
from constrain.sampling import Sampler, Sampling
from constrain.sampling.places import JsonPosition
from constrain.vocabulary import Vocabulary
from tests.toy_model import CONTROL, END, TOKENS, ToyModel, tokenize

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])
Places = dict[str, Mapping[int | str, float]]
JSON = st.recursive(
    st.none() | st.integers(-99, 99) | st.text('a"\\é,:[{', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('ab"\\é', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def place(text: bytes, at: int) -> Keys:
    """Where byte `at` is, from the spans of the values of the whole text.

    The place of a value begins with the mark before it, and ends with it; that of a number or
    word with the mark after it. After an opening bracket is the place of the first
    item, be there one or not.
    """
    before = text[:at].rstrip()
    found: Keys = ()
    for span in json_spans(text):
        begins = len(text[: span.start].rstrip())
        ends = span.end
        if span.kind in {"number", "literal"}:
            ends = len(text) - len(text[span.end :].lstrip()) + 1
        if begins <= at < ends and len(span.keys) >= len(found):
            found = span.keys
        is_open = span.start < len(before) < span.end and span.kind == "array"
        if is_open and before == text[: span.start + 1] and at < span.end:
            found = (*span.keys, 0)
    return found


@settings(deadline=None)
@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_the_place_of_every_byte(value: Any, indent: int | None, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped).encode()
    position = JsonPosition()
    for at in range(len(text)):
        assert position.keys == place(text, at), text[:at]
        position = position.copy() if at % 3 == 0 else position
        position.read(text[at : at + 1])


@settings(deadline=None)
@given(JSON, st.integers(0, 2**32).map(Random))
def test_the_place_does_not_depend_on_how_the_text_is_split(value: Any, chance: Random) -> None:
    text = json.dumps(value).encode()
    whole, split = JsonPosition(), JsonPosition()
    cut = chance.randint(0, len(text))
    whole.read(text[:cut])
    at = 0
    while at < cut:
        size = chance.randint(1, 5)
        split.read(text[at : min(cut, at + size)])
        at += size
    assert whole.keys == split.keys


def test_patterns() -> None:
    assert parse_pattern('$.a[*].*["x y"][0]') == ("a", None, None, "x y", 0)
    assert parse_pattern("$") == ()
    for wrong in ("$.[*]", "$[**]", "a", "$.a*"):
        with pytest.raises(ValueError, match="the path"):
            parse_pattern(wrong)
    with pytest.raises(ValueError, match="fails at"):
        parse_path("$.a[*]")  # only patterns have wildcards
    assert is_within(("a", 1, "b"), ("a", None))
    assert is_within((), ())
    assert not is_within(("a",), ("a", None))
    assert not is_within((0,), ("0",))
    assert not is_within((1, "b"), (0,))


ITEMS = {
    "type": "object",
    "properties": {
        "first": {"enum": ["a", "b", "c"]},
        "rest": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3},
    },
    "required": ["first", "rest"],
    "additionalProperties": False,
}


def written(sampling: Sampling, max_tokens: int = 60) -> Any:
    """What a toy model writes for ITEMS, likeliest tokens first."""
    compiled = constrain.compile(constrain.json_schema(ITEMS, "compact"), VOCABULARY)
    sampler = Sampler(sampling, VOCABULARY, constrained=True)
    request = Request(tokenize(b"Write: "), sampler, max_tokens, compiled.matcher())
    out = Output(request, VOCABULARY, CanonicalTokenizer(tokenize, TOKENS), 256)
    Loop(SequenceCache(ToyModel(), reuse=False), [out]).run()
    return json.loads(out.result().text)


def test_a_bias_holds_at_its_place_alone() -> None:
    for first, rest in (("a", "b"), ("b", "c"), ("c", "a")):
        places: Places = {"$.first": {first: 50.0}, "$.rest[*]": {rest: 50.0}}
        value = written(Sampling(temperature=0, logit_bias_at=places))
        assert value["first"] == first
        assert set(value["rest"]) == {rest}
    one = written(
        Sampling(temperature=0, logit_bias_at={"$.rest": {"a": 99}, "$.rest[1]": {"b": 200}})
    )
    assert one["rest"][:3] == ["a", "b", "a"]


def test_biases_of_several_paths_and_of_the_whole_add_up() -> None:
    a, b = TOKENS.index(b"a"), TOKENS.index(b"b")
    places: Places = {"$": {"a": 0.0625}, "$.x": {"a": 0.125, "b": 0.25}, "$.*[0]": {a: 0.5}}
    sampler = Sampler(Sampling(logit_bias={"a": 1.0}, logit_bias_at=places), VOCABULARY)
    # Tokens a and b alone are allowed; the odds are e^(what is added to a less that of b).
    mask = np.zeros((len(TOKENS) + 31) // 32, np.uint32)
    for token in (a, b):
        mask[token // 32] |= np.uint32(1 << token % 32)
    logits = np.zeros(len(TOKENS), np.float32)

    def log_odds() -> float:
        sample = sampler.sample(logits, mask)
        chance = math.exp(sample.sampling_logprob)
        log_odds = math.log(chance / (1 - chance))
        return log_odds if sample.token_id == a else -log_odds

    everywhere, at_x = 1.0625, 1.0625 + 0.125 - 0.25
    for text, expected in (
        (b"", everywhere),
        (b'{"', everywhere),
        (b'x":', at_x),
        (b"[", at_x + 0.5),
        (b'"a"', at_x),
        (b",", at_x),
    ):
        for token in tokenize(text):
            sampler.accept(token, forced=True)
        assert log_odds() == pytest.approx(expected, abs=1e-5)


def test_a_copy_goes_on_from_the_same_place() -> None:
    a = TOKENS.index(b"a")
    sampler = Sampler(Sampling(logit_bias_at={"$[1]": {"a": -math.inf}}), VOCABULARY)
    mask = np.zeros((len(TOKENS) + 31) // 32, np.uint32)
    mask[a // 32] |= np.uint32(1 << a % 32)
    logits = np.zeros(len(TOKENS), np.float32)
    sampler.accept(TOKENS.index(b"["))
    twin = sampler.copy()
    for token in tokenize(b"1,"):
        sampler.accept(token)
    with pytest.raises(DecodeError, match="-inf"):  # banned there
        sampler.sample(logits, mask)
    assert twin.sample(logits, mask).token_id == a


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([], "logit_bias_at"),
        ({"a": {"x": 1.0}}, r"logit_bias_at: the path 'a' does not begin"),
        ({1: {"x": 1.0}}, "logit_bias_at key"),
        ({"$.a": 1.0}, r"logit_bias_at\['\$\.a'\] is 1\.0; expected a mapping"),
        ({"$.a": {"": 1.0}}, "a text that is not empty"),
        ({"$.a": {"x": math.nan}}, r"\['x'\] is nan"),
    ],
)
def test_wrong_places_are_refused(places: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(logit_bias_at=places)


def test_a_text_without_a_token_is_named_with_its_place() -> None:
    with pytest.raises(VocabularyError, match=r"logit_bias_at\['\$\.a'\]: 'xyz' is no single"):
        Sampler(Sampling(logit_bias_at={"$.a": {"xyz": 1.0}}), VOCABULARY)


def test_faithful_sampling_refuses_them() -> None:
    with pytest.raises(ArgumentError, match="logit_bias_at"):
        TargetModel.of(Sampling(logit_bias_at={"$": {"a": 1.0}}), VOCABULARY)


def test_the_option_of_the_command_line() -> None:
    parser = ArgumentParser()
    add_sampling(parser)
    words = ["--logit-bias-at", "$.a", "x=1", "--logit-bias-at", "$.a", "a=b=-inf"]
    options = parser.parse_args([*words, "--logit-bias-at", "$.b[*]", "y=2.5"])
    assert sampling_of(options).logit_bias_at == {
        "$.a": {"x": 1.0, "a=b": -math.inf},
        "$.b[*]": {"y": 2.5},
    }
    for wrong, message in ((["$.a", "x"], "not TEXT=VALUE"), (["a", "x=1"], "'a' does not")):
        with pytest.raises(UsageError, match=message):
            sampling_of(parser.parse_args(["--logit-bias-at", *wrong]))
