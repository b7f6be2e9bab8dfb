"""JSON paths: `$.items[0]["odd key"]` to keys and back.

The form is that of a singular query of RFC 9535 (JSONPath), section 2.3: `.name` for a name of
letters, digits and `_`, `["any name"]` or `['any name']` for every name, `[0]` for an array's
item, counted from 0. Slices, filters, white space and negative indices are refused; wildcards
(section 2.3.2), `.*` and `[*]`, are taken where a pattern is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from constrain.errors import shorten

Key = str | int
Keys = tuple[Key, ...]
Pattern = tuple[Key | None, ...]
"""Keys of a path; None stands for any key."""

# member-name-shorthand, section 2.5.1.1: a letter, `_` or any character beyond ASCII, then
# digits too. Surrogates are no characters.
_FIRST = "[A-Za-z_\x80-\ud7ff\ue000-\U0010ffff]"
_NAME = re.compile(rf"{_FIRST}(?:{_FIRST}|[0-9])*")
_STEP = re.compile(
    rf"\.(?P<name>{_NAME.pattern})"
    r"|\[(?P<index>0|[1-9][0-9]*)\]"
    r'|\[(?P<double>"(?:[^"\\]|\\.)*")\]'
    r"|\['(?P<single>(?:[^'\\]|\\.)*)'\]",
    re.DOTALL,
)
_WILDCARD = re.compile(r"\.\*|\[\*\]")


def format_path(keys: Sequence[Key]) -> str:
    r"""The path in its shortest spelling.

    >>> format_path(["items", 0, "odd key", 'say "hi"'])
    '$.items[0]["odd key"]["say \\"hi\\""]'
    """
    return "$" + "".join(map(format_step, keys))


def format_step(key: Key) -> str:
    """One step of a path.

    >>> format_step("a"), format_step("first-name"), format_step(3)
    ('.a', '["first-name"]', '[3]')
    """
    if isinstance(key, int):
        return f"[{key}]"
    if _NAME.fullmatch(key):
        return f".{key}"
    return f"[{json.dumps(key, ensure_ascii=False)}]"


def parse_path(path: str) -> Keys:
    """The keys that a path in either spelling names.

    Raises:
        ValueError: it is no such path; says where it fails.

    >>> parse_path('$.a["b"][0]') == parse_path("$['a'].b[0]") == ("a", "b", 0)
    True
    """
    return tuple(key for key in _parsed(path, wildcards=False) if key is not None)


def parse_pattern(path: str) -> Pattern:
    """The keys of a path that may have wildcards, each of which is None.

    Raises:
        ValueError: it is no such path; says where it fails.

    >>> parse_pattern("$.items[*].name")
    ('items', None, 'name')
    """
    return _parsed(path, wildcards=True)


def is_within(keys: Keys, pattern: Pattern) -> bool:
    """Whether the keys lead to a place that the pattern names, or inside of it.

    >>> is_within(("items", 3, "name"), ("items", None)), is_within(("items",), ("items", None))
    (True, False)
    """
    return len(keys) >= len(pattern) and all(
        wanted is None or (key == wanted and type(key) is type(wanted))
        for key, wanted in zip(keys, pattern, strict=False)
    )


def _parsed(path: str, *, wildcards: bool) -> Pattern:
    if not path.startswith("$"):
        raise ValueError(f"the path {shorten(path)} does not begin with '$'")
    keys: list[Key | None] = []
    position = 1
    while position < len(path):
        wildcard = _WILDCARD.match(path, position) if wildcards else None
        if wildcard is not None:
            keys.append(None)
            position = wildcard.end()
            continue
        found = _STEP.match(path, position)
        key = None if found is None else _key(found)
        if found is None or key is None:
            raise ValueError(
                f"the path {shorten(path)} fails at {shorten(path[position:])}; expected "
                'steps such as .name, ["any name"] or [0]'
            )
        keys.append(key)
        position = found.end()
    return tuple(keys)


def _key(found: re.Match[str]) -> Key | None:
    """The key of a step, or None for an escape that JSON does not know."""
    if found["name"] is not None:
        return found["name"]
    if found["index"] is not None:
        return int(found["index"])
    text = found["double"]
    if text is None:
        # Inside single quotes, `\'` is a quote and `"` needs no escape; the rest is as in JSON.
        inside = re.sub(r"\\.|\"", _requoted, found["single"], flags=re.DOTALL)
        text = f'"{inside}"'
    try:
        return str(json.loads(text))
    except ValueError:
        return None


def _requoted(found: re.Match[str]) -> str:
    return {"\\'": "'", '"': '\\"'}.get(found[0], found[0])
