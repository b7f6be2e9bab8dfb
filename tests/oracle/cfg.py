"""The short texts of a context-free grammar, by enumeration.

SLOW ON PURPOSE, FOR TESTS ONLY. The language of a node is built as a set of strings, longer
ones thrown away; rules begin with no text at all and are asked again until no set grows (Kleene
iteration towards the least fixed point). Left recursion, empty rules and ambiguity need no care
here, and nothing is shared with the library but the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from constrain.grammar import ir

Language = frozenset[str]


def texts(grammar: ir.Grammar, letters: str, most: int) -> Language:
    """All texts of the grammar over these letters with at most `most` of them."""
    languages: dict[str, Language] = dict.fromkeys(grammar.rules, frozenset())
    enumeration = _Enumeration(languages, letters, most)
    growing = True
    while growing:
        growing = False
        for name, body in grammar.rules.items():
            found = enumeration.texts_of(body)
            growing |= found != languages[name]
            languages[name] = found
    return enumeration.texts_of(grammar.root)


class _Enumeration:
    """Languages of nodes, the rules' languages being what was found so far."""

    def __init__(self, languages: Mapping[str, Language], letters: str, most: int) -> None:
        self.languages = languages
        self.letters = letters
        self.most = most

    def texts_of(self, node: ir.Node) -> Language:
        """The texts of one node."""
        match node:
            case ir.Rule(name):
                return self.languages[name]
            case ir.Chars(ranges):
                return frozenset(
                    letter
                    for letter in self.letters
                    if any(low <= ord(letter) <= high for low, high in ranges)
                )
            case ir.Literal(text):
                return self._short([text])
            case ir.OneOf(words):
                return self._short(words)
            case ir.Choice(alternatives):
                return frozenset[str]().union(*map(self.texts_of, alternatives))
            case ir.Sequence(parts):
                found = frozenset([""])
                for part in parts:
                    found = self._joined(found, self.texts_of(part))
                return found
            case ir.Intersect((first, *others)):
                return self.texts_of(first).intersection(*map(self.texts_of, others))
            case ir.Repeat(part, least, most):
                return self._repeated(self.texts_of(part), least, most)
            case _:
                raise AssertionError(f"no enumeration of {type(node).__name__}")

    def _short(self, words: list[str] | tuple[str, ...]) -> Language:
        return frozenset(
            word for word in words if len(word) <= self.most and set(word) <= set(self.letters)
        )

    def _joined(self, left: Language, right: Language) -> Language:
        return self._short([first + second for first in left for second in right])

    def _repeated(self, part: Language, least: int, most: int | None) -> Language:
        """Rounds are added while they bring any new text that is short enough."""
        rounds = frozenset([""])
        for _ in range(least):
            rounds = self._joined(rounds, part)
        found = rounds
        n_rounds = least
        while most is None or n_rounds < most:
            rounds = self._joined(rounds, part)
            if rounds <= found:
                break
            found |= rounds
            n_rounds += 1
        return found
