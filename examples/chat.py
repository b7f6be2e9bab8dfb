"""A chat turn that streams: free text first, then a verdict in a fixed form.

Shows `model.stream`, whose pieces are printed as they are written, and a grammar made of parts:
at most 300 characters of free text up to the word "Rating", then a number and a mood.
"""

import constrain

MESSAGES = [
    {"role": "system", "content": "You are a friendly travel guide. Be brief."},
    {"role": "user", "content": "Is Lisbon worth a visit? End with a rating out of 10."},
]


def main() -> None:
    """Print the answer piece by piece, then the result."""
    model = constrain.load()
    mood = constrain.choice(["must see", "worth a stop", "skip it"])
    grammar = (
        constrain.text(stop="\nRating: ", max_chars=300)
        + constrain.regex("10|[0-9]")
        + " of 10, "
        + mood
    )
    sampling = constrain.Sampling(temperature=0.7, top_p=0.95, repeat_penalty=1.1, seed=1)
    with model.stream(MESSAGES, grammar, sampling=sampling, max_tokens=200) as stream:
        for piece in stream:
            print(piece, end="", flush=True)
    print()
    result = stream.result
    print(f"# {len(result.tokens)} tokens, finish reason: {result.finish_reason}")


if __name__ == "__main__":
    main()
