"""Classification: how probable each of a few labels is as the model's answer, exactly.

Shows `model.classify`: the prompt is read once, no text is written, and the probabilities are
those of the labels' tokens. With a prior, what the model says without any review is divided
out; below the threshold there is no label.
"""

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
# label -> text after the prompt; models learn words with the space before them
LABELS = {"positive": " positive", "negative": " negative", "neutral": " neutral"}


def main() -> None:
    """Print a label for each review, without and with the prior, and its probability."""
    model = constrain.load()
    for review in REVIEWS:
        prompt = f"{SHOTS}Review: {review}\nMood:"
        for name, prior in (("plain", None), ("prior", f"{SHOTS}Review: \nMood:")):
            result = model.classify(prompt, LABELS, prior=prior, threshold=0.5)
            label = result.label or "unsure"
            print(f"{name:6}{label:9}{result.confidence:5.0%}  {review}")


if __name__ == "__main__":
    main()
