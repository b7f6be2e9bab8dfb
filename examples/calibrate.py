"""Calibration: how far the model's confidence can be trusted, and a fit that mends it.

Classifies the 120 labelled texts of reviews.jsonl, then prints how often predictions of each
confidence were right: as the model gives them, and after a fit that has not seen the example.
Needs scikit-learn. With a file name as argument it also draws the picture (matplotlib).
"""

import json
import sys
from pathlib import Path

import constrain
from constrain import calibration

FOLDER = Path(__file__).parent
LABELS = ("positive", "negative", "neutral")


def main() -> None:
    """Print both tables."""
    model = constrain.load()
    template = (FOLDER / "reviews.prompt.txt").read_text(encoding="utf-8").rstrip("\n")
    lines = (FOLDER / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    truth = [LABELS.index(example["label"]) for example in examples]
    probabilities = []
    for example in examples:
        prompt = template.replace("{text}", example["text"])
        result = model.classify(prompt, {label: f" {label}" for label in LABELS})
        probabilities.append(list(result.probabilities.values()))

    mended = calibration.held_out("platt", probabilities, truth, LABELS)
    reports = {
        "the model": calibration.report(probabilities, truth, n_bins=5),
        "Platt, held out": calibration.report(mended, truth, n_bins=5),
    }
    for name, report in reports.items():
        print(
            f"{name}: {report.accuracy:.0%} right, log loss {report.log_loss:.2f}, "
            f"calibration error {report.table.expected_error:.1%}"
        )
        print(report.table, end="\n\n")
    if len(sys.argv) > 1:
        tables = {name: report.table for name, report in reports.items()}
        calibration.reliability_diagram(tables).savefig(sys.argv[1])


if __name__ == "__main__":
    main()
