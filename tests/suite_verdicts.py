"""The official JSON Schema test suite: what each group and each case of it comes to.

Every case gets a class. `exact` is the suite's own verdict. The other classes are told by a
rule, computed from schema and instance, never by a list of names:

- `text form`: a valid instance is refused as `json.dumps` spells it, and accepted where its
  integral numbers are spelled the other way (`1.0` for `1`, `1` for `1.0`).
- `format asserted`: in the files that want `format` to be an annotation a valid instance is
  refused, and accepted by the schema without `format`.
- `format narrowed`: a valid instance is refused under a format that leaves some texts out
  (`FormatUse.left_out`), and accepted by the schema without `format`.
- `content not asserted`: in draft 7's optional file that wants content keywords to be
  asserted (they may be, says the draft) an invalid instance is accepted.
- `refused` and `accepted` are wrong verdicts.

`python -m tests.suite_verdicts` writes the baseline `tests/suite_baseline.json` anew.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

import constrain
from constrain.schema.formats import format_use

SUITE = Path(__file__).resolve().parents[2] / "shared" / "data" / "json-schema-test-suite"
BASELINE = Path(__file__).with_name("suite_baseline.json")
DRAFTS = {
    "draft2020-12": ("https://json-schema.org/draft/2020-12/schema", DRAFT202012),
    "draft7": ("http://json-schema.org/draft-07/schema#", DRAFT7),
}
REMOTE = "http://localhost:1234/"
FORMAT_FILES = {"format.json", "optional/format-assertion.json"}
CONTENT_FILE = "optional/content.json"
EXACT, REFUSED, ACCEPTED = "exact", "refused", "accepted"
TEXT_FORM = "text form"
FORMAT_ASSERTED = "format asserted"
FORMAT_NARROWED = "format narrowed"
CONTENT = "content not asserted"


@dataclass
class Outcome:
    """What one draft's files come to.

    Attributes:
        refused: file -> group -> the keyword and the reason of the compile error.
        differing: file -> group -> case -> its class, where it is not `exact`.
        counts: groups, groups that compile, and cases by class.
        files: file -> its groups and those that compile.
    """

    refused: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    differing: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    files: dict[str, list[int]] = field(default_factory=dict)


def is_here() -> bool:
    """Whether the suite lies beside the repository."""
    return (SUITE / "tests").is_dir()


@cache
def registry(draft: str) -> Registry[Any]:
    """The remote documents, each read as its `$schema` says, else by the given draft."""
    folder = SUITE / "remotes"
    specification = DRAFTS[draft][1]
    resources = []
    for path in sorted(folder.rglob("*.json")):
        contents = json.loads(path.read_text(encoding="utf-8"))
        resource = Resource.from_contents(contents, default_specification=specification)
        resources.append((REMOTE + path.relative_to(folder).as_posix(), resource))
    return Registry().with_resources(resources)


def groups(draft: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file's name and the group, for every group of a draft, optional ones too."""
    folder = SUITE / "tests" / draft
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        for group in json.loads(path.read_text(encoding="utf-8")):
            yield name, group


@cache
def _bytes() -> constrain.Vocabulary:
    return constrain.Vocabulary([bytes([byte]) for byte in range(256)], end_ids=())


class Judge:
    """Verdicts on the texts of one schema; a schema without any value refuses them all.

    Attributes:
        grammar: the schema's grammar; None if that was seen to have no text.
    """

    def __init__(self, schema: Any, draft: str) -> None:
        if isinstance(schema, dict) and draft == "draft7":
            schema = {"$schema": DRAFTS[draft][0], **schema}
        self._start: constrain.Matcher | None = None
        self.grammar: constrain.Grammar | None = None
        try:
            self.grammar = constrain.json_schema(
                schema,
                "flexible",
                property_order="any",
                escapes="any",
                registry=registry(draft),
            )
            self._start = constrain.compile(self.grammar, _bytes()).matcher()
        except constrain.UnsatisfiableSchemaError:
            return

    def accepts(self, value: Any) -> bool:
        """Whether the schema's grammar has the value as `json.dumps` writes it."""
        if self._start is None:
            return False
        matcher = self._start.copy()
        try:
            matcher.accept_bytes(json.dumps(value).encode())
        except constrain.TokenRejectedError:
            return False
        return matcher.is_accepting


