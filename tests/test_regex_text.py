r"""Regular-expression text to IR: against Python's `re`, the ECMA-262 standard, the suite.

Left out of the comparison with `re`, and why: `\B` on the empty text (Python matches it only
from 3.14 on), possessive quantifiers and atomic groups (refused), back-references (refused).
"""

from __future__ import annotations

import itertools
import json
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from constrain.errors import ConstrainError, GrammarError, LimitError
from constrain.grammar.ir import Chars, Literal, Node, OneOf, Repeat, Sequence
from constrain.grammar.regex_classes import contains, intersect, merge, negate
from constrain.grammar.regex_parser import MAX_NESTING
from constrain.grammar.regex_text import parse_ecma, parse_ecma_full, parse_python
from constrain.grammar.regex_tree import ANY, CHAR, children, lengths, mirror, nullable
from constrain.grammar.regex_unicode import ignore_case, python_class
from tests.oracle.characters import is_empty, matches, viable_prefix

SUITE = Path(__file__).resolve().parent.parent.parent / "shared/data/json-schema-test-suite"


def words(alphabet: str, longest: int) -> list[str]:
    return [
        "".join(letters)
        for length in range(longest + 1)
        for letters in itertools.product(alphabet, repeat=length)
    ]


def compare(patterns: Iterable[str], texts: list[str]) -> tuple[int, int, int]:
    """Compare with `re.fullmatch`; returns the patterns, accepted and rejected texts seen."""
    n_patterns = n_accepted = n_rejected = 0
    for pattern in patterns:
        compiled = re.compile(pattern)
        node = parse_python(pattern)
        n_patterns += 1
        for text in texts:
            expected = compiled.fullmatch(text) is not None
            assert matches(node, text) is expected, (pattern, text, node)
            n_accepted += expected
            n_rejected += not expected
    return n_patterns, n_accepted, n_rejected


def sequences(atoms: list[str], longest: int) -> Iterator[str]:
    for length in range(1, longest + 1):
        for chosen in itertools.product(atoms, repeat=length):
            yield "".join(chosen)


def test_all_small_patterns_mean_what_re_says() -> None:
    atoms = ["a", "b", ".", "a*", "b?", "(?:ab|b)", "[^a]+?"]
    counts = compare(sequences(atoms, 3), words("ab", 4))
    assert counts[0] == 7 + 7**2 + 7**3
    assert counts[1] > 1000
    assert counts[2] > 1000


def test_all_repetitions_of_repetitions_mean_what_re_says() -> None:
    counts = ["", "*", "+", "?", "{2}", "{0,2}", "{1,2}", "{2,}", "{0}"]
    patterns = ["(?:(?:a{}){})b?".format(*pair) for pair in itertools.product(counts, repeat=2)]
    seen = compare(patterns, words("ab", 6))
    assert seen[0] == 9 * 9
    assert seen[1] > 300
    assert seen[2] > 3000


def test_all_small_patterns_with_conditions_mean_what_re_says() -> None:
    atoms = [
        "a",
        ".",
        "b*",
        "(?=a)",
        "(?!b)",
        "(?<=a)",
        "(?<!b)",
        "^",
        "$",
        "(?!ab)",
        "(?<=ba)",
    ]
    counts = compare(sequences(atoms, 3), words("ab", 3))
    assert counts[0] == 11 + 11**2 + 11**3
    assert counts[1] > 300
    assert counts[2] > 10_000


def test_all_small_repetitions_with_conditions_mean_what_re_says() -> None:
    atoms = ["a", ".", "b?", "(?=a)", "(?!b)", "(?<!b)", "(?!ab)", "(?<=ab)", "$"]
    patterns = [
        f"{before}(?:{part}){count}{after}"
        for part in sequences(atoms, 2)
        for count in ("*", "{2}", "{1,3}")
        for before, after in (("", ""), ("", "b?"), ("a", "b"))
    ]
    counts = compare(patterns, words("ab", 4))
    assert counts[0] == (9 + 81) * 3 * 3
    assert counts[1] > 1000
    assert counts[2] > 1000


def test_word_edges_lines_and_newlines_mean_what_re_says() -> None:
    atoms = ["a", "-", ".", r"\b", "$", "(?m:^)", "(?m:$)", r"\Z", "\n"]
    counts = compare(sequences(atoms, 3), words("a-\n", 3))
    assert counts[0] == 9 + 9**2 + 9**3
    assert counts[1] > 100
    assert counts[2] > 10_000


