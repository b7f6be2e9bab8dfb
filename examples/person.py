"""A person record from a sentence: a JSON Schema file, chat messages, a Python dict.

One earlier turn shows the model what is wanted; the schema makes sure that it does that.

Shows that the answer follows the schema, and how much of it the model did not have to write:
keys and punctuation are forced, and the model reads them in one go.
"""

import json
from pathlib import Path

import constrain

SCHEMA = json.loads(Path(__file__).with_name("person.schema.json").read_text(encoding="utf-8"))
SHOWN = {"name": "Alan Turing", "born": 1912, "profession": "logician", "city": "Wilmslow"}
SENTENCE = "Ada Lovelace, a mathematician from London, was born in 1815."


def main() -> None:
    """Print the record as JSON, then what it took."""
    model = constrain.load()
    messages = [
        {"role": "user", "content": "Alan Turing, a logician from Wilmslow, was born in 1912."},
        {"role": "assistant", "content": json.dumps(SHOWN)},
        {"role": "user", "content": SENTENCE},
    ]
    sampling = constrain.Sampling(temperature=0.3, seed=1)
    result = model.generate(messages, SCHEMA, sampling=sampling, max_tokens=256)
    print(json.dumps(result.value, indent=2, ensure_ascii=False))
    print(
        f"# {len(result.tokens)} tokens, {result.n_model_calls} calls, {result.finish_reason}"
    )


if __name__ == "__main__":
    main()
