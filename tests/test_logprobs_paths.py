"""JSON paths and the places of values, against the json module."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constrain.logprobs.json_spans import end_of_value, json_spans
from constrain.logprobs.paths import format_path, parse_path

KEYS = st.text(max_size=6) | st.text(string.ascii_letters + "_", min_size=1, max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
LAYOUTS = st.sampled_from([
    {"separators": (",", ":")}, {}, {"indent": 2}, {"separators": (" ,\t", " :\r\n")},
    {"ensure_ascii": False},
])  # fmt: skip


def walk(
    value: Any, keys: tuple[str | int, ...] = ()
) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every value with its keys, containers first: what the spans must be."""
    found = [(keys, value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += walk(inner, (*keys, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found += walk(inner, (*keys, i))
    return found


@settings(max_examples=300, deadline=None)
@given(VALUES, LAYOUTS, st.sampled_from(["", " ", "\n\t "]))
def test_every_value_is_found_where_it_is(value: Any, layout: dict[str, Any], pad: str) -> None:
    text = pad + json.dumps(value, **layout) + pad
    data = text.encode("utf-8", "surrogatepass")
    spans = json_spans(data)
    assert [span.keys for span in spans] == [keys for keys, _ in walk(value)]
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    for span, (_, expected) in zip(spans, walk(value), strict=True):
        assert json.loads(data[span.start : span.end]) == expected
        assert data[span.start : span.end].strip() == data[span.start : span.end]
        assert span.kind == kinds.get(type(expected), "literal")


@settings(max_examples=200, deadline=None)
@given(VALUES, LAYOUTS, st.data())
def test_a_cut_off_text_gives_the_values_that_are_sure(
    value: Any, layout: dict[str, Any], data: st.DataObject
) -> None:
    whole = json.dumps(value, **layout).encode()
    size = data.draw(st.integers(0, len(whole)))
    # A number that ends at the cut may go on; every other value that ends by then is there.
    expected = [
        span for span in json_spans(whole)
        if span.end <= size and not (span.kind == "number" and span.end == size)
    ]  # fmt: skip
    assert list(json_spans(whole[:size], partial=True)) == expected


REFUSED = {
    "": 0, "{": 1, '{"a"}': 4, '{"a":1,}': 7, "[1,]": 3, "[1 2]": 3, "01": 1, "1.": 1, "+1": 0,
    "'a'": 0, '"\\x"': 0, '"\n"': 0, "nul": 0, "True": 0, "NaN": 0, "{1:2}": 1, "[]]": 2,
    "1 2": 2, '"a': 0, "[1": 2,
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_json_is_refused(text: str) -> None:
    if text != "NaN":  # an extension of Python's
        with pytest.raises(ValueError, match=r"Expect|Extra|Invalid|Illegal|Unterm"):
            json.loads(text)
    with pytest.raises(ValueError, match=rf"byte {REFUSED[text]}:|cut off"):
        json_spans(text.encode())


@pytest.mark.parametrize("text", ["[1 2", "[tru2", '{"a" 1', "[1.e", '["\\x', "]", "[,"])
def test_a_partial_text_that_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="byte"):
        json_spans(text.encode(), partial=True)


@pytest.mark.parametrize(
    "text", ["", "[", "[-", "[-0", "[1.", "[1e", "[1E+", "[1.5e-3", "[t", "[fals", "[nu", '["',
             '["\\', '["\\u00', '["\xc3', '[{"a', '[{"a"', '[{"a":'],
)  # fmt: skip
def test_no_cut_is_an_error(text: str) -> None:
    assert json_spans(text.encode("latin-1"), partial=True) == ()


def test_depth_and_length_cost_no_stack() -> None:
    n = 1_000
    spans = json_spans(b"[" * n + b"]" * n)
    assert len(spans) == n
    assert spans[-1].keys == (0,) * (n - 1)
    long = b'"' + b"a\\n" * 200_000 + b'"'
    assert json_spans(long)[0].end == len(long)


ENDS = [
    ("12", None),
    ("12,", 2),
    ("true", 4),
    ("tru", None),
    ('"a"b', 3),
    ("[1]]", 3),
    ("[1", None),
]


@pytest.mark.parametrize(("text", "end"), ENDS)
def test_the_end_of_the_first_value(text: str, end: int | None) -> None:
    assert end_of_value(text.encode()) == end


SPELLINGS: list[tuple[tuple[str | int, ...], list[str]]] = [
    ((), ["$"]),
    (("a", "b", 0), ["$.a.b[0]", '$["a"].b[0]', "$['a']['b'][0]"]),
    (("odd key",), ['$["odd key"]', "$['odd key']"]),
    (("it's",), ['$["it\'s"]', r"$['it\'s']"]),
    (('say "hi"',), [r'$["say \"hi\""]', "$['say \"hi\"']"]),
    (("née", "日本"), ["$.née.日本", r"$['n\u00e9e']['\u65e5本']"]),
    (("0",), ['$["0"]']),
    (("a.b[0]",), ['$["a.b[0]"]']),
    (("", "\n"), ['$[""]["\\n"]', r"$['']['\n']"]),
]


@pytest.mark.parametrize(("keys", "spellings"), SPELLINGS, ids=lambda x: str(x)[:20])
def test_each_spelling_names_the_same_keys(
    keys: tuple[str | int, ...], spellings: list[str]
) -> None:
    assert format_path(keys) == spellings[0]
    for spelling in spellings:
        assert parse_path(spelling) == keys


@given(st.lists(st.text() | st.integers(0, 10**6)))
def test_a_formatted_path_names_its_keys(keys: list[str | int]) -> None:
    assert parse_path(format_path(keys)) == tuple(keys)


@pytest.mark.parametrize(
    "path",
    ["", "a", ".a", "$.", "$a", "$..a", "$.a-b", "$.1", "$[01]", "$[-1]", "$[*]", "$[a]",
     '$["a]', '$["a\']', "$.a ", "$[0", r'$["\q"]', "$['a\n']"],
)  # fmt: skip
def test_other_paths_are_refused_with_the_place(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)
