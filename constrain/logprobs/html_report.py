"""A result as one self-contained HTML page: text coloured by probability, tokens, fields.

No script, no link to anything outside, and a content security policy that forbids both. What a
model wrote is a stranger's text: every piece of it is escaped, and characters that do not print
(controls, marks that turn the direction of writing) are shown by their code.
"""

from __future__ import annotations

import codecs
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from constrain.logprobs.fields import ScoredToken
from constrain.logprobs.shown_text import cut, percent, printable

if TYPE_CHECKING:
    from constrain.logprobs.fields import Field, RunnerUp
    from constrain.logprobs.measure import Alternative

_SHOWN = 80  # characters of a value in a table
_SPACE = '<span class="space"> </span>'
_LINE_END = '<span class="line"></span>'
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """\
:root { color-scheme: light dark; --fg: #1c1e21; --bg: #fff; --soft: #6a7078; --line: #d9dce0;
  --card: #f6f7f9; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e6ea; --bg: #17191c; --soft: #9aa1aa;
  --line: #3a3f46; --card: #22252a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
dl { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: 0; }
dl div { display: flex; gap: .5rem; } dt, .soft { color: var(--soft); } dd { margin: 0; }
.text, code { font-family: ui-monospace, monospace; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; padding: 1rem;
  border: 1px solid var(--line); border-radius: 6px; max-height: 40rem; overflow-y: auto; }
.text .line::before { content: "\\21b5"; color: var(--soft); }
.text a { color: inherit; text-decoration: none; border-radius: 3px; padding: .15em 0; }
.text a:hover, .text a:focus { outline: 2px solid currentColor; }
@media (prefers-color-scheme: dark) { .text a { color: #fff; } }
@media print { .text { max-height: none; } }
.forced, .text a.forced { color: var(--soft); text-decoration: underline dotted; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center;
  font-size: .9rem; }
.scale { display: inline-block; width: 8rem; height: .8rem; border-radius: 3px;
  background: linear-gradient(90deg, rgba(232, 89, 12, .8), rgba(232, 89, 12, 0));
  border: 1px solid var(--line); vertical-align: middle; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; } td.number { font-variant-numeric: tabular-nums;
  white-space: nowrap; } td.list { min-width: 13rem; }
code { background: var(--card); border-radius: 3px; padding: .1em .3em; white-space: pre;
  unicode-bidi: isolate; }
code .space { position: relative; }
code .space::before { content: "\\b7"; position: absolute; left: 0; color: var(--soft); }
td.path code, td.long code, td.list code { white-space: pre-wrap; overflow-wrap: anywhere; }
.list > span { display: inline-block; margin-right: .8rem; }
td.path { min-width: 12rem; max-width: 18rem; } td.long { min-width: 12rem; }
@media (max-width: 64rem) { td.path { min-width: 8.5rem; } td.long { min-width: 7rem; }
  table { font-size: .8rem; } }
.about { color: var(--soft); font-size: .9rem; max-width: 52rem; }
tr:target { outline: 2px solid currentColor; }
.removed { display: inline-block; width: 2rem; border-bottom: 3px solid rgb(37, 99, 235); }
"""

_LEGEND = """\
<p class="legend"><span>certain to improbable among the allowed tokens:
<span class="scale" style="transform: scaleX(-1)"></span></span>
<span><span class="removed"></span> the model wanted a forbidden token</span>
<span><span class="forced">forced</span>: the grammar left no choice</span>
<span class="soft">Point at a token for its probability, follow it to its row.</span></p>
"""


_ABOUT_FIELDS = """\
<p class="about">Confidence: how probable the model found the value after the text before
it, among what the grammar allowed. It is the product over the tokens that decided something
about the value; what was forced counts for nothing. The lowest of them is the weakest link:
entropy and what else it could have been are those of its step. Entropy is 0 where one token
is certain, and 2.3 nats where ten are equally likely.</p>
"""
_ABOUT_TOKENS = """\
<p class="about">Among the allowed: the probability with all forbidden tokens left out. Mass
removed: the probability of those together, which is how hard the grammar pulled. A faint dot is
a space, \\n a line end.</p>
"""


class ReportedToken(ScoredToken, Protocol):
    """What the page shows of a token beside what scores it."""

    @property
    def logprob(self) -> float | None:
        """The model's own log-probability; None if forced."""
        ...

    @property
    def removed_mass(self) -> float | None:
        """The model's probability of all forbidden tokens; None if forced."""
        ...

    @property
    def entropy(self) -> float | None:
        """Of the model's own distribution, in nats; None: forced or not measured."""
        ...

    @property
    def n_allowed(self) -> int:
        """How many tokens were allowed."""
        ...


