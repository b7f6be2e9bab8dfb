"""`Sampling` refuses what makes no sense, naming the field; `logit_bias` texts find tokens."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from constrain.errors import ArgumentError, DecodeError, VocabularyError
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
        ("logit_bias", {1: 1e39}),
        ("logit_bias", {1: -1.1e6}),
        ("logit_bias", {3: 10**400}),
        ("logit_bias", {True: 1.0}),
        ("logit_bias", {1: "1"}),
        ("temperature", 10**400),
        ("temperature", Fraction(10) ** 400),
        ("temperature", 1.1e6),
        ("repeat_penalty", 1001.0),
        ("repeat_penalty", 0.0009),
        ("frequency_penalty", 1e38),
        ("presence_penalty", -1.1e6),
        ("mirostat_tau", 1e300),
        ("mirostat_eta", 1e300),
        ("dry_multiplier", 1e39),
        ("top_k", np.float32(3)),
        ("top_k", np.True_),
        ("top_k", np.array([1, 2])),
        ("temperature", np.array([1.0, 2.0])),
        ("temperature", np.True_),
        ("temperature", None),
        ("seed", np.int64(-1)),
    ],
)
def test_value_out_of_range_is_an_error_that_names_the_field(name: str, value: object) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ArgumentError, match=name) as caught:
        Sampling(**wrong)
    assert isinstance(caught.value, ValueError)
    assert caught.value.name.startswith(name)


def test_numbers_of_other_libraries_become_python_numbers() -> None:
    biased = np.flatnonzero([False, True, True]).astype(np.int32)
    given: dict[str, Any] = {
        "temperature": np.float32(0.75),
        "top_p": Fraction(1, 2),
        "min_p": np.float16(0.5),
        "top_k": np.int64(40),
        "penalty_window": np.int8(-1),
        "seed": np.uint64(2**64 - 1),
        "logit_bias": {token_id: np.float32(1.5) for token_id in biased},
        "logit_bias_at": {"$.a": {np.int64(3): np.float64(-math.inf)}},
    }
    settings = Sampling(**given)
    same = Sampling(
        temperature=0.75,
        top_p=0.5,
        min_p=0.5,
        top_k=40,
        penalty_window=-1,
        seed=2**64 - 1,
        logit_bias={1: 1.5, 2: 1.5},
        logit_bias_at={"$.a": {3: -math.inf}},
    )
    assert settings == same
    assert repr(settings) == repr(same)
    assert {type(key) for key in settings.logit_bias} == {int}
    assert {type(value) for value in settings.logit_bias.values()} == {float}
    seed: Any = np.int64(7)
    assert Sampler(settings, VOCABULARY, seed).seed == 7


def sampled(settings: Sampling, logits: list[float], *seen: int) -> int:
    """The token drawn after some others, all of the vocabulary allowed."""
    sampler = Sampler(settings, VOCABULARY, 1)
    for token_id in seen:
        sampler.accept(token_id)
    row = np.array(logits, np.float32)
    return sampler.sample(row, np.array([2**7 - 1], np.uint32)).token_id


def test_the_greatest_penalties_leave_a_distribution() -> None:
    # Logits of -1e9 times 1 000, less 2^16 times 1e6, are far within float32.
    settings = Sampling(
        temperature=0,
        repeat_penalty=1e3,
        frequency_penalty=1e6,
        presence_penalty=1e6,
        penalty_window=-1,
        logit_bias={0: -1e6},
    )
    seen = [*range(7), *[3] * 2**16]
    # Of equal logits all but the biased 0 and the often seen 3 are still equal.
    assert sampled(settings, [-1e9] * 7, *seen) == 1
    assert sampled(settings, [0.0] * 7, *seen) == 1


def test_a_bias_that_bans_all_is_named_where_the_model_did_not() -> None:
    banned = Sampling(logit_bias=dict.fromkeys(range(7), -math.inf))
    with pytest.raises(DecodeError, match=r"after biases .* logit_bias of -inf never yields"):
        sampled(banned, [0.0] * 7)
    for settings in (banned, Sampling()):
        with pytest.raises(DecodeError, match=r"has a logit of -inf$"):
            sampled(settings, [-math.inf] * 7)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "1"])
def test_a_sampler_refuses_what_is_no_seed(seed: Any) -> None:
    with pytest.raises(ArgumentError, match="seed is"):
        Sampler(Sampling(), VOCABULARY, seed)


def test_a_sampler_refuses_what_is_no_sampling() -> None:
    wrong: Any = {"temperature": 0}
    with pytest.raises(ArgumentError, match=r"settings is .*expected constrain\.Sampling"):
        Sampler(wrong, VOCABULARY)


def test_limits_of_the_ranges_are_taken() -> None:
    Sampling(temperature=0, top_k=0, top_p=1, min_p=1, typical_p=1, penalty_window=-1, seed=0)
    Sampling(top_p=1e-9, logit_bias={0: -math.inf}, seed=2**64 - 1)
    Sampling(temperature=1e6, repeat_penalty=1000, frequency_penalty=-1e6, logit_bias={1: 1e6})
    Sampling(repeat_penalty=0.001, temperature=1e-300)


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
