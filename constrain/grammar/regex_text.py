r"""Regular-expression text to IR: the entry to the pattern dialects.

`parse_ecma` is JSON Schema's `pattern` (found anywhere in the text), `parse_ecma_full` and
`parse_python` are for the whole text. The dialects are described in `regex_ecma` and
`regex_python`, look-arounds in `regex_assertions`. The result holds no zero-width node: it is
an exact regular IR node over Unicode text. Whether anything can match it is not checked here.
"""

from __future__ import annotations

from constrain.grammar.ir import Node
from constrain.grammar.regex_assertions import resolve
from constrain.grammar.regex_ecma import EcmaParser
from constrain.grammar.regex_parser import Parser
from constrain.grammar.regex_python import PYTHON_END, PythonParser
from constrain.grammar.regex_tree import ANY, EMPTY, Begin, End, choice, sequence


def parse_python(pattern: str) -> Node:
    """The node of the texts for which `re.fullmatch(pattern, text)` finds a match.

    Raises:
        GrammarError: malformed, not regular (back-reference, conditional), or a look-around
            too entangled with repetition (`regex_automaton`); with the position.
        LimitError: groups nested deeper than 50.

    Cost: linear in the pattern, 10 to 50 µs for usual ones, when look-arounds are few.

    >>> parse_python("ab?")
    Sequence(parts=(Literal(text='a'), Repeat(part=Literal(text='b'), min=0, max=1)))
    """
    return _whole(PythonParser(pattern))


def parse_ecma(pattern: str) -> Node:
    """The node of the texts in which the ECMA-262 pattern is found anywhere.

    Raises: as `parse_python`.

    >>> parse_ecma("^yes$")
    Literal(text='yes')
    """
    parser = EcmaParser(pattern)
    return _resolved(parser, parser.parse(), ANY)


def parse_ecma_full(pattern: str) -> Node:
    """The node of the texts that the ECMA-262 pattern matches from the start to the end.

    Raises: as `parse_python`.

    >>> parse_ecma_full("yes")
    Literal(text='yes')
    """
    return _whole(EcmaParser(pattern))


def _whole(parser: Parser) -> Node:
    return _resolved(parser, parser.parse(), EMPTY)


def _resolved(parser: Parser, alternatives: list[list[Node]], around: Node) -> Node:
    """The alternatives, with `around` on the sides that are not anchored."""
    # The usual case, `^...$` with nothing zero-width inside, needs no further look.
    n_edges = 0
    cores: dict[tuple[bool, bool], list[Node]] = {}
    for items in alternatives:
        begins = bool(items) and isinstance(items[0], Begin)
        ends = len(items) > begins and _is_end(items[-1], around)
        n_edges += begins + ends
        core = items[begins : len(items) - ends]
        cores.setdefault((begins, ends), []).append(sequence(core))
    if n_edges != parser.assertions:
        unanchored = [sequence([around, *items, around]) for items in alternatives]
        return resolve(unanchored, parser.text)
    return choice(
        [
            sequence([EMPTY if begins else around, choice(nodes), EMPTY if ends else around])
            for (begins, ends), nodes in cores.items()
        ]
    )


def _is_end(node: Node, around: Node) -> bool:
    # Python's `$` also stands before a last newline, but in a full match nothing follows it.
    return isinstance(node, End) or (around == EMPTY and node == PYTHON_END)
