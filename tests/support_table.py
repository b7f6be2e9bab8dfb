"""The support table of README.md, made from a table of keywords and the suite's baseline.

`python -m tests.support_table` writes it between the markers in README.md;
`python -m tests.support_table -` prints it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.suite_verdicts import BASELINE, DRAFTS

README = Path(__file__).resolve().parent.parent / "README.md"
MARKER = "<!-- support table -->"

ROWS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("type", "enum", "const"), "exact"),
    (("properties", "required", "additionalProperties"), "exact"),
    (
        ("patternProperties",),
        "exact, each class of keys with its own values; more than 6 different patterns: error",
    ),
    (("propertyNames", "minProperties", "maxProperties"), "exact"),
    (("items", "prefixItems", "additionalItems", "minItems", "maxItems"), "exact"),
    (
        ("contains", "minContains", "maxContains"),
        "exact; kinds of items that make over 63 combinations: error",
    ),
    (
        ("uniqueItems",),
        "exact; beside `contains`, and where two items must be equal (under `not`): error",
    ),
    (("unevaluatedItems", "unevaluatedProperties"), "exact"),
    (
        ("minLength", "maxLength", "pattern"),
        "exact, ECMA-262 patterns found anywhere; back-references in a pattern: error",
    ),
    (("format",), "asserted, see below; unknown formats are annotations"),
    (
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        "exact decimals; divisors of 2^63 or more, numbers of more than 1 000 digits: error",
    ),
    (
        ("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
        "exact; conjunctions that come to over 4 096 cases: `LimitError`",
    ),
    (("dependencies", "dependentRequired", "dependentSchemas"), "exact, within the same limit"),
    (("$ref", "$id", "id", "$dynamicRef", "$recursiveRef"), "exact, recursion too"),
)
# Files of the suite that are not named after a keyword -> the keyword they are about.
FILES = {
    "anchor.json": "$ref",
    "definitions.json": "$ref",
    "defs.json": "$ref",
    "dynamicRef.json": "$dynamicRef",
    "id.json": "$id",
    "infinite-loop-detection.json": "$ref",
    "ref.json": "$ref",
    "refRemote.json": "$ref",
    "if-then-else.json": "if",
    "bignum.json": "maximum",
    "cross-draft.json": "$ref",
    "dependencies-compatibility.json": "dependencies",
    "ecmascript-regex.json": "pattern",
    "float-overflow.json": "multipleOf",
    "non-bmp-regex.json": "pattern",
    "refOfUnknownKeyword.json": "$ref",
}


def table() -> str:
    """The table and what stands below it, in Markdown."""
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    lines = [
        "| keyword | support | groups of the official suite that compile, 2020-12 and 7 |",
        "|---|---|---|",
    ]
    for keywords, support in ROWS:
        names = ", ".join(f"`{keyword}`" for keyword in keywords)
        shares = [_share(baseline[draft], keywords) for draft in DRAFTS]
        lines.append(f"| {names} | {support} | {', '.join(shares)} |")
    lines.append("| `title`, `description`, `default`, `examples`, … | annotations | |")
    lines.append("")
    lines += [_summary(draft, baseline[draft]) for draft in DRAFTS]
    lines.append("")
    lines += list(_refused(baseline)) or ["No group of either draft is refused."]
    return "\n".join(lines)


def _share(of_draft: dict[str, Any], keywords: tuple[str, ...]) -> str:
    """How many groups there are in the files about some keywords, and how many compile."""
    n_groups = n_compiled = 0
    for name, (groups, compiled) in of_draft["files"].items():
        if _keyword_of(name) in keywords:
            n_groups += groups
            n_compiled += compiled
    return f"{n_compiled} of {n_groups}" if n_groups else "none there"


def _keyword_of(name: str) -> str:
    """The keyword that a file of the suite is about, or no keyword at all."""
    if name.startswith("optional/format"):
        return "format"
    name = name.removeprefix("optional/")
    return FILES.get(name, name.removesuffix(".json"))


def _summary(draft: str, of_draft: dict[str, Any]) -> str:
    """One item of a list: all verdicts on a draft's files, optional ones included."""
    counts = of_draft["counts"]
    classes = [
        ("the suite's own", "exact"),
        ("valid numbers in another spelling than this text form's", "text form"),
        ("a format asserted where the suite wants an annotation", "format asserted"),
        ("valid texts that a format leaves out", "format narrowed"),
        ("content keywords taken as annotations, as draft 7 allows", "content not asserted"),
        ("valid instances refused", "refused"),
        ("invalid instances accepted", "accepted"),
    ]
    found = "; ".join(f"{counts[key]} {name}" for name, key in classes if key in counts)
    compiled = f"{counts['compiled']} of {counts['groups']} groups compile"
    return f"- {draft.replace('draft', 'draft ')}: {compiled}; verdicts: {found}."


def _refused(baseline: dict[str, Any]) -> list[str]:
    """One item of a list for each group that does not compile, with the reason."""
    return [
        f"- not compiled: {draft}, `{name}`, {title}: `{why['keyword']}`: {why['reason']}"
        for draft in DRAFTS
        for name, titles in baseline[draft]["refused"].items()
        for title, why in titles.items()
    ]


def replaced(readme: str) -> str:
    """README's text with the table between its markers made anew.

    Raises:
        ValueError: there are not two markers.
    """
    before, _, after = readme.split(MARKER)
    return f"{before}{MARKER}\n{table()}\n{MARKER}{after}"


def main() -> None:
    """Write README.md, or print."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(f"{MARKER}\n{table()}\n{MARKER}\n")
    else:
        README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