def pattern_strategy(leaves: list[str], openings: list[str]) -> st.SearchStrategy[str]:
    counts = st.sampled_from(["", "*", "+?", "?", "{2}", "{1,2}", "{2,}"])
    opening = st.sampled_from(openings)
    fixed = st.sampled_from(["(?<=a)", "(?<!b)", "(?<=ab)", "(?<!^a)", r"(?<!\b.)"])

    def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(opening, inner, counts).map(lambda one: f"{one[0]}{one[1]}){one[2]}"),
            fixed,
            st.lists(inner, min_size=2, max_size=4).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
        )

    return st.recursive(st.sampled_from(leaves), wrapped, max_leaves=8)


SHARED_LEAVES = ["a", "b", "[ab]", "[^b]", r"\W", r"\d", "^", "$", r"\b", "a|b", "^a|b$"]
SHARED_OPENINGS = ["(?:", "(", "(?=", "(?!"]
PATTERNS = pattern_strategy(
    [*SHARED_LEAVES, "A", ".", "[a-cA]", r"\w", r"\A"],
    [*SHARED_OPENINGS, "(?i:", "(?s:", "(?m:", "(?a:"],
)


@settings(max_examples=400, deadline=None)
@given(
    pattern_strategy(SHARED_LEAVES, SHARED_OPENINGS),
    st.lists(st.text("ab-1", max_size=5), min_size=3, max_size=8),
)
@example("(^a|b)-", ["a-", "ba-", "xb-"])
def test_any_ecma_pattern_is_found_where_re_finds_it(pattern: str, texts: list[str]) -> None:
    # On these texts the two dialects agree in all these constructs.
    compiled = re.compile(pattern, re.ASCII)
    try:
        node = parse_ecma(pattern)
    except GrammarError as error:
        assert "not supported" in error.reason  # noqa: PT017 - exact or refused, never wrong
        return
    for text in texts:
        assert matches(node, text) is (compiled.search(text) is not None), (pattern, text)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.lists(st.text("abA-\n", max_size=5), min_size=3, max_size=8))
@example(r"(?:(?!ab)[ab])*", ["", "ab", "ba", "bba"])
@example("ab(?#a comment before a count){1,2}", ["ab", "abb", "abab"])
@example("(?:a|-(?!-))+b?", ["a-", "a-b", "a--", "-"])
@example("a(?<=$)\n", ["a\n", "a", "ab"])
@example("a(?<!$)(?!(?=b))[ab]", ["ab", "aa"])
def test_any_pattern_means_what_re_says(pattern: str, texts: list[str]) -> None:
    compiled = re.compile(pattern)
    try:
        node = parse_python(pattern)
    except GrammarError as error:
        assert "not supported" in error.reason  # noqa: PT017 - exact or refused, never wrong
        return
    for text in texts:
        assert matches(node, text) is (compiled.fullmatch(text) is not None), (pattern, text)


