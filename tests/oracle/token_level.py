"""Which tokens may come next, from the definition of viable beginnings.

SLOW ON PURPOSE, FOR TESTS ONLY. No trie and no memory: every token is tried by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from constrain.grammar import ir
from tests.oracle.json_text import accepts, viable


def alphabet_of(tokens: Sequence[bytes], control_ids: Collection[int] = ()) -> frozenset[int]:
    """The bytes that text tokens are made of."""
    return frozenset(b for i, token in enumerate(tokens) if i not in control_ids for b in token)


def is_closed(tokens: Sequence[bytes], control_ids: Collection[int] = ()) -> bool:
    """Whether every byte that occurs in a text token is itself a text token."""
    single = {t for i, t in enumerate(tokens) if i not in control_ids and len(t) == 1}
    return all(bytes([byte]) in single for byte in alphabet_of(tokens, control_ids))


def allowed_tokens(
    grammar: ir.Grammar,
    tokens: Sequence[bytes],
    prefix: bytes,
    end_ids: Collection[int],
    control_ids: Collection[int] = (),
) -> list[bool]:
    """For each token whether it may follow `prefix`.

    End tokens may exactly when `prefix` is a whole text; other control tokens and empty tokens
    never; any other token when some text of the grammar begins with `prefix` and the token,
    and goes on in bytes that this vocabulary has.

    Raises:
        ValueError: a byte occurs in tokens but is none itself, so that bytes alone do not tell
            which texts can be written; use `finishing_tokens` then.
    """
    special = {*end_ids, *control_ids}
    if not is_closed(tokens, special):
        raise ValueError("not every byte is a token")
    bytes_there = alphabet_of(tokens, special)
    whole = accepts(grammar, prefix)
    # A token can only be viable when its first byte is.
    first = {
        byte for byte in bytes_there if viable(grammar, prefix + bytes([byte]), bytes_there)
    }
    answers: dict[bytes, bool] = {}
    for token_id, token in enumerate(tokens):
        if token and token_id not in special and token not in answers:
            answers[token] = token[0] in first and (
                len(token) == 1 or viable(grammar, prefix + token, bytes_there)
            )
    return [
        whole if i in end_ids else i not in special and answers.get(token, False)
        for i, token in enumerate(tokens)
    ]


def fewest_tokens(
    grammar: ir.Grammar, tokens: Sequence[bytes], prefix: bytes, most: int
) -> int | None:
    """The least number of text tokens that makes a whole text of `prefix`; None if over `most`.

    Args:
        grammar: what may be said.
        tokens: the text tokens alone, without control and end tokens.
        prefix: bytes so far.
        most: the search stops after so many tokens.
    """
    distinct = sorted({token for token in tokens if token})
    level = {prefix} if viable(grammar, prefix) else set()
    for count in range(most + 1):
        if any(accepts(grammar, data) for data in level):
            return count
        if count < most:
            longer = {data + token for data in level for token in distinct}
            level = {data for data in longer if viable(grammar, data)}
    return None


def finishing_tokens(
    grammar: ir.Grammar, tokens: Sequence[bytes], prefix: bytes, most: int
) -> list[bool]:
    """For each text token whether a whole text can follow it within `most` further tokens."""
    return [
        bool(token) and fewest_tokens(grammar, tokens, prefix + token, most) is not None
        for token in tokens
    ]


def shortest_texts(
    grammar: ir.Grammar, alphabet: frozenset[int], prefix: bytes, most: int
) -> set[bytes]:
    """All shortest continuations of `prefix` to whole texts, of at most `most` bytes."""
    level = {b""} if viable(grammar, prefix, alphabet) else set()
    for _ in range(most + 1):
        found = {data for data in level if accepts(grammar, prefix + data)}
        if found:
            return found
        longer = {data + bytes([byte]) for data in level for byte in alphabet}
        level = {data for data in longer if viable(grammar, prefix + data, alphabet)}
    return set()


def forced(grammar: ir.Grammar, alphabet: frozenset[int], prefix: bytes, most: int) -> bytes:
    """The bytes that must come next, up to `most` of them: as long as there is one choice."""
    found = b""
    while len(found) < most and not accepts(grammar, prefix + found):
        following = [
            bytes([byte])
            for byte in sorted(alphabet)
            if viable(grammar, prefix + found + bytes([byte]), alphabet)
        ]
        if len(following) != 1:
            break
        found += following[0]
    return found
