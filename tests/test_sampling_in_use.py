"""The sampler's settings in the decode loop and on the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields
from typing import TYPE_CHECKING, cast

import pytest

from constrain.cli.inputs import UsageError
from constrain.cli.sampling_arguments import add_sampling, sampling_of
from constrain.driver.cache import SequenceCache
from constrain.driver.forced import CanonicalTokenizer
from constrain.driver.loop import Loop
from constrain.driver.sequence import Output, Request
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary
from tests.toy_model import CONTROL, END, TOKENS, ListMatcher, ToyModel, tokenize

if TYPE_CHECKING:
    from constrain.automaton import Matcher

VOCABULARY = Vocabulary(TOKENS, [END], [CONTROL])


def written(sampling: Sampling, texts: list[str] | None, max_tokens: int = 60) -> str:
    return written_by(
        Sampler(sampling, VOCABULARY, constrained=texts is not None), texts, max_tokens
    )


def written_by(sampler: Sampler, texts: list[str] | None, max_tokens: int = 60) -> str:
    matcher = None if texts is None else cast("Matcher", ListMatcher(texts))
    request = Request(tokenize(b"Write: "), sampler, max_tokens, matcher)
    out = Output(request, VOCABULARY, CanonicalTokenizer(tokenize, TOKENS), 256)
    Loop(SequenceCache(ToyModel(), reuse=False), [out]).run()
    return out.result().text


@pytest.mark.parametrize("seed", range(12))
def test_free_text_never_holds_a_banned_text(seed: int) -> None:
    banned = ("e", "th", "na", '"', "12")
    text = written(Sampling(banned=banned, seed=seed, logit_bias={END: -50.0}), None)
    assert len(text) >= 30
    assert not any(word in text for word in banned)


@pytest.mark.parametrize("seed", range(12))
def test_a_ban_decides_where_the_grammar_leaves_a_choice(seed: int) -> None:
    # "na" is forced. After it, X would complete "aX", and Z is banned by itself.
    texts = ["naX", "naY", "naZ"]
    assert written(Sampling(banned=("aX", "Z"), seed=seed), texts) == "naY"


def test_forced_and_structural_tokens_are_not_counted() -> None:
    # "na" is forced, then X or Y is chosen; then comma or colon, and what is left is forced.
    texts = [f"na{letter}{mark}the" for letter in "XY" for mark in ",:"]
    sampler = Sampler(Sampling(repeat_penalty=1.1, seed=1), VOCABULARY, constrained=True)
    assert written_by(sampler, texts) in texts
    assert [TOKENS[token_id] for token_id in sampler.history] in ([b"X"], [b"Y"])


@pytest.mark.parametrize("seed", range(12))
def test_forced_text_is_written_though_banned(seed: int) -> None:
    assert written(Sampling(banned=("na",), seed=seed), ["naX", "naY"]) in {"naX", "naY"}


@pytest.mark.parametrize("seed", range(6))
def test_a_grammar_gets_its_text_whatever_is_banned_and_penalized(seed: int) -> None:
    texts = ['{"name": "A", "ok": true}', '{"name": "B", "ok": false}']
    sampling = Sampling(
        banned=("A", "B", '"', "true"),
        repeat_penalty=3.0,
        presence_penalty=9.0,
        dry_multiplier=5.0,
        dry_allowed_length=1,
        xtc_probability=1.0,
        mirostat=2,
        typical_p=0.1,
        seed=seed,
    )
    assert written(sampling, texts) in texts


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(mirostat=1, seed=5),
        Sampling(mirostat=2, seed=5),
        Sampling(xtc_probability=0.5, xtc_threshold=0.05, seed=5),
        Sampling(dry_multiplier=1.0, repeat_penalty=1.2, penalty_window=-1, seed=5),
        Sampling(dynamic_temperature_range=0.7, top_n_sigma=2.0, seed=5),
        Sampling(banned=("e",), typical_p=0.9, seed=5),
    ],
)
def test_the_same_seed_writes_the_same_text(sampling: Sampling) -> None:
    assert written(sampling, None) == written(sampling, None)


def test_every_field_of_sampling_is_an_option() -> None:
    parser = ArgumentParser()
    add_sampling(parser)
    options = {action.dest for action in parser._actions}
    assert {item.name for item in fields(Sampling)} <= options


WORDS = """
--dynamic-temperature-range 0.5 --dynamic-temperature-exponent 2 --typical-p 0.9
--top-n-sigma 1.5 --xtc-probability 0.5 --xtc-threshold 0.2 --mirostat 2 --mirostat-tau 4
--mirostat-eta 0.2 --frequency-penalty 0.1 --presence-penalty -0.2 --penalty-window -1
--dry-multiplier 0.8 --dry-base 1.5 --dry-allowed-length 3 --dry-window 100 --dry-breaker ;
--dry-breaker . --penalize-structure --ban cat --ban dog
--sampling-order temperature,typical-p,top-n-sigma,xtc,mirostat
"""


def parsed(words: str) -> Sampling:
    parser = ArgumentParser()
    add_sampling(parser)
    return sampling_of(parser.parse_args(words.split()))


def test_further_options_set_their_fields() -> None:
    assert parsed(WORDS) == Sampling(
        dynamic_temperature_range=0.5,
        dynamic_temperature_exponent=2.0,
        typical_p=0.9,
        top_n_sigma=1.5,
        xtc_probability=0.5,
        xtc_threshold=0.2,
        mirostat=2,
        mirostat_tau=4.0,
        mirostat_eta=0.2,
        frequency_penalty=0.1,
        presence_penalty=-0.2,
        penalty_window=-1,
        dry_multiplier=0.8,
        dry_base=1.5,
        dry_allowed_length=3,
        dry_window=100,
        dry_breakers=(";", "."),
        penalize_structure=True,
        banned=("cat", "dog"),
        order=("temperature", "typical_p", "top_n_sigma", "xtc", "mirostat"),
    )


def test_without_options_all_fields_keep_their_defaults() -> None:
    assert parsed("") == Sampling()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("--mirostat 3", "mirostat"),
        ("--sampling-order top_q", "order"),
        ("--sampling-order top_k --min-p 0.1", "order"),
        ("--xtc-threshold 2", "xtc_threshold"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_the_field(words: str, field: str) -> None:
    with pytest.raises(UsageError, match=field):
        parsed(words)


@pytest.mark.parametrize("given", ["-2", "x", "1.5", "²"])
def test_a_wrong_window_is_told_what_one_may_be(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(f"--penalty-window {given}")
    assert f"{given!r} is no whole number of 0 or more, nor -1 (all)" in capsys.readouterr().err