PIECES = [
    *"ab*+?{}()[]^-$|\\#",
    "{2}",
    "{,2}",
    "(?:",
    "(?!",
    "(?i)",
    "(?x)",
    "(?#",
    "\\b",
    "\\d",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(PIECES),
        max_size=9,
    ).map("".join)
)
@example("(?x)a #\\\n)")
@example("[]a]")
@example("a{2}{3}")
def test_malformed_is_what_re_calls_malformed(pattern: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except re.error:
        with pytest.raises(GrammarError):
            parse_python(pattern)
    else:
        try:
            parse_python(pattern)
        except GrammarError as error:
            assert "possessive" in error.reason  # noqa: PT017 - allowed by Python 3.11, refused here


@pytest.mark.parametrize(
    ("pattern", "position", "reason"),
    [
        ("a(b", 1, "missing ')'"),
        ("ab)", 2, "unbalanced"),
        ("a[b", 1, "unterminated"),
        ("a**", 2, "multiple repeat"),
        ("*a", 0, "nothing to repeat"),
        ("^*", 1, "nothing to repeat"),
        ("a{3,2}", 1, "greatest count"),
        ("[b-a]", 1, "bad character range"),
        (r"(a)\1", 3, "back-reference"),
        ("a\\", 1, "backslash"),
        (r"\x6", 0, "incomplete escape"),
        ("a++", 2, "possessive"),
        ("a{99999999999999999999}", 1, "too large"),
    ],
)
def test_both_dialects_name_the_place_of_an_error(
    pattern: str, position: int, reason: str
) -> None:
    for parse in (parse_python, parse_ecma, parse_ecma_full):
        with pytest.raises(GrammarError, match=re.escape(reason)) as caught:
            parse(pattern)
        assert caught.value.position == position, parse
        assert caught.value.text == pattern


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("(?P<a>b)(?P=a)", 8), ("(?>a)", 0), ("(a)?(?(1)b)", 4), ("a(?i)", 1), (r"\q", 0),
        ("(?<=a*)b", 0), (r"[a-\d]", 1), ("(?P<a>b)(?P<a>c)", 8), (r"\N{no such}", 0),
    ],
)  # fmt: skip
def test_python_refuses_with_the_place(pattern: str, position: int) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_python(pattern)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        (r"\k<a>", 0), (r"\A", 0), (r"a\Z", 1), (r"\1", 0), ("(?i)a", 0), ("(?P<a>b)", 0),
        (r"\p{Nonsense}", 0), (r"\p", 0), (r"\u{110000}", 0), (r"\c1", 0), (r"\01", 0),
        ("a{,3}", 1), ("(?<=a)*", 6), ("(?<1>a)", 3), (r"[\1]", 1),
    ],
)  # fmt: skip
def test_ecma_refuses_with_the_place(pattern: str, position: int) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_ecma(pattern)
    assert caught.value.position == position


# ECMA-262, 22.2.2 and 12.2, 12.3: pattern, texts in which it is found, texts in which not.
ECMA_CASES = [
    ("a|b", ["xay", "b"], ["", "xy"]),
    ("^a|b$", ["ax", "xb", "ab"], ["xa", "bx", ""]),
    ("(^a|b)c", ["acx", "xbc"], ["xac"]),
    ("^(a|b)$", ["a", "b"], ["ab", "xa"]),
    ("(^a$)|(^b$)", ["a", "b"], ["ab", "b "]),
    ("^a$", ["a"], ["a\n", "\na"]),
    ("a^b", [], ["ab", "a", ""]),
    ("^$", [""], ["a", "\n"]),
    ("^.$", ["a", "\x85", "\v", "😀"], ["\n", "\r", "\u2028", "\u2029", ""]),
    (r"^\d$", ["7"], ["٣", "a"]),
    (r"^\w$", ["a", "Z", "_", "0"], ["é", "-", "ſ"]),
    (r"^\W$", ["é", "-"], ["a", "_"]),
    (r"^\s$", list("\t\n\v\f\r \xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"),
     ["\x85", "\u200b", "\u180e", "a", "\x1c"]),
    (r"^\S$", ["\x85", "a"], [" ", "\ufeff"]),
    (r"^[\s\d]$", [" ", "1"], ["a"]),
    ("^[^]$", ["a", "\n"], ["", "ab"]),
    ("^a[]|b$", ["b"], ["a", "ax"]),
    (r"^[\b]$", ["\b"], ["b"]),
    (r"^\cJ\0$", ["\n\0"], ["J0"]),
    (r"^\x41\u0042\u{43}\ud83d\ude00$", ["ABC😀"], ["ABC"]),
    (r"^[\ud83d\ude00-\ud83d\ude02]$", ["😁"], ["😃", "a"]),
    ("^[😀-😂]{2}$", ["😀😂"], ["😀", "😃😃"]),
    (r"^\p{Lu}\p{Script=Greek}\P{L}$", ["Aα1", "Ωω "], ["aα1", "Aa1", "Aαb"]),
    (r"^\p{Letter}\p{gc=Nd}\p{sc=Latn}$", ["é٣z"], ["1a1", "é٣я"]),
    (r"^[\p{L}\P{Ll}]$", ["a", "1"], ["", "ab"]),
    (r"^\p{ASCII}\p{Any}\p{White_Space}$", ["a😀\x85"], ["é😀 "]),
    (r"^\p{scx=Deva}\p{Alphabetic}\p{Emoji}$", ["।é😀"], ["aéz"]),
    (r"\bfoo\b", ["foo", "a foo!", "éfooé"], ["foos", "_foo", ""]),
    (r"^\B$", [""], ["a"]),
    (r"\B-\B", ["-", " -"], ["a-", "-a"]),
    ("^(?!foo)", ["", "fo", "xfoo"], ["foo", "foox"]),
    ("^(?!.*--)[a-z-]+$", ["a-b"], ["a--b", ""]),
    ("^(?=.*[A-Z])(?=.*[0-9]).{3,5}$", ["aA0", "0A..."], ["abc", "A0", "A0abcd"]),
    (r"^.*(?<!\.json)$", ["a.jso", "json"], ["a.json"]),
    ("(?<=a)b(?=c)", ["abc", "xabcx"], ["bc", "ab"]),
    ("^(?!a).*(?<!b)$", ["", "b a", "x"], ["a", "xb"]),
    ("^(?:(?!ab).)*$", ["", "ba", "aaa"], ["ab", "xabx"]),
    ("^[a-z](?:[a-z]|-(?=[a-z])){0,38}$", ["a-b", "a" + "b" * 38], ["a-", "a--b", "a" * 40]),
    ("^(?:(?!-)[a-z-]{1,63}(?<!-)[.])+x$", ["a-b.c.x", "a" * 63 + ".x"],
     ["-a.x", "a-.x", "a" * 64 + ".x", "x"]),
    (r"^(\w+\b\s*)+$", ["a b", "ab "], ["", " a"]),
    ("^a{2,}?b{0}c+?$", ["aac", "aaacc"], ["ac", "aabc"]),
    ("^a{1000000,2000000}b?$|^c{4294967296}$", [], ["a" * 99, "c"]),
    (r"^\$\.\/\-\_\:$", ["$./-_:"], ["$"]),
    (r"^{a}]$", ["{a}]"], ["a"]),
    (r"^[\w-.]$", ["a", "-", "."], ["!"]),
    ("^(?<year>[0-9]{4})-(?:1|2)$", ["2024-1"], ["2024-3", "024-1"]),
    ("^(?=a)*b$", ["b"], ["ab"]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "found", "missing"), ECMA_CASES)
