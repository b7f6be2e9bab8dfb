"""What may come next, in words: for error messages and debugging."""

from __future__ import annotations

_KINDS: tuple[tuple[str, frozenset[int]], ...] = (
    ("white space", frozenset(b" \t\n\r")),
    ("a digit", frozenset(range(0x30, 0x3A))),
    ("a letter", frozenset((*range(0x41, 0x5B), *range(0x61, 0x7B)))),
    ("a character outside ASCII", frozenset(range(0xC2, 0xF5))),
)
_MANY = 90  # this many different first bytes are "any character"
_PRINTABLE = range(0x21, 0x7F)


def describe(first: bytes, names: list[bytes], *, others: bool, end: bool) -> tuple[str, ...]:
    """Readable expectations, most specific first.

    Args:
        first: every byte that may come next.
        names: decoded keys that may come, or that the key begun may become.
        others: undeclared keys may come as well.
        end: the text may end here.

    >>> describe(b"0123456789-", [], others=False, end=False)
    ("'-'", 'a digit')
    """
    words = [f'the key "{name.decode("utf-8", "replace")}"' for name in names]
    if others:
        words.append("another key")
    if not words:
        words = _characters(set(first))
    if end:
        words.append("the end of the text")
    return tuple(words)


def _characters(left: set[int]) -> list[str]:
    if len(left) >= _MANY:
        return ["any character" if ord('"') not in left else "any character or '\"'"]
    kinds = []
    for name, members in _KINDS:
        inside = left & members
        whole = members & set(range(0x80)) or members
        if len(inside) > 1 and (inside >= whole or name == "a character outside ASCII"):
            kinds.append(name)
            left = left - inside
    return [_named(byte) for byte in sorted(left)] + kinds


def _named(byte: int) -> str:
    readable = byte in _PRINTABLE or byte in b" \t\n\r"
    return repr(chr(byte)) if readable else f"byte 0x{byte:02X}"
