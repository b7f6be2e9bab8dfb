"""The official JSON Schema test suite, every group and case, against a strict baseline.

The baseline names what is refused at compile time and every case whose verdict is not the
suite's own, with its class (see `tests/suite_verdicts.py`). These tests fail when something
newly fails, and also when something listed there now passes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from tests import suite_verdicts as suite

REFRESH = "if that is meant, run `python -m tests.suite_verdicts`"
SHARE = 0.99

pytestmark = pytest.mark.skipif(
    not suite.is_here(), reason="the JSON Schema test suite is not beside the repository"
)


@cache
def found(draft: str) -> dict[str, Any]:
    """The outcome of this run, as the baseline has it."""
    fresh: dict[str, Any] = suite.baseline_of({draft: suite.outcome(draft)})[draft]
    return fresh


@cache
def listed(draft: str) -> dict[str, Any]:
    """The outcome that the baseline lists."""
    lists: dict[str, Any] = json.loads(suite.BASELINE.read_text(encoding="utf-8"))[draft]
    return lists


def flat_refused(of: dict[str, Any]) -> set[tuple[str, str, str]]:
    """File, group and keyword of all that is refused; how the reason is put may change."""
    return {
        (name, title, why["keyword"])
        for name, titles in of["refused"].items()
        for title, why in titles.items()
    }


def flat_differing(of: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """File, group, case and class of all that is not `exact`."""
    return {
        (name, title, case, verdict)
        for name, titles in of["differing"].items()
        for title, cases in titles.items()
        for case, verdict in cases.items()
    }


@pytest.mark.parametrize("draft", suite.DRAFTS)
def test_the_groups_that_are_refused_are_those_of_the_baseline(draft: str) -> None:
    here, there = flat_refused(found(draft)), flat_refused(listed(draft))
    assert not here - there, f"newly refused; {REFRESH}"
    assert not there - here, f"listed, but not refused any more; {REFRESH}"


@pytest.mark.parametrize("draft", suite.DRAFTS)
def test_the_verdicts_that_differ_are_those_of_the_baseline(draft: str) -> None:
    here, there = flat_differing(found(draft)), flat_differing(listed(draft))
    assert not here - there, f"newly different; {REFRESH}"
    assert not there - here, f"listed, but exact now; {REFRESH}"
    assert found(draft)["counts"] == listed(draft)["counts"], REFRESH


@pytest.mark.parametrize("draft", suite.DRAFTS)
def test_no_invalid_instance_is_accepted(draft: str) -> None:
    # Draft 7 lets an implementation take `contentEncoding` and `contentMediaType` as
    # annotations; one optional file of the suite wants assertions.
    wrong = [case for case in flat_differing(found(draft)) if case[-1] == suite.ACCEPTED]
    assert not wrong
    content = {case[0] for case in flat_differing(found(draft)) if case[-1] == suite.CONTENT}
    assert content <= ({suite.CONTENT_FILE} if draft == "draft7" else set())


@pytest.mark.parametrize("draft", suite.DRAFTS)
def test_nearly_all_groups_compile(draft: str) -> None:
    counts = found(draft)["counts"]
    # The suite is whole: the drafts have 461 and 321 groups, 2 225 and 1 721 cases.
    assert counts["groups"] >= {"draft2020-12": 461, "draft7": 321}[draft]
    assert counts["compiled"] >= SHARE * counts["groups"]


def test_numbers_are_spelled_both_ways() -> None:
    value = {"a": [1, 2.0, 0.5, True, None, "1.0"]}
    assert str(suite.respelled(value, pointed=True)) == str(
        {"a": [1.0, 2.0, 0.5, True, None, "1.0"]}
    )
    assert str(suite.respelled(value, pointed=False)) == str(
        {"a": [1, 2, 0.5, True, None, "1.0"]}
    )


def test_a_format_is_left_out_wherever_it_stands() -> None:
    schema = {"format": "date", "properties": {"format": {"format": "uri"}}, "allOf": [True]}
    assert suite.without_format(schema) == {"properties": {"format": {}}, "allOf": [True]}
