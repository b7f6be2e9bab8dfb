"""The HTML report and the table: read with html.parser, and fed with hostile text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrain
from constrain.cli.generate import as_json, fields_table
from constrain.cli.terminal import table
from constrain.logprobs.shown_text import printable
from tests.logprobs_by_hand import alternative, result_of, token

if TYPE_CHECKING:
    from constrain.driver.result import Result

HOSTILE = '</code><script>alert(1)</script>" onload="x" \u202e&lt;'
VOID = {"meta", "br"}
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "dl", "dt", "dd", "div", "p",
    "span", "a", "code", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.heat = ""
        self.style = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        elif "style" in self.open:
            self.style += data
        elif self.open[-2:] == ["div", "a"]:
            self.heat += data


def page_of(result: Result, title: str = "Report") -> Page:
    return Page(result.html_report(title))


@pytest.fixture
def result() -> Result:
    properties = {"a": {"enum": ["yes", "no"]}, "b": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    grammar = constrain.json_schema(schema, whitespace="spaced")
    return result_of(
        grammar,
        token('{"a": "'),
        token("yes", 0.75, alternative("no", 0.25), alternative("maybe", None)),
        token('", "b": "'),
        token("x\u20ac", 0.5),
        token('"', 0.9),
        token("}"),
    )


def test_the_text_is_there_coloured_by_probability(result: Result) -> None:
    page = page_of(result)
    assert page.heat == result.text
    links = [attrs for tag, attrs in page.tags if tag == "a"]
    assert [attrs.get("class") for attrs in links] == [
        "forced", None, "forced", None, None, "forced"
    ]  # fmt: skip
    styles = [attrs["style"] or "" for attrs in links if "style" in attrs]
    alphas = [[float(a) for a in re.findall(r"([\d.]+)\)", style)] for style in styles]
    # the colour is 0.8 * (1 - p), the line below the mass that `token` removed
    assert alphas == [pytest.approx([0.2, 0.5]), pytest.approx([0.4, 0.5]),
                      pytest.approx([0.08, 0.5])]  # fmt: skip
    assert "'maybe' 36.8 %" in (links[1]["title"] or "")


def test_every_token_links_to_its_row_with_what_was_forbidden(result: Result) -> None:
    page = page_of(result)
    rows = {attrs["id"] for tag, attrs in page.tags if tag == "tr" and "id" in attrs}
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{row}" for row in sorted(rows, key=str)]
    cells = next(row for row in page.rows if row[:2] == ["1", "yes"])
    assert cells[2] == "75.0 %"
    assert cells[4] == "50.0 %"  # `token` removed a half
    # exp(-1), the model's own probability that `alternative` gave
    assert cells[7:] == ["no 36.8 %", "maybe 36.8 %"]
    assert next(row for row in page.rows if row[0] == "0")[2] == "forced"


def test_the_fields_are_a_table(result: Result) -> None:
    page = page_of(result)
    row = next(row for row in page.rows if row[0] == "$.a")
    assert row[1:4] == ['"yes"', "75.0 %", "75.0 %"]
    assert row[-1] == '"no" 25.0 %'
    assert next(row for row in page.rows if row[0] == "$.b")[2] == "45.0 %"


def test_it_needs_nothing_from_outside(result: Result) -> None:
    page = page_of(result)
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for _, attributes in page.tags:
        assert set(attributes) <= {
            "lang", "charset", "http-equiv", "content", "name", "class", "style", "dir", "href",
            "title", "id", "scope", "tabindex", "role", "aria-label",
        }  # fmt: skip
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme: dark" in page.style


def test_white_space_is_seen() -> None:
    steps = [token("a\n\n", 0.5), token("  b", 0.5, alternative(" ", 0.25))]
    text = result_of(None, *steps).html_report()
    page = Page(text)
    assert page.heat == "a\n\n  b"  # the marks are drawn by the style, and not copied
    assert [attrs for _, attrs in page.tags].count({"class": "line"}) == 2
    # two in the token's row, one in its alternative
    assert [attrs for _, attrs in page.tags].count({"class": "space"}) == 3
    assert next(row for row in page.rows if row[0] == "1")[1] == "  b"
    # the style says how, with a backslash of CSS
    assert r'.line::before { content: "\21b5"' in page.style
    assert r'code .space::before { content: "\b7"' in page.style


def test_a_long_path_wraps_and_no_writing_turns_its_neighbours(result: Result) -> None:
    page = page_of(result)
    assert ("td", {"class": "path"}) in page.tags
    wrapping = page.style.split("td.path code")[1].split("}")[0]
    assert "overflow-wrap: anywhere" in wrapping
    assert "unicode-bidi: isolate" in page.style.split("code { background")[1].split("}")[0]


def test_tables_are_told_by_name_and_scrolled_by_keys(result: Result) -> None:
    page = page_of(result)
    wide = [attrs for tag, attrs in page.tags if tag == "div" and attrs.get("class") == "wide"]
    assert [attrs["aria-label"] for attrs in wide] == ["fields", "tokens"]
    assert all((a["role"], a["tabindex"]) == ("region", "0") for a in wide)
    assert all(attrs["scope"] == "col" for tag, attrs in page.tags if tag == "th")


def test_hostile_text_stays_text() -> None:
    grammar = constrain.json_schema({"type": "object"}, whitespace="compact")
    text = json.dumps({HOSTILE: HOSTILE}, ensure_ascii=False, separators=(",", ":"))
    result = result_of(
        grammar,
        token(text[:20], 0.5, alternative(HOSTILE, 0.2), alternative(HOSTILE, None)),
        token(text[20:], 0.5),
    )
    page = page_of(result, HOSTILE)
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert page.heat == printable(text)
    assert "\u202e" not in result.html_report()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=4) | st.sampled_from([b"<", b"&", b"\n", b'"', "é".encode()]))
)
def test_any_bytes_make_a_page_with_balanced_tags(pieces: list[bytes]) -> None:
    steps = [
        token(piece.decode("latin-1"), 0.5, alternative(piece.decode("latin-1"), 0.5))
        for piece in pieces
    ]
    page = page_of(result_of(None, *steps, end=token("</s>", 0.5)))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert page.rows[-1][1] == "(end)"


def test_the_table_is_aligned_and_shows_no_control_sequence(result: Result) -> None:
    lines = fields_table(result.fields()).split("\n")
    assert lines[0].split() == ["field", "value", "confidence", "lowest", "entropy", "else"]
    assert [line.split()[0] for line in lines[1:]] == ["$", "$.a", "$.b"]
    ends = {line.index("%") for line in lines[1:]}
    assert ends == {lines[0].index("confidence") + len("confidence") - 1}
    shown = table(["a", "b"], [["\x1b[31m日本", "1"], ["x", "22"]], "b")
    # four columns for two wide characters, and the escape spelled out
    assert shown.split("\n") == [
        "a" + " " * 11 + "   b",
        "\\x1b[31m日本" + "   1",
        "x" + " " * 11 + "  22",
    ]


def test_json_holds_the_fields_on_request(result: Result) -> None:
    assert result.grammar is not None
    plain = json.loads(as_json(result, result.grammar))
    assert "fields" not in plain
    full = json.loads(as_json(result, result.grammar, fields=True))
    assert [f["path"] for f in full["fields"]] == ["$", "$.a", "$.b"]
    assert full["fields"][1]["confidence"] == pytest.approx(0.75)
    assert full["fields"][1]["runners_up"] == [
        {"text": '"no"', "complete": True, "probability": pytest.approx(0.25)}
    ]
    assert full["tokens"][1]["alternatives"][1] == {
        "id": 9, "text": "maybe", "allowed": False, "logprob": -1.0, "masked_logprob": None,
    }  # fmt: skip