def html_report(
    title: str,
    facts: Mapping[str, str],
    steps: Sequence[ReportedToken],
    end: ReportedToken | None,
    fields: Iterable[Field],
) -> str:
    """The page.

    Args:
        title: its heading.
        facts: shown below it, by name.
        steps: the tokens of the output.
        end: the end token that was chosen, or None.
        fields: what `FieldReader` made of them.
    """
    shown = _texts(steps)
    rows = [
        _token_row(i, step, text)
        for i, (step, text) in enumerate(zip(steps, shown, strict=True))
    ]
    if end is not None:
        rows.append(_token_row(len(steps), end, "(end)"))
    heat = "".join(
        _heat(i, step, text) for i, (step, text) in enumerate(zip(steps, shown, strict=True))
    )
    named = "".join(
        f"<div><dt>{_escape(k)}</dt><dd>{_escape(v)}</dd></div>" for k, v in facts.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<h1>{_escape(title)}</h1>
<dl>{named}</dl>
<h2>Text</h2>
{_LEGEND}<div class="text" dir="ltr">{heat}</div>
<h2>Fields</h2>
{_ABOUT_FIELDS}{_field_table(fields)}
<h2>Tokens</h2>
{_ABOUT_TOKENS}{_table("tokens", _TOKEN_COLUMNS, rows)}
</body>
</html>
"""


# Title and class of each column.
_TOKEN_COLUMNS = (
    ("#", "number"),
    ("token", "short"),
    ("among the allowed", "number"),
    ("the model's own", "number"),
    ("mass removed", "number"),
    ("entropy in nats: own, allowed", "number"),
    ("tokens allowed", "number"),
    ("likeliest allowed (own probability)", "list"),
    ("likeliest forbidden (own probability)", "list"),
)
_FIELD_COLUMNS = (
    ("path", "path"),
    ("value", "long"),
    ("confidence", "number"),
    ("lowest token", "number"),
    ("entropy there, nats", "number"),
    ("tokens", "number"),
    ("else it could have been", "list"),
)


def _escape(text: str) -> str:
    return html.escape(printable(text), quote=True)


def _code(text: str) -> str:
    return f"<code>{_escape(text)}</code>"


def _token_code(data: bytes) -> str:
    """A token's bytes, its spaces told apart from none."""
    text = _escape(data.decode("utf-8", "backslashreplace"))
    return f"<code>{text.replace(' ', _SPACE)}</code>"


def _texts(steps: Iterable[ReportedToken]) -> list[str]:
    """What each token adds to the text: a character belongs to the token that completes it."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(step.data) for step in steps]


def _heat(index: int, step: ReportedToken, text: str) -> str:
    """A token in the text, a link to its row."""
    # Line feeds stay, so that the text keeps its shape; a mark makes their colour seen.
    inside = f"{_LINE_END}\n".join(map(_escape, text.split("\n"))) or "\u2060"
    if step.forced:
        return f'<a class="forced" href="#t{index}" title="forced">{inside}</a>'
    p = min(1.0, math.exp(step.masked_logprob))
    style = f"background: rgba(232, 89, 12, {0.8 * (1 - p):.3f})"
    hints = [f"{percent(p)} among {step.n_allowed} allowed"]
    if step.removed_mass is not None:
        style += f"; border-bottom: 3px solid rgba(37, 99, 235, {step.removed_mass:.3f})"
        hints.append(f"mass removed {percent(step.removed_mass)}")
    for name, allowed in (("allowed", True), ("forbidden", False)):
        found = [a for a in step.alternatives if a.allowed == allowed]
        if found:
            hints.append(f"likeliest {name}: " + ", ".join(map(_named, found)))
    hint = "; ".join(hints)
    return f'<a href="#t{index}" style="{style}" title="{_escape(hint)}">{inside}</a>'


def _named(alternative: Alternative) -> str:
    text = alternative.data.decode("utf-8", "backslashreplace")
    return f"{text!r} {percent(math.exp(alternative.logprob))}"


def _token_row(index: int, step: ReportedToken, text: str) -> str:
    name = _escape(text) if text == "(end)" else _token_code(step.data)
    if step.forced:
        cells = [str(index), name, "forced", "", "", "", "", "", ""]
    else:
        own = "" if step.logprob is None else percent(math.exp(step.logprob))
        removed = "" if step.removed_mass is None else percent(step.removed_mass)
        cells = [
            str(index),
            name,
            percent(min(1.0, math.exp(step.masked_logprob))),
            own,
            removed,
            _entropies(step),
            str(step.n_allowed),
            _alternatives(a for a in step.alternatives if a.allowed),
            _alternatives(a for a in step.alternatives if not a.allowed),
        ]
    return _row(cells, _TOKEN_COLUMNS, f' id="t{index}"')


def _entropies(step: ReportedToken) -> str:
    if step.entropy is None or step.masked_entropy is None:
        return ""
    return f"{step.entropy:.2f}, {step.masked_entropy:.2f}"


def _alternatives(found: Iterable[Alternative]) -> str:
    return " ".join(
        f"<span>{_token_code(a.data)} {percent(math.exp(a.logprob))}</span>" for a in found
    )


def _field_table(fields: Iterable[Field]) -> str:
    rows = []
    for field in fields:
        cells = [
            _code(field.path),
            _code(cut(field.text, _SHOWN)),
            percent(field.confidence),
            percent(field.lowest),
            "" if field.entropy is None else f"{field.entropy:.2f}",
            str(field.n_tokens),
            " ".join(map(_runner_up, field.runners_up)),
        ]
        rows.append(_row(cells, _FIELD_COLUMNS, ""))
    return _table("fields", _FIELD_COLUMNS, rows)


def _runner_up(other: RunnerUp) -> str:
    text = other.text if other.complete else f"{other.text}…"
    return (
        f"<span>{_code(cut(text, _SHOWN, from_start=True))} {percent(other.probability)}</span>"
    )


def _table(name: str, columns: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    """A table that scrolls on its own where it is wide, by the keyboard too."""
    heads = "".join(
        f'<th class="{kind}" scope="col">{_escape(title)}</th>' for title, kind in columns
    )
    body = "\n".join(rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(cells: Sequence[str], columns: Sequence[tuple[str, str]], attributes: str) -> str:
    """A row of cells, which are HTML already."""
    marked = "".join(
        f'<td class="{kind}">{cell}</td>'
        for cell, (_, kind) in zip(cells, columns, strict=True)
    )
    return f"<tr{attributes}>{marked}</tr>"
