"""`Sampling` refuses what makes no sense, naming the field; `logit_bias` texts find tokens."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from constrain.errors import VocabularyError
from constrain.sampling import Sampler, Sampling
from constrain.sampling.sampler import resolve_bias
from constrain.vocabulary import Vocabulary

VOCABULARY = Vocabulary([b"JSON", b" JSON", b"JS", b"ON", b"x", b"x", b"<end>"], [6])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("typical_p", 0.0),
        ("repeat_penalty", 0.0),
        ("repeat_penalty", math.inf),
        ("frequency_penalty", math.nan),
        ("presence_penalty", math.inf),
        ("penalty_window", -2),
        ("seed", -1),
        ("seed", 2**64),
        ("seed", 1.0),
        ("dynamic_temperature_range", -0.1),
        ("dynamic_temperature_exponent", 0.0),
        ("top_n_sigma", -1.0),
        ("top_n_sigma", math.nan),
        ("xtc_probability", 1.1),
        ("xtc_threshold", 0.0),
        ("mirostat", 3),
        ("mirostat", True),
        ("mirostat_tau", 0.0),
        ("mirostat_eta", 0),
        ("dry_multiplier", -1.0),
        ("dry_base", 0.9),
        ("dry_allowed_length", 0),
        ("dry_window", -2),
        ("dry_breakers", ("",)),
        ("dry_breakers", "abc"),
        ("banned", "word"),
        ("banned", ("a", "")),
        ("banned", ("\ud800",)),
        ("penalize_structure", 1),
        ("order", "top_k"),
        ("order", ("top_k", "heat")),
        ("order", ("top_k", "top_k")),
        ("logit_bias", [1, 2]),
        ("logit_bias", {"": 1.0}),
        ("logit_bias", {1.5: 1.0}),
        ("logit_bias", {1: math.inf}),
        ("logit_bias", {1: math.nan}),
    ],
)
def test_value_out_of_range_is_an_error_that_names_the_field(name: str, value: object) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        Sampling(**wrong)


def test_limits_of_the_ranges_are_taken() -> None:
    Sampling(temperature=0, top_k=0, top_p=1, min_p=1, typical_p=1, penalty_window=-1, seed=0)
    Sampling(top_p=1e-9, logit_bias={0: -math.inf}, seed=2**64 - 1)


def test_order_has_every_step_that_is_on_and_mirostat_last() -> None:
    Sampling(order=("top_k",))
    with pytest.raises(ValueError, match=r"order.*lacks min_p, xtc"):
        Sampling(order=("top_k",), min_p=0.1, xtc_probability=0.5)
    with pytest.raises(ValueError, match=r"order.*mirostat last"):
        Sampling(order=("mirostat", "top_k"))
    chosen = Sampling(order=("min_p", "temperature"), temperature=0.5, min_p=0.1)
    assert chosen.steps == ("min_p", "temperature")


def test_the_default_order_is_the_documented_one() -> None:
    on = Sampling(
        temperature=0.5,
        top_n_sigma=1,
        top_k=1,
        top_p=0.5,
        min_p=0.5,
        typical_p=0.5,
        xtc_probability=0.5,
        mirostat=2,
    )
    assert " ".join(on.steps) == (
        "temperature top_n_sigma top_k top_p min_p typical_p xtc mirostat"
    )
    assert Sampling().steps == ()


def test_settings_compare_hash_and_pickle_by_value() -> None:
    a = Sampling(temperature=0.5, logit_bias={"a": 1.0}, banned=["x"])  # type: ignore[arg-type]  # a list is taken too
    b = Sampling(temperature=0.5, logit_bias={"a": 1.0}, banned=("x",))
    assert a == b
    assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301 - our own bytes
    assert a != Sampling(temperature=0.5)


def test_bias_is_copied() -> None:
    given: dict[int | str, float] = {1: 2.0}
    settings = Sampling(logit_bias=given)
    given[1] = 9.0
    assert settings.logit_bias == {1: 2.0}


def test_text_means_its_token_with_and_without_leading_space() -> None:
    ids, values = resolve_bias(Sampling(logit_bias={"JSON": 10.0, 3: -1.0}), VOCABULARY)
    assert list(zip(ids.tolist(), values.tolist(), strict=True)) == [
        (0, 10.0),
        (1, 10.0),
        (3, -1.0),
    ]


def test_text_means_every_duplicate_of_its_token() -> None:
    assert resolve_bias(Sampling(logit_bias={"x": 1.0}), VOCABULARY)[0].tolist() == [4, 5]


def test_text_with_its_space_means_that_token_alone() -> None:
    assert resolve_bias(Sampling(logit_bias={" JSON": 1.0}), VOCABULARY)[0].tolist() == [1]


@pytest.mark.parametrize("key", ["JSONx", "<end>", 7, -1])
def test_bias_on_no_token_is_an_error(key: int | str) -> None:
    with pytest.raises(VocabularyError, match="logit_bias"):
        Sampler(Sampling(logit_bias={key: 1.0}), VOCABULARY)
