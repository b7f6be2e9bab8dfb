"""Confidence per field: which sampled tokens decided a value, and how sure they were.

**What counts.** A token counts for a value where it decided at least one byte of it: a byte
for which the grammar left a choice (`replay`). So forced tokens count for nothing, and neither
does a sampled token that spelled a part of forced text: it chose a spelling, no content. Only
where forced text ends, its last token was chosen over longer ones that would have decided what
follows (`[` over `["`), and counts for the value of the next byte. A token that reaches over a
value's border counts in full for each value of which it decided a byte: `",` after `Ada` counts
for the string, whose end it chose. A number has no closing character, so the byte after it
counts as its own where another digit could have stood: `4` is only `4`, not `42`, because of
the comma. Keys, which optional members are there and how many items count for the container
and have no figure of their own (but that there is a first item counts for this item too: its
first byte was chosen over the bracket). The root, "$", is the whole text, and its end counts
where it was chosen.

**Layout.** White space between the tokens of a JSON text is no part of any value, "$" included.
Where it is a choice (`whitespace="bounded"` and `"flexible"`) a byte counts as decided only if
something else than white space could have stood there, and white space itself only if it ruled
something out: another digit, another item. A token of nothing but layout counts for nothing.
One that has layout and content (` "B`, where `"B` would have been the same) counts with the
probability of its content: that of all noted alternatives which differ from it in layout alone.
With `top_logprobs=0` nothing is noted, and the share of its layout stays in.

**What is summed.** The masked log-probabilities: the model's own, renormalized over the tokens
that were allowed, at temperature 1, before bias, penalties and truncation. Their sum is the
joint log-probability of the value, spelled with these tokens, given the prompt and the text
before it and, where layout was a choice, the layout that was drawn. A value has other spellings
(other tokens, and other escapes in a string, where the grammar allows them), and a token shared
with a neighbour counts in full, so this is a lower bound of the value's probability.

**Which outputs.** Those of a JSON grammar, and of a text with one JSON text in it, such as
`text(stop="JSON: ") + json_schema(...)`: `json_part` says when that is told for sure. Then "$"
is the whole output, and paths lead into the JSON text. Any other output has "$" alone.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import numpy as np

from constrain.errors import DecodeError, shorten
from constrain.logprobs.json_part import json_part
from constrain.logprobs.json_spans import end_of_value
from constrain.logprobs.layout import SPACE, Layout, beginning, content, meaning
from constrain.logprobs.paths import format_path
from constrain.logprobs.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constrain.grammar.ir import Grammar
    from constrain.logprobs.json_spans import Span
    from constrain.logprobs.measure import Alternative


class ScoredToken(Protocol):
    """What is known about a token of an output; `Step` of the driver is one."""

    @property
    def token_id(self) -> int:
        """The token."""
        ...

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def forced(self) -> bool:
        """Whether the grammar left no choice."""
        ...

    @property
    def masked_logprob(self) -> float:
        """The model's own log-probability, renormalized over the allowed tokens."""
        ...

    @property
    def masked_entropy(self) -> float | None:
        """Entropy of that distribution in nats; None: not measured."""
        ...

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The likeliest tokens of the step."""
        ...


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """What the value could have been instead, had its deciding token been another one.

    Attributes:
        text: the other value's text up to the other token's end, and all that is forced then.
        complete: whether that is the whole value; else it goes on.
        probability: of the other token (of all tokens that lead to this text, if there are
            several among the alternatives), among the allowed ones.
    """

    text: str
    complete: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Field:
    """A value of an output, and how sure the model was of it; see the module about what counts.

    The figures are those of the value as it is spelled: in JSON without its layout, but with
    the escapes in its strings. With guidance the probabilities are the guided ones.

    Attributes:
        path: `$.items[0]["odd key"]`; "$" is the whole text.
        text: the value as it stands in the output.
        start, end: its bytes in the output, half-open.
        is_leaf: whether it holds no other value.
        is_json: whether `text` is JSON.
        logprob: joint log-probability of the value given what precedes; 0: nothing was left
            to decide.
        lowest: the lowest probability of a token that counts; 1 if none does.
        n_tokens: how many tokens count.
        decided_at: index of the deciding token, the one with that lowest probability (the
            first of equals), in `result.steps`; `len(result.steps)` is the end; None if none
            counts.
        entropy: of the deciding step among the allowed tokens, in nats, tokens that differ in
            layout alone told apart; 0 if no token counts; None: not measured
            (`top_logprobs=0`).
        runners_up: what else the value could have been there, the likeliest first; never the
            same value spelled otherwise.
    """

    path: str
    text: str
    start: int
    end: int
    is_leaf: bool
    is_json: bool
    logprob: float
    lowest: float
    n_tokens: int
    decided_at: int | None
    entropy: float | None
    runners_up: tuple[RunnerUp, ...]

    @property
    def confidence(self) -> float:
        """The probability of the value given what precedes, in [0, 1]: `exp(logprob)`."""
        return min(1.0, math.exp(self.logprob))

    @property
    def value(self) -> object:
        """The value, read from its JSON; the text itself if the output is no JSON.

        Raises:
            DecodeError: it is nested too deep for Python's parser.
        """
        if not self.is_json:
            return self.text
        try:
            return json.loads(self.text, parse_int=integer)
        except RecursionError as error:
            raise DecodeError(f"{shorten(self.text)} is nested too deep: {error}") from error


def integer(text: str) -> int:
    """An integer of any length.

    `int` refuses more than 4300 digits, against slow conversion of what strangers send; here
    the token budget bounds the length.
    """
    return int(Decimal(text))


@dataclass(frozen=True, slots=True)
class _Counted:
    """A sampled token that decided something.

    Attributes:
        index: of the step.
        start: its first byte.
        first, last: the first and the last byte that it decided.
        logprob: of its content, among the allowed tokens.
    """

    index: int
    start: int
    first: int
    last: int
    logprob: float


def _comparable(text: bytes, *, is_json: bool, complete: bool) -> str:
    """What two values have in common that are the same, or begin alike if not complete."""
    if not is_json:
        return text.decode("latin-1")
    return meaning(text) if complete else beginning(text).decode("utf-8", "surrogatepass")


class FieldReader:
    """Puts the tokens and the values of one output together.

    Args:
        steps: the tokens of the output.
        end: the end token that was chosen, or None.
        grammar: what the output follows, or None.
        partial: whether the output was cut off: only what is complete in it is a field.

    Cost: linear in the text; tens of microseconds a byte with five alternatives a token.
    """

    def __init__(
        self,
        steps: Sequence[ScoredToken],
        end: ScoredToken | None,
        grammar: Grammar | None,
        *,
        partial: bool = False,
    ) -> None:
        self._steps = [*steps, *([] if end is None else [end])]
        self._ends = end is not None
        self._data = b"".join(step.data for step in steps)
        self._is_json = grammar is not None and grammar.kind == "json"
        self._json = json_part(grammar, self._data, partial=partial)
        place = (0, 0) if self._json is None else (self._json.start, self._json.end)
        self._layout = Layout(self._data, *place)
        self._replay = Replay(grammar, self._data)
        self._layout_choices = self._replay.layout_choices(self._layout)
        self._decided = np.flatnonzero(self._replay.decided(self._layout))
        self._tokens = self._counted()

    def fields(self) -> tuple[Field, ...]:
        """All values in the order in which they begin, containers before what they hold."""
        spans = () if self._json is None else self._json.spans
        if not self._is_json:
            inner = [self._field(span) for span in spans if span.keys]
            return (self._root(is_leaf=not inner), *inner)
        return tuple(self._field(span) for span in spans)

    def _counted(self) -> list[_Counted]:
        found = []
        start = 0
        for index, step in enumerate(self._steps):
            is_end = self._ends and index == len(self._steps) - 1
            end = start + (1 if is_end else len(step.data))
            low, high, after = np.searchsorted(self._decided, [start, end, end + 1])
            is_layout = (
                self._layout.white[start:end].all() and self._layout_choices[start:end].any()
            )
            if low == high and end > start and not is_end and not is_layout:
                high = after  # forced text; it counts for the next byte, if that is open
            if not step.forced and low < high:
                first, last = int(self._decided[low]), int(self._decided[high - 1])
                logprob = self._content_logprob(step, start, ends=is_end)
                found.append(_Counted(index, start, first, last, logprob))
            start = end
        return found

    def _content_logprob(self, step: ScoredToken, start: int, *, ends: bool) -> float:
        """Of the step's token, and of those that differ from it in layout alone."""
        if not self._layout_choices[start : start + (0 if ends else len(step.data)) + 1].any():
            return step.masked_logprob  # tokens part in layout only where it is a choice
        own = self._layout.effect(start, step.data, ends=ends)
        if own is None:
            return step.masked_logprob
        same = [
            other.masked_logprob
            for other in step.alternatives
            if other.masked_logprob is not None
            and other.token_id != step.token_id
            and self._layout.effect(start, other.data, ends=other.ends) == own
        ]
        if not same:
            return step.masked_logprob
        top = max(step.masked_logprob, *same)
        terms = [math.exp(logprob - top) for logprob in (step.masked_logprob, *same)]
        return min(0.0, top + math.log(math.fsum(terms)))

    def _field(self, span: Span) -> Field:
        if not span.keys:
            return self._root(is_leaf=span.kind not in ("object", "array"))
        end = span.end
        if span.kind == "number" and self._replay.number_goes_on(end):
            end += 1
        return self._made(
            format_path(span.keys),
            (span.start, span.end),
            self._between(span.start, end),
            is_leaf=span.kind not in ("object", "array"),
        )

    def _root(self, *, is_leaf: bool) -> Field:
        return self._made("$", (0, len(self._data)), self._tokens, is_leaf=is_leaf)

    def _between(self, start: int, end: int) -> list[_Counted]:
        """The tokens that decided a byte in the half-open range."""
        low = bisect_left(self._tokens, start, key=lambda token: token.last)
        high = bisect_right(self._tokens, end - 1, key=lambda token: token.first)
        near = self._tokens[low:high]
        return [t for t in near if self._decides(t, start, end)]

    def _decides(self, token: _Counted, start: int, end: int) -> bool:
        at = int(np.searchsorted(self._decided, max(start, token.first)))
        return at < len(self._decided) and self._decided[at] <= min(end - 1, token.last)

    def _made(
        self, path: str, place: tuple[int, int], tokens: list[_Counted], *, is_leaf: bool
    ) -> Field:
        start, end = place
        is_json = self._is_json or path != "$"
        deciding = min(tokens, key=lambda token: token.logprob, default=None)
        step = None if deciding is None else self._steps[deciding.index]
        return Field(
            path=path,
            text=self._data[start:end].decode("utf-8", "replace"),
            start=start,
            end=end,
            is_leaf=is_leaf,
            is_json=is_json,
            logprob=math.fsum(token.logprob for token in tokens),
            lowest=1.0 if deciding is None else min(1.0, math.exp(deciding.logprob)),
            n_tokens=len(tokens),
            decided_at=None if deciding is None else deciding.index,
            entropy=0.0 if step is None else step.masked_entropy,
            runners_up=()
            if deciding is None
            else self._runners_up(deciding, self._data[start:end], start, is_json=is_json),
        )

    def _runners_up(
        self, deciding: _Counted, own: bytes, start: int, *, is_json: bool
    ) -> tuple[RunnerUp, ...]:
        mine: dict[bool, str] = {}
        found: dict[tuple[str, bool], RunnerUp] = {}
        for alternative in self._steps[deciding.index].alternatives:
            if alternative.masked_logprob is None:
                continue
            other = self._other_value(alternative, deciding.start, start, is_json=is_json)
            if other is None:
                continue
            text, complete = other
            what = _comparable(text, is_json=is_json, complete=complete)
            if complete not in mine:
                mine[complete] = _comparable(own, is_json=is_json, complete=complete)
            if what == mine[True] if complete else mine[False].startswith(what):
                continue
            probability = math.exp(alternative.masked_logprob)
            same = found.get((what, complete))
            if same is None:
                shown = text.decode("utf-8", "replace")
                found[what, complete] = RunnerUp(shown, complete, min(1.0, probability))
            else:
                total = min(1.0, same.probability + probability)
                found[what, complete] = RunnerUp(same.text, complete, total)
        return tuple(sorted(found.values(), key=lambda r: (-r.probability, r.text)))

    def _other_value(
        self, alternative: Alternative, at: int, start: int, *, is_json: bool
    ) -> tuple[bytes, bool] | None:
        """The value's text with another token at byte `at`, and whether it is whole.

        None if that token says nothing about the value: it changes what stands before it,
        does not reach it, or puts no value there.
        """
        if alternative.ends:
            return self._data[start:at], True
        if not alternative.data:
            return None
        rest, number_ends = self._replay.continued(at, alternative.data)
        if not rest:
            return None
        if not is_json:
            return self._data[start:at] + rest, self._replay.ends_at(at, rest)
        value = self._from_start(rest, at, start)
        if not value:
            return None
        try:
            size = end_of_value(value)
        except ValueError:  # no value at all: the end of an array instead of its first item
            return None
        if size is not None:
            return value[:size], True
        is_number = value[-1:].isdigit() and value[:1] not in (b'"', b"{", b"[")
        return value, is_number and number_ends

    def _from_start(self, rest: bytes, at: int, start: int) -> bytes | None:
        """What stands at byte `start` if `rest` stands at byte `at`; None: it is elsewhere.

        Where `rest` is laid out otherwise before the value, it is given without its layout.
        """
        if at >= start:
            return (self._data[start:at] + rest).lstrip(SPACE)
        before = self._data[at:start]
        if rest.startswith(before):
            return rest[len(before) :].lstrip(SPACE)
        if self._json is None or at < self._json.start:
            return None
        lead = self._layout.lead(at)
        wanted, found = content(before, lead), content(rest, lead)
        return found[len(wanted) :] if found.startswith(wanted) else None
