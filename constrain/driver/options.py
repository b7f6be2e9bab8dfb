"""The options of `generate`, `stream` and `generate_many`, checked before any model call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from constrain.arguments import require, unfit
from constrain.driver.guidance import Guidance
from constrain.errors import ArgumentError, GrammarError, shorten
from constrain.grammar.json_places import reached
from constrain.logprobs.paths import format_step, parse_pattern
from constrain.sampling import Sampling

if TYPE_CHECKING:
    from constrain.automaton import CompiledGrammar
    from constrain.driver.prompts import Prompt

_N_SEEDS = 2**64


def checked_sampling(sampling: Sampling | None) -> Sampling:
    """The settings; the default ones for None.

    Raises:
        ArgumentError: it is something else.
    """
    if sampling is None:
        return Sampling()
    require(isinstance(sampling, Sampling), "sampling", sampling, "constrain.Sampling(...)")
    return sampling


def checked_guidance(guidance: Guidance | None) -> Guidance | None:
    """The guidance, if it is one or None.

    Raises:
        ArgumentError: it is something else.
    """
    is_guidance = guidance is None or isinstance(guidance, Guidance)
    require(is_guidance, "guidance", guidance, "constrain.Guidance(...) or None")
    return guidance


def checked_stops(stop: object, grammar: object) -> tuple[str, ...]:
    """The stop strings.

    Raises:
        ArgumentError: one is empty or no text.
        GrammarError: there is one beside a grammar.
    """
    expected = "a text or several, none empty"
    if not isinstance(stop, Iterable):
        raise unfit("stop", stop, expected)
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    require(all(isinstance(text, str) and text for text in stops), "stop", stop, expected)
    if stops and grammar is not None:
        raise GrammarError(
            "a stop string would cut the grammar's text short: make it part of the grammar "
            "with constrain.text(stop=…), or leave the grammar out"
        )
    return stops


def check_places(sampling: Sampling, compiled: CompiledGrammar | None) -> None:
    """Biases at places of a JSON text need one, and it must have them.

    Raises:
        GrammarError: there are some, and no grammar of JSON.
        ArgumentError: no text of the grammar has a value at such a place.
    """
    if not sampling.logit_bias_at:
        return
    if compiled is None or compiled.grammar.kind != "json":
        raise GrammarError(
            "logit_bias_at names places of a JSON text: it needs a schema, a type, or a "
            "grammar made of one"
        )
    for path in sampling.logit_bias_at:
        pattern = parse_pattern(path)
        n_reached, names = reached(compiled.grammar, pattern)
        if n_reached == len(pattern):
            continue
        message = f"logit_bias_at: no text of the grammar has a value at {shorten(path)}"
        key = pattern[n_reached]
        near = get_close_matches(key, names, n=3, cutoff=0.5) if isinstance(key, str) else []
        hint = ", ".join(map(format_step, near or names[:3]))
        message += f"; there is {hint}" if hint else ""
        raise ArgumentError(message, name="logit_bias_at", value=path)


def check_faithful(grammar: object, guidance: object, stop: object) -> None:
    """Faithful sampling needs a condition, and the model's own distribution.

    Raises:
        ArgumentError: there is no grammar, or there is guidance or a stop string.
    """
    if grammar is None or guidance is not None or stop:
        raise ArgumentError(
            "faithful needs a grammar, and no stop nor guidance", name="faithful"
        )


def several_prompts(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts, if there are several and not one.

    Raises:
        ArgumentError: it is a single text, or nothing that holds prompts.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Iterable):
        raise unfit("prompts", prompts, "a list of prompts")
    return tuple(prompts)


def sampling_of_each(
    sampling: Sampling | Sequence[Sampling] | None, n: int
) -> tuple[Sampling, ...]:
    """One setting for each of n outputs: the seeds count on from the first one.

    After the greatest seed comes 0.

    Raises:
        ArgumentError: they are not as many, or something else.
    """
    if sampling is None or isinstance(sampling, Sampling):
        first = sampling or Sampling()
        if first.seed is None:
            return (first,) * n
        return tuple(replace(first, seed=(first.seed + i) % _N_SEEDS) for i in range(n))
    if not isinstance(sampling, Sequence):
        raise unfit("sampling", sampling, "constrain.Sampling(...), or one for each prompt")
    if len(sampling) != n:
        message = f"{len(sampling)} samplings for {n} prompts; give one for each"
        raise ArgumentError(message, name="sampling", value=sampling)
    return tuple(checked_sampling(each) for each in sampling)
