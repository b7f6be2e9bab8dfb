"""Make a language model write only what a schema, a regular expression or a grammar allows.

Three levels, each built on the next: `load(...).generate(prompt, Type)`; `compile` and
`Matcher`, for any model whose logits you hold; and the stages themselves, which may change.
"""

from constrain.automaton import CompiledGrammar, Matcher, check, compile
from constrain.driver.guidance import Guidance
from constrain.driver.model import Model, load
from constrain.driver.result import Result
from constrain.errors import (
    CalibrationError,
    ConstrainError,
    DecodeError,
    GrammarError,
    LimitError,
    SchemaError,
    TokenRejectedError,
    UnknownPathError,
    UnsatisfiableSchemaError,
    UnsupportedSchemaError,
    VocabularyError,
)
from constrain.grammar.compose import choice, regex, text
from constrain.grammar.ir import Grammar
from constrain.grammar.wishes import Wishes
from constrain.grammar_of import as_grammar, json_schema
from constrain.limits import Limits
from constrain.sampling import Sampler, Sampling
from constrain.vocabulary import Vocabulary

__all__ = [
    "CalibrationError",
    "CompiledGrammar",
    "ConstrainError",
    "DecodeError",
    "Grammar",
    "GrammarError",
    "Guidance",
    "LimitError",
    "Limits",
    "Matcher",
    "Model",
    "Result",
    "Sampler",
    "Sampling",
    "SchemaError",
    "TokenRejectedError",
    "UnknownPathError",
    "UnsatisfiableSchemaError",
    "UnsupportedSchemaError",
    "Vocabulary",
    "VocabularyError",
    "Wishes",
    "as_grammar",
    "check",
    "choice",
    "compile",
    "json_schema",
    "load",
    "regex",
    "text",
]
