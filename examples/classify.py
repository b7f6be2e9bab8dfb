"""Classification: the answer is one of a few labels, and nothing else.

Shows `constrain.choice` (the value is the text) and, with a weight for each label, how to lean
towards one of them; and the probability that the model gave to its answer among the labels.
"""

import math

import constrain

REVIEWS = (
    "I love this lamp. It is bright and beautiful, the best I ever had.",
    "It broke after two days and nobody answers my letters. Awful.",
    "It is a chair. One can sit on it.",
)
SHOTS = (
    "Review: Great service and a wonderful meal.\nMood: positive\n\n"
    "Review: The screen was cracked, never again.\nMood: negative\n\n"
    "Review: It is a blue cup with a handle.\nMood: neutral\n\n"
)
LABELS = ("positive", "negative", "neutral")


def main() -> None:
    """Print a label for each review, with its probability."""
    model = constrain.load()
    plain = constrain.choice(LABELS)
    leaning = constrain.choice({"positive": 0.0, "negative": 0.0, "neutral": 1.5})
    sampling = constrain.Sampling(temperature=0.0)  # the likeliest label
    for review in REVIEWS:
        prompt = f"{SHOTS}Review: {review}\nMood: "
        for name, grammar in (("plain", plain), ("leaning", leaning)):
            result = model.generate(prompt, grammar, sampling=sampling, max_tokens=16)
            probability = math.exp(sum(result.masked_logprobs))
            print(f"{name:8}{result.value:10}{probability:5.0%}  {review}")


if __name__ == "__main__":
    main()
