"""What a generation gives back: the value, the text, and what is known about each token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from constrain.errors import DecodeError, UnknownPathError, shorten
from constrain.logprobs.fields import FieldReader, integer
from constrain.logprobs.paths import format_path, parse_path

if TYPE_CHECKING:
    from constrain.driver.particles import Faithful
    from constrain.grammar.ir import Grammar
    from constrain.logprobs import Alternative, Field

FinishReason = Literal["stop", "length", "context", "cancelled"]


@dataclass(frozen=True, slots=True)
class Step:
    """One token of an output.

    The model's own distribution is the softmax of its logits, before biases, penalties and
    temperature. With guidance all figures are those of the guided logits instead, which two
    prompts make together. They are right to about 1e-6; where alternatives are measured, step
    and alternatives agree exactly.

    Attributes:
        token_id: the token.
        data: its bytes.
        forced: True when the grammar left no choice: the token was not sampled, and the
            model's opinion of it was not asked for.
        logprob: natural log-probability in the model's own distribution; None if forced.
        masked_logprob: the same, renormalized over the allowed tokens; 0 if forced.
        sampling_logprob: the same in the distribution it was drawn from (after temperature,
            truncation, biases and penalties); 0 if forced.
        removed_mass: probability of all tokens that were not allowed in the model's own
            distribution, in [0, 1]; None if forced.
        n_allowed: how many tokens were allowed; 1 if forced.
        entropy: of the model's own distribution, in nats; None if forced or not measured.
        masked_entropy: the same among the allowed tokens; 0 if forced, None if not measured.
        alternatives: the likeliest allowed and forbidden tokens of the step, `top_logprobs` of
            each, the likeliest first (see `constrain.logprobs.Measurement`).
    """

    token_id: int
    data: bytes
    forced: bool
    logprob: float | None
    masked_logprob: float
    sampling_logprob: float
    removed_mass: float | None
    n_allowed: int
    entropy: float | None = None
    masked_entropy: float | None = None
    alternatives: tuple[Alternative, ...] = ()

    @classmethod
    def of_forced(cls, token_id: int, data: bytes) -> Step:
        """A token that the grammar left no choice about."""
        return cls(token_id, data, True, None, 0.0, 0.0, None, 1, masked_entropy=0.0)


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time went, in seconds.

    In `generate_many` the time of a shared model call counts for every sequence in it.

    Attributes:
        prompt_s: model calls that read the prompt.
        decode_s: all other model calls.
        mask_s: the grammar: masks, biases, accepting tokens, forced text, the budget.
        sample_s: from logits to a token.
        measure_s: entropies and alternatives of each step.
        total_s: everything from the first model call's preparation to the end.
    """

    prompt_s: float = 0.0
    decode_s: float = 0.0
    mask_s: float = 0.0
    sample_s: float = 0.0
    measure_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """One finished output.

    Attributes:
        text: the output; U+FFFD stands for bytes that are no UTF-8 (never under a grammar).
        finish_reason: "stop": complete (the model ended it, a stop string was met, or the
            grammar allows nothing more); "length", "context": the budget, or the context,
            ran out (only without a grammar); "cancelled": stopped from outside, partial.
        steps: one entry for each token of the output, the end token not included.
        end: the end token that the model chose, or None.
        shortened: True when the token budget decided against a token the sampler wanted.
        prompt_tokens: how many tokens the prompt had.
        n_model_calls: evaluations of the network (a long prompt takes several).
        timings: seconds spent.
        grammar: what the output follows, or None.
        faithful: weights and estimates of faithful sampling, or None.
    """

    text: str
    finish_reason: FinishReason
    steps: tuple[Step, ...] = field(repr=False)
    end: Step | None = field(repr=False)
    shortened: bool
    prompt_tokens: int
    n_model_calls: int
    timings: Timings
    grammar: Grammar | None = field(default=None, repr=False)
    faithful: Faithful | None = field(default=None, repr=False)

    @cached_property
    def value(self) -> object:
        """What the text stands for.

        An instance of the Python type the grammar was made from, else the parsed JSON of a
        JSON grammar, else the text. None when `finish_reason` is "cancelled".

        Raises:
            DecodeError: the text cannot be turned into the Python type, because the type
                asks for something a JSON Schema cannot say (a validator function), or it is
                nested too deep for Python's parser. `text` is still there.
        """
        if self.finish_reason == "cancelled":
            return None
        grammar = self.grammar
        if grammar is None or (grammar.target is None and grammar.kind == "text"):
            return self.text
        try:
            if grammar.target is not None:
                from constrain.grammar.python_types import from_json, to_schema

                return from_json(to_schema(grammar.target).adapter, self.text)
            return json.loads(self.text, parse_int=integer)
        except (ValueError, RecursionError) as error:
            raise DecodeError(
                f"the output {shorten(self.text)} follows the schema but is no value of the "
                f"type it was made from: {error}"
            ) from error

    @property
    def tokens(self) -> tuple[int, ...]:
        """Token ids of the output, the end token not included."""
        return tuple(step.token_id for step in self.steps)

    @property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes of each token."""
        return tuple(step.data for step in self.steps)

    @property
    def logprobs(self) -> tuple[float | None, ...]:
        """The model's own log-probability of each token; None where it was forced."""
        return tuple(step.logprob for step in self.steps)

    @property
    def masked_logprobs(self) -> tuple[float, ...]:
        """Log-probability among the allowed tokens; 0 where the token was forced."""
        return tuple(step.masked_logprob for step in self.steps)

    @property
    def removed_mass(self) -> tuple[float | None, ...]:
        """Probability that the mask took away at each token; None where it was forced."""
        return tuple(step.removed_mass for step in self.steps)

    @property
    def forced(self) -> tuple[bool, ...]:
        """For each token, whether the grammar left no choice."""
        return tuple(step.forced for step in self.steps)

    def fields(self) -> tuple[Field, ...]:
        """What is known about each value of the output, in the order in which they begin.

        For a JSON grammar every value, containers included, before what they hold. For a text
        with one JSON text in it, `text(stop="JSON: ") + json_schema(...)`, "$", the whole
        output, and the values inside the JSON text, if the grammar tells for sure where that
        begins (after a stop string, a choice or a fixed text, say; not after text that could
        end anywhere). Else one field, "$", the whole text. Of a cancelled output only the
        values that are complete. `constrain.logprobs.fields` says what counts for a value.

        Raises:
            LimitError: the grammar costs more than `Limits()` when compiled for bytes.
        """
        return self._fields

    def field(self, path: str) -> Field:
        """The value at a path: `$.items[0].price`, `$["odd key"]`; "$" is the whole output.

        Raises:
            UnknownPathError: there is none; names paths that are spelled alike.
        """
        try:
            wanted = format_path(parse_path(path))
        except ValueError as error:
            raise UnknownPathError(path, str(error), self._near(path)) from None
        found = self._by_path.get(wanted)
        if found is None:
            partial = " (it was cancelled)" if self.finish_reason == "cancelled" else ""
            reason = f"the output{partial} has no value at {shorten(path)}"
            if self.grammar is None or (self.grammar.kind == "text" and len(self._fields) == 1):
                reason += ": it is a text without one JSON object or array of certain place"
            raise UnknownPathError(path, reason, self._near(wanted))
        return found

    def confidence(self, path: str = "$") -> float:
        """The model's probability of the value at a path given what precedes, in [0, 1].

        1 where the grammar left nothing to decide but layout. `field(path)` tells more.

        Raises:
            UnknownPathError: as `field`.
        """
        return self.field(path).confidence

    def html_report(self, title: str = "constrain") -> str:
        """A self-contained HTML page: the text coloured by probability, tokens and fields."""
        from constrain.logprobs.html_report import html_report

        facts = {
            "finished": self.finish_reason,
            "tokens": f"{len(self.steps)}, {sum(self.forced)} of them forced",
            "prompt": f"{self.prompt_tokens} tokens",
            "model calls": str(self.n_model_calls),
            "seconds": f"{self.timings.total_s:.2f}",
        }
        return html_report(title, facts, self.steps, self.end, self.fields())

    @cached_property
    def _fields(self) -> tuple[Field, ...]:
        partial = self.finish_reason == "cancelled"
        reader = FieldReader(self.steps, self.end, self.grammar, partial=partial)
        found = reader.fields()
        if self.grammar is None:  # a stop string is in the tokens, but not in the text
            return tuple(replace(f, text=self.text) for f in found)
        return found

    @cached_property
    def _by_path(self) -> dict[str, Field]:
        return {f.path: f for f in self._fields}

    def _near(self, path: str) -> tuple[str, ...]:
        paths = list(self._by_path)
        return tuple(get_close_matches(path, paths, n=3, cutoff=0.5) or paths[:3])