def test_ecma_patterns_search_as_the_standard_says(
    pattern: str, found: list[str], missing: list[str]
) -> None:
    node = parse_ecma(pattern)
    assert [text for text in found if not matches(node, text)] == []
    assert [text for text in missing if matches(node, text)] == []


def test_ecma_full_match_is_anchored_on_both_sides() -> None:
    node = parse_ecma_full("a|b+")
    assert [text for text in ["a", "b", "bb", "ab", "xa", ""] if matches(node, text)] == [
        "a", "b", "bb",
    ]  # fmt: skip


def suite_cases(name: str) -> list[tuple[str, str, bool]]:
    path = SUITE / "tests/draft2020-12" / name
    if not path.exists():
        pytest.skip(f"no {path.name} of the JSON Schema test suite beside the repository")
    return [
        (group["schema"]["pattern"], test["data"], test["valid"])
        for group in json.loads(path.read_text(encoding="utf-8"))
        for test in group["tests"]
        if "pattern" in group["schema"] and isinstance(test["data"], str)
    ]


@pytest.mark.parametrize(
    ("name", "least"), [("pattern.json", 3), ("optional/ecmascript-regex.json", 50),
                        ("optional/non-bmp-regex.json", 6)],
)  # fmt: skip
def test_the_json_schema_suite_agrees(name: str, least: int) -> None:
    cases = suite_cases(name)
    assert len(cases) >= least
    wrong = [case for case in cases if matches(parse_ecma(case[0]), case[1]) is not case[2]]
    assert wrong == []


def test_ignoring_case_is_what_re_does_for_every_cased_character() -> None:
    cased = [
        chr(c) for c in range(0x20000) if chr(c).lower() != chr(c) or chr(c).upper() != chr(c)
    ]
    assert len(cased) > 2000
    everything = "".join(cased)
    for character in cased:
        expected = set(re.findall(re.escape(character), everything, re.IGNORECASE))
        folded = ignore_case(((ord(character), ord(character)),))
        codes = {code for low, high in folded for code in range(low, high + 1)}
        assert codes == set(map(ord, expected)), character


def test_python_classes_agree_with_a_full_scan() -> None:
    everything = [chr(code) for code in range(0x110000)]
    text = "".join(everything)
    for letter in "dsw":
        found = re.findall(f"\\{letter}", text)
        assert sum(high - low + 1 for low, high in python_class(letter)) == len(found)
        assert all(contains(python_class(letter), ord(one)) for one in found[::97])


