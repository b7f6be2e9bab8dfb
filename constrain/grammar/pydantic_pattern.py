r"""Patterns of pydantic's `pattern=` constraint, said in ECMA-262 for JSON Schema.

Pydantic publishes such a pattern unchanged, but matches it with another engine: Rust's `regex`,
or Python's `re`. The result matches what both readings, the published one and the engine's,
match: `\d` and `\w` are ASCII, `\D` and `\W` leave out all of Unicode's digits and word
characters, `$` is the end of the text. What has no such translation (inline flags, class
arithmetic, POSIX classes, `\W` in a class, Unicode word boundaries) is refused with a reason.

Source: docs.rs/regex 1.x, "Syntax"; docs.python.org/3/library/re.html; ECMA-262 22.2.1.
"""

from __future__ import annotations

_SPACE = r"\u0009-\u000d \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_MORE_SPACE = _SPACE + r"\u001c-\u001f\u0085\ufeff"  # what one of the three calls white space
_WORD = (
    r"\p{L}\p{M}\p{N}\p{Pc}\u200c\u200d"
    r"\u24b6-\u24e9\u{1f130}-\u{1f149}\u{1f150}-\u{1f169}\u{1f170}-\u{1f189}"
)
_ALONE = {
    "d": "[0-9]",
    "D": r"[^\p{Nd}]",
    "w": "[0-9A-Za-z_]",
    "W": f"[^{_WORD}]",
    "s": f"[{_SPACE}]",
    "S": f"[^{_MORE_SPACE}]",
    "A": "^",
    "z": "$",
    "Z": "$",
}
_IN_CLASS = {"d": "0-9", "w": "0-9A-Za-z_", "s": _SPACE, "D": r"\P{Nd}"}
_IN_NEGATED_CLASS = {"d": r"\p{Nd}", "w": _WORD, "s": _MORE_SPACE}
_CONTROL = {"a": r"\u0007", "f": r"\f", "n": r"\n", "r": r"\r", "t": r"\t", "v": r"\v"}
_NARROWED = (".", "$", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\p", r"\P")
_SYNTAX = "^$\\.*+?()[]{}|/-"


class PatternError(ValueError):
    """The pattern has no exact counterpart in ECMA-262; the message says why."""


def to_ecma(pattern: str) -> str:
    r"""An ECMA-262 pattern for a pattern of pydantic's.

    Raises:
        PatternError: a construct that ECMA-262 reads differently and that is not translated.

    >>> to_ecma(r"\A(?P<year>\d{4})\z")
    '^(?<year>[0-9]{4})$'
    """
    parts: list[str] = []
    position = 0
    if ("(?!" in pattern or "(?<!" in pattern) and any(sign in pattern for sign in _NARROWED):
        raise PatternError("a negative look-around over classes the engines read differently")
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            part, position = _escape(pattern, position, _ALONE)
        elif char == "[":
            part, position = _class(pattern, position)
        elif pattern.startswith("(?", position):
            part, position = _group(pattern, position)
        else:
            part, position = char, position + 1
        parts.append(part)
    return "".join(parts)


def _group(pattern: str, position: int) -> tuple[str, int]:
    for opening, written in (("(?P<", "(?<"), ("(?:", "(?:"), ("(?=", "(?="), ("(?!", "(?!")):
        if pattern.startswith(opening, position):
            return written, position + len(opening)
    if pattern.startswith("(?<", position):  # a named group or a look-behind
        return "(?<", position + 3
    raise PatternError(f"{pattern[position : position + 4]!r} (flags or a special group)")


def _class(pattern: str, position: int) -> tuple[str, int]:
    start = position
    position += 1
    negated = pattern.startswith("^", position)
    position += negated
    parts = ["[^" if negated else "["]
    first = True
    while position < len(pattern):
        char = pattern[position]
        if char == "]" and not first:
            return "".join([*parts, "]"]), position + 1
        if char == "[" or pattern[position : position + 2] in ("&&", "--", "~~"):
            raise PatternError(
                f"{pattern[start : position + 2]!r} (nested or combined classes)"
            )
        if char == "\\":
            table = _IN_NEGATED_CLASS if negated else _IN_CLASS
            part, position = _escape(pattern, position, table)
        else:
            part, position = ("\\" + char if char in "^]" else char), position + 1
        parts.append(part)
        first = False
    raise PatternError("a class without its ']'")


def _escape(pattern: str, position: int, table: dict[str, str]) -> tuple[str, int]:
    char = pattern[position + 1 : position + 2]
    if char in table:
        return table[char], position + 2
    if char in _CONTROL:
        return _CONTROL[char], position + 2
    if char and char in "pP":
        return _property(pattern, position)
    if char and char in "xuU":
        return _code_point(pattern, position)
    if char and not (char.isascii() and char.isalnum()):
        kept = char in _SYNTAX and not (char == "-" and table is _ALONE)
        return ("\\" + char if kept else char), position + 2
    raise PatternError(f"{pattern[position : position + 2]!r} (not translated here)")


def _property(pattern: str, position: int) -> tuple[str, int]:
    if pattern.startswith("{", position + 2):
        end = pattern.find("}", position)
        name = pattern[position + 3 : end].removeprefix("^")
        kind = pattern[position + 1]
        if pattern.startswith("^", position + 3):
            kind = "p" if kind == "P" else "P"
        return f"\\{kind}{{{name}}}", end + 1
    return f"\\{pattern[position + 1]}{{{pattern[position + 2]}}}", position + 3


def _code_point(pattern: str, position: int) -> tuple[str, int]:
    if pattern.startswith("{", position + 2):
        end = pattern.find("}", position)
        digits, position = pattern[position + 3 : end], end + 1
    else:
        n_digits = {"x": 2, "u": 4, "U": 8}[pattern[position + 1]]
        digits = pattern[position + 2 : position + 2 + n_digits]
        position += 2 + n_digits
    return f"\\u{{{int(digits, 16):x}}}", position
