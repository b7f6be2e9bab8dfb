"""Compiled grammars of one model, kept for the next call."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

from constrain.automaton import CompiledGrammar, compile
from constrain.errors import VocabularyError
from constrain.grammar.ir import Grammar
from constrain.grammar_of import as_grammar

if TYPE_CHECKING:
    from constrain.limits import Limits
    from constrain.vocabulary import Vocabulary


class GrammarCache:
    """Compiles what `generate` is given, and remembers what was used last.

    A schema is known by its JSON text, a Python type or JSON text by equality, a `Grammar`
    by identity.

    Args:
        vocabulary: the model's.
        limits: for each compilation.
        capacity: how many compiled grammars to keep.
    """

    def __init__(self, vocabulary: Vocabulary, limits: Limits, capacity: int = 64) -> None:
        self._vocabulary = vocabulary
        self._limits = limits
        self._capacity = capacity
        # The source is kept with its result, so that an id in a key stays its own.
        self._kept: OrderedDict[Hashable, tuple[object, CompiledGrammar]] = OrderedDict()

    def compiled(self, source: object) -> CompiledGrammar:
        """The compiled grammar for a grammar, schema or type (by `as_grammar`).

        Raises:
            SchemaError, GrammarError, LimitError: as compiling does.
            VocabularyError: a `CompiledGrammar` for another vocabulary was given.
        """
        if isinstance(source, CompiledGrammar):
            return self._checked(source)
        key = _key(source)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        made = compile(as_grammar(source), self._vocabulary, self._limits)
        self._kept[key] = (source, made)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return made

    def _checked(self, compiled: CompiledGrammar) -> CompiledGrammar:
        theirs, ours = compiled.vocabulary, self._vocabulary
        if theirs is not ours and (
            tuple(theirs.tokens) != tuple(ours.tokens)
            or set(theirs.end_ids) != set(ours.end_ids)
            or set(theirs.control_ids) != set(ours.control_ids)
        ):
            raise VocabularyError(
                f"the grammar was compiled for another vocabulary ({len(theirs)} tokens; "
                f"the model has {len(ours)}): compile it with model.vocabulary"
            )
        return compiled


def _key(source: object) -> Hashable:
    """What two sources share exactly when they mean the same grammar, as far as is cheap."""
    if isinstance(source, Grammar):
        return ("grammar", id(source))
    if isinstance(source, dict | bool):
        try:
            return ("schema", json.dumps(source))
        except (TypeError, ValueError, RecursionError):
            return ("object", id(source))
    if isinstance(source, str):
        return ("text", source)
    try:
        hash(source)
    except TypeError:  # Annotated[…] with metadata that is not hashable
        return ("object", id(source))
    # The text tells apart what compares equal: Literal[1] and Literal[True].
    return ("type", source, repr(source))