def test_the_tree_is_simplified() -> None:
    assert parse_ecma("^a(?:b)[c]()$") == Literal("abc")
    assert parse_ecma("^(?:a|[bc]|d)$") == Chars(((97, 100),))
    assert parse_ecma("^(yes|no)$") == OneOf(("yes", "no"))
    assert parse_ecma("^(a*)*$") == Repeat(Literal("a"), 0, None)
    assert parse_ecma("") == ANY
    assert parse_ecma("^") == ANY
    assert parse_ecma("b$") == Sequence((ANY, Literal("b")))
    assert parse_python("(?s).{3}") == Repeat(CHAR, 3, 3)


def test_no_lone_surrogate_gets_into_a_literal() -> None:
    for node in (parse_ecma(r"^\ud800$"), parse_python("\udfff"), parse_ecma("^[\\udc00]$")):
        assert isinstance(node, Chars)


def test_deep_nesting_is_a_limit_error_and_the_limit_itself_is_fine() -> None:
    for body in ("a", "(?=a.)a", r"\ba"):
        for parse in (parse_python, parse_ecma):
            deep = "(?:x|" * (MAX_NESTING - 1) + body + ")*" * (MAX_NESTING - 1)
            try:
                parse(deep)
            except GrammarError as error:
                assert "not supported" in error.reason  # noqa: PT017 - refused, no crash
            with pytest.raises(LimitError):
                parse("((" + deep + "))")


HOSTILE = [
    "((((?=ab)a?){8}){8}){8}",
    "(?:(?=ab)x)" * 300,
    "^" + "(?:(?=.*a)b|" * 40 + "c" + ")*" * 40,
    "(a?){20}(?:(?!b)a?)*(?=cc)x*",
    "(?:(?!a{1000})a?)*x?",
    r"\b\B" * 100,
    r"(?:a\b|b)*" * 12 + "c",
    "[^a]" * 5000,
    "a|" * 10_000,
    "(?=ab)x" * 500,
    "((((a{9999}){9999}){9999}){9999})*",
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_hostile_patterns_end_soon(pattern: str) -> None:
    start = time.perf_counter()
    for parse in (parse_ecma, parse_python):
        try:
            assert size_of(parse(pattern)) < 100_000
        except ConstrainError as error:
            assert str(error)  # noqa: PT017 - a result or a clear error, but soon
    assert time.perf_counter() - start < 10  # a second or less here; slack for busy machines


def size_of(node: Node) -> int:
    return 1 + sum(map(size_of, children(node)))


NODES = st.sampled_from([case[0] for case in ECMA_CASES if "{10000" not in case[0]]).map(
    parse_ecma
)


@settings(max_examples=200, deadline=None)
@given(NODES, st.text("ab-\nfoo.", max_size=5))
def test_mirror_length_and_nullable_agree_with_the_oracle(node: Node, text: str) -> None:
    accepted = matches(node, text)
    assert matches(mirror(node), text[::-1]) is accepted
    least, most = lengths(node)
    if accepted:
        assert least <= len(text) <= (len(text) if most is None else most)
    assert nullable(node) is matches(node, "")


@pytest.mark.parametrize(
    ("pattern", "viable", "dead"),
    [
        ("^(?!foo)fo.$", ["", "f", "fo", "fox"], ["x", "foo", "foxx"]),
        ("^(?=.*b)a{0,2}b?$", ["", "a", "aab"], ["aaa", "b b"]),
        ("^a(?!.)b?$", ["a", ""], ["ab"]),
    ],
)
def test_the_oracle_knows_viable_prefixes(
    pattern: str, viable: list[str], dead: list[str]
) -> None:
    node = parse_ecma(pattern)
    assert [text for text in viable if not viable_prefix(node, text)] == []
    assert [text for text in dead if viable_prefix(node, text)] == []
    assert not is_empty(node)


def test_a_contradiction_is_empty() -> None:
    assert is_empty(parse_ecma("^(?=a)b$"))
    assert is_empty(parse_ecma("a^"))


def test_range_algebra_agrees_with_sets() -> None:
    universe = range(7)
    for left, right in itertools.product(itertools.combinations(universe, 3), repeat=2):
        one, two = (merge((code, code) for code in codes) for codes in (left, right))
        for code in universe:
            assert contains(intersect(one, two), code) is (code in left and code in right)
            assert contains(negate(one), code) is (code not in left)