def respelled(value: Any, *, pointed: bool) -> Any:
    """The same JSON value with its integral numbers as floats (`pointed`) or as ints.

    >>> respelled([1.0, 0.5, 2], pointed=False), respelled({"a": 1}, pointed=True)
    ([1, 0.5, 2], {'a': 1.0})
    """
    if isinstance(value, list):
        return [respelled(item, pointed=pointed) for item in value]
    if isinstance(value, dict):
        return {name: respelled(item, pointed=pointed) for name, item in value.items()}
    if isinstance(value, float) and value.is_integer() and not pointed:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and pointed:
        return float(value) if abs(value) < 2**53 else value
    return value


def without_format(schema: Any) -> Any:
    """The schema with no `format` keyword anywhere."""
    if isinstance(schema, list):
        return [without_format(part) for part in schema]
    if isinstance(schema, dict):
        return {
            name: without_format(part)
            for name, part in schema.items()
            if not (name == "format" and isinstance(part, str))
        }
    return schema


def class_of(judge: Judge, case: dict[str, Any], schema: Any, name: str, draft: str) -> str:
    """The class of one case of a group that compiles."""
    value = case["data"]
    accepted = judge.accepts(value)
    if accepted == case["valid"]:
        return EXACT
    if accepted:
        text = json.dumps(schema)
        mentioned = '"contentEncoding"' in text or '"contentMediaType"' in text
        return CONTENT if name == CONTENT_FILE and mentioned else ACCEPTED
    if any(judge.accepts(respelled(value, pointed=pointed)) for pointed in (False, True)):
        return TEXT_FORM
    if not Judge(without_format(schema), draft).accepts(value):
        return REFUSED
    if name in FORMAT_FILES:
        return FORMAT_ASSERTED
    use = format_use(schema["format"])
    return FORMAT_NARROWED if use is not None and use.left_out else REFUSED


def outcome(draft: str) -> Outcome:
    """Run every group and case of a draft."""
    result = Outcome()
    for name, group in groups(draft):
        result.counts["groups"] += 1
        of_file = result.files.setdefault(name, [0, 0])
        of_file[0] += 1
        title = group["description"]
        try:
            judge = Judge(group["schema"], draft)
        except (constrain.SchemaError, constrain.LimitError, constrain.GrammarError) as error:
            keyword = getattr(error, "keyword", "") or type(error).__name__
            reason = {"keyword": keyword, "reason": getattr(error, "reason", str(error))}
            result.refused.setdefault(name, {})[title] = reason
            continue
        result.counts["compiled"] += 1
        of_file[1] += 1
        for case in group["tests"]:
            found = class_of(judge, case, group["schema"], name, draft)
            result.counts[found] += 1
            if found != EXACT:
                of_group = result.differing.setdefault(name, {}).setdefault(title, {})
                of_group[case["description"]] = found
    return result


def baseline_of(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """What is written to the baseline file."""
    return {
        draft: {
            "counts": dict(sorted(found.counts.items())),
            "refused": found.refused,
            "differing": found.differing,
            "files": found.files,
        }
        for draft, found in outcomes.items()
    }


def main() -> None:
    """Write the baseline anew and say in one line what each draft comes to."""
    fresh = baseline_of({draft: outcome(draft) for draft in DRAFTS})
    text = json.dumps(fresh, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    BASELINE.write_text(text, encoding="utf-8")
    for draft, found in fresh.items():
        sys.stdout.write(f"{draft}: {found['counts']}\n")


if __name__ == "__main__":
    main()
